package e2e

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/test/space"
)

// TestDeviceRemoved: somebody deletes the device beneath the daemon. It ends, with an error that says what has happened and
// what to do; its clients are not kept for ever, nor is who dials now.
func TestDeviceRemoved(t *testing.T) {
	need(t, "ip")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(echoPort)
	setDeadline(t, c, patience)
	if err := space.RoundTrip(c, payload(1, 1000)); err != nil {
		t.Fatal(err)
	}
	setOption(t, c, unix.TCP_USER_TIMEOUT, 500) // ms: a client's own means
	d.once.Do(func() { s.Command("ip", "link", "delete", device) })
	if code := d.exitCode(); code == 0 {
		t.Error("exit code 0")
	}
	log := d.log.Tail(10)
	for _, says := range []string{device, "gone", "deleted", "start"} {
		if !strings.Contains(log, says) {
			t.Errorf("it does not say %q:\n%s", says, log)
		}
	}
	if _, err := c.Write([]byte("anyone?")); err == nil {
		_, err = c.Read(make([]byte, 1))
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
			t.Errorf("a client of it reads %v", err)
		}
	}
	if _, err := s.Dial(net.Dialer{}, service(echoPort)); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("a new client: %v", err)
	}
}

func setOption(t *testing.T, c *net.TCPConn, option, value int) {
	t.Helper()
	raw := must[syscall.RawConn](t)(c.SyscallConn())
	var err error
	if ctl := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value) }); ctl != nil {
		t.Fatal(ctl)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestStopped: the daemon is stopped for some seconds, as a debugger or a control group would, with text on its way both
// ways, with a client that is idle and one who comes just then. When it goes on, everything is due at once, and nobody is
// lost.
func TestStopped(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	busy, idle := d.dial(echoPort), d.dial(echoPort)
	setDeadline(t, busy, patience)
	setDeadline(t, idle, patience)
	sent := payload(1, 8<<20)
	wrote := make(chan error, 1)
	go func() {
		_, err := busy.Write(sent)
		wrote <- err
	}()
	back := make([]byte, len(sent))
	if _, err := io.ReadFull(busy, back[:1<<20]); err != nil {
		t.Fatal(err)
	}

	stop(t, d, syscall.SIGSTOP)
	late := make(chan error, 1)
	go func() {
		c, err := s.Dial(net.Dialer{}, service(echoPort))
		if err == nil {
			defer c.Close()
			err = errors.Join(c.SetDeadline(deadline()), space.RoundTrip(c, payload(2, 1000)))
		}
		late <- err
	}()
	<-time.After(2 * time.Second) // to be stopped is what is tested
	stop(t, d, syscall.SIGCONT)

	if _, err := io.ReadFull(busy, back[1<<20:]); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil || string(back) != string(sent) {
		t.Errorf("the busy client: %v, the echo is right: %v", err, string(back) == string(sent))
	}
	if err := space.RoundTrip(idle, payload(3, 100_000)); err != nil {
		t.Errorf("the idle client: %v", err)
	}
	if err := <-late; err != nil {
		t.Errorf("the client who came meanwhile: %v", err)
	}
}

func stop(t *testing.T, d *daemon, sig syscall.Signal) {
	t.Helper()
	if err := d.Cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// TestDeviceDownAndUp: somebody sets the device down, and up again. The kernel forgets the way to an address outside the
// device's network; the daemon shows it again and says so, and its clients go on.
func TestDeviceDownAndUp(t *testing.T) {
	need(t, "ip")
	t.Parallel()
	const far = "192.0.2.1"
	s := newSpace(t)
	d := startDaemon(t, s, "--addr", far)
	dial := func() *net.TCPConn {
		c := must[*net.TCPConn](t)(s.Dial(net.Dialer{}, net.JoinHostPort(far, strconv.Itoa(echoPort))))
		t.Cleanup(func() { c.Close() })
		setDeadline(t, c, patience)
		return c
	}
	c := dial()
	s.Command("ip", "link", "set", device, "down")
	if out := s.Command("ip", "route", "show", "dev", device); out != "" {
		t.Fatalf("while it is down: %s", out)
	}
	s.Command("ip", "link", "set", device, "up")
	if _, err := d.log.Wait(func(l line) bool { return l.Level == "warn" && strings.Contains(l.Msg, far) }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*net.TCPConn{c, dial()} {
		if err := space.RoundTrip(c, payload(1, 100_000)); err != nil {
			t.Error(err)
		}
	}
}
