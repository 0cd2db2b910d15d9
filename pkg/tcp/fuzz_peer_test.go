package tcp

import (
	"bytes"

	"github.com/tcpd-project/tcpd/pkg/seq"
)

// The text that each end writes: its bytes tell where they stand.
const (
	ourPattern   = 7
	theirPattern = 11
)

// fill makes b the pattern from an offset in the stream.
func fill(b []byte, at uint32, pattern uint32) {
	for i := range b {
		n := at + uint32(i)
		b[i] = byte(n*pattern) ^ byte(n>>8)
	}
}

// peer is the other end of a fuzzed connection, as strict as can be: it knows what has reached either end, and so what may
// be acknowledged and what may be sent. It sees the wire alone, but for the shift counts and the MSS that were agreed on.
type peer struct {
	// What it sends.
	options Options // of its SYN
	window  uint16
	iss     seq.Num
	nxt     seq.Num // next to send
	came    holes   // what has reached the connection, beyond ackable
	ackable seq.Num // and up to here there is no hole
	met     bool    // the connection knows its SYN
	past    [8]Segment
	sent    int
	tick    uint32

	// What has come to it.
	deaf    bool // nothing does
	ourISS  seq.Num
	rcv     seq.Num // next expected
	beyond  holes   // what lies beyond a hole
	max     seq.Num // the end of all that was sent
	fin     bool    // a FIN was sent, at max-1
	acked   seq.Num // the last ACK
	edge    seq.Num // the right edge that it has been given
	granted seq.Num // and that it has given
	last    Segment // the last segment that has reached the connection
}

// draw reads the peer's options, windows and MSS, in two bytes.
func (p *peer) draw(z *fuzzed) {
	bits := z.byte()
	p.options = Options{Has: HasMSS | HasTimestamps | HasWindowScale | HasSACKPermitted, TSVal: 1000}
	for i, has := range [...]Has{HasMSS, HasTimestamps, HasWindowScale, HasSACKPermitted} {
		if bits&(1<<i) != 0 {
			p.options.Has &^= has
		}
	}
	p.options.MSS = [...]uint16{1460, 536, 48, 88, 1200, 8960, 0, 65535}[bits>>4&7]
	bits = z.byte()
	p.options.WindowScale = bits & 15
	p.window = [...]uint16{65535, 1000, 5000, 30000, 300, 1460, 16384, 60000}[bits>>4&7]
	if bits&128 != 0 {
		p.options.Has |= HasFastOpen
		p.options.Has &^= HasTimestamps // there is no room for both with the rest
	}
	p.iss = 3000
	p.tick = 1000
}

// our is what the connection will begin with.
func (p *peer) our(o Open) {
	p.ourISS, p.max, p.rcv = o.ISS, o.ISS, o.ISS+1
	p.granted = o.ISS.Add(1 + uint32(o.Early))
	p.nxt, p.ackable = p.iss, p.iss
}

// over readies the peer for the next connection, which will begin where this one has ended.
func (p *peer) over(z *fuzzed) {
	p.iss = p.nxt + 1000
	p.ourISS = p.max + 70000
	p.our(Open{ISS: p.ourISS})
	z.challenge = 0
	p.met, p.fin, p.came, p.beyond, p.acked, p.edge = false, false, holes{}, holes{}, 0, 0
}

// segment is the next that the peer would send, with n bytes of text.
func (p *peer) segment(flags Flags, n int) Segment {
	g := Segment{SrcPort: 1, DstPort: 2, Seq: p.nxt, Flags: flags, Window: p.window, Text: make([]byte, n)}
	if flags&SYN != 0 {
		g.Seq = p.iss
		g.Options = p.options
		g.Options.TSVal = p.tick
		if g.Options.Has&HasMSS == 0 {
			g.Options.MSS = 0
		}
	} else if p.options.Has&HasTimestamps != 0 {
		p.tick++
		g.Options = Options{Has: HasTimestamps, TSVal: p.tick, TSEcr: p.last.Options.TSEcr}
	}
	if flags&ACK != 0 {
		g.Ack = p.rcv
		if flags&SYN == 0 && len(p.beyond.run) > 0 && p.options.Has&HasSACKPermitted != 0 {
			g.Options.Blocks = uint8(copy(g.Options.SACK[:3], p.beyond.run))
		}
	}
	return g
}

// opens takes the SYN that a listener has taken.
func (p *peer) opens(z *fuzzed, g *Segment) {
	p.iss, p.met = g.Seq, true
	p.nxt, p.ackable = g.Seq+1, g.Seq+1
	p.granted = p.ourISS.Add(1 + uint32(g.Window))
	p.edge = p.nxt
	z.read, z.written = 0, 0
}

