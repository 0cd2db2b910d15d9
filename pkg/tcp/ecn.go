package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// ECN is whether a connection uses Explicit Congestion Notification (RFC 3168), and whether it asks for accurate feedback
// of it (AccECN, RFC 9768). A peer that asks for either gets it, unless it is off.
type ECN uint8

// The choices; Linux's tcp_ecn 5, 0, 1 and 3.
const (
	ECNPassive ECN = iota // when the peer asks for it
	ECNOff
	ECNOn       // asking for it as in RFC 3168, too
	ECNAccurate // asking for AccECN, too; the peer may fall back to RFC 3168
)

// The codepoints of the IP header's ECN field (RFC 3168 section 5).
const (
	notECT = 0
	ect1   = 1
	ect0   = 2
	ce     = 3
)

// aceField are the three bits that RFC 3168 uses one by one and AccECN as a counter (RFC 9768 section 3.2).
const aceField = AE | CWR | ECE

func ace(f Flags) uint8 { return uint8((f & aceField) >> 6) }

func aceFlags(n uint8) Flags { return Flags(n&7) << 6 & aceField }

// accECN is what AccECN counts, of each counter the bits that the ACE field has.
type accECN struct {
	received uint8 // r.cep: segments that came with CE
	acked    uint8 // s.cep: segments of ours that the peer has seen with CE
	syn      uint8 // the codepoint that the peer's SYN or SYN,ACK came with
}

// firstCEP is what the counters begin at, so that a field that a middlebox has cleared shows (RFC 9768 section 3.2.1).
const firstCEP = 5

// Both ways to say in a SYN,ACK, or in the ACK of one, with which codepoint the SYN or SYN,ACK came (RFC 9768 Tables 2
// and 3).
var (
	aceOfCodepoint = [4]uint8{notECT: 0b010, ect1: 0b011, ect0: 0b100, ce: 0b110}
	codepointOfACE = [8]int8{-1, -1, 0b010: notECT, 0b011: ect1, 0b100: ect0, 0b101: -1, 0b110: ce, 0b111: -1}
)

// ecnOffer is what our SYN or SYN,ACK says of ECN (RFC 3168 section 6.1.1, RFC 9768 section 3.1.1).
func (c *Conn) ecnOffer(x *Env) Flags {
	switch {
	case c.is(factSynRcvd | factAccECN):
		return aceFlags(aceOfCodepoint[c.acc.syn])
	case c.is(factSynRcvd) && c.is(factECN):
		return ECE
	case c.is(factSynRcvd) || c.retries > 0: // a middlebox may drop such SYNs
		return 0
	}
	switch c.Settings(x).ECN {
	case ECNOn:
		return ECE | CWR
	case ECNAccurate:
		return AE | ECE | CWR
	}
	return 0
}

// ecnNegotiate takes what the peer's SYN or SYN,ACK says.
func (c *Conn) ecnNegotiate(x *Env, g *Segment) {
	set := c.Settings(x).ECN
	if set == ECNOff {
		return
	}
	c.acc = accECN{received: firstCEP, acked: firstCEP, syn: g.ECN}
	if g.ECN == ce {
		c.acc.received++
	}
	if g.Flags&ACK != 0 {
		c.ecnAnswer(set, g)
		return
	}
	switch g.Flags & aceField {
	case 0:
	case CWR | ECE:
		c.set(factECN)
	default: // also what a later standard may come to mean (RFC 9768 section 3.1.3)
		c.set(factECN | factAccECN)
	}
}

// ecnAnswer takes what a SYN,ACK says, in answer to a SYN of ours that asked (RFC 9768 Table 2). A SYN is sent without
// ECT: one that has come with another codepoint was tampered with, so that ours mean nothing (section 3.2.2.3).
func (c *Conn) ecnAnswer(set ECN, g *Segment) {
	field := ace(g.Flags)
	switch {
	case set == ECNAccurate && codepointOfACE[field] >= 0:
		c.set(factECN | factAccECN | factTellSYN)
		if codepointOfACE[field] != notECT {
			c.set(factNoECT)
		}
		if field == aceOfCodepoint[ce] {
			c.acc.acked++
		}
	case set == ECNAccurate && field == 0b101, set != ECNPassive && field == ace(ECE):
		c.set(factECN)
	}
}

// ecnEstablish takes what the last ACK of a passive open says of our SYN,ACK (RFC 9768 section 3.2.2.1, Table 4).
func (c *Conn) ecnEstablish(g *Segment) {
	if !c.is(factAccECN|factPassive) || g.Flags&SYN != 0 {
		return
	}
	switch ace(g.Flags) {
	case 0, aceOfCodepoint[ect0], aceOfCodepoint[ect1]:
		c.set(factNoECT) // cleared, or tampered with on the way
	case aceOfCodepoint[ce]:
		c.acc.acked++
		c.set(factNoECT)
	}
	g.Flags = g.Flags&^aceField | aceFlags(c.acc.acked) // from here on it is read as a counter
}

