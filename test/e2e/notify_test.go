package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager's end of sd_notify.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// newManager listens as a service manager does, and adds to cmd what that tells its services.
func newManager(t *testing.T, cmd *exec.Cmd, watchdog time.Duration) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c := must[*net.UnixConn](t)(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}))
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(deadline()); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	return &manager{t, c}
}

// until reads messages up to one that has an assignment, and returns that one.
func (m *manager) until(assignment string) string {
	m.t.Helper()
	b := make([]byte, 4096)
	var seen []string
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("%s: %v; there came %q", assignment, err, seen)
		}
		text := string(b[:n])
		if seen = append(seen, text); strings.Contains("\n"+text+"\n", "\n"+assignment+"\n") {
			return text
		}
	}
}

// TestNotify: a service manager is told when the daemon serves, that it still does, that it reads its configuration again, and that it is
// about to end.
func TestNotify(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	cmd := exec.Command(tcpd, "run", "--device", device, "--drain-timeout", "1s")
	m := newManager(t, cmd, 200*time.Millisecond)
	d := launchCommand(t, s, cmd)
	if text := m.until("READY=1"); !strings.Contains(text, "STATUS=Serving "+daemonIP+" on "+device) {
		t.Error(text)
	}
	d.dial(echoPort) // it serves already
	for range 3 {
		m.until("WATCHDOG=1")
	}
	stop(t, d, syscall.SIGHUP)
	if text := m.until("RELOADING=1"); !strings.Contains(text, "\nMONOTONIC_USEC=") {
		t.Error(text)
	}
	m.until("READY=1")
	stop(t, d, syscall.SIGTERM)
	if text := m.until("STOPPING=1"); !strings.Contains(text, "EXTEND_TIMEOUT_USEC=11000000\n") {
		t.Error(text)
	}
	m.until("WATCHDOG=1") // its connections may take longer than the watchdog's patience
	if code := d.exitCode(); code != 0 {
		t.Errorf("exit code %d: %s", code, d.log.Tail(10))
	}
	if log := d.log.Tail(20); strings.Contains(log, "watchdog") {
		t.Errorf("it complains:\n%s", log)
	}
}
