package tcp

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

func printed(format string, args ...any) string { return fmt.Sprintf(format, args...) }

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

// The kinds of segments: what a peer sends, and what comes late, or in disorder, or of an attacker.
const (
	kindACK = iota
	kindText
	kindTextFIN
	kindFIN
	kindSYN
	kindSYNACK
	kindRST
	kindRSTACK
	kindKeepAlive
	kindBeyond // text beyond a hole
	kindOld    // text again
	kindGap    // text where the first hole is
	kindUrgent
	kindSACK      // blocks that lie, or nearly
	kindDuplicate // an ACK of what was acknowledged
	kindWindow
	numSegmentKinds
)

// mutated draws a segment, and up to three mutations.
func (z *fuzzed) mutated() Segment {
	kind, v, n := z.byte(), z.byte(), z.byte()&3
	g := z.peer.kind(kind%numSegmentKinds, v)
	if kind&128 != 0 && len(g.Text) > 0 { // a superframe
		g.Text = make([]byte, min(16*len(g.Text), 60000))
		g.Parts = uint16(1 + len(g.Text)/1000)
	}
	for range n {
		z.mutate(&g)
	}
	return g
}

// pattern makes the text what the peer's stream has there.
func (p *peer) pattern(g *Segment) {
	at := g.Seq - p.iss - 1
	if g.Flags&SYN != 0 {
		at++
	}
	if g.Flags&SYN != 0 && !p.met {
		at = 0 // the stream is to begin here
	}
	g.Text = append([]byte(nil), g.Text...)
	fill(g.Text, uint32(at), theirPattern)
}

func (p *peer) kind(kind, v byte) Segment {
	n := 1 + 6*int(v)
	switch kind {
	case kindText:
		return p.segment(ACK|PSH, n)
	case kindTextFIN:
		return p.segment(ACK|FIN, n)
	case kindFIN:
		return p.segment(ACK|FIN, 0)
	case kindSYN:
		return p.segment(SYN, int(v&1)*n)
	case kindSYNACK:
		return p.segment(SYN|ACK, int(v&1)*n)
	case kindRST:
		return p.segment(RST, 0)
	case kindRSTACK:
		return p.segment(RST|ACK, int(v&1)*n)
	case kindKeepAlive:
		return p.at(p.segment(ACK, int(v&1)), -1)
	case kindBeyond:
		return p.at(p.segment(ACK, n), 100+int32(v)*50)
	case kindOld:
		return p.at(p.segment(ACK, n), -int32(v)*4)
	case kindGap:
		return p.at(p.segment(ACK, n), int32(p.ackable-p.nxt))
	case kindUrgent:
		g := p.segment(ACK|URG|PSH, n)
		g.Urgent = uint16(v)
		return g
	case kindSACK:
		return p.lie(v)
	case kindDuplicate:
		g := p.segment(ACK, 0)
		g.Ack = p.last.Ack
		return g
	case kindWindow:
		g := p.segment(ACK, 0)
		g.Window = uint16(v) * 257
		return g
	}
	return p.segment(ACK, 0)
}

// at moves a segment.
func (p *peer) at(g Segment, by int32) Segment {
	g.Seq += seq.Num(by)
	return g
}

// lie is an ACK whose blocks select what lies below the end of all that was sent.
func (p *peer) lie(v byte) Segment {
	g := p.segment(ACK, 0)
	g.Ack = p.last.Ack
	g.Options.Blocks = 1 + v&1
	size := 1 + uint32(v>>4)*300
	to := p.max - seq.Num(uint32(v>>1&7)*400)
	g.Options.SACK[0], g.Options.SACK[1] = Block{to - seq.Num(size), to}, Block{to - seq.Num(3*size), to - seq.Num(2*size)}
	return g
}

// mutate changes a field, an option, or a byte of the header.
func (z *fuzzed) mutate(g *Segment) {
	o := &g.Options
	switch kind, v := z.byte()%15, z.byte(); kind {
	case 0:
		g.Seq += seq.Num(around(v))
	case 1:
		g.Ack += seq.Num(around(v))
	case 2:
		g.Flags ^= 1 << (v % 9)
	case 3:
		g.Window = [...]uint16{0, 1, 2, 65535, uint16(v), uint16(v) << 8}[v%6]
	case 4:
		g.Flags |= URG
		g.Urgent = uint16(around(v))
	case 5:
		*o = Options{}
	case 6:
		o.TSVal += uint32(around(v))
	case 7:
		o.TSEcr += uint32(around(v))
	case 8:
		o.Blocks = 1 + v&3
		at := z.c.snd.una + seq.Num(around(z.byte()))
		for i := range o.SACK[:o.Blocks] {
			o.SACK[i] = Block{at, at + seq.Num(around(z.byte()))}
			at = o.SACK[i].To + seq.Num(around(v))
		}
	case 9:
		g.Text = make([]byte, int(v)*8)
	case 10:
		g.ECN = v & 3
	case 11:
		g.Parts = uint16(v)
	case 12:
		o.Has ^= 1 << (v % 6)
		o.MSS, o.WindowScale, o.UserTimeout = uint16(v)<<(v&7), v&15, uint16(v)<<8
		o.FastOpen = FastOpenCookie{Len: v & 8}
	default:
		z.onTheWire(g, kind == 13, v)
	}
}

