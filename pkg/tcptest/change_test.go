package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

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
