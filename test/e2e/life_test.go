package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/test/space"
)

// TestSignals: either signal to end leaves exit code 0, no device and the counters.
func TestSignals(t *testing.T) {
	need(t)
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			s := newSpace(t)
			d := startDaemon(t, s)
			c := d.dial(echoPort) // open when the end comes
			setDeadline(t, c, patience)
			if err := space.RoundTrip(c, payload(1, 1000)); err != nil {
				t.Fatal(err)
			}
			d.once.Do(func() { d.stopWith(sig) })
		})
	}
}

// TestKilled: the device does not outlive the process, and the next daemon starts as if nothing had been.
func TestKilled(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	s.Command("curl", "-sS", "http://"+daemonIP+"/hello")
	d.once.Do(d.Kill)
	if s.HasDevice(device) {
		t.Fatal("the device is still there after kill -9")
	}
	startDaemon(t, s)
	if body := s.Command("curl", "-sS", "http://"+daemonIP+"/hello"); body != "hello\n" {
		t.Errorf("the second daemon answers %q", body)
	}
}

// TestNameTaken: a second daemon of the same device name says so and ends; the first one goes on.
func TestNameTaken(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	second := launch(t, s, "run", "--device", device, "--host", "10.9.0.1/24", "--addr", "10.9.0.2", "--queues", "2")
	if code := second.exitCode(); code == 0 {
		t.Error("exit code 0")
	}
	if log := second.log.Tail(10); !strings.Contains(log, device) || !mentionsAny(log, "in use", "busy", "already") {
		t.Errorf("it does not say that %s is in use:\n%s", device, log)
	}
	if body := s.Command("curl", "-sS", "http://"+daemonIP+"/hello"); body != "hello\n" {
		t.Errorf("the first daemon answers %q", body)
	}
}

// TestAddressTaken: so with an address that another device has.
func TestAddressTaken(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	second := launch(t, s, "run", "--device", "tcpd1", "--host", hostIP+"/24", "--addr", daemonIP)
	if code := second.exitCode(); code == 0 {
		t.Error("exit code 0")
	}
	if log := second.log.Tail(10); !strings.Contains(log, hostIP) || !mentionsAny(log, "in use", "busy", "already") {
		t.Errorf("it does not say that %s is in use:\n%s", hostIP, log)
	}
	if s.HasDevice("tcpd1") {
		t.Error("its device is still there")
	}
}

func mentionsAny(log string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(log, w) {
			return true
		}
	}
	return false
}

// TestUnprivileged: a user who may not make a TUN is told what is lacking: the capability, or even the device file.
func TestUnprivileged(t *testing.T) {
	need(t, "setpriv")
	t.Parallel()
	for _, test := range []struct {
		name string
		mode uint32 // of /dev/net/tun
		says string
	}{
		{"no capability", 0o666, "CAP_NET_ADMIN"},
		{"no access", 0o600, "/dev/net/tun"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSpace(t)
			bindTUN(t, s, test.mode)
			d := launchCommand(t, s, exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
				"--inh-caps=-all", "--bounding-set=-all", tcpd, "run", "--device", device))
			if code := d.exitCode(); code == 0 {
				t.Error("exit code 0")
			}
			if log := d.log.Tail(10); !strings.Contains(log, test.says) || !strings.Contains(log, "root") {
				t.Errorf("it does not say what it needs, %s or root:\n%s", test.says, log)
			}
		})
	}
}

// bindTUN gives the space a /dev/net/tun of its own with that mode.
func bindTUN(t *testing.T, s *netspace, mode uint32) {
	t.Helper()
	node := filepath.Join(t.TempDir(), "tun")
	err := s.Do(func() error {
		if err := unix.Mknod(node, unix.S_IFCHR|mode, int(unix.Mkdev(10, 200))); err != nil {
			return err
		}
		if err := os.Chmod(node, fs.FileMode(mode)); err != nil { // whatever the umask
			return err
		}
		return unix.Mount(node, "/dev/net/tun", "", unix.MS_BIND, "")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnknownKey: the configuration is strict and says where it is wrong.
func TestUnknownKey(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := launch(t, s, "run", "-c", config(t, "tcp:\n  msl: 30s\n  mls: 30s\n"))
	if code := d.exitCode(); code == 0 {
		t.Error("exit code 0")
	}
	if log := d.log.Tail(10); !strings.Contains(log, "mls") || !strings.Contains(log, "3") {
		t.Errorf("it does not name the key and its line:\n%s", log)
	}
}