// onTheWire puts the segment, spoils a byte of its header or adds any option, and parses it. What does not parse is left
// as it was: it would not reach the connection.
func (z *fuzzed) onTheWire(g *Segment, add bool, v byte) {
	var b [2*MaxHeaderLen + 40]byte
	if o := &g.Options; o.Blocks > 2 || g.Flags&SYN != 0 || o.Has&^HasTimestamps != 0 {
		o.Blocks, o.SACK = 0, [4]Block{}
		o.Has &= HasTimestamps | HasMSS | HasWindowScale
	}
	n := g.Put(b[:], 0)
	if add {
		length := z.byte()
		b[n], b[n+1] = v, length
		for i := 2; i < int(length%20); i++ {
			b[n+i] = z.byte()
		}
		n = min(MaxHeaderLen, (n+max(2, int(length%20))+3)&^3)
		b[12] = b[12]&15 | byte(n/4)<<4
	} else {
		b[int(v)%n] ^= z.byte()
	}
	text, ecn, parts := g.Text, g.ECN, g.Parts
	again := Segment{}
	if again.Parse(b[:n]) == DropNone {
		*g = again
		g.Text, g.ECN, g.Parts = text, ecn, parts
	}
}

// replay has an earlier segment arrive again, a copy or one that has been changed.
func (z *fuzzed) replay() {
	i, n := z.byte(), z.byte()&1
	g := z.peer.past[i%byte(len(z.peer.past))]
	for range n {
		z.mutate(&g)
	}
	z.deliver(g)
}

// transcript is what has happened, in the language of scripts; a nil one keeps nothing.
type transcript struct {
	lines []string
	at    mono.Time
}

func (l *transcript) text() string { return strings.Join(l.lines, "\n") }

func (l *transcript) note(format string, args ...any) {
	if l != nil {
		l.lines = append(l.lines, "// "+printed(format, args...))
	}
}

func (l *transcript) call(call string, result int) {
	if l != nil {
		l.lines = append(l.lines, printed("+0 %s = %d", call, result))
	}
}

func (l *transcript) in(z *fuzzed, g *Segment) {
	if l != nil {
		l.segment(z, '<', g, z.peer.iss, z.peer.ourISS)
	}
}

func (l *transcript) out(z *fuzzed, g *Segment) {
	if l != nil {
		l.segment(z, '>', g, z.peer.ourISS, z.peer.iss)
	}
}

// segment writes a packet with numbers from those of the two SYNs.
func (l *transcript) segment(z *fuzzed, direction byte, g *Segment, from, back seq.Num) {
	passed := mono.Duration(0)
	if l.at != 0 {
		passed = z.now.Sub(l.at)
	}
	l.at = z.now
	var b strings.Builder
	fmt.Fprintf(&b, "+%.6g %c ", float64(passed)/1e9, direction)
	flags := [...]string{"F", "S", "R", "P", ".", "U", "E", "W", "A"}
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 7, 8, 4} {
		if g.Flags&(1<<i) != 0 {
			b.WriteString(flags[i])
		}
	}
	if g.Flags == 0 {
		b.WriteByte('-')
	}
	at := g.Seq - from
	fmt.Fprintf(&b, " %d:%d(%d)", at, at.Add(uint32(len(g.Text))), len(g.Text))
	if g.Flags&ACK != 0 {
		fmt.Fprintf(&b, " ack %d", g.Ack-back)
	}
	fmt.Fprintf(&b, " win %d", g.Window)
	if g.Flags&URG != 0 {
		fmt.Fprintf(&b, " urg %d", g.Urgent)
	}
	if list := g.Options.words(back); len(list) > 0 {
		fmt.Fprintf(&b, " <%s>", strings.Join(list, ","))
	}
	if z.open && z.c.State() != fsm.Closed {
		fmt.Fprintf(&b, " // %v", z.c.State())
	}
	l.lines = append(l.lines, b.String())
}

// words are the options as a script has them.
func (o *Options) words(back seq.Num) (list []string) {
	if o.Has&HasMSS != 0 {
		list = append(list, printed("mss %d", o.MSS))
	}
	if o.Has&HasSACKPermitted != 0 {
		list = append(list, "sackOK")
	}
	if o.Has&HasTimestamps != 0 {
		list = append(list, printed("TS val %d ecr %d", o.TSVal, o.TSEcr))
	}
	if o.Has&HasWindowScale != 0 {
		list = append(list, "nop", printed("wscale %d", o.WindowScale))
	}
	if o.Blocks > 0 {
		text := "sack"
		for _, s := range o.SACK[:o.Blocks] {
			text += printed(" %d:%d", s.From-back, s.To-back)
		}
		list = append(list, "nop", "nop", text)
	}
	if o.Has&HasUserTimeout != 0 {
		list = append(list, printed("kind 28 %04x", o.UserTimeout))
	}
	if o.Has&HasFastOpen != 0 {
		list = append(list, strings.TrimSpace(printed("FO %x", o.FastOpen.Bytes[:o.FastOpen.Len])))
	}
	return list
}
