package tcp

import "github.com/tcpd-project/tcpd/pkg/seq"

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
