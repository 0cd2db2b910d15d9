package e2e

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
)

// Sets of capabilities as the kernel tells them: none, and CAP_NET_ADMIN.
const (
	none     = "0000000000000000"
	netAdmin = "0000000000001000"
)

// credentials are what /proc tells of the daemon's threads under some names, with the number of threads that have each value.
func (d *daemon) credentials(names ...string) map[string]map[string]int {
	d.t.Helper()
	all := map[string]map[string]int{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.Cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		d.t.Fatalf("%d threads, %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for l := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(l), ":\t")
			for _, n := range names {
				if n == name {
					if all[n] == nil {
						all[n] = map[string]int{}
					}
					all[n][value]++
				}
			}
		}
	}
	return all
}

// expectCapabilities checks that each thread has these capabilities left, and that no program it becomes has more than bound.
func (d *daemon) expectCapabilities(left, bound string) {
	d.t.Helper()
	want := map[string]string{"CapInh": none, "CapPrm": left, "CapEff": left, "CapBnd": bound, "CapAmb": none, "NoNewPrivs": "1"}
	got := d.credentials(slices.Collect(maps.Keys(want))...)
	for name, value := range want {
		if values := got[name]; len(values) != 1 || values[value] == 0 {
			d.t.Errorf("%s is %v, want %s on each thread", name, values, value)
		}
	}
}

// TestConfined: once it serves, root's daemon has no capability on any thread and sees few files; and all still works that needs
// some: files to serve and their types, metrics of the process, profiles, a proxy, and removing the control socket.
func TestConfined(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte("a page"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSpace(t)
	must[*net.TCPListener](t)(s.Listen("127.0.0.1:8080"))
	d := startDaemon(t, s, "-c", config(t, fmt.Sprintf(`
services: [{port: 7, service: echo}, {port: 80, service: http, static: %q}, {port: 8080, service: proxy, to: "127.0.0.1:8080"}]
`, dir)))
	d.expectCapabilities(none, none)
	if out := s.Command("curl", "-sS", "-D", "-", "http://"+daemonIP+"/page.html"); !strings.Contains(out, "Content-Type: text/html") ||
		!strings.HasSuffix(out, "a page") {
		t.Error(out)
	}
	setDeadline(t, d.dial(8080), patience) // the kernel's listener has answered
	if out := d.curlControl("/metrics"); !strings.Contains(out, "\nprocess_open_fds ") || !strings.Contains(out, "\nprocess_start_time_seconds ") {
		t.Error("the metrics do not tell of the process")
	}
	if out := d.curlControl("/debug/pprof/heap?debug=0", "-o", "/dev/null", "-w", "%{http_code}"); out != "200" {
		t.Error(out)
	}
	d.stop()
	if out := s.Command("ls", filepath.Dir(controlSocket)); out != "" {
		t.Errorf("left behind: %s", out)
	}
}

// TestConfinedReload: the configuration can be read again, also when another file has taken its place; files in a directory that the
// daemon did not have when it began cannot be served, which is told, and changes nothing.
func TestConfinedReload(t *testing.T) {
	need(t)
	t.Parallel()
	serving := func(dir string) string {
		return fmt.Sprintf("services: [{port: 80, service: http, static: %q}]\n", dir)
	}
	first := serving(t.TempDir())
	d := startReloadable(t, first)
	if err := os.Rename(d.path, d.path+".old"); err != nil {
		t.Fatal(err)
	}
	d.hangUp(first+"drain_timeout: 1s\n", "reloaded")
	raw := d.hangUp(serving(t.TempDir()), "not reloaded: nothing has changed")
	if !strings.Contains(raw, "a daemon that runs can read what it could when it began") {
		t.Error(raw)
	}
}

// TestKeepsNetAdmin: the way to an address outside the device's network has to be shown again when the device has been down, so
// that capability stays, and no other.
func TestKeepsNetAdmin(t *testing.T) {
	need(t, "ip")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "--addr", "192.0.2.1")
	d.expectCapabilities(netAdmin, netAdmin)
}

// nobody is a user without privileges.
const nobody = 65534

// asNobody runs the daemon as nobody with some of root's capabilities, or none.
func asNobody(capabilities string, args ...string) *exec.Cmd {
	set := "-all" + capabilities
	user := "--reuid=" + strconv.Itoa(nobody)
	return exec.Command("setpriv", append([]string{user, "--regid=65534", "--clear-groups", "--pdeathsig=KILL", "--inh-caps=" + set,
		"--ambient-caps=" + set, "--bounding-set=" + set, tcpd, "run", "--device", device, "--drain-timeout", "0s"}, args...)...)
}

// serves checks that a daemon with a control socket of its own works and ends in good order.
func (d *daemon) serves(socket string) {
	d.t.Helper()
	c := d.dial(echoPort)
	setDeadline(d.t, c, patience)
	if err := space.RoundTrip(c, payload(1, 1<<20)); err != nil {
		d.t.Fatal(err)
	}
	if out := d.space.Command(tcpd, "log-level", "--control", socket); out != "info\n" {
		d.t.Error(out)
	}
	stop(d.t, d, syscall.SIGTERM)
	if code := d.exitCode(); code != 0 {
		d.t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		d.t.Errorf("the control socket is still there: %v", err)
	}
	if log := d.log.Tail(20); strings.Contains(log, `"warn"`) {
		d.t.Errorf("it warns:\n%s", log)
	}
}

// ownRuntime gives cmd a directory of its user's for the control socket, and returns the path of that.
func ownRuntime(t *testing.T, cmd *exec.Cmd) (socket string) {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("", "tcpd-test-")) // the test's own is beneath one that is root's alone
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	return filepath.Join(dir, "tcpd", device+".sock")
}

// TestNetAdminIsEnough: a user with that capability and no other runs the daemon, which then gives it up.
func TestNetAdminIsEnough(t *testing.T) {
	need(t, "setpriv")
	t.Parallel()
	s := newSpace(t)
	bindTUN(t, s, 0o666)
	cmd := asNobody(",+net_admin")
	socket := ownRuntime(t, cmd)
	d := launchCommand(t, s, cmd)
	d.Ready()
	d.expectCapabilities(none, netAdmin) // to lower the bound would take another capability
	d.serves(socket)
	if s.HasDevice(device) {
		t.Error("the device is still there")
	}
}

// TestPreparedDevice: a user without any capability runs the daemon on a device that was made for him, and leaves it there.
func TestPreparedDevice(t *testing.T) {
	need(t, "setpriv", "ip")
	t.Parallel()
	s := newSpace(t)
	bindTUN(t, s, 0o666)
	s.Command("ip", "tuntap", "add", "dev", device, "mode", "tun", "multi_queue", "vnet_hdr", "user", strconv.Itoa(nobody))
	s.Command("ip", "address", "add", hostIP+"/24", "dev", device)
	s.Command("ip", "link", "set", device, "up", "txqueuelen", "1000")
	for range 2 { // a second time as the first
		cmd := asNobody("")
		socket := ownRuntime(t, cmd)
		d := launchCommand(t, s, cmd)
		d.Ready()
		if log := d.log.Tail(5); !strings.Contains(log, `"offload":true`) {
			t.Errorf("without the kernel's offload:\n%s", log)
		}
		d.serves(socket)
		if !s.HasDevice(device) {
			t.Fatal("the device is gone")
		}
	}
}
