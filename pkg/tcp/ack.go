package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// ack is the fifth step of section 3.10.7.4. It returns why the segment must go no further, or DropNone.
func (c *Conn) ack(x *Env, now mono.Time, g *Segment) Drop {
	if !c.is(factSynAcked) {
		// SYN-RECEIVED: SND.UNA < SEG.ACK =< SND.NXT, or it acknowledges nothing of ours.
		if !c.snd.una.Less(g.Ack) || !g.Ack.LessEq(c.snd.nxt) {
			return c.badAckOfSYN(x, now, g)
		}
		c.synAcknowledged(x, now, g)
		c.ecnEstablish(g)
		c.fire(x, now, fsm.SYNAcked)
		if !c.is(factPassive) {
			c.earlyAnswered(x, now, g)
		}
		if c.is(factCloseDue) {
			c.unset(factCloseDue)
			c.fire(x, now, fsm.Close) // withheld in SYN-RECEIVED (section 3.10.4)
		}
	}
	if !c.credible(g) {
		c.fire(x, now, fsm.BadAck)
		if c.snd.nxt.Less(g.Ack) {
			return DropFutureACK
		}
		return DropOldACK
	}
	if g.Ack.Less(c.snd.una) {
		c.acknowledged(x, now, g, false) // an old duplicate: its text may still be new, and what it selects
		return DropNone
	}
	repeated := g.Ack == c.snd.una && g.Len() == 0 && c.sameWindow(g) && c.outstanding() > 0
	c.updateWindow(x, g)
	c.acknowledged(x, now, g, repeated)
	return DropNone
}

// credible reports that the segment's ACK is of something that was sent, and not long ago (RFC 5961 section 5). Whoever
// guesses a number in the window does not know this one, too: nothing else that his segment says is to be believed either.
func (c *Conn) credible(g *Segment) bool {
	return g.Ack.LessEq(c.snd.nxt) && !g.Ack.Less(c.snd.una-seq.Num(c.snd.maxWnd))
}

// badAckOfSYN answers an ACK that does not cover our SYN while it is outstanding.
func (c *Conn) badAckOfSYN(x *Env, now mono.Time, g *Segment) Drop {
	c.replyRST(x, g)
	e := fsm.BadAck
	if c.is(factFinQueued) {
		e = fsm.BadAckEarly
	}
	c.fireQuietly(x, now, e)
	return DropFutureACK
}

// synAcknowledged is the crossing of SND.UNA over our SYN: text may flow.
func (c *Conn) synAcknowledged(x *Env, now mono.Time, g *Segment) {
	c.set(factSynAcked)
	c.icmp = ICMPError{}
	if c.rtt.at != 0 { // a cookie does not know
		x.Totals.Handshake.Add(now.Sub(c.rtt.at))
	}
	c.snd.una = c.snd.iss + 1
	c.rack.fack = c.snd.una
	if c.is(factTimed) {
		c.rtt.sample(now.Sub(c.rtt.at))
		c.unset(factTimed)
	} else if c.retries > 0 {
		c.echoed(now, g) // of the SYN sent again
	}
	c.openWindow(x, now)
	c.retries, c.backoff = 0, 0
	c.timer[timerRetransmit] = 0
	// Section 3.10.7.4 fifth: SND.WND, WL1 and WL2 from this segment. A SYN's window is not scaled.
	if g.Flags&SYN == 0 {
		c.snd.wnd = uint32(g.Window) << c.snd.scale
		c.snd.maxWnd = max(c.snd.maxWnd, c.snd.wnd)
	}
	c.snd.wl1, c.snd.wl2 = g.Seq, g.Ack
	if c.stalled = now; c.snd.una != c.snd.nxt {
		c.armRetransmit(x, now) // text went before
	}
	c.tellUserTimeout(x) // once more: what the SYN said may have been forgotten for a cookie
	c.armKeepAlive(x, now)
}

// openWindow starts congestion control, once the MSS is known. A SYN that was lost twice says that the path is full
// (RFC 5681 section 3.1; RFC 6928 section 2 excuses the first time).
func (c *Conn) openWindow(x *Env, now mono.Time) {
	c.cw = cc.Window{MSS: uint32(c.snd.mss)}
	c.Settings(x).Congestion.Open(&c.cw, now)
	if c.retries > 1 {
		c.cw.Cwnd = c.cw.MSS
	}
}

