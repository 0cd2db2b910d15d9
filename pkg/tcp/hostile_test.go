package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// expects is the segment that e's peer would send next: an ACK of nothing new, fresh and in order.
func (e *end) expects(now mono.Time) Segment {
	c := &e.c
	g := Segment{Seq: c.rcv.nxt, Ack: c.snd.una, Flags: ACK, Window: 65535}
	if c.is(factTimestamps) {
		g.Options.Has, g.Options.TSVal, g.Options.TSEcr = HasTimestamps, c.ts.recent, c.timestamp(now)
	}
	return g
}

// drain is all that e sends now. It must be a small number of segments.
func (p *pair) drain(e *end) (list []Segment) {
	p.t.Helper()
	var o Out
	for e.c.Output(e.x, p.now, &o) {
		if list = append(list, flatten(&o)); len(list) > 1000 {
			p.t.Fatal("it never falls silent")
		}
	}
	if err := e.c.Check(e.x); err != nil {
		p.t.Fatal(err)
	}
	return list
}

// next lets time pass to e's next deadline, and does what is due.
func (p *pair) next(e *end) {
	p.now = e.c.Deadline()
	e.c.Timeout(e.x, p.now)
}

// A segment without text stands at SND.NXT although the peer's window, rounded down to its scale, seems to end a little
// before it: at an older number the peer would not take its ACK, and two ends that send to each other would both fall
// silent (RFC 7323 section 2.4). It stays inside a window that was really taken back.
//
// Proves: RFC 7323 2.4-1
func TestACKOfARoundedWindow(t *testing.T) {
	const sent = 2 * 1448 // two segments
	for _, c := range []struct {
		name    string
		wnd, at func(unit uint32) uint32 // what the peer still offers; where the ACK is to stand, from SND.UNA
	}{
		{"wide", func(uint32) uint32 { return 2 * sent }, func(uint32) uint32 { return sent }},
		{"rounded down", func(unit uint32) uint32 { return sent / unit * unit }, func(uint32) uint32 { return sent }},
		{"taken back", func(unit uint32) uint32 { return unit }, func(unit uint32) uint32 { return unit }},
		{"closed", func(uint32) uint32 { return 0 }, func(uint32) uint32 { return 0 }},
	} {
		p := established(t)
		p.a.c.Write(p.a.x, make([]byte, sent))
		p.drain(&p.a)
		una, unit := p.a.c.snd.una, uint32(1)<<p.a.c.snd.scale
		if p.a.c.snd.nxt != una.Add(sent) || sent%unit == 0 {
			t.Fatalf("%d bytes are out, and the unit is %d", p.a.c.snd.nxt.Sub(una), unit)
		}
		g := p.a.expects(p.now)
		g.Window, g.Text = uint16(c.wnd(unit)>>p.a.c.snd.scale), make([]byte, 10)
		p.a.c.SetQuickAck(true)
		p.deliver(&p.a, &g)
		want := una.Add(c.at(unit))
		acks := p.drain(&p.a)
		if len(acks) != 1 || len(acks[0].Text) != 0 || acks[0].Ack != g.End() || acks[0].Seq != want {
			t.Errorf("%s: %d segments, the first at %d and not %d", c.name, len(acks), acks[0].Seq.Sub(una), want.Sub(una))
		}
	}
}

// A byte at the window's far end needs a ring for all before it, and costs the peer nothing. While memory is short it is not
// kept, so that a few such connections do not take the memory of all; text in order is taken all the same.
func TestByteAtTheWindowsEdge(t *testing.T) {
	for _, short := range []bool{false, true} {
		p := established(t)
		c, m := &p.b.c, p.b.x.Memory
		if m.Limit = 8 << 20; short {
			m.InUse = m.Limit/2 + 1 // by others
		}
		before := m.InUse
		g := p.b.expects(p.now)
		g.Seq, g.Text = c.rcv.adv-1, []byte{1}
		d := p.deliver(&p.b, &g)
		if took := m.InUse - before; short != (d == DropReorderFull) || short != (took == 0) {
			t.Errorf("memory short %v: %v, %d bytes of rings", short, d, took)
		}
		p.drain(&p.b)
		g = p.b.expects(p.now)
		g.Text = make([]byte, 100)
		if d := p.deliver(&p.b, &g); d != DropNone || p.b.read(1000) != 100 {
			t.Errorf("memory short %v: text in order: %v", short, d)
		}
	}
}

