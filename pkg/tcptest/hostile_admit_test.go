package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// stranger has a SYN of p.c's flow arrive, with another sequence number than p.c's.
func (p *pair) stranger() {
	forge(p.World, p.a, p.b, p.c.flow, tcp.Segment{Seq: p.sent[0].Seq + 77, Flags: tcp.SYN, Window: 1000})
}

// A verdict counts though another SYN of the same flow comes in the same turn: the hook was told that it does, and has
// perhaps made room for the client. There is one connection, whether the hook would defer the other SYN or accept it.
func TestVerdictAndAnotherSYN(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		var all []*stack.Request
		p, l := admitting(t, HostOptions{}, func(r *stack.Request) {
			if all = append(all, r); len(all) > 1 && atOnce {
				r.Accept()
			}
		})
		p.c = p.a.Dial(p.b, 81, 5000)
		p.Run(100 * ms)
		accepted := false
		p.stranger()
		p.After(0, func() { accepted = all[0].Accept() })
		p.Run(2 * ms)
		if s := l.Stats(); !accepted || len(all) != 1 || s.HalfOpen != 1 || s.Deferred != 0 {
			t.Errorf("at once %v: accepted %v, asked %d times, %+v", atOnce, accepted, len(all), s)
		}
		p.Run(5 * second)
		if p.c.Events&tcp.Opened == 0 || len(l.Users) != 1 {
			t.Fatalf("at once %v: events %b, %d users", atOnce, p.c.Events, len(l.Users))
		}
		l.Close()
		p.end()
	}
}

// So does one that comes in the turn in which the patience with a silent client ends.
func TestVerdictWhenPatienceEnds(t *testing.T) {
	p, l, r := deferring(t, HostOptions{})
	p.filter(lostAll)
	accepted := false
	p.After(10*second+rtt/2-100*ms, func() { accepted = r.Accept() }) // the SYN came after half a round trip
	p.Run(11 * second)
	if n := p.count(p.b, has(tcp.SYN|tcp.ACK)); !accepted || n == 0 || r.Context().Err() != nil {
		t.Errorf("accepted %v, %d SYN,ACKs, context %v", accepted, n, r.Context().Err())
	}
	p.filter(nil)
	p.Run(10 * second)
	if p.c.Events&tcp.Opened == 0 {
		t.Fatalf("events %b", p.c.Events)
	}
	l.Close()
	p.end()
}

// A hook may take seconds though the client's first SYNs were lost: how long it will be silent is then not known from the
// ones that have come.
func TestSlowHookAndLostSYNs(t *testing.T) {
	for lose := range 4 {
		var p *pair
		p, l := admitting(t, HostOptions{}, func(r *stack.Request) { p.After(4*second, func() { r.Accept() }) })
		n := 0
		p.filter(func(*sent) bool { n++; return n <= lose })
		p.c = p.a.Dial(p.b, 81, 5000)
		p.Run(20 * second)
		if p.c.Events&tcp.Opened == 0 || len(l.Users) != 1 {
			t.Fatalf("%d SYNs lost: events %b, %d users", lose, p.c.Events, len(l.Users))
		}
		l.Close()
		p.end()
	}
}

// A SYN that the network doubles is not one that the client repeats after so short a time: patience does not become shorter
// by it.
func TestSlowHookAndDoubledSYN(t *testing.T) {
	p, l, r := deferring(t, HostOptions{})
	first := p.sent[0].at
	p.filter(func(s *sent) bool {
		if again := s.Segment; s.Flags == tcp.SYN && s.at > first {
			p.After(rtt/2+ms, func() { forge(p.World, p.a, p.b, p.c.flow, again) })
		}
		return false
	})
	p.Run(100 * second) // SYNs after 1, 3, 7, 15, 31 and 63 s
	if r.Context().Err() != nil || !r.Accept() {
		t.Fatal("the client is there, and was given up")
	}
	p.Run(50 * ms)
	p.filter(nil)
	if p.c.Events&tcp.Opened == 0 {
		t.Fatalf("events %b", p.c.Events)
	}
	l.Close()
	p.end()
}

// However late a SYN is repeated, nobody holds a place for hours by it.
func TestPatienceIsCapped(t *testing.T) {
	p := newPair(t)
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, Admit: func(*stack.Request) {}})
	f := stack.Flow{Local: p.a.addr, Remote: p.b.addr, LocalPort: 1000, RemotePort: 81}
	held := 0 * second
	for wait := 9 * second; wait < 24*3600*second; wait = wait * 24 / 10 { // always just before the patience would end
		forge(p.World, p.a, p.b, f, tcp.Segment{Seq: 5, Flags: tcp.SYN, Window: 1000})
		p.Run(ms)
		for held = 0; l.Stats().HalfOpen > 0 && held < wait; held += second {
			p.Run(second)
		}
		if held > 131*second {
			t.Fatalf("a silent client holds a place for %v", held)
		}
		if held < wait {
			break
		}
	}
	if held == 0 {
		t.Error("it holds none at all")
	}
	l.Close()
	p.over()
}

// A request's SYN is its hook's, which may look at it on another goroutine at any time: SYNs that come again do not change
// it. The race detector watches.
func TestRequestSYNIsTheHooks(t *testing.T) {
	seen := make(chan uint32, 1)
	var at *stack.Request
	p, l := admitting(t, HostOptions{}, func(r *stack.Request) {
		at = r
		go func() { seen <- r.SYN.Options.TSVal }()
	})
	p.c = p.a.Dial(p.b, 81, 5000)
	p.Run(20 * second)
	if again := p.sent[len(p.sent)-1].Options.TSVal; len(p.sent) < 5 || again == p.sent[0].Options.TSVal {
		t.Fatalf("%d SYNs, the last with timestamp %d", len(p.sent), again)
	}
	if want := p.sent[0].Options.TSVal; <-seen != want || at.SYN.Options.TSVal != want {
		t.Errorf("the SYN's timestamp is %d, and was %d", at.SYN.Options.TSVal, want)
	}
	p.c.Abort()
	l.Close()
	p.over()
}

// A limit below the number of shards still leaves each shard its one orphan: else every connection that is closed with text
// under way would be reset.
func TestOrphansFewerThanShards(t *testing.T) {
	p := newPair(t, HostOptions{Limits: stack.Limits{Orphans: 3}, Queues: 4}, HostOptions{})
	p.dial()
	p.c.Write(1000)
	p.c.Close()
	p.Run(second)
	if p.s.Read != 1000 || !p.s.EOF || p.s.Events&tcp.Reset != 0 {
		t.Errorf("read %d, EOF %v, events %b", p.s.Read, p.s.EOF, p.s.Events)
	}
	for i := range 4 {
		if n := p.a.Stack.Counters(i).OrphansAborted; n != 0 {
			t.Errorf("shard %d: %d orphans aborted", i, n)
		}
	}
	p.s.Close()
	p.over()
}
