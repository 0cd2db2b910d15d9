package page

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestVendored: what is embedded is of the version that the lock names, and comes with its licence.
func TestVendored(t *testing.T) {
	var lock struct {
		Packages map[string]struct{ Version, Integrity, License string }
	}
	text, err := os.ReadFile("package-lock.json")
	if err == nil {
		err = json.Unmarshal(text, &lock)
	}
	if err != nil {
		t.Fatal(err)
	}
	plot := lock.Packages["node_modules/uplot"]
	if plot.Version == "" || plot.Integrity == "" || plot.License != "MIT" {
		t.Errorf("the lock has %+v", plot)
	}
	for name, want := range map[string]string{"uPlot.js": "(v" + plot.Version + ")", "uPlot.css": ".uplot", "LICENSE.uPlot": "MIT License"} {
		if text, err := embedded.ReadFile("static/vendor/" + name); err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s: no %q, %v", name, want, err)
		}
	}
}
