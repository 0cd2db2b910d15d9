package deploy

import (
	"os"
	"strings"
	"testing"
)

// TestDockerfile: what the other files say of the image is what the Dockerfile makes.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile(repository + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`ENTRYPOINT ["` + program + `"]`, `CMD ["run"]`} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}
