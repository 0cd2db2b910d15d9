package tcp

import (
	"math/rand/v2"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// end is one end of a pair: a connection with its environment.
type end struct {
	x   *Env
	c   Conn
	got []byte // text read
	ev  Events
}

// pair is two ends in virtual time, with a wire between them that a test can tap.
type pair struct {
	t    testing.TB
	now  mono.Time
	a, b end
	lose func(fromA bool, g *Segment) bool // nil: nothing is lost
	log  []Segment
}

func newEnv() *Env {
	return &Env{Settings: []Settings{Defaults()}, Memory: NewMemory(0), Strict: true, MTU: 1500, Frame: 0}
}

// newPair is a client a that has sent nothing yet and a server b that waits for its SYN.
func newPair(t testing.TB) *pair {
	p := &pair{t: t, now: mono.Time(1e12), a: end{x: newEnv()}, b: end{x: newEnv()}}
	p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 0xfffffff0, TSOffset: 7})
	return p
}

// established is a pair after the handshake.
func established(t testing.TB) *pair {
	p := newPair(t)
	p.run()
	if !p.a.c.Opened() || !p.b.c.Opened() {
		t.Fatalf("no handshake: %v, %v", p.a.c.State(), p.b.c.State())
	}
	return p
}

// run carries segments to and fro until both ends are silent.
func (p *pair) run() {
	for n := 0; ; n++ {
		if n > 100000 {
			p.t.Fatal("the two ends never fall silent")
		}
		if !p.carry(true) && !p.carry(false) {
			return
		}
	}
}

// carry moves one segment from one end to the other.
func (p *pair) carry(fromA bool) bool {
	from, to := &p.a, &p.b
	if !fromA {
		from, to = &p.b, &p.a
	}
	var o Out
	if !from.c.Output(from.x, p.now, &o) {
		return false
	}
	g := flatten(&o)
	p.log = append(p.log, g)
	if p.lose != nil && p.lose(fromA, &g) {
		return true
	}
	p.deliver(to, &g)
	return true
}

// flatten puts a segment's text in one piece of its own.
func flatten(o *Out) Segment {
	g := o.Segment
	g.Text = append(append([]byte(nil), o.Body[0]...), o.Body[1]...)
	return g
}

func (p *pair) deliver(to *end, g *Segment) Drop {
	if to == &p.b && to.c.state == 0 {
		to.c.OpenPassive(to.x, p.now, Open{ISS: 0x7fffffff, TSOffset: 9}, g)
		return DropNone
	}
	d := to.c.Input(to.x, p.now, g)
	to.settle()
	return d
}

// settle reads nothing: it stores what came, and gathers the events.
func (e *end) settle() {
	e.c.Store(e.x)
	e.ev |= e.c.TakeEvents()
}

// read takes up to n bytes of unread text.
func (e *end) read(n int) int {
	took := 0
	for took < n {
		a, b, text := e.c.Unread(e.x)
		if len(a) == 0 {
			a = b
		}
		if len(a) == 0 {
			a = text
		}
		if len(a) == 0 {
			break
		}
		a = a[:min(len(a), n-took)]
		e.got = append(e.got, a...)
		took += len(a)
		e.c.Consume(e.x, len(a))
	}
	return took
}

// wait lets time pass to the next deadline of either end, and no further than to.
func (p *pair) wait(to mono.Time) bool {
	d := min(p.a.c.Deadline(), p.b.c.Deadline())
	if d > to {
		p.now = to
		return false
	}
	p.now = max(p.now, d)
	p.a.c.Timeout(p.a.x, p.now)
	p.b.c.Timeout(p.b.x, p.now)
	p.a.settle()
	p.b.settle()
	return true
}

func randomText(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (p *pair) flags() (f []Flags) {
	for _, g := range p.log {
		f = append(f, g.Flags)
	}
	return f
}