// ecnMarked is the receiver's part: with RFC 3168 ACKs echo a mark until the sender says that it has slowed down (section
// 6.1.3), with AccECN they count marks, and each is told of at once (RFC 9768 section 3.2.2.5.1).
func (c *Conn) ecnMarked(g *Segment) {
	switch {
	case !c.is(factECN):
	case c.is(factAccECN):
		if g.ECN == ce {
			c.acc.received += uint8(max(g.Parts, 1)) & 7
			c.ackNow()
		}
	default:
		if g.Flags&CWR != 0 {
			c.unset(factEcho)
		}
		if g.ECN == ce {
			if !c.is(factEcho) {
				c.ackNow()
			}
			c.set(factEcho)
		}
	}
}

// ecnEchoed is the sender's part of RFC 3168 (section 6.1.2): the peer has seen a mark. It comes before what the segment
// acknowledges, which is not to let cwnd grow.
func (c *Conn) ecnEchoed(x *Env, now mono.Time, g *Segment) {
	if c.is(factECN|factSynAcked) && !c.is(factAccECN) && g.Flags&ECE != 0 {
		c.slowDown(x, now, seq.Max(c.snd.una, g.Ack), c.outstanding())
	}
}

// ecnCounted is the sender's part of AccECN, for an acknowledgment of something new: others may be late, and their counters
// old (RFC 9768 section 3.2.2.5.2). Whether it covers so much that the counter may have gone round is not guessed at: where
// superframes are acknowledged whole, that would be always.
func (c *Conn) ecnCounted(x *Env, now mono.Time, g *Segment, a *acked) {
	if !c.is(factAccECN) || g.Flags&SYN != 0 {
		return
	}
	if n := ace(g.Flags); n != c.acc.acked&7 {
		c.acc.acked = n
		c.slowDown(x, now, c.snd.una, c.outstanding()+a.bytes)
	}
}

// slowDown answers marks: one reduction a window, and none beside that of a loss. The window is over when something that
// was sent after it is acknowledged: only then has the peer heard of CWR, and ceased to echo. acked is what is acknowledged
// now, flight what was in flight before that.
func (c *Conn) slowDown(x *Env, now mono.Time, acked seq.Num, flight uint32) {
	if c.any(factRecovery|factLoss) || c.is(factReduced) && acked.LessEq(c.snd.reduced) {
		return
	}
	c.Settings(x).Congestion.Loss(&c.cw, now, cc.Episode{Flight: min(flight, c.cw.Cwnd), ECN: true})
	if !c.cw.Owns {
		c.cw.Cwnd = min(c.cw.Cwnd, c.cw.Ssthresh)
	}
	c.snd.reduced = c.snd.nxt
	c.unset(factUndo)
	c.set(factReduced)
	c.tell(x, IncidentMarked)
	if !c.is(factAccECN) {
		c.set(factCWR)
	}
}

// ecnMark sets the ECN field of new text, and says once that we have slowed down. CWR goes on a segment of its own: a
// superframe would repeat it.
func (c *Conn) ecnMark(o *Out) {
	if !c.is(factECN) || c.is(factNoECT) || len(o.Body[0]) == 0 {
		return
	}
	o.ECN = ect0
	if c.is(factCWR) && o.GSOSize == 0 {
		c.unset(factCWR)
		o.Flags |= CWR
	}
}

// ecnFlags is what every segment but a SYN and a RST says. The first after a SYN,ACK, and each that answers a repeated one,
// tells with which codepoint it came.
func (c *Conn) ecnFlags() Flags {
	switch {
	case c.is(factAccECN | factTellSYN):
		c.unset(factTellSYN)
		return aceFlags(aceOfCodepoint[c.acc.syn])
	case c.is(factAccECN):
		return aceFlags(c.acc.received)
	case c.is(factEcho):
		return ECE
	}
	return 0
}

// ecnSplits reports that text must go as single segments: of the segments of a superframe only the first keeps CWR, which
// is a bit of the counter, too.
func (c *Conn) ecnSplits() bool {
	return c.is(factCWR) || c.is(factAccECN|factTellSYN) || c.is(factAccECN) && aceFlags(c.acc.received)&CWR != 0
}

// ecnExpected is the ECN bits of a segment about which there is nothing to think over.
func (c *Conn) ecnExpected(f Flags) bool {
	if c.is(factAccECN) {
		return ace(f) == c.acc.acked&7
	}
	return f&(ECE|CWR) == 0
}
