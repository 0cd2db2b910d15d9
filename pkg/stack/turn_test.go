package stack_test

import (
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// lossy loses every nth packet that carries text.
type lossy struct {
	link.Device
	every, seen int
}

func (l *lossy) Write(p *link.Packet) error {
	if p.Len() > 200 && l.every > 0 {
		if l.seen++; l.seen%l.every == 0 {
			return nil
		}
	}
	return l.Device.Write(p)
}

// bench is two stacks of two queues each, turned by hand in virtual time.
type bench struct {
	tb   testing.TB
	now  mono.Time
	a, b *stack.Stack
}

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
)

func newBench(tb testing.TB, opt pipe.Options, every int) *bench {
	n := &bench{tb: tb, now: 1e12}
	la, lb := pipe.New(2, opt)
	for i := range la.Queues {
		la.Queues[i] = &lossy{Device: la.Queues[i], every: every}
	}
	n.a, n.b = n.host(la, addrA), n.host(lb, addrB)
	return n
}

func (n *bench) host(l *link.Link, a netip.Addr) *stack.Stack {
	return n.hostWith(l, a, tcp.Defaults(), stack.Limits{})
}

func (n *bench) hostWith(l *link.Link, a netip.Addr, t tcp.Settings, limits stack.Limits) *stack.Stack {
	return n.hostNow(l, a, t, limits, n.clock)
}

func (n *bench) clock() mono.Time { return n.now }

func (n *bench) hostNow(l *link.Link, a netip.Addr, t tcp.Settings, limits stack.Limits, now func() mono.Time) *stack.Stack {
	s, err := stack.New(stack.Config{
		Link: l, Addrs: []netip.Prefix{netip.PrefixFrom(a, 32)}, Strict: true, Now: now,
		TCP: t, Limits: limits,
		Secrets: [2]tcp.Secret{{1, uint64(a.As4()[3])}, {3, 4}},
	})
	if err != nil {
		n.tb.Fatal(err)
	}
	return s
}

func (n *bench) turn() {
	for range 4 {
		for _, s := range []*stack.Stack{n.a, n.b} {
			for q := range s.Shards() {
				if _, err := s.Turn(q); err != nil {
					n.tb.Fatal(err)
				}
			}
		}
	}
	n.now = n.now.Add(mono.Millisecond)
}

// sink reads everything.
type sink struct{ got uint64 }

func (s *sink) Ready(c stack.Conn, _ tcp.Events) {
	for p := c.Next(); len(p) > 0; p = c.Next() {
		s.got += uint64(len(p))
		c.Consume(len(p))
	}
}

// source writes for as long as there is room.
type source struct{ text []byte }

func (s *source) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Writable != 0 {
		for c.Write(s.text) > 0 {
		}
	}
}

// transfer opens a bulk transfer from a to b.
func (n *bench) transfer() *sink {
	to := &sink{}
	n.listen(to)
	n.dial()
	return to
}

func (n *bench) listen(h stack.Handler) { listenOn(n.tb, n.b, stack.ListenConfig{Port: 9}, h) }

// dial opens a connection from a to b that sends for as long as there is room.
func (n *bench) dial() { dialTo(n.tb, n.a, 9, &source{text: make([]byte, 64<<10)}) }

// listenOn listens at b's address.
func listenOn(tb testing.TB, s *stack.Stack, cfg stack.ListenConfig, h stack.Handler) {
	cfg.Prefix = netip.PrefixFrom(addrB, 32)
	if _, err := s.Listen(cfg, h); err != nil {
		tb.Fatal(err)
	}
}

// dialTo opens a connection to a port of b.
func dialTo(tb testing.TB, s *stack.Stack, port uint16, h stack.Handler) {
	err := s.Dial(stack.DialConfig{Remote: netip.AddrPortFrom(addrB, port)}, h, func(_ stack.Conn, err error) {
		if err != nil {
			tb.Fatal(err)
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// total is the sum over the shards of what cookies and half-open connections came to.
func (n *bench) total(s *stack.Stack) (sum stack.Counters) {
	for i := range s.Shards() {
		c := s.Counters(i)
		sum.CookiesSent += c.CookiesSent
		sum.CookiesTaken += c.CookiesTaken
		sum.Accepted += c.Accepted
		sum.HalfOpen += c.HalfOpen
	}
	return sum
}

// astray steers every packet to the next queue, so that half of them find no connection there.
func astray() func([]byte, int) int {
	next := 0
	return func(_ []byte, queues int) int {
		next++
		return next % queues
	}
}

// No packet allocates: in bulk, in recovery from losses, and when it comes to the wrong queue.
func TestTurnAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget things at random")
	}
	for _, c := range []struct {
		name  string
		every int
		opt   pipe.Options
	}{
		{"superframes", 0, pipe.Options{MTU: 1500, Packets: 4096, Bytes: 64 << 20}},
		{"segments", 0, pipe.Options{MTU: 1500, Packets: 4096, Plain: true}},
		{"loss", 97, pipe.Options{MTU: 1500, Packets: 4096, Plain: true}},
		{"strays", 0, pipe.Options{MTU: 1500, Packets: 4096, Steer: astray()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newBench(t, c.opt, c.every)
			to := n.transfer()
			for range 1000 {
				n.turn()
			}
			before := to.got
			if a := testing.AllocsPerRun(300, n.turn); a != 0 {
				t.Errorf("%v allocations a turn", a)
			}
			if to.got == before {
				t.Error("nothing was transferred meanwhile")
			}
		})
	}
}

// BenchmarkTurn is a bulk transfer between two stacks in memory.
func BenchmarkTurn(b *testing.B) {
	for _, c := range []struct {
		name string
		opt  pipe.Options
	}{
		{"superframes", pipe.Options{MTU: 1500, Packets: 4096, Bytes: 64 << 20}},
		{"segments", pipe.Options{MTU: 1500, Packets: 4096, Plain: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := newBench(b, c.opt, 0)
			to := n.transfer()
			for range 1000 {
				n.turn()
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := to.got
			for range b.N {
				n.turn()
			}
			b.SetBytes(int64((to.got - before) / uint64(b.N)))
		})
	}
}
