package lib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// gate is a listener whose hook the test is.
type gate struct {
	*socket.Listener
	t        *testing.T
	s        *netspace
	at       netip.AddrPort
	requests chan *stack.Request // that the hook has left open
}

// newGate makes a host with a gate. The hook decides, or leaves the request to the test.
func newGate(t *testing.T, hook func(*stack.Request)) *gate {
	t.Helper()
	s := newSpace(t)
	h := startHost(t, s, plan{})
	g := &gate{t: t, s: s, at: addrPort(ourIP, 80), requests: make(chan *stack.Request, 16)}
	if hook == nil {
		hook = func(r *stack.Request) { g.requests <- r }
	}
	g.Listener = h.listenWith(t, stack.ListenConfig{Port: 80, Admit: hook})
	return g
}

// called is what came of a client's connect.
type called struct {
	conn net.Conn
	err  error
}

// call has a client of the kernel's connect, until ctx ends; from the port given, or any.
func (g *gate) call(ctx context.Context, port uint16) <-chan called {
	done := make(chan called, 1)
	go func() {
		var c called
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err := g.s.Inside(func() error {
			d := net.Dialer{KeepAlive: -1, LocalAddr: net.TCPAddrFromAddrPort(addrPort(kernelIP, port))}
			c.conn, c.err = d.DialContext(ctx, "tcp", g.at.String())
			return nil
		})
		c.err = errors.Join(c.err, err)
		done <- c
	}()
	return done
}

func (g *gate) request() *stack.Request {
	g.t.Helper()
	select {
	case r := <-g.requests:
		return r
	case <-time.After(patience):
		g.t.Fatal("nobody asks")
		return nil
	}
}

// works looks whether the connection that a client has opened carries text.
func (g *gate) works(c called) {
	g.t.Helper()
	if c.err != nil {
		g.t.Fatal(c.err)
	}
	theirs, ours := meet(g.t, g, func() (net.Conn, error) { return c.conn, nil })
	if err := carryBoth(theirs, ours, random(1, 100_000), random(2, 100_000)); err != nil {
		g.t.Error(err)
	}
}

// cancelled waits for the end of a request's context; then it is too late to decide.
func (g *gate) cancelled(r *stack.Request) {
	g.t.Helper()
	select {
	case <-r.Context().Done():
	case <-time.After(patience):
		g.t.Fatal("the request still waits")
	}
	if r.Accept() || r.Refuse() || r.Drop() {
		g.t.Error("the request can still be decided on")
	}
}

// TestAdmissionRefused: what the client's connect says for each refusal, whether at once or after a while.
func TestAdmissionRefused(t *testing.T) {
	need(t)
	for _, c := range []struct {
		name   string
		refuse func(*stack.Request) bool
		want   error
	}{
		{"RST", (*stack.Request).Refuse, syscall.ECONNREFUSED},
		{"ICMP host", func(r *stack.Request) bool { return r.RefuseICMP(ip.CodeHost) }, syscall.EHOSTUNREACH},
		{"ICMP net", func(r *stack.Request) bool { return r.RefuseICMP(ip.CodeNet) }, syscall.ENETUNREACH},
		{"ICMP prohibited", func(r *stack.Request) bool { return r.RefuseICMP(ip.CodeAdminProhibited) }, syscall.EHOSTUNREACH},
	} {
		t.Run(c.name+", at once", func(t *testing.T) {
			g := newGate(t, func(r *stack.Request) { c.refuse(r) })
			if got := <-g.call(t.Context(), 0); !errors.Is(got.err, c.want) {
				t.Errorf("%v, want %v", got.err, c.want)
			}
		})
		t.Run(c.name+", later", func(t *testing.T) {
			g := newGate(t, nil)
			client := g.call(t.Context(), 0)
			r := g.request()
			if !c.refuse(r) {
				t.Error("it is too late")
			}
			if got := <-client; !errors.Is(got.err, c.want) {
				t.Errorf("%v, want %v", got.err, c.want)
			}
			g.cancelled(r)
		})
	}
}

