package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	device   = "tcpd0"
	hostIP   = "10.7.0.1"
	daemonIP = "10.7.0.2"

	echoPort    = 7
	discardPort = 9
	daytimePort = 13
	chargenPort = 19
	httpPort    = 80
)

// daemon is a running tcpd, or one that has run.
type daemon struct {
	t      *testing.T
	space  *netspace
	cmd    *exec.Cmd
	log    *journal
	exited chan struct{}
	err    error // how it exited
	once   sync.Once
}

// startDaemon runs the daemon with two queues and a debug log until the test ends, and returns when it is ready.
func startDaemon(t *testing.T, s *netspace, args ...string) *daemon {
	t.Helper()
	d := launch(t, s, append([]string{"run", "--device", device, "--host", hostIP + "/24", "--addr", daemonIP,
		"--queues", "2", "--log-level", "debug"}, args...)...)
	if _, err := d.log.wait(func(l line) bool { return l.Msg == "ready" }); err != nil {
		d.kill()
		t.Fatalf("waiting for ready: %v\n%s", err, d.log.tail(20))
	}
	t.Cleanup(d.stop)
	return d
}

// launch starts the binary in the namespace and follows its log.
func launch(t *testing.T, s *netspace, args ...string) *daemon {
	t.Helper()
	return launchCommand(t, s, exec.Command(tcpd, args...))
}

func launchCommand(t *testing.T, s *netspace, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, space: s, log: newJournal(), exited: make(chan struct{}), cmd: cmd}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = w
	if err := s.Start(d.cmd); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer r.Close()
		d.log.read(r) // up to the end of the process
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	t.Cleanup(d.kill)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of tcpd %s:\n%s", strings.Join(d.cmd.Args[1:], " "), d.log.tail(40))
		}
	})
	return d
}

// kill ends the process without ceremony, if it still runs.
func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.exited
}

// stop ends the daemon as a user would and checks what it leaves: exit code 0, no device, books that balance,
// lives that hang together. It is called at the end of each test, if not before.
func (d *daemon) stop() { d.once.Do(func() { d.stopWith(syscall.SIGTERM) }) }

func (d *daemon) stopWith(sig syscall.Signal) {
	d.t.Helper()
	select {
	case <-d.exited:
		d.t.Errorf("the daemon had ended before its time: %v", d.err)
		return
	default:
	}
	d.cmd.Process.Signal(sig)
	if err := d.waitExit(); err != nil {
		d.t.Errorf("after %v: %v", sig, err)
		return
	}
	if d.space.HasDevice(device) {
		d.t.Errorf("%s is still there after %v", device, sig)
	}
	d.log.checkChains(d.t)
	last, err := d.log.lastCounters()
	if err != nil {
		d.t.Error(err)
		return
	}
	last.check(d.t)
}

// waitExit waits for the end of the process and returns how it exited.
func (d *daemon) waitExit() error {
	select {
	case <-d.exited:
		return d.err
	case <-time.After(patience):
		return fmt.Errorf("still running after %v", patience)
	}
}

// exitCode is waitExit for a process that ends by itself.
func (d *daemon) exitCode() int {
	d.t.Helper()
	err := d.waitExit()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return d.cmd.ProcessState.ExitCode()
}

func (j *journal) lastCounters() (*counters, error) {
	lines := j.all()
	for _, l := range slices.Backward(lines) {
		if l.Msg == "counters" && l.Counters != nil {
			return l.Counters, nil
		}
	}
	return nil, errors.New("no counters at the end of the log")
}

// counters asks the daemon for its counters.
func (d *daemon) counters() *counters {
	d.t.Helper()
	n := len(d.log.all())
	if err := d.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		d.t.Fatal(err)
	}
	l, err := d.log.waitFrom(n, func(l line) bool { return l.Msg == "counters" && l.Counters != nil })
	if err != nil {
		d.t.Fatalf("counters after SIGUSR1: %v", err)
	}
	return l.Counters
}

// rss is the daemon's resident memory in kB.
func (d *daemon) rss() int {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for l := range strings.Lines(string(status)) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "VmRSS:" {
			return must[int](d.t)(strconv.Atoi(f[1]))
		}
	}
	d.t.Fatal("no VmRSS")
	return 0
}

// dial connects the kernel to a service of the daemon.
func (d *daemon) dial(port int) *net.TCPConn {
	d.t.Helper()
	c, err := d.space.dial(net.Dialer{}, service(port))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

func service(port int) string { return net.JoinHostPort(daemonIP, strconv.Itoa(port)) }

// name is what the daemon's log calls a connection that the kernel opened: the daemon's end, then the kernel's.
func name(c net.Conn) string { return c.RemoteAddr().String() + " " + c.LocalAddr().String() }

// waitState waits until the log shows conn to enter a state.
func (d *daemon) waitState(conn, state string) {
	d.t.Helper()
	_, err := d.log.wait(func(l line) bool { return l.Msg == "state" && l.Conn == conn && l.To == state })
	if err != nil {
		d.t.Fatalf("%s to become %s: %v; it went %q", conn, state, err, d.log.path(conn))
	}
}

// checkPath compares a connection's whole life with what it should have been.
func (d *daemon) checkPath(conn string, want ...[]string) {
	d.t.Helper()
	if got, want := d.log.path(conn), slices.Concat(want...); !slices.Equal(got, want) {
		d.t.Errorf("%s went\n  %s\nwant\n  %s", conn, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// The lives that tests expect, after RFC 9293 Figure 5.
var (
	passiveOpen = []string{"LISTEN RcvSYN SYN-RECEIVED", "SYN-RECEIVED SYNAcked ESTABLISHED"}
	activeOpen  = []string{"CLOSED OpenActive SYN-SENT", "SYN-SENT RcvSYNACK ESTABLISHED"}
	peerCloses  = []string{"ESTABLISHED RcvFIN CLOSE-WAIT", "CLOSE-WAIT Close LAST-ACK", "LAST-ACK FINAcked CLOSED"}
	weClose     = []string{"ESTABLISHED Close FIN-WAIT-1", "FIN-WAIT-1 FINAcked FIN-WAIT-2", "FIN-WAIT-2 RcvFIN TIME-WAIT"}
	bothClose   = []string{"ESTABLISHED Close FIN-WAIT-1", "FIN-WAIT-1 RcvFIN CLOSING", "CLOSING FINAcked TIME-WAIT"}
	twoMSL      = []string{"TIME-WAIT TwoMSL CLOSED"}
)
