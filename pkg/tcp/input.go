package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Input is SEGMENT ARRIVES (RFC 9293 section 3.10.7) for a connection past LISTEN. The checksum has been verified and
// the ports are the connection's. It returns why the segment was not taken, or DropNone.
//
// Text that arrives in order is left where it lies when nothing unread is before it: Unread shows it, and Store must
// be called before the segment's bytes go.
func (c *Conn) Input(x *Env, now mono.Time, g *Segment) Drop {
	c.count.segsIn += uint32(max(g.Parts, 1))
	if c.predicted(x, now, g) {
		return DropNone
	}
	if !c.is(factSynRcvd) {
		return c.inputSynSent(x, now, g)
	}
	return c.inputOther(x, now, g)
}

// predicted is the header prediction: the established connection's next segment, with nothing about it to think
// over. It never asks the machine.
func (c *Conn) predicted(x *Env, now mono.Time, g *Segment) bool {
	const odd = SYN | FIN | RST | URG | ACK
	switch {
	case !c.is(factPredict) || g.Flags&odd != ACK || !c.ecnExpected(g.Flags) || g.Seq != c.rcv.nxt || c.is(factFinSeen):
		return false
	case !g.Ack.In(c.snd.una, c.outstanding()+1) || c.rcv.holes != 0 || g.Options.Blocks != 0 || g.Options.Has&HasUserTimeout != 0 || g.ECN == ce:
		return false
	case uint32(len(g.Text)) > c.rcv.adv.Sub(c.rcv.nxt):
		return false
	case g.Ack == c.snd.una && len(g.Text) == 0: // a duplicate ACK, a window update, or a keep-alive's answer
		return false
	case c.is(factTimestamps) && !c.freshTimestamp(now, g):
		return false
	}
	c.noteTimestamp(now, g)
	c.alive(x, now)
	c.updateWindow(x, g)
	if g.Ack != c.snd.una {
		c.acknowledged(x, now, g, false)
	}
	if len(g.Text) > 0 {
		c.take(x, now, g)
	}
	return true
}

// inputSynSent is section 3.10.7.3: SYN-SENT, where their SYN has not been seen.
func (c *Conn) inputSynSent(x *Env, now mono.Time, g *Segment) Drop {
	// First, check the ACK bit.
	acceptable := g.Flags&ACK != 0 && c.snd.una.Less(g.Ack) && g.Ack.LessEq(c.snd.nxt)
	if g.Flags&ACK != 0 && !acceptable {
		if g.Flags&RST == 0 {
			c.replyRST(x, g)
			c.fireQuietly(x, now, fsm.BadAck)
		}
		return DropFutureACK
	}
	// Second, check the RST bit.
	if g.Flags&RST != 0 {
		if !acceptable {
			return DropRST
		}
		c.fire(x, now, fsm.RcvRST)
		return DropNone
	}
	// Fourth, check the SYN bit. Fifth, drop what has neither SYN nor RST.
	if g.Flags&SYN == 0 {
		return DropSynSent
	}
	c.synReceived(x, now, g)
	if !acceptable {
		// Simultaneous open. Text and FIN of this segment stay unacknowledged: the peer sends them again when
		// the connection is open.
		c.fire(x, now, fsm.RcvSYN)
		return DropNone
	}
	c.synAcknowledged(x, now, g)
	c.fire(x, now, fsm.RcvSYNACK)
	c.earlyAnswered(x, now, g)
	c.urgentIn(g)
	g.Seq++ // past the SYN: what is left is handled by the sixth and later steps of section 3.10.7.4
	c.text(x, now, g)
	return DropNone
}

// synReceived notes what the peer's SYN says: RCV.NXT passes it.
func (c *Conn) synReceived(x *Env, now mono.Time, g *Segment) {
	c.set(factSynRcvd)
	promised := c.rcv.adv.Sub(c.rcv.nxt) // by our SYN, if there was one
	c.rcv.irs, c.rcv.nxt = g.Seq, g.Seq+1
	c.rcv.read, c.rcv.kept, c.rcv.stored, c.rcv.acked = c.rcv.nxt, c.rcv.nxt, c.rcv.nxt, c.rcv.nxt
	c.rcv.adv = c.rcv.nxt.Add(max(promised, c.synWindow()))
	c.tune = tuning{from: c.rcv.nxt, at: now}
	c.negotiate(x, &g.Options)
	c.ecnNegotiate(x, g)
	c.snd.wnd, c.snd.maxWnd = uint32(g.Window), uint32(g.Window) // never scaled on a SYN
	c.snd.wl1, c.snd.wl2 = g.Seq, g.Ack
	if c.is(factTimestamps) {
		c.ts.recent, c.ts.at = g.Options.TSVal, now
	}
	c.alive(x, now)
}

