package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

const hour = 3600 * second

// turns is how often a host's shard has turned.
func (h *Host) turns() uint64 { return h.Stack.Counters(0).Turns }

// idle lets a day pass, in which neither host may turn more than most times, nor send more than as many segments.
func (p *pair) idle(most uint64) {
	p.t.Helper()
	a, b, n := p.a.turns(), p.b.turns(), p.Segments
	p.Run(24 * hour)
	if a, b = p.a.turns()-a, p.b.turns()-b; a > most || b > most || uint64(p.Segments-n) > 2*most {
		p.t.Errorf("in a day the shards have turned %d and %d times, and sent %d segments: more than %d", a, b, p.Segments-n, most)
	}
}

// talk has both ends write, if they may, and read.
func (p *pair) talk(n int) {
	p.t.Helper()
	c, s := p.c.Read, p.s.Read
	for _, u := range []*User{p.c, p.s} {
		if state := u.Info().State; state == fsm.Established || state == fsm.CloseWait {
			u.Write(n)
		}
	}
	p.Run(30 * second)
	if p.c.Read != p.s.Wrote || p.s.Read != p.c.Wrote || p.c.Read == c && p.s.Read == s {
		p.t.Errorf("a has read %d of %d bytes and b %d of %d", p.c.Read, p.s.Wrote, p.s.Read, p.c.Wrote)
	}
}

// A day without a word: a connection that nobody asks to probe costs nothing, not even a turn, and holds no memory of its
// own; then all goes on.
func TestIdleForADay(t *testing.T) {
	for _, half := range []string{"none", "a", "b"} {
		p := open(t)
		p.talk(10_000)
		want := fsm.Established
		switch half {
		case "a":
			p.c.CloseWrite()
			want = fsm.FinWait2
		case "b":
			p.s.CloseWrite()
			want = fsm.CloseWait
		}
		p.Run(5 * second)
		p.idle(6) // the wheel's levels
		if p.c.Info().State != want {
			t.Fatalf("%s has closed: a is %v", half, p.c.Info().State)
		}
		for _, h := range []*Host{p.a, p.b} {
			if c := h.Stack.Counters(0); c.Rings != 0 || c.Conns != 1 {
				t.Errorf("%s has %d connections with %d bytes of rings", h.Name, c.Conns, c.Rings)
			}
		}
		p.talk(10_000)
		p.idle(6)
		p.talk(200_000)
		p.end()
	}
}

// With keep-alive there is one probe, and its answer, each idle time.
func TestIdleForADayWithKeepAlive(t *testing.T) {
	for _, both := range []bool{false, true} {
		p := open(t, settings(func(s *tcp.Settings) { s.KeepAlive = both }))
		if !both {
			p.c.Do(func(c stack.Conn) { c.KeepAlive(true) })
		}
		p.talk(1000)
		p.sent = nil
		p.idle(12 * 12) // every two hours, on the way there through the wheel's levels
		want := 2 * 12
		if both { // at the same time: neither hears the other in time
			want *= 2
		}
		if n := p.count(p.a, nil) + p.count(p.b, nil); n < want-2 || n > want || !p.c.Held || !p.s.Held {
			t.Errorf("both %v: %d segments", both, n)
		}
		p.talk(10_000)
		p.end()
	}
}

// A window closed for a day, by a peer who answers the probes: they come every two minutes and no more often, and nobody
// gives up (MUST-37). Then all arrives.
func TestZeroWindowForADay(t *testing.T) {
	p := paused(t, 20_000)
	p.c.Write(100_000)
	p.Run(hour)
	p.sent = nil
	p.idle(6 * 720) // through the wheel's levels
	if n := p.count(p.a, withText); n < 700 || n > 740 {
		t.Errorf("%d probes", n)
	}
	if n := p.count(p.a, func(s *sent) bool { return len(s.Text) > 1 }); n > 0 {
		t.Errorf("%d of them with more than an octet", n)
	}
	if !p.c.Held || !p.s.Held || p.s.Read != 0 {
		t.Fatalf("a holds its connection: %v, b: %v", p.c.Held, p.s.Held)
	}
	p.s.Resume()
	p.Run(3 * 60 * second)
	p.read(0, 100_000)
	p.talk(10_000)
	p.end()
}

