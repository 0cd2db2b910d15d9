package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// admitting is a pair whose listener on port 81 asks admit.
func admitting(t *testing.T, o HostOptions, admit func(r *stack.Request)) (*pair, *Listener) {
	p := newPair(t, o)
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, Admit: admit})
	l.Accept = func(u *User) { p.s = u }
	return p, l
}

// The hook sees the SYN before anything is answered, and decides at once.
func TestAdmission(t *testing.T) {
	for _, c := range []struct {
		name    string
		decide  func(r *stack.Request) bool
		events  tcp.Events
		answers int // segments of the server's, within 10 s
		drop    string
	}{
		{"accept", (*stack.Request).Accept, tcp.Opened, 1, ""},
		{"refuse", (*stack.Request).Refuse, tcp.Refused, 1, "tcp_refused"},
		{"refuse by ICMP", func(r *stack.Request) bool { return r.RefuseICMP(ip.CodePort) }, tcp.Unreachable, 0, "admission_refused"},
		{"drop", (*stack.Request).Drop, 0, 0, "admission_dropped"},
	} {
		var seen []*stack.Request
		p, l := admitting(t, HostOptions{}, func(r *stack.Request) {
			seen = append(seen, r)
			if !c.decide(r) || r.Accept() || r.Drop() {
				t.Errorf("%s: the first verdict does not count, or a second does", c.name)
			}
		})
		p.c = p.a.Dial(p.b, 81, 5000)
		p.Run(500 * ms)
		if len(seen) != 1 || p.c.Events&^tcp.Writable != c.events|p.c.Events&tcp.Ended {
			t.Errorf("%s: %d requests, events %b", c.name, len(seen), p.c.Events)
		}
		if n := p.count(p.b, func(s *sent) bool { return s.Flags != 0 }); n != c.answers {
			t.Errorf("%s: %d segments", c.name, n)
		}
		if r := seen[0]; r.Remote.Port() != 5000 || r.Local.Port() != 81 || r.SYN.Options.MSS != 1460 {
			t.Errorf("%s: %v to %v, MSS %d", c.name, r.Remote, r.Local, r.SYN.Options.MSS)
		}
		if gone := seen[0].Context().Err() != nil; gone == (c.name == "accept") {
			t.Errorf("%s: the context has ended: %v", c.name, gone)
		}
		d := p.b.Stack.Counters(0)
		if drops := d.Drops(); c.drop != "" && drops[c.drop] != 1 || c.drop == "" && len(drops) > 0 {
			t.Errorf("%s: %v", c.name, drops)
		}
		if p.c.Held {
			p.c.Abort()
		}
		if p.s != nil && p.s.Held {
			p.s.Abort()
		}
		l.Close()
		p.over()
	}
}

// deferring is a pair with a request that waits.
func deferring(t *testing.T, o HostOptions) (*pair, *Listener, *stack.Request) {
	var r *stack.Request
	p, l := admitting(t, o, func(q *stack.Request) { r = q })
	p.c = p.a.Dial(p.b, 81, 5000)
	p.Run(100 * ms)
	if r == nil {
		t.Fatal("not asked")
	}
	if s := l.Stats(); s.Deferred != 1 || s.HalfOpen != 1 || p.count(p.b, nil) != 0 {
		t.Fatalf("%+v, %d segments", s, p.count(p.b, nil))
	}
	return p, l, r
}

// A deferred client waits, and knows nothing, however long it takes; then the connection opens at once.
func TestDeferredAdmission(t *testing.T) {
	for _, queues := range []int{1, 4} {
		p, l, r := deferring(t, HostOptions{Queues: queues})
		p.Run(20 * second) // SYNs after 1, 3, 7 and 15 s
		if p.count(p.b, nil) != 0 || r.Context().Err() != nil {
			t.Errorf("%d segments, context %v", p.count(p.b, nil), r.Context().Err())
		}
		if !r.Accept() || r.Refuse() {
			t.Error("the verdict does not count")
		}
		p.Run(50 * ms)
		if p.c.Events&tcp.Opened == 0 || p.s == nil || l.Stats().Deferred != 0 {
			t.Fatalf("events %b, %+v", p.c.Events, l.Stats())
		}
		p.c.Write(1000)
		p.Run(second)
		p.read(0, 1000)
		l.Close()
		p.end()
	}
}

// Every verdict may come late.
func TestLateRefusal(t *testing.T) {
	for i, decide := range []func(r *stack.Request) bool{
		(*stack.Request).Refuse, func(r *stack.Request) bool { return r.RefuseICMP(ip.CodePort) }, (*stack.Request).Drop,
	} {
		p, l, r := deferring(t, HostOptions{})
		decide(r)
		p.Run(50 * ms)
		if want := []tcp.Events{tcp.Refused, tcp.Unreachable, 0}[i]; p.c.Events&^tcp.Ended != want {
			t.Errorf("verdict %d: events %b", i, p.c.Events)
		}
		if r.Context().Err() == nil || l.Stats().Deferred != 0 {
			t.Errorf("verdict %d: %+v", i, l.Stats())
		}
		if p.c.Held {
			p.c.Abort()
		}
		l.Close()
		p.over()
	}
}