// inputOther is section 3.10.7.4: the states past SYN-SENT, step by step.
func (c *Conn) inputOther(x *Env, now mono.Time, g *Segment) Drop {
	if d, done := c.repeats(x, now, g); done {
		return d
	}
	// First, check the sequence number, and the timestamp before it (RFC 7323 section 5.3, R1).
	if c.is(factTimestamps) && g.Flags&RST == 0 && !c.freshTimestamp(now, g) {
		c.duplicateText(g)
		c.answerStray(x, now, g)
		return DropPAWS
	}
	if !c.acceptable(g) {
		return c.unacceptable(x, now, g)
	}
	// Second, check the RST bit.
	if g.Flags&RST != 0 {
		if g.Seq != c.rcv.nxt {
			c.fire(x, now, fsm.BadRST)
			return DropBlindRST
		}
		c.fire(x, now, fsm.RcvRST)
		return DropNone
	}
	// Fourth, check the SYN bit.
	if g.Flags&SYN != 0 {
		if c.is(factEarly) && !c.is(factSynAcked) {
			c.challengeACK(x, now) // somebody holds the connection: it is not for a stranger to end it
		} else {
			c.fire(x, now, fsm.BadSYN)
		}
		return DropBlindSYN
	}
	// Fifth, check the ACK field.
	if g.Flags&ACK == 0 {
		return DropNoACK
	}
	if c.credible(g) {
		c.noteTimestamp(now, g)
		c.alive(x, now)
		c.takeUserTimeout(x, &g.Options)
		c.ecnMarked(g)
		c.ecnEchoed(x, now, g)
	}
	if d := c.ack(x, now, g); d != DropNone || c.is(factReleased) {
		return d
	}
	// Sixth, check the URG bit. Seventh, process the text. Eighth, check the FIN bit.
	c.urgentIn(g)
	return c.text(x, now, g)
}

// repeats answers the SYN or the FIN that we have already taken, both of which fail the sequence number test but
// say more than a stray segment: our answer was lost.
func (c *Conn) repeats(x *Env, now mono.Time, g *Segment) (Drop, bool) {
	const kinds = SYN | ACK | RST
	if !c.is(factSynAcked) && g.Seq == c.rcv.irs {
		switch kind := g.Flags & kinds; {
		case kind == SYN:
			if c.mayChallenge(x, now) {
				c.fire(x, now, fsm.RcvOldSYN)
			}
			return DropRepeatedSYN, true
		case kind == SYN|ACK && !c.is(factPassive): // Figure 7 line 6: what is left without the SYN acknowledges ours
			g.Seq++
			g.Flags &^= SYN
			g.Window >>= c.snd.scale // a SYN's is not scaled (RFC 7323 section 2.2); what is left is no SYN
		}
	}
	if c.is(factFinRcvd) && g.Flags&(FIN|RST|SYN) == FIN && g.End() == c.rcv.nxt {
		if g.Flags&ACK != 0 && c.snd.una.Less(g.Ack) && g.Ack.LessEq(c.snd.nxt) {
			c.alive(x, now)
			c.ack(x, now, g) // the peer may not know that we saw its FIN, and yet have seen ours
		}
		if !c.is(factReleased) {
			c.fire(x, now, fsm.RcvOldFIN)
		}
		return DropRepeatedFIN, true
	}
	return DropNone, false
}

// unacceptable answers a segment that fails the sequence number test.
func (c *Conn) unacceptable(x *Env, now mono.Time, g *Segment) Drop {
	// With the window closed nothing is acceptable, and still a valid ACK must be taken, a RST and urgent news (MUST-66,
	// section 3.4); so must the ACK of a peer who probes our window and does not know yet that we have taken the octet of
	// the probe. Two that do so at once would else never hear each other again.
	closed := g.Seq == c.rcv.nxt && c.rcv.adv == c.rcv.nxt
	if g.Flags&RST != 0 {
		if !closed {
			return DropSequence
		}
		c.fire(x, now, fsm.RcvRST)
		return DropNone
	}
	if g.Flags&SYN != 0 && c.is(factAccECN) && !c.is(factPassive) {
		c.set(factTellSYN) // the SYN,ACK again: its answer was lost
	}
	c.duplicateText(g)
	probes := g.Seq+1 == c.rcv.nxt && len(g.Text) <= 1 && g.Flags&FIN == 0 && c.is(factSynAcked)
	if (closed || probes) && g.Flags&(ACK|SYN) == ACK {
		c.noteTimestamp(now, g)
		c.alive(x, now)
		if d := c.ack(x, now, g); d != DropNone || c.is(factReleased) {
			return d
		}
		if closed {
			c.urgentIn(g)
		}
	}
	c.answerStray(x, now, g)
	return DropSequence
}

// duplicateText notes the text of a segment that is not taken, as far as it has come before.
func (c *Conn) duplicateText(g *Segment) {
	if len(g.Text) > 0 && g.Seq.Less(c.rcv.nxt) {
		c.duplicate(g.Seq, seq.Min(g.Seq.Add(uint32(len(g.Text))), c.rcv.nxt))
	}
}

// answerStray acknowledges a segment that is not taken. Segments without text are answered under a limit: two hosts
// that find each other's ACKs unacceptable would never end (RFC 5961 section 7 in spirit).
func (c *Conn) answerStray(x *Env, now mono.Time, g *Segment) {
	asks := g.Len() > 0 && g.Flags&SYN == 0 && !c.is(factFinAcked|factFinRcvd) // TIME-WAIT answers late segments under the limit, too
	if asks || c.mayChallenge(x, now) {
		c.fire(x, now, fsm.BadSeq)
	}
}

// fireQuietly is fire for an event whose only order, a RST that answers the segment, has been built already.
func (c *Conn) fireQuietly(x *Env, now mono.Time, e fsm.Event) {
	c.fire(x, now, e)
	c.unset(factSendRST)
}