func (c *Conn) sameWindow(g *Segment) bool { return uint32(g.Window)<<c.snd.scale == c.snd.wnd }

// updateWindow is the window update of the fifth step: not from a segment older than the last (WL1, WL2). One that
// acknowledges more is newer whatever its SEQ, as Linux has it: text sent again brings an old SEQ and a new ACK, and
// SND.WND, which counts from SND.UNA, would else move right with it, beyond what was granted. When a closed window
// opens, what was sent into it is sent again: the peer had no room for it.
func (c *Conn) updateWindow(x *Env, g *Segment) {
	if !c.snd.una.Less(g.Ack) && !c.snd.wl1.Less(g.Seq) && !(c.snd.wl1 == g.Seq && c.snd.wl2.LessEq(g.Ack)) {
		return
	}
	if (c.snd.wnd == 0) != (g.Window == 0) {
		c.tell(x, windowIncident(g))
	}
	if c.snd.wnd == 0 && g.Window != 0 {
		c.backoff = 0 // it was of probes, which were answered: nothing has been lost (section 3.8.6.1, and Linux)
	}
	opens := c.snd.wnd == 0 && g.Window != 0 && g.Ack == c.snd.una && c.snd.flight != 0
	c.snd.wnd = uint32(g.Window) << c.snd.scale
	c.snd.maxWnd = max(c.snd.maxWnd, c.snd.wnd)
	c.snd.wl1, c.snd.wl2 = g.Seq, g.Ack
	if opens {
		c.loseAll(x)
	}
}

func windowIncident(g *Segment) Incident {
	if g.Window == 0 {
		return IncidentWindowClosed
	}
	return IncidentWindowOpened
}

// acknowledged takes what the segment's ACK, in [SND.UNA, SND.NXT], and its SACK blocks say. repeated tells that it
// is a duplicate ACK (RFC 5681 section 2).
func (c *Conn) acknowledged(x *Env, now mono.Time, g *Segment, repeated bool) {
	a := acked{prior: c.pipe(x)}
	prior := c.snd.una
	if prior.Less(g.Ack) {
		c.advance(x, now, g, g.Ack, &a)
		a.bytes = g.Ack.Sub(prior)
		c.snd.una = g.Ack
		c.snd.small = seq.Max(c.snd.small, g.Ack)
		c.count.bytesOut += uint64(a.bytes)
		x.Totals.BytesOut += uint64(a.bytes)
		c.retries = 0
	}
	c.takeSACK(x, now, g, prior, &a)
	if !c.is(factSACK) {
		c.imagineSACK(&a, repeated)
	}
	if a.new == 0 && a.bytes == 0 && !a.dsack {
		c.probeDuplicate(g)
		return
	}
	c.judge(x, now, g, &a)
	if a.bytes > 0 {
		c.progress(x, now)
	}
}

// progress follows SND.UNA's move: the timers, the send ring, the writer who waits for room, our FIN.
func (c *Conn) progress(x *Env, now mono.Time) {
	c.icmp = ICMPError{}
	if c.snd.una == c.snd.nxt {
		c.timer[timerRetransmit], c.timer[timerTail] = 0, 0 // RFC 6298 (5.2)
		c.unset(factProbe | factTail)
	} else {
		c.stalled = now
		c.armRetransmit(x, now)
		c.armProbeTimer(x, now)
	}
	if c.is(factLetGo) {
		c.timer[timerWait] = now.Add(c.Settings(x).OrphanTimeout)
	}
	if c.snd.una == c.snd.end && c.snd.ring != 0 && !x.Memory.ring(c.snd.ring).shared {
		x.Memory.detach(&c.snd.ring)
	}
	c.forgetMarks(x)
	c.tuneSend(x)
	c.refill(x)
	if c.is(factStarved) && c.Space() >= int(c.snd.buf)/3 {
		c.unset(factStarved)
		c.signal(Writable)
	}
	if c.is(factFinQueued) && !c.is(factFinAcked) && c.snd.end.Less(c.snd.una) {
		c.set(factFinAcked)
		c.fire(x, now, fsm.FINAcked)
		c.signal(Finished)
	}
}
