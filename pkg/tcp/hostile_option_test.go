package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// The user time-out waits while there are SACK blocks to report: both do not fit a header. When the holes are filled it is
// told.
func TestUserTimeoutBesideSACK(t *testing.T) {
	p := newPair(t)
	for _, e := range []*end{&p.a, &p.b} {
		e.x.Settings[0].UserTimeoutOption = true
	}
	p.run()
	b := &p.b
	told := func(when string, want bool, blocks uint8) {
		t.Helper()
		list := p.drain(b)
		if len(list) == 0 {
			t.Fatalf("%s: no ACK", when)
		}
		g := &list[len(list)-1]
		if got := g.Options.Has&HasUserTimeout != 0; got != want || g.Options.Blocks != blocks {
			t.Errorf("%s: told %v, %d blocks", when, got, g.Options.Blocks)
		}
		var header [MaxHeaderLen]byte
		for i := range list {
			list[i].Put(header[:], 0) // which holds what it is given, or panics
		}
	}
	piece := func(at, n int) {
		g := b.expects(p.now)
		g.Seq, g.Text = g.Seq.Add(uint32(at)), make([]byte, n)
		p.deliver(b, &g)
	}
	for i := range 3 {
		piece(200*(i+1), 100)
		p.drain(b)
	}
	b.c.SetUserTimeout(b.x, p.now, 30*mono.Second)
	piece(100, 50)
	told("beside holes", false, 3)
	piece(0, 800) // the runs are there twice, which is reported
	p.drain(b)
	b.c.SetQuickAck(true)
	piece(0, 10)
	told("in order", true, 0)
}

// A user time-out that is taken back, or lengthened, leaves the retransmission timer where RFC 6298 has it: no sooner, or
// text would be sent again, and the window lost, for nothing.
func TestUserTimeoutRaised(t *testing.T) {
	for _, d := range []mono.Duration{0, minute} {
		p := established(t)
		a := &p.a
		a.c.Write(a.x, make([]byte, 1000))
		p.drain(a)
		rto := a.c.rto(a.x)
		a.c.SetUserTimeout(a.x, p.now, 10*ms)
		if got := a.c.timer[timerRetransmit].Sub(p.now); got != 10*ms {
			t.Errorf("the timer fires in %v, the user waits for 10 ms", got)
		}
		a.c.SetUserTimeout(a.x, p.now, d)
		if got := a.c.timer[timerRetransmit].Sub(p.now); got != rto {
			t.Errorf("set to %v: the timer fires in %v, and the RTO is %v", d, got, rto)
		}
	}
}

// A user time-out below what has passed already ends the connection at once, and not before the call returns: its timer is
// never in the past.
func TestUserTimeoutBelowWhatHasPassed(t *testing.T) {
	p := established(t)
	a := &p.a
	a.c.Write(a.x, make([]byte, 1000))
	p.drain(a)
	for p.now.Sub(a.c.stalled) < 5*mono.Second {
		p.next(a)
		p.drain(a)
	}
	a.c.SetUserTimeout(a.x, p.now, mono.Second)
	if d := a.c.Deadline(); d != p.now+1 {
		t.Errorf("the timer fires in %v", d.Sub(p.now))
	}
	p.next(a)
	if !a.c.Over() || a.c.TakeEvents()&TimedOut == 0 {
		t.Errorf("%v", a.c.State())
	}
}

// The user time-out counts from the first text that the peer lets lie, not from an earlier silence that was over: here the
// window was closed, keep-alive had asked, and only then something was written.
func TestUserTimeoutBeginsWithTheText(t *testing.T) {
	p := established(t)
	a := &p.a
	a.c.Write(a.x, make([]byte, 100))
	p.run()
	g := a.expects(p.now)
	g.Window = 0
	p.deliver(a, &g)
	a.c.SetUserTimeout(a.x, p.now, 20*mono.Second)
	a.c.SetKeepAlive(a.x, p.now, minute, minute, 9)
	p.now = p.now.Add(minute)
	a.c.Timeout(a.x, p.now) // a probe, not answered yet
	p.drain(a)
	p.now = p.now.Add(10 * ms)
	wrote := p.now
	a.c.Write(a.x, make([]byte, 100))
	for p.drain(a); !a.c.Over(); p.next(a) {
		p.drain(a)
	}
	if d := p.now.Sub(wrote); d < 20*mono.Second || d > 21*mono.Second {
		t.Errorf("given up %v after the write", d)
	}
}

// The first segment after the SYN,ACK says how that came (RFC 9768 section 3.2.2.1), and the next ones say something else:
// it is no superframe, whose segments would all say the same.
func TestFirstAccECNSegmentIsSingle(t *testing.T) {
	p := newPair(t)
	p.a.x.Settings[0].ECN, p.a.x.Frame = ECNAccurate, 65_000
	p.a.c.Write(p.a.x, make([]byte, 50_000))
	p.carry(true)
	p.carry(false)
	if !p.a.c.is(factAccECN) {
		t.Fatal("not agreed on")
	}
	var o Out
	frames := 0
	for i := 0; p.a.c.Output(p.a.x, p.now, &o); i++ {
		if o.GSOSize != 0 {
			frames++
		}
		if i == 0 && (len(o.Body[0]) == 0 || o.GSOSize != 0) {
			t.Errorf("%v with %d bytes, GSO %d", o.Flags, len(o.Body[0]), o.GSOSize)
		}
	}
	if frames == 0 {
		t.Error("nor is anything after it a superframe")
	}
}

// A mark and a loss in one window are one congestion (RFC 3168 section 6.1.2): the window is halved once, and what was lost
// is sent again without a time-out, with SACK and without.
func TestMarkThenLoss(t *testing.T) {
	for _, sack := range []bool{false, true} {
		s := newSender(t, ms, 20, 0, func(o *Settings) { o.SACK, o.ECN = sack, ECNOn })
		s.c.set(factECN)
		s.write(30)
		s.pass(100 * mono.Microsecond)
		s.c.Input(s.x, s.now, &Segment{Seq: s.c.rcv.nxt, Ack: s.at(1), Flags: ACK | ECE, Window: 60000})
		s.collect()
		s.out()
		for i := 2; i < 10; i++ { // segment 1 is lost
			if sack {
				s.ack(1, [2]int{2, i + 1})
			} else {
				s.ack(1)
			}
		}
		if got := s.segments(s.c.cw.Ssthresh); got != 10 {
			t.Errorf("SACK %v: ssthresh %g, of 20", sack, got)
		}
		if !s.c.is(factRecovery) || len(s.sent) == 0 || s.sent[0] != "r1" || s.c.count.timeouts != 0 {
			t.Errorf("SACK %v: recovery %v, sent %q", sack, s.c.is(factRecovery), s.sent)
		}
	}
}
