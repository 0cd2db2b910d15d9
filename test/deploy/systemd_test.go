package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/tcpd-project/tcpd/pkg/config"
)

const service = repository + "/configs/tcpd.service"

// settings are those of the unit's section Service, a list where there are several.
func settings(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(service)
	if err != nil {
		t.Fatal(err)
	}
	options, err := unit.DeserializeOptions(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, o := range options {
		if o.Section == "Service" {
			all[o.Name] = append(all[o.Name], o.Value)
		}
	}
	return all
}

// TestUnit: the daemon gets the driver and CAP_NET_ADMIN and nothing besides, and is waited for and looked after as it tells.
func TestUnit(t *testing.T) {
	got := settings(t)
	for name, want := range map[string]string{
		"Type":                    "notify",
		"ExecStart":               "/usr/local/bin/tcpd run -c /etc/tcpd/tcpd.yaml",
		"ExecReload":              "/usr/local/bin/tcpd reload",
		"CapabilityBoundingSet":   "CAP_NET_ADMIN",
		"AmbientCapabilities":     "CAP_NET_ADMIN",
		"NoNewPrivileges":         "yes",
		"DynamicUser":             "yes",
		"ProtectSystem":           "strict",
		"DevicePolicy":            "closed",
		"DeviceAllow":             tunNode + " rw",
		"RestrictAddressFamilies": "AF_INET AF_NETLINK AF_UNIX",
		"RuntimeDirectory":        "tcpd",
		"Environment":             "XDG_RUNTIME_DIR=/run",
	} {
		if strings.Join(got[name], "|") != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for name, least := range map[string]time.Duration{"TimeoutStopSec": config.Defaults().DrainTimeout, "WatchdogSec": time.Second} {
		if d, err := time.ParseDuration(got[name][0]); err != nil || d <= least {
			t.Errorf("%s is %s, %v; want more than %v", name, got[name][0], err, least)
		}
	}
}

// TestSystemdTakesIt: systemd has nothing to say about the unit, and little about what it exposes.
func TestSystemdTakesIt(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze")
	}
	text, err := os.ReadFile(service)
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.Executable() // systemd looks for the program
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "tcpd.service")
	if err := os.WriteFile(copied, bytes.ReplaceAll(text, []byte("/usr/local/bin/tcpd"), []byte(there)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", copied}, {"security", "--offline=true", "--threshold=25", copied}} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