// A window closed by a peer who then answers no more: the sender gives up by R2, and the receiver, who knows nothing of it
// and asks nobody, keeps the connection for as long as its user likes, at no cost.
func TestZeroWindowUnanswered(t *testing.T) {
	p := paused(t, 20_000)
	p.c.Write(100_000)
	p.Run(10 * second)
	p.filter(lostAll)
	before := p.now
	for p.c.Held && p.Step() {
	}
	if d := p.now.Sub(before); p.c.Events&tcp.TimedOut == 0 || d < 600*second || d > 2400*second {
		t.Errorf("events %b after %v", p.c.Events, d)
	}
	p.Run(hour)
	p.idle(6)
	if !p.s.Held {
		t.Error("b's connection is gone")
	}
	p.filter(nil)
	p.s.Resume() // what has come may still be read; the window update finds nobody, and is answered by a RST
	p.Run(5 * second)
	if p.s.Read < 15_000 || p.s.Held || p.s.Events&tcp.Reset == 0 {
		t.Errorf("b has read %d bytes, holds the connection: %v, events %b", p.s.Read, p.s.Held, p.s.Events)
	}
	p.over()
}

// A crowd that says nothing for a day costs a day no more than one connection does, and wakes as one.
func TestIdleCrowd(t *testing.T) {
	crowd := int(few(1000))
	p := newPair(t)
	p.Log.Verbose = false
	p.ab.Filter, p.ba.Filter = nil, nil
	p.CheckEvery = 1000
	var all []*User
	for range crowd {
		all = append(all, p.a.Dial(p.b, 80, 0))
	}
	p.Run(10 * second)
	say := func() {
		for _, u := range append(all, p.l.Users...) {
			u.Write(2000)
		}
		p.Run(60 * second)
		for _, u := range append(all, p.l.Users...) {
			if u.Read != u.Wrote || !u.Held {
				t.Fatalf("%s: %d bytes read, %d written", u.Host.Name, u.Read, u.Wrote)
			}
		}
	}
	say()
	a, b := p.a.Stack.Counters(0), p.b.Stack.Counters(0)
	p.idle(10)
	say()
	for _, c := range [][2]stack.Counters{{a, p.a.Stack.Counters(0)}, {b, p.b.Stack.Counters(0)}} {
		if c[1].Rings != 0 || c[1].Lists > c[0].Lists || c[1].Conns != crowd {
			t.Errorf("%d connections with %d bytes of rings and %d of lists, which were %d", c[1].Conns, c[1].Rings, c[1].Lists, c[0].Lists)
		}
	}
	for _, u := range append(all, p.l.Users...) {
		u.Close()
	}
	p.over()
}

// Timers of months, beyond the wheel's last level (52 days), fire on their day.
func TestTimersOfMonths(t *testing.T) {
	const day = 24 * hour
	for _, idle := range []mono.Duration{50 * day, 53 * day, 106 * day, 300 * day} {
		p := open(t)
		p.c.Do(func(c stack.Conn) { c.SetKeepAlive(idle, second, 3) })
		p.sent = nil
		p.Run(second)
		heard := p.now
		p.Run(idle - hour)
		if n := p.count(p.a, nil); n > 0 {
			t.Errorf("%v: %d segments too early", idle, n)
		}
		turns := p.a.turns()
		p.Run(hour)
		if at := p.times(p.a, has(tcp.ACK)); len(at) != 1 || at[0].Sub(heard) > idle {
			t.Errorf("%v: probes at %v", idle, at)
		}
		if n := p.a.turns() - turns; n > 10 {
			t.Errorf("%v: %d turns", idle, n)
		}
		p.end()
	}
}
