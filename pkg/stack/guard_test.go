package stack_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// clumsy panics once it has text to read, after it has written some.
type clumsy struct{ heard tcp.Events }

func (h *clumsy) Ready(c stack.Conn, e tcp.Events) {
	h.heard |= e
	if e&tcp.Readable != 0 {
		c.Write([]byte("before"))
		panic("clumsy")
	}
}

// sayer writes once when it may, and notes what it hears.
type sayer struct{ heard tcp.Events }

func (h *sayer) Ready(c stack.Conn, e tcp.Events) {
	if h.heard&tcp.Opened == 0 && e&tcp.Opened != 0 {
		c.Write([]byte("hello"))
	}
	h.heard |= e
}

// panics collects what a stack tells of panics.
type panics struct {
	values []any
	stacks []string
}

func (p *panics) told(_ stack.Flow, v any, trace []byte) {
	p.values = append(p.values, v)
	p.stacks = append(p.stacks, string(trace))
}

// newFrailBench is a bench whose host b lets its users panic and lives on.
func newFrailBench(t *testing.T, p *panics) *bench {
	n := &bench{tb: t, now: 1e12}
	la, lb := pipe.New(1, pipe.Options{MTU: 1500})
	n.a = n.host(la, addrA)
	b, err := stack.New(stack.Config{
		Link: lb, Addrs: []netip.Prefix{netip.PrefixFrom(addrB, 32)}, Now: n.clock, Panicked: p.told,
		Foreign: func([]byte) bool { panic("foreign") },
	})
	if err != nil {
		t.Fatal(err)
	}
	n.b = b
	return n
}

// A handler that panics loses its connection by a RST, and is told nothing more; the others are served on.
func TestHandlerPanics(t *testing.T) {
	var p panics
	n := newFrailBench(t, &p)
	h := &clumsy{}
	n.listen(h)
	one, other := &sayer{}, &sink{}
	listenOn(t, n.b, stack.ListenConfig{Port: 10}, other)
	dialTo(t, n.a, 9, one)
	dialTo(t, n.a, 10, &source{text: make([]byte, 1000)})
	for range 20 {
		n.turn()
	}
	got := other.got
	for range 20 {
		n.turn()
	}
	if one.heard&tcp.Reset == 0 {
		t.Errorf("the peer of the handler that panicked heard %b, and no reset", one.heard)
	}
	if h.heard&tcp.Ended != 0 {
		t.Error("the handler that panicked was called again")
	}
	if other.got == got {
		t.Error("the other connection stands still")
	}
	if len(p.values) != 1 || p.values[0] != "clumsy" || !strings.Contains(p.stacks[0], "clumsy).Ready") {
		t.Errorf("told of %v with %q", p.values, p.stacks)
	}
	if c := n.b.Counters(0); c.Panics != 1 || c.Conns != 1 {
		t.Errorf("%d panics are counted, %d connections are left", c.Panics, c.Conns)
	}
}

// A hook that panics drops the SYN; when it has come to its senses, the repeated SYN is let in.
func TestHookPanics(t *testing.T) {
	var p panics
	n := newFrailBench(t, &p)
	asked := 0
	listenOn(t, n.b, stack.ListenConfig{Port: 9, Admit: func(r *stack.Request) {
		if asked++; asked == 1 {
			panic("hook")
		}
		r.Accept()
	}}, &sink{})
	one := &sayer{}
	dialTo(t, n.a, 9, one)
	for range 1100 {
		n.turn()
	}
	if asked != 2 || one.heard&tcp.Opened == 0 {
		t.Errorf("asked %d times, the client heard %b", asked, one.heard)
	}
	if c := n.b.Counters(0); c.Panics != 1 || c.Stack[stack.DropAdmission] != 1 || c.Accepted != 1 {
		t.Errorf("%d panics, %d SYNs dropped, %d accepted", c.Panics, c.Stack[stack.DropAdmission], c.Accepted)
	}
}