// TestAdmissionDropped: nothing answers a SYN that is dropped: connect waits as long as the program lets it. The SYN that
// the kernel sends again is a new request.
func TestAdmissionDropped(t *testing.T) {
	need(t)
	g := newGate(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	client := g.call(ctx, 0)
	g.request().Drop()
	var late net.Error
	if got := <-client; !errors.As(got.err, &late) || !late.Timeout() {
		t.Errorf("%v, want a time-out", got.err)
	}

	client = g.call(t.Context(), 0)
	first := g.request()
	first.Drop()
	again := g.request()
	if again.Remote != first.Remote || again.SYN.Seq != first.SYN.Seq {
		t.Errorf("%v, SEQ %d, asks after %v, SEQ %d", again.Remote, again.SYN.Seq, first.Remote, first.SYN.Seq)
	}
	again.Accept()
	g.works(<-client)
}

// TestAdmissionDeferred: accepted after a while, a connection is like any other, and the request's context goes on.
func TestAdmissionDeferred(t *testing.T) {
	need(t)
	g := newGate(t, nil)
	for range 3 {
		client := g.call(t.Context(), 0)
		r := g.request()
		if n := g.Stats(); n.Deferred > 1 || n.HalfOpen > 1 || n.Waiting != 0 {
			t.Errorf("while the request waits: %+v", n)
		}
		if !r.Accept() || r.Accept() || r.Refuse() {
			t.Error("the first verdict does not count, or another does")
		}
		g.works(<-client)
		if err := r.Context().Err(); err != nil {
			t.Errorf("accepted, the request's context is at its end: %v", err)
		}
	}
	if n := g.Stats(); n.Deferred != 0 || n.HalfOpen != 0 || n.Accepted != 3 {
		t.Errorf("in the end: %+v", n)
	}
}

// TestAdmissionGivenUp: the client is gone while its request waits. The kernel tells nobody when a socket that still
// connects is closed, by its program or by that one's end: only its silence shows it.
func TestAdmissionGivenUp(t *testing.T) {
	need(t)
	t.Run("by silence", func(t *testing.T) {
		g := newGate(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		client := g.call(ctx, 0)
		closed := g.request()
		cancel()
		<-client
		killed := g.callAndDie()
		g.cancelled(closed)
		g.cancelled(killed)
		if n := g.Stats(); n.Deferred != 0 || n.HalfOpen != 0 {
			t.Errorf("in the end: %+v", n)
		}
	})
	// Here it shows at once: another call from the same port.
	t.Run("and calls again", func(t *testing.T) {
		g := newGate(t, nil)
		const port = 40_000
		ctx, cancel := context.WithCancel(t.Context())
		client := g.call(ctx, port)
		old := g.request()
		cancel()
		<-client
		client = g.call(t.Context(), port)
		r := g.request()
		if r.Remote != old.Remote || r.SYN.Seq == old.SYN.Seq {
			t.Fatalf("%v, SEQ %d, after %v, SEQ %d", r.Remote, r.SYN.Seq, old.Remote, old.SYN.Seq)
		}
		g.cancelled(old)
		r.Accept()
		g.works(<-client)
	})
	// And when nobody listens any more, who waits is not kept waiting.
	t.Run("not by the client", func(t *testing.T) {
		g := newGate(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		client := g.call(ctx, 0)
		r := g.request()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		g.cancelled(r)
		cancel()
		<-client
	})
}

// callAndDie has a process call, which ends before it is answered.
func (g *gate) callAndDie() *stack.Request {
	g.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"=call", callVar+"="+g.at.String())
	if err := g.s.Start(cmd); err != nil {
		g.t.Fatal(err)
	}
	r := g.request()
	if err := cmd.Process.Kill(); err != nil {
		g.t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	return r
}

// callVar is whom the process in the role of the same name is to call.
const callVar = "TCPD_LIB_TEST_CALL"

func init() { roles["call"] = caller }

// caller connects, and says nothing.
func caller() error {
	c, err := net.Dial("tcp", os.Getenv(callVar))
	if err == nil {
		err = fmt.Errorf("connected to %v", c.RemoteAddr())
	}
	return err
}
