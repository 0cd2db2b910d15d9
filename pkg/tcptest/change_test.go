package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// A listener takes another's place in the middle of a handshake: who has begun with the one is opened by the other, and who is
// open lives. The one that has been replaced can be closed without harm.
func TestReplaceListener(t *testing.T) {
	p := newPair(t)
	old := p.b.ListenWith(stack.ListenConfig{Port: 81})
	open := p.a.Dial(p.b, 81, 0)
	p.Run(100 * ms)
	p.filter(func(s *sent) bool { return s.host == p.a && has(tcp.ACK)(s) && len(s.Text) == 0 })
	begun := p.a.Dial(p.b, 81, 0)
	p.Run(100 * ms)
	if n := old.Stats().HalfOpen; n != 1 {
		t.Fatalf("%d are half open", n)
	}
	next := p.b.ListenWith(stack.ListenConfig{Port: 81, Replace: true})
	p.filter(nil)
	last := p.a.Dial(p.b, 81, 0)
	begun.Write(10)
	p.Run(5 * second)
	if n, m := opened(old.Users), opened(next.Users); n != 1 || m != 2 || old.Stats().HalfOpen != 0 {
		t.Errorf("%d of one are open at the first, %d of two at the second", n, m)
	}
	old.Close()
	again := p.a.Dial(p.b, 81, 0)
	open.Write(10)
	p.Run(second)
	if n := opened(next.Users); n != 3 || old.Users[0].Read != 10 || next.Users[0].Read+next.Users[1].Read != 10 {
		t.Errorf("%d of three are open at the second, %d bytes have come to the first", n, old.Users[0].Read)
	}
	for i, u := range []*User{open, begun, last, again} {
		if !u.Held || u.Events&(tcp.Reset|tcp.Refused) != 0 {
			t.Errorf("connection %d heard %b", i, u.Events)
		}
		u.Abort()
	}
	p.over()
}

// A listener without another one to replace listens as any.
func TestReplaceNothing(t *testing.T) {
	p := newPair(t)
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, Replace: true})
	p.a.Dial(p.b, 81, 0)
	p.Run(second)
	if n := opened(l.Users); n != 1 || len(p.b.Stack.Listeners()) != 2 {
		t.Errorf("%d connections, %d listeners", n, len(p.b.Stack.Listeners()))
	}
	l.Users[0].Abort()
	p.over()
}

// Limits that change while a stack runs hold for what comes, and end nothing that there is.
func TestSetLimits(t *testing.T) {
	p := newPair(t)
	for range 3 {
		p.a.Dial(p.b, 80, 0)
	}
	p.Run(second)
	p.b.Stack.SetLimits(stack.Limits{Connections: 2, HalfOpen: -1})
	p.a.Dial(p.b, 80, 0).Write(10)
	p.Run(5 * second)
	c := p.b.Stack.Counters(0)
	if n := opened(p.l.Users); n != 3 || c.Stack[stack.DropConnections] == 0 || p.l.Stats().Cookies == 0 {
		t.Errorf("%d of three are open; drops %v; %+v", n, c.Drops(), p.l.Stats())
	}
	p.b.Stack.SetLimits(stack.Limits{}) // the defaults
	p.Run(10 * second)
	p.a.Dial(p.b, 80, 0)
	p.Run(second)
	if n := opened(p.l.Users); n != 5 || p.l.Stats().Cookies != 1 {
		t.Errorf("%d of five are open; %+v", n, p.l.Stats())
	}
	for _, u := range p.l.Users {
		u.Abort()
	}
	p.over()
}

// Of memory, what is beyond a lower limit stays with those who have it, and nobody gets more until there is room again.
func TestSetLimitOfMemory(t *testing.T) {
	p := hoarders(t, 4<<20, 4)
	before := p.b.Stack.Counters(0)
	p.b.Stack.SetLimits(stack.Limits{Memory: 64 << 10})
	p.l.Accept = func(u *User) { u.Write(100_000) }
	late := p.a.Dial(p.b, 80, 0)
	p.Run(second)
	if c := p.b.Stack.Counters(0); before.NoMemory != 0 || c.NoMemory == 0 || c.Rings < before.Rings || late.Read != 0 {
		t.Errorf("no memory %d times, then %d; %d bytes of rings, then %d; %d read", before.NoMemory, c.NoMemory, before.Rings, c.Rings, late.Read)
	}
	p.b.Stack.SetLimits(stack.Limits{})
	p.Run(10 * second)
	if late.Read != 100_000 {
		t.Errorf("with room again %d bytes were read", late.Read)
	}
	for _, u := range p.l.Users {
		u.Abort()
	}
	p.over()
}