// Urgent text that was read is forgotten: 2 GiB later its mark would seem to lie ahead, the user would be told of urgent
// text that is none, and not be told of what is.
func TestUrgentMarkAfterTwoGiB(t *testing.T) {
	p := established(t)
	b := &p.b
	take := func(g Segment) Events {
		if d := b.c.Input(b.x, p.now, &g); d != DropNone {
			t.Fatal(d)
		}
		_, _, text := b.c.Unread(b.x)
		if len(text) != len(g.Text) {
			t.Fatalf("%d bytes to be read of %d", len(text), len(g.Text))
		}
		b.c.Consume(b.x, len(text))
		return b.c.TakeEvents()
	}
	text := make([]byte, 60_000)
	urge := func(n uint16) Events {
		g := b.expects(p.now)
		g.Flags, g.Urgent, g.Text = ACK|URG, n, text[:10]
		return take(g)
	}
	if urge(1)&Urgent == 0 {
		t.Error("the urgent text is not told of")
	}
	p.drain(b)
	for n := 0; n < 1<<31+1<<20; n += len(text) {
		g := b.expects(p.now)
		g.Text = text
		take(g)
		var o Out
		for b.c.Output(b.x, p.now, &o) {
		}
	}
	if n := b.c.UrgentLeft(); n != 0 {
		t.Errorf("%d bytes are urgent, and none is", n)
	}
	if urge(5)&Urgent == 0 {
		t.Error("new urgent text is not told of")
	}
}

// The urgent pointer counts from SEG.SEQ (RFC 9293 section 3.10.7.4), which on a SYN,ACK is the SYN's: a pointer of 1 is to
// the first byte of text, and nothing before it is urgent.
func TestUrgentOnSYNACK(t *testing.T) {
	for pointer, want := range []int{0, 0, 1, 2} {
		p := newPair(t)
		syn := p.drain(&p.a)[0]
		p.deliver(&p.a, &Segment{Seq: 100, Ack: syn.End(), Flags: SYN | ACK | URG, Urgent: uint16(pointer), Window: 1000})
		if n := p.a.c.UrgentLeft(); n != want {
			t.Errorf("a pointer of %d: %d bytes are urgent, not %d", pointer, n, want)
		}
	}
}

// The peer closes its window and then, when a probe is due and not sent yet, takes all: there is nothing left to probe with,
// neither text nor FIN. What was never written must not go out, nor an idle connection be given up for it.
func TestStaleProbe(t *testing.T) {
	for _, fin := range []bool{false, true} {
		p := established(t)
		a := &p.a
		a.c.Write(a.x, make([]byte, 1000))
		if fin {
			a.c.CloseWrite(a.x, p.now)
		}
		p.drain(a)
		end := a.c.snd.nxt
		g := a.expects(p.now)
		g.Window = 0
		p.deliver(a, &g)
		for p.drain(a); !a.c.is(factProbe); p.next(a) {
			p.drain(a)
		}
		g = a.expects(p.now)
		g.Ack = end
		p.deliver(a, &g)
		if list := p.drain(a); len(list) != 0 || a.c.snd.nxt != end {
			t.Errorf("FIN %v: %d segments, SND.NXT %d beyond the end", fin, len(list), a.c.snd.nxt.Sub(end))
		}
		if d := a.c.Deadline(); d != mono.Never && !fin {
			t.Errorf("a timer runs for another %v", d.Sub(p.now))
		}
	}
}

// Fast Open's option given twice is the second: nothing of a longer first one is left in it, or no cookie would be
// recognized.
func TestFastOpenOptionTwice(t *testing.T) {
	want := FastOpenCookie{Len: 4, Bytes: [16]byte{1, 2, 3, 4}}
	b := make([]byte, HeaderLen+24)
	g := Segment{Flags: SYN}
	g.Put(b, 0)
	b[12] = byte(len(b)/4) << 4
	o := b[HeaderLen:]
	copy(o, []byte{optFastOpen, 18})
	for i := 2; i < 18; i++ {
		o[i] = 0xff
	}
	copy(o[18:], append([]byte{optFastOpen, 6}, want.Bytes[:4]...))
	if d := g.Parse(b); d != DropNone || g.Options.FastOpen != want {
		t.Errorf("%v, %+v", d, g.Options.FastOpen)
	}
}
