package e2e

import (
	"errors"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
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
	*space.Daemon
	t     *testing.T
	space *netspace
	log   journal
	once  sync.Once
}

// startDaemon runs the daemon with two queues and a debug log until the test ends, and returns when it is ready. Connections
// that a test leaves open are not waited for.
func startDaemon(t *testing.T, s *netspace, args ...string) *daemon {
	t.Helper()
	d := launch(t, s, append([]string{"run", "--device", device, "--host", hostIP + "/24", "--addr", daemonIP,
		"--queues", "2", "--log-level", "debug", "--drain-timeout", "0s"}, args...)...)
	d.Ready()
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
	d := s.Launch(cmd)
	return &daemon{Daemon: d, t: t, space: s, log: journal{d.Log}}
}

// stop ends the daemon as a user would and checks what it leaves: exit code 0, no device, books that balance,
// lives that hang together. It is called at the end of each test, if not before.
func (d *daemon) stop() { d.once.Do(func() { d.stopWith(syscall.SIGTERM) }) }

func (d *daemon) stopWith(sig syscall.Signal) {
	d.t.Helper()
	if d.Stop(device, sig) {
		d.log.checkChains(d.t)
	}
}

// exitCode is Wait for a process that ends by itself.
func (d *daemon) exitCode() int {
	d.t.Helper()
	err := d.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return d.Cmd.ProcessState.ExitCode()
}

// dial connects the kernel to a service of the daemon.
func (d *daemon) dial(port int) *net.TCPConn {
	d.t.Helper()
	c, err := d.space.Dial(net.Dialer{}, service(port))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

// echoed is a connection to the echo service that has had an answer.
func (d *daemon) echoed() *net.TCPConn {
	d.t.Helper()
	c := d.dial(echoPort)
	setDeadline(d.t, c, patience)
	if err := space.RoundTrip(c, payload(1, 100)); err != nil {
		d.t.Fatal(err)
	}
	return c
}

func service(port int) string { return net.JoinHostPort(daemonIP, strconv.Itoa(port)) }

// name is what the daemon's log calls a connection that the kernel opened: the daemon's end, then the kernel's.
func name(c net.Conn) string { return c.RemoteAddr().String() + " " + c.LocalAddr().String() }

// waitState waits until the log shows conn to enter a state.
func (d *daemon) waitState(conn, state string) {
	d.t.Helper()
	_, err := d.log.Wait(func(l line) bool { return l.Msg == "state" && l.Conn == conn && l.To == state })
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