// notice takes note of a segment before the connection sees it: of what may be acknowledged from now on.
func (p *peer) notice(z *fuzzed, g *Segment) {
	p.last = *g
	p.past[p.sent%len(p.past)] = *g
	p.sent++
	from, to, edge := g.Seq, g.End(), z.c.rcv.adv
	if g.Flags&(SYN|ACK) == SYN|ACK && from == p.iss && !z.c.is(factSynAcked) {
		from++ // of a simultaneous open: what follows the SYN may be taken
	} else if g.Flags&SYN != 0 {
		return
	}
	if !p.met || g.Flags&RST != 0 {
		return
	}
	if g.Flags&FIN != 0 && to == edge+1 {
		edge++ // a FIN alone takes no room
	}
	to = seq.Min(to, edge)
	if from.Less(p.ackable) {
		from = p.ackable
	}
	if from.Less(to) && g.Seq.LessEq(edge) && !edge.Less(to) {
		p.came.add(Block{from, to}, 1<<20)
		p.ackable = p.came.fill(p.ackable)
	}
	if at := g.Seq.Add(g.Len()); p.nxt.Less(at) && at.LessEq(edge) {
		p.nxt = at
	}
}

// noticed is for after: the connection may have taken a SYN, and more may be sent.
func (p *peer) noticed(z *fuzzed, g *Segment) {
	c := &z.c
	if !p.met && c.is(factSynRcvd) {
		p.iss, p.met = c.rcv.irs, true
		p.nxt, p.ackable = p.iss+1, p.iss+1
		p.edge = p.nxt // what our SYN has promised may be less
		z.read = 0
		if text := *g; text.Flags&ACK != 0 { // what follows a SYN,ACK may be taken
			text.Flags &^= SYN
			text.Seq = p.iss + 1
			p.notice(z, &text)
			p.sent--
		}
		p.granted = seq.Max(p.granted, p.ourISS.Add(1+uint32(g.Window)))
	}
	if g.Flags&ACK == 0 || !p.ourISS.LessEq(g.Ack) || !g.Ack.LessEq(p.max) || c.is(factReleased) {
		return
	}
	wnd := uint32(g.Window)
	if g.Flags&SYN == 0 {
		wnd <<= c.snd.scale
	}
	p.granted = seq.Max(p.granted, g.Ack.Add(wnd))
}

// take is a segment of the connection's: it must be one that it may send.
func (p *peer) take(z *fuzzed, o *Out) {
	g := o.Segment
	g.Text = append(append([]byte(nil), o.Body[0]...), o.Body[1]...)
	z.log.out(z, &g)
	switch {
	case g.Flags&RST != 0:
		p.reset(z, &g)
		return
	case g.Flags&SYN != 0:
		if g.Seq != p.ourISS {
			z.fail("its SYN is at %d", g.Seq-p.ourISS)
		}
	case g.Flags&ACK == 0:
		z.fail("a segment without ACK")
	}
	p.stream(z, &g, o.GSOSize)
	if g.Flags&ACK != 0 {
		p.acknowledged(z, &g)
	}
	if !p.deaf {
		p.receive(&g)
	}
}

// reset checks a RST of the connection's: it stands where the peer expects it, or at the edge of a window taken back.
func (p *peer) reset(z *fuzzed, g *Segment) {
	edge := z.c.snd.una.Add(z.c.snd.wnd)
	if g.Seq != p.max && !(edge.Less(p.max) && (g.Seq == edge || g.Seq == z.c.snd.una)) {
		z.fail("a RST at %d, and all that was sent ends at %d", g.Seq-p.ourISS, p.max-p.ourISS)
	}
	if g.Flags&ACK != 0 && p.ackable.Less(g.Ack) {
		z.fail("a RST acknowledges %d, and %d is all that has come", g.Ack-p.iss, p.ackable-p.iss)
	}
}

// stream checks the segment's place in the send sequence space, and its text.
func (p *peer) stream(z *fuzzed, g *Segment, gso uint16) {
	n := uint32(len(g.Text))
	at, size := g.Seq, n
	if g.Flags&SYN != 0 {
		at++
	}
	if gso != 0 {
		size = uint32(gso)
	}
	switch {
	case p.max.Less(g.Seq):
		z.fail("%d..%d is left out", p.max-p.ourISS, g.Seq-p.ourISS)
	case p.fin && (p.max.Less(g.End()) || g.Flags&FIN != 0 && g.End() != p.max):
		z.fail("its FIN was at %d", p.max-1-p.ourISS)
	case n > 1 && p.granted.Less(at.Add(n)):
		z.fail("%d bytes beyond the window", at.Add(n).Sub(p.granted))
	case n > 1 && p.met && size > max(uint32(z.c.snd.mss), uint32(z.c.mtu.size), uint32(z.c.mtu.most)):
		z.fail("%d bytes in a segment", size)
	}
	want := make([]byte, n)
	fill(want, uint32(at-p.ourISS-1), ourPattern)
	if !bytes.Equal(want, g.Text) {
		z.fail("what is sent at %d is not what was written", at-p.ourISS)
	}
	p.max = seq.Max(p.max, g.End())
	p.fin = p.fin || g.Flags&FIN != 0
}

