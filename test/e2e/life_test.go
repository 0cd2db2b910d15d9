package e2e

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
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
			if err := roundTrip(c, payload(1, 1000)); err != nil {
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
	s.command("curl", "-sS", "http://"+daemonIP+"/hello")
	d.once.Do(d.kill)
	if s.hasDevice(device) {
		t.Fatal("the device is still there after kill -9")
	}
	startDaemon(t, s)
	if body := s.command("curl", "-sS", "http://"+daemonIP+"/hello"); body != "hello\n" {
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
	if log := second.log.tail(10); !strings.Contains(log, device) || !mentionsAny(log, "in use", "taken", "busy") {
		t.Errorf("it does not say that %s is in use:\n%s", device, log)
	}
	if body := s.command("curl", "-sS", "http://"+daemonIP+"/hello"); body != "hello\n" {
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
	if log := second.log.tail(10); !strings.Contains(log, hostIP) || !mentionsAny(log, "in use", "taken", "busy") {
		t.Errorf("it does not say that %s is in use:\n%s", hostIP, log)
	}
	if s.hasDevice("tcpd1") {
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

// TestUnprivileged: without the capability the daemon says what it lacks.
func TestUnprivileged(t *testing.T) {
	need(t, "setpriv")
	t.Parallel()
	s := newSpace(t)
	d := launchCommand(t, s, exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"--inh-caps=-all", "--bounding-set=-all", tcpd, "run", "--device", device))
	if code := d.exitCode(); code == 0 {
		t.Error("exit code 0")
	}
	if log := d.log.tail(10); !strings.Contains(log, "CAP_NET_ADMIN") {
		t.Errorf("it does not say what it needs:\n%s", log)
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
	if log := d.log.tail(10); !strings.Contains(log, "mls") || !strings.Contains(log, "3") {
		t.Errorf("it does not name the key and its line:\n%s", log)
	}
}