// A client that has given up cancels the context: silently, by a RST, or by calling anew from the same port. So does the
// end of the listener.
func TestClientGivesUp(t *testing.T) {
	for name, leave := range map[string]func(p *pair, l *Listener){
		"silently": func(p *pair, _ *Listener) { p.filter(lostAll) },
		"by RST": func(p *pair, _ *Listener) {
			g := tcp.Segment{Seq: p.sent[0].Seq + 1, Flags: tcp.RST}
			forge(p.World, p.a, p.b, p.c.flow, g)
		},
		"anew": func(p *pair, _ *Listener) {
			g := tcp.Segment{Seq: p.sent[0].Seq + 77, Flags: tcp.SYN, Window: 1000}
			forge(p.World, p.a, p.b, p.c.flow, g)
		},
		"closed": func(_ *pair, l *Listener) { l.Close() },
	} {
		p, l, r := deferring(t, HostOptions{})
		p.c.Abort() // which sends nothing: the SYN is all that there was
		leave(p, l)
		p.Run(11 * second)
		if r.Context().Err() == nil {
			t.Errorf("%s: not cancelled", name)
		}
		if r.Accept() {
			t.Errorf("%s: accepted after all", name)
		}
		p.filter(nil)
		l.Close()
		p.over()
	}
}

// What waits for a verdict is bounded by the same limits as what is half open.
func TestDeferredAreBounded(t *testing.T) {
	p := newPair(t)
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, HalfOpen: 3, Admit: func(*stack.Request) {}})
	for range 10 {
		p.a.Dial(p.b, 81, 0)
	}
	p.Run(100 * ms)
	if s := l.Stats(); s.Deferred != 3 {
		t.Errorf("%+v", s)
	}
	c := p.b.Stack.Counters(0)
	if n := c.Stack[stack.DropAdmissionFull]; n != 7 || c.Deferred != 3 {
		t.Errorf("%d found no room", n)
	}
	l.Close()
	p.over()
}

// The half-open budgets of a listener and of a source are spent by lost last ACKs; beyond them cookies serve all the
// same, and other listeners keep nothing of it.
func TestHalfOpenBudgets(t *testing.T) {
	for _, bySource := range []bool{false, true} {
		cfg := stack.ListenConfig{Port: 81, HalfOpen: 2}
		if bySource {
			cfg = stack.ListenConfig{Port: 81, SourceHalfOpen: 2}
		}
		p := newPair(t)
		l := p.b.ListenWith(cfg)
		lastACK := func(s *sent) bool { return s.host == p.a && has(tcp.ACK)(s) && len(s.Text) == 0 }
		p.filter(lastACK)
		var users []*User
		for range 5 {
			users = append(users, p.a.Dial(p.b, 81, 0))
		}
		p.Run(100 * ms)
		if s := l.Stats(); s.HalfOpen != 2 || s.Cookies != 3 {
			t.Errorf("by source %v: %+v", bySource, s)
		}
		c := p.Host("c", HostOptions{})
		p.Join(c, p.b, Path{Delay: ms})
		fromC := c.Dial(p.b, 81, 0)
		p.Run(100 * ms)
		if s := l.Stats(); bySource != (s.Cookies == 3) {
			t.Errorf("by source %v: another source finds %+v", bySource, s)
		}
		p.filter(nil)
		for _, u := range append(users, fromC) {
			u.Write(100)
		}
		p.Run(10 * second)
		if len(l.Users) != 6 || l.Stats().HalfOpen != 0 || l.Stats().Accepted != 6 {
			t.Errorf("by source %v: %d served, %+v", bySource, len(l.Users), l.Stats())
		}
		for _, u := range append(append(users, fromC), l.Users...) {
			u.Close()
		}
		p.over()
	}
}

// One source takes up no more of the accept queue than it may, and others find room.
func TestSourceBacklog(t *testing.T) {
	for _, backlog := range []int{0, 10} {
		sourceBacklog(t, backlog)
	}
}

func sourceBacklog(t *testing.T, backlog int) {
	p := newPair(t)
	c := p.Host("c", HostOptions{})
	p.Join(c, p.b, Path{Delay: ms})
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, Backlog: backlog, SourceBacklog: 2})
	var users []*User
	for range 4 {
		users = append(users, p.a.Dial(p.b, 81, 0))
	}
	users = append(users, c.Dial(p.b, 81, 0))
	p.Run(second / 2)
	if s := l.Stats(); s.Waiting != 3 || s.SourceFull < 2 || s.Full != 0 {
		t.Errorf("%+v", s)
	}
	for len(l.Users) < 5 {
		before := p.now
		for n := l.Waiting(); n > 0; n-- {
			l.Taken(l.Users[len(l.Users)-n].flow.Remote.Netip())
		}
		p.Run(4 * second)
		if p.now.Sub(before) > 60*second {
			t.Fatal("not all are served")
		}
	}
	for _, u := range append(users, l.Users...) {
		u.Close()
	}
	p.over()
}

// Orphans are bounded: beyond the limit a connection that its user has closed is reset, and its handler hears of its end, as
// of every other.
func TestTooManyOrphans(t *testing.T) {
	p := newPair(t, HostOptions{Limits: stack.Limits{Orphans: 2}}, HostOptions{})
	var users []*User
	for range 5 {
		users = append(users, p.a.Dial(p.b, 80, 0))
	}
	p.Run(second)
	p.filter(func(s *sent) bool { return s.host == p.b })
	for _, u := range users {
		u.Write(1000)
		u.Close()
	}
	p.Run(100 * ms)
	ended := 0
	for _, u := range users {
		if u.Events&tcp.Ended != 0 {
			ended++
		}
	}
	if c := p.a.Stack.Counters(0); c.Orphans != 2 || c.OrphansAborted != 3 || c.Conns != 2 || ended != 3 {
		t.Errorf("%d orphans, %d aborted, %d connections, %d hear Ended", c.Orphans, c.OrphansAborted, c.Conns, ended)
	}
	if n := p.count(p.a, func(s *sent) bool { return s.Flags&tcp.RST != 0 }); n != 3 {
		t.Errorf("%d RSTs", n)
	}
	p.filter(nil)
	for _, u := range p.l.Users {
		u.Close()
	}
	p.over()
}