// acknowledged checks ACK, SACK and window.
func (p *peer) acknowledged(z *fuzzed, g *Segment) {
	switch {
	case p.ackable.Less(g.Ack) || !p.iss.Less(g.Ack):
		z.fail("it acknowledges %d, and %d is all that has come", g.Ack-p.iss, p.ackable-p.iss)
	case p.acked != 0 && g.Ack.Less(p.acked):
		z.fail("the ACK goes back from %d to %d", p.acked-p.iss, g.Ack-p.iss)
	}
	p.acked = g.Ack
	for _, b := range g.Options.SACK[:g.Options.Blocks] {
		have, ok := p.came.holding(b.From)
		if !b.From.Less(b.To) || !b.To.LessEq(p.ackable) && !(ok && b.To.LessEq(have.To)) {
			z.fail("it selects %d..%d, and that has not come", b.From-p.iss, b.To-p.iss)
		}
	}
	unit := uint32(1)
	if g.Flags&SYN == 0 {
		unit <<= z.c.rcv.scale
	}
	right := g.Ack.Add(uint32(g.Window) * unit)
	if right.Add(unit-1).Less(p.edge) && g.Flags&SYN == 0 && !z.c.is(factFinRcvd) {
		z.fail("the right edge goes back from %d to %d", p.edge-p.iss, right-p.iss)
	}
	p.edge = seq.Max(p.edge, right)
}

// receive takes what has come in order, and notes what has not.
func (p *peer) receive(g *Segment) {
	p.last.Options.TSEcr = g.Options.TSVal
	from, to := g.Seq, g.End()
	if g.Flags&SYN != 0 && p.rcv == p.ourISS+1 {
		from++
	}
	if !from.Less(to) || to.LessEq(p.rcv) {
		return
	}
	p.beyond.add(Block{seq.Max(from, p.rcv), to}, 1<<20)
	p.rcv = p.beyond.fill(p.rcv)
}

// answered checks what a segment is answered with that is not of the connection's stream (section 3.10.7.1).
func (p *peer) answered(z *fuzzed, g *Segment) {
	if !z.x.ReplyDue {
		return
	}
	r := z.x.Reply
	z.x.ReplyDue, z.x.Reply = false, Segment{}
	z.log.out(z, &r)
	switch {
	case g.Flags&RST != 0 || r.Flags&RST == 0:
		z.fail("%v is answered with %v", g.Flags, r.Flags)
	case g.Flags&ACK != 0 && (r.Seq != g.Ack || r.Flags != RST):
		z.fail("an ACK of %d is answered with %v at %d", g.Ack-p.ourISS, r.Flags, r.Seq-p.ourISS)
	case g.Flags&ACK == 0 && (r.Seq != 0 || r.Ack != g.End() || r.Flags != RST|ACK):
		z.fail("%v at %d, of %d: answered with %v, %d, ack %d", g.Flags, g.Seq, g.Len(), r.Flags, r.Seq, r.Ack)
	}
}

// deliver has a segment arrive, as a stack would.
func (z *fuzzed) deliver(g Segment) {
	z.peer.pattern(&g)
	whole := g // Input trims it
	if !z.open {
		z.unowned(g)
		return
	}
	if z.c.Over() {
		return // a RST is owed; then there is no connection
	}
	if _, ok := z.c.Reusable(&g); ok && z.listen {
		z.log.note("a new incarnation")
		z.c.Reincarnate(z.x, z.now)
		z.settle()
		z.unowned(g)
		return
	}
	z.log.in(z, &g)
	var o Out
	if z.c.ACKBefore(&g) && z.c.OutputACK(z.x, z.now, &o) {
		z.peer.take(z, &o)
	}
	z.peer.notice(z, &g)
	z.arrived++
	owed := z.c.rcv.acks
	d := z.c.Input(z.x, z.now, &g)
	if d != DropNone && whole.Len() == 0 && z.c.rcv.acks > owed {
		z.challenged(d)
	}
	z.peer.noticed(z, &whole)
	z.peer.answered(z, &whole)
	if z.eager {
		z.take(1 << 30)
	}
	z.c.Store(z.x)
	z.skipRead()
}

// challenged takes note of an ACK that answers a segment of no length which was not taken. Two hosts that answer each other's
// so would never end (RFC 5961 section 7).
func (z *fuzzed) challenged(d Drop) {
	if z.now < z.challenge {
		z.fail("%v is answered, and the last such answer was less than half a second ago", d)
	}
	z.challenge = z.now.Add(challengeInterval)
}

// unowned is a segment for no connection: a listener's, or nobody's.
func (z *fuzzed) unowned(g Segment) {
	if z.listen {
		if _, open := InputListen(z.x, &g); open {
			z.openPassive(Open{ISS: z.peer.ourISS, TSOffset: 77, FastOpen: true}, g)
			return
		}
	} else if r, ok := ResetFor(&g); ok {
		z.x.reply(r)
	}
	z.log.in(z, &g)
	z.peer.answered(z, &g)
}
