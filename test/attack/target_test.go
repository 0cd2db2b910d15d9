package attack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

// target is a daemon under attack, with an honest client beside the attacker.
type target struct {
	*space.Daemon
	t      *testing.T
	space  *space.Space
	before *space.Counters // the attack
	honest *honest
}

// queueLen is how many packets the device holds for the daemon: more than are sent before he is waited for.
const queueLen = 100_000

// newTarget starts the daemon with two queues and the settings given, as YAML.
func newTarget(t *testing.T, settings string) *target {
	t.Helper()
	space.Need(t, "ip")
	t.Parallel()
	s := space.ForDaemon(t)
	file := filepath.Join(t.TempDir(), "tcpd.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	d := s.Launch(exec.Command(tcpd, "run", "-c", file, "--device", device, "--host", hostIP+"/24", "--addr", daemonIP.String(), "--queues", "2",
		"--drain-timeout", "0s"))
	d.Ready()
	s.Command("ip", "link", "set", device, "txqueuelen", strconv.Itoa(queueLen)) // all that is sent is to arrive
	x := &target{Daemon: d, t: t, space: s}
	t.Cleanup(func() { d.Stop(device, syscall.SIGTERM) })
	x.honest = startHonest(x)
	x.honest.round()
	x.before = x.until("the honest client's other connection to be gone", func(now *space.Counters) bool { return now.Connections == 1 })
	return x
}

// addr is a port of the daemon's.
func addr(port uint16) netip.AddrPort { return netip.AddrPortFrom(daemonIP, port) }

// begin begins the attack, or another one.
func (x *target) begin() { x.before = x.Counters() }

// drops is how often packets were dropped for a reason since the attack began.
func (x *target) drops(now *space.Counters, reason string) uint64 {
	return now.Drops[reason] - x.before.Drops[reason]
}

// until asks for the counters until they are as wanted.
func (x *target) until(what string, ok func(*space.Counters) bool) *space.Counters {
	x.t.Helper()
	for late := deadline(); ; {
		now := x.Counters()
		if ok(now) {
			return now
		}
		if time.Now().After(late) {
			x.t.Fatalf("waiting for %s: %+v", what, now)
		}
	}
}

// survived ends an attack: the honest client has been served all the while, a new one is, every packet is accounted
// for, and the machine was never asked the impossible.
func (x *target) survived() {
	x.t.Helper()
	x.honest.round()
	x.honest.stop()
	c, err := x.space.Dial(net.Dialer{}, addr(httpPort).String())
	if err != nil {
		x.t.Fatalf("a new client: %v", err)
	}
	defer c.Close()
	if err := hello(c); err != nil {
		x.t.Errorf("a new client: %v", err)
	}
	now := x.Counters()
	now.Check(x.t)
	if now.Impossible != 0 {
		x.t.Errorf("the machine was asked the impossible %d times", now.Impossible)
	}
	x.t.Logf("%d packets read, %d written, %d kB resident, %d bytes of rings, drops %v", now.PacketsRead-x.before.PacketsRead,
		now.PacketsWritten-x.before.PacketsWritten, x.RSS(), now.RingBytes, now.Drops)
}

// hello asks the web server for its greeting.
func hello(c net.Conn) error {
	if err := c.SetDeadline(deadline()); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "GET /hello HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	b := make([]byte, 12)
	if _, err := c.Read(b); err != nil {
		return err
	}
	if string(b) != "HTTP/1.0 200" {
		return fmt.Errorf("the answer is %s", strconv.Quote(string(b)))
	}
	return nil
}

// honest is a client of the kernel's that has texts echoed all the while, and opens a further connection when it is asked
// to.
type honest struct {
	x     *target
	fresh chan chan struct{} // asks for a further connection; what is sent is closed when that has been served
	end   chan struct{}
	ended chan error
	once  sync.Once
}

func startHonest(x *target) *honest {
	x.t.Helper()
	h := &honest{x: x, fresh: make(chan chan struct{}), end: make(chan struct{}), ended: make(chan error, 1)}
	c, err := x.space.Dial(net.Dialer{}, addr(echoPort).String())
	if err != nil {
		x.t.Fatal(err)
	}
	go func() {
		defer c.Close()
		h.ended <- h.run(c)
	}()
	x.t.Cleanup(h.stop)
	return h
}

func (h *honest) run(c net.Conn) error {
	for i := 0; ; i++ {
		if err := h.echo(c, i); err != nil {
			return fmt.Errorf("the honest client, round %d: %w", i, err)
		}
		select {
		case <-h.end:
			return nil
		case done := <-h.fresh:
			if err := h.another(i); err != nil {
				return fmt.Errorf("the honest client, another connection after round %d: %w", i, err)
			}
			close(done)
		default:
		}
	}
}

func (h *honest) echo(c net.Conn, i int) error {
	if err := c.SetDeadline(deadline()); err != nil {
		return err
	}
	return space.RoundTrip(c, fmt.Appendf(nil, "%2000d", i))
}

// another has a text echoed over a connection of its own.
func (h *honest) another(i int) error {
	c, err := h.x.space.Dial(net.Dialer{}, addr(echoPort).String())
	if err != nil {
		return err
	}
	defer c.Close()
	return h.echo(c, i)
}

// round has the honest client open a further connection, be served, and close it.
func (h *honest) round() {
	h.x.t.Helper()
	done := make(chan struct{})
	select {
	case h.fresh <- done:
		select {
		case <-done:
			return
		case err := <-h.ended:
			h.ended <- err
		}
	case err := <-h.ended:
		h.ended <- err
	}
	h.x.t.FailNow() // stop tells why
}

// stop ends the client, who must have been served up to now.
func (h *honest) stop() {
	h.once.Do(func() {
		close(h.end)
		if err := <-h.ended; err != nil {
			h.x.t.Error(err)
		}
	})
}
