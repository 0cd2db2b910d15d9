package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Out is a segment to be sent, or a superframe of several: its header in Segment (ports are the caller's, Text is
// nil) and its text in Body, which aliases the send ring until the connection is called again.
type Out struct {
	Segment
	Body    [2][]byte
	GSOSize uint16 // payload bytes of each segment of a superframe; 0: it is one segment
	TTL     uint8  // of the packet; 0: 64
	DSCP    uint8  // of the packet
	Again   Resend // why it is sent again, if it is
}

// owesHandshake reports that the ACK of our own SYN's SYN,ACK has not gone yet. It does before a RST, however soon the user aborts:
// without it the peer's user would never have heard of the connection.
func (c *Conn) owesHandshake() bool {
	return c.rcv.acks > 0 && c.is(factSynAcked) && !c.is(factPassive) && c.count.segsOut == c.count.retransmits+1 // SYNs alone
}

// blank is a segment of the connection that says nothing yet.
func (c *Conn) blank(x *Env) Out { return Out{TTL: c.Settings(x).TTL, DSCP: c.dscp} }

// Output builds the next segment into o and reports whether there was one to send. What is sent follows SND.UNA and
// SND.NXT, never the state.
func (c *Conn) Output(x *Env, now mono.Time, o *Out) bool {
	*o = c.blank(x)
	switch {
	case c.is(factSendRST) && c.owesHandshake():
		c.rcv.acks = 0
		c.put(x, now, o, c.snd.nxt, ACK)
		return true
	case c.is(factSendRST):
		c.outRST(now, o)
		return true
	case c.is(factReleased):
		return false
	case c.is(factSYNDue) && !c.is(factSynAcked):
		c.outSYN(x, now, o)
		return true
	case c.any(factSynAcked | factEarly):
		if c.outText(x, now, o) {
			return true
		}
		c.rest(now)
	}
	if c.is(factKeep) {
		c.unset(factKeep)
		c.put(x, now, o, c.snd.una-1, ACK) // nothing the peer has not seen: it must answer (section 3.8.4)
		return true
	}
	return c.OutputACK(x, now, o)
}

// ACKBefore reports that the acknowledgment owed is to go before the segment g of the same turn is taken: every second full
// segment has one, and each superframe, but over ways so short that no peer takes its clock from them (MUST-59). Duplicate ACKs
// and what tells of duplicate text or of marks do not share one even there: the peer counts them.
func (c *Conn) ACKBefore(g *Segment) bool {
	counted := c.rcv.holes != 0 || c.is(factDSACK) || c.is(factAccECN) && g.ECN == ce
	return c.rcv.acks > 0 && len(g.Text) > 0 && (counted || !c.knownNear())
}

// ACKMayWait reports that all there is to send is an acknowledgment of new text, which no peer as near takes his clock from.
func (c *Conn) ACKMayWait() bool {
	return c.rcv.acks == 1 && c.rcv.acked.Less(c.rcv.nxt) && c.rcv.holes == 0 && c.snd.una == c.snd.end && c.knownNear() &&
		!c.any(factFinRcvd|factFinQueued|factSendRST|factKeep|factDSACK|factReleased|factLetGo)
}

// OutputACK builds an acknowledgment without text, if one is owed. Output does so, too, once there is no text.
func (c *Conn) OutputACK(x *Env, now mono.Time, o *Out) bool {
	if c.rcv.acks == 0 || !c.is(factSynRcvd) || c.is(factReleased) || c.snd.nxt == c.snd.iss { // the SYN,ACK is to go first
		return false
	}
	*o = c.blank(x)
	c.put(x, now, o, c.ackSeq(), ACK)
	return true
}

// ackSeq is the sequence number of a segment without text: SND.NXT, kept inside the peer's window. A window that has been
// rounded down to its scale may seem to end a little before what it has admitted: still the peer has room for it (RFC 7323
// section 2.4), and a number that it has passed would make the whole segment unacceptable.
func (c *Conn) ackSeq() seq.Num {
	edge := c.snd.una.Add(c.snd.wnd)
	if c.snd.nxt.LessEq(edge) || c.snd.wnd != 0 && c.snd.nxt.Sub(edge) < 1<<c.snd.scale {
		return c.snd.nxt
	}
	return seq.Max(c.snd.una, edge)
}

func (c *Conn) outRST(now mono.Time, o *Out) {
	c.unset(factSendRST)
	o.Seq, o.Flags = c.ackSeq(), RST
	if c.is(factSynRcvd) {
		o.Ack, o.Flags = c.rcv.nxt, RST|ACK
	}
	c.stampOptions(now, o) // RFC 7323 section 3.2
	c.count.segsOut++
}

// outSYN sends the SYN, with an ACK when theirs has come.
func (c *Conn) outSYN(x *Env, now mono.Time, o *Out) {
	o.Options = c.offer(x, now)
	c.rcv.adv = seq.Max(c.rcv.adv, c.rcv.nxt.Add(c.synWindow())) // a repeated SYN takes back nothing
	o.Seq, o.Flags, o.Window = c.snd.iss, SYN, uint16(c.rcv.adv.Sub(c.rcv.nxt))
	ecn := c.ecnOffer(x)
	if c.is(factSynRcvd) {
		o.Flags, o.Ack = SYN|ACK, c.rcv.nxt
		c.rcv.acks, c.rcv.acked, c.timer[timerDelayedAck] = 0, c.rcv.nxt, 0
	}
	o.Flags |= ecn
	c.unset(factSYNDue)
	if c.snd.nxt == c.snd.iss {
		c.snd.nxt++
		c.rtt.at, c.stalled = now, now
		c.set(factTimed)
		if c.is(factFastOpen) {
			c.unset(factFastOpen) // not when it is sent again: something on the way may drop it (section 4.1.3.1)
			o.Options.Has |= HasFastOpen
			if !c.is(factSynRcvd) {
				c.earlyText(x, now, o)
			}
		}
	} else {
		c.resent(x, o, ResendSYN)
		c.unset(factTimed) // Karn: which SYN is acknowledged is not known
	}
	if c.timer[timerRetransmit] == 0 {
		c.armRetransmit(x, now)
	}
	c.count.segsOut++
}

// synWindow is the window of a SYN in bytes: never scaled (RFC 7323 section 2.2).
func (c *Conn) synWindow() uint32 { return min(c.rcv.buf, 65535) }

// outText sends text, or the FIN, or both: first what was lost, then what is new, then a probe.
func (c *Conn) outText(x *Env, now mono.Time, o *Out) bool {
	if c.sendTail(x, now, o) {
		return true
	}
	if c.outstanding() == 0 {
		c.restart(x, now)
	}
	if n, fin := c.sendable(x, now); c.lostAndDue(x) || n > 0 || fin {
		if c.paced(x, now) {
			return false
		}
		if c.resend(x, now, o) {
			return true
		}
		if n > 0 || fin {
			c.unset(factProbe)
			if size := c.probeSize(now, c.snd.end.Sub(c.snd.nxt), c.snd.wnd-min(c.snd.wnd, c.outstanding())); size > 0 {
				c.sendMTUProbe(x, now, o, size)
				return true
			}
			c.sendNew(x, now, o, n, fin)
			return true
		}
	}
	if c.unset(factWaiting); c.cw.Pacing != 0 && c.snd.nxt.Less(c.snd.end) {
		c.set(factWaiting) // a rate is lost where a pause is not made up for; a window is not
	}
	if c.is(factProbe) {
		c.unset(factProbe)
		if c.sendProbe(x, now, o) {
			return true
		}
	}
	c.armProbe(x, now)
	if pipe := c.pipe(x); c.snd.nxt == c.snd.end && pipe < c.cw.Cwnd {
		c.applicationLimited(pipe)
	}
	return false
}

// sendNew sends n bytes at SND.NXT, and the FIN behind them.
func (c *Conn) sendNew(x *Env, now mono.Time, o *Out, n uint32, fin bool) {
	s := span{end: c.snd.nxt.Add(n)}
	if fin {
		s.end++
	}
	c.sendSpan(x, now, o, s, n, fin)
}

// sendMTUProbe sends a segment larger than the path is known to take (RFC 4821).
func (c *Conn) sendMTUProbe(x *Env, now mono.Time, o *Out, n uint32) {
	c.mtu.size = uint16(n)
	c.sendSpan(x, now, o, span{end: c.snd.nxt.Add(n), probe: true}, n, false)
	o.GSOSize = 0
}

func (c *Conn) sendSpan(x *Env, now mono.Time, o *Out, s span, n uint32, fin bool) {
	if c.outstanding() == 0 {
		c.retries, c.stalled = 0, now // keep-alive may have counted here
		c.timer[timerRetransmit] = 0  // it may have been the one for probes (RFC 6298 (5.1))
	}
	at := c.snd.nxt
	c.stamp(now, &s, c.pipe(x), s.end.Sub(at))
	f := x.Memory.flightOf(&c.snd.flight)
	x.Memory.makeRoom(f)
	f.push(c.snd.una, s, uint32(c.snd.mss))
	x.Memory.weigh(f)
	if n%uint32(c.snd.mss) != 0 {
		c.snd.small = at.Add(n)
	}
	c.snd.nxt = s.end
	if out := c.outstanding(); c.snd.round.LessEq(c.snd.una) || out > c.snd.used {
		c.snd.used, c.snd.round = out, c.snd.nxt
	}
	if c.is(factRecovery) {
		c.episode.out += n
	}
	c.transmit(x, now, o, at, n, fin)
	c.ecnMark(o)
	c.armProbeTimer(x, now)
}

// sendProbe sends what the window takes, however little, for it has been so too long (section 3.8.6.2.1); into a
// closed window one octet (MUST-36), or the FIN. It reports false when there is nothing to probe with any more.
func (c *Conn) sendProbe(x *Env, now mono.Time, o *Out) bool {
	c.applicationLimited(c.pipe(x)) // it is the peer's window that makes the rate so small
	most := min(max(1, c.snd.wnd), uint32(c.snd.mss))
	c.snd.push = c.snd.end // it has waited long enough
	if out := c.outstanding(); out > 0 {
		c.again(x, now, o, c.snd.una, min(out, most, c.record(x, c.snd.una)), ResendProbe)
		return true
	}
	if c.snd.end.Less(c.snd.nxt) || c.snd.end == c.snd.nxt && !c.is(factFinQueued) {
		return false
	}
	n := min(most, c.snd.end.Sub(c.snd.nxt), c.record(x, c.snd.nxt))
	c.sendNew(x, now, o, n, n == 0)
	return true
}

// sendable is how much may go out at SND.NXT, in bytes, and whether the FIN may go with it.
func (c *Conn) sendable(x *Env, now mono.Time) (n uint32, fin bool) {
	if c.snd.end.Less(c.snd.nxt) {
		return 0, false // the FIN is out
	}
	flight, pipe := c.snd.nxt.Sub(c.firstText()), c.pipe(x)
	wnd, cwnd := c.snd.wnd-min(flight, c.snd.wnd), c.cw.Cwnd-min(pipe, c.cw.Cwnd)
	queued := c.snd.end.Sub(c.snd.nxt)
	if cwnd < min(queued, wnd) {
		c.set(factLimited)
	} else if pipe < c.cw.Cwnd/2 {
		c.unset(factLimited)
	}
	record := c.record(x, c.snd.nxt)
	most := c.frame(x)
	n = min(queued, wnd, cwnd, most, record)
	fin = n == queued && c.is(factFinQueued) && wnd > n
	last := n == queued && (fin || !c.any(factCork|factMore) && (!c.snd.una.Less(c.snd.small) || c.is(factNoDelay))) || n == record && n < queued
	if !c.worthSending(x, now, n, queued, flight, most, last) {
		return 0, fin && n == 0
	}
	if part := n % uint32(c.snd.mss); part != 0 && n > part && !last {
		n -= part // the rest waits to become a full segment (Nagle)
		fin = false
	}
	return n, fin
}

// worthSending is the sender's silly window avoidance (section 3.8.6.2.1) with Nagle's algorithm (section 3.7.4), in the
// form that Minshall gave it and Linux has: a small segment waits only while another small one is out. And it is patience
// with a small piece of a large amount: acknowledgments on their way will make it a superframe. last tells that n is all
// there is, and that nothing is to be waited for.
func (c *Conn) worthSending(x *Env, now mono.Time, n, queued, flight, most uint32, last bool) bool {
	mss := uint32(c.snd.mss)
	switch {
	case n == 0:
		return false
	case last:
		return true
	case n < mss:
		return flight == 0 && n >= c.snd.maxWnd/2 && !c.any(factCork|factMore)
	case n < queued && n < min(most, c.cw.Cwnd/4, c.snd.maxWnd/4):
		return flight < 2*mss || c.any(factRecovery|factLoss) || !c.moreIsNear(x, now)
	}
	return true
}

// moreIsNear reports that it pays to wait for the next acknowledgment, as Linux does (tcp_tso_should_defer): something was
// sent a moment ago, and the oldest of what is outstanding at least half a round trip ago.
func (c *Conn) moreIsNear(x *Env, now mono.Time) bool {
	if c.snd.flight == 0 {
		return false
	}
	live := x.Memory.flights[c.snd.flight].live()
	return now.Sub(live[len(live)-1].at) < mono.Millisecond && now.Sub(live[0].at) >= c.rtt.srtt/2
}

// frame is the most text for one superframe, a whole number of segments.
func (c *Conn) frame(x *Env) uint32 {
	mss := uint32(c.snd.mss)
	most := min(x.Frame-40-c.optionBytes(), int(c.quantum(x)), int(c.cw.Cwnd/2)) // two at least fit cwnd, so that acknowledgments come steadily
	if c.is(factUrgentOut) || c.ecnSplits() {
		most = int(mss) // a superframe would repeat what belongs to one segment
	}
	if c.snd.frame != 0 {
		most = min(most, int(c.snd.frame))
	}
	if most <= int(mss) {
		return mss
	}
	return uint32(most) / mss * mss
}

func (c *Conn) optionBytes() int {
	if c.is(factTimestamps) {
		return 12
	}
	return 0
}

// transmit sends n bytes of the stream from the sequence number at, and the FIN behind them.
func (c *Conn) transmit(x *Env, now mono.Time, o *Out, at seq.Num, n uint32, fin bool) {
	flags := ACK
	if n > 0 {
		r := x.Memory.ring(c.snd.ring)
		o.Body[0], o.Body[1] = r.slices(at, int(n))
		if end := at.Add(n); end == c.snd.end && end == c.snd.push || c.record(x, at) == n {
			flags |= PSH
		}
		if n > uint32(c.snd.mss) {
			o.GSOSize = c.snd.mss
			if !c.lostAndDue(x) {
				flags |= PSH // its last segment ends a burst: the receiver need not wait for more to join it
			}
		}
	}
	if fin {
		flags |= FIN
	}
	c.spend(now, n)
	c.put(x, now, o, at, flags)
	if mono.Duration(clockMS(now)-c.rcv.textAt)*mono.Millisecond < c.Settings(x).DelayedAck {
		c.rcv.quick = 0 // a conversation: our text carries the acknowledgments
	}
	if c.timer[timerRetransmit] == 0 {
		c.armRetransmit(x, now)
	}
}

// put fills in the header of a segment with an ACK.
func (c *Conn) put(x *Env, now mono.Time, o *Out, at seq.Num, flags Flags) {
	flags |= c.ecnFlags()
	o.Seq, o.Ack, o.Flags, o.Window = at, c.rcv.nxt, flags, c.advertise()
	c.urgentOut(o, at)
	c.stampOptions(now, o)
	if c.is(factTellUserTimeout) && len(o.Body[0]) == 0 && c.rcv.holes == 0 && !c.is(factDSACK) { // there is room
		c.putUserTimeout(x, &o.Options)
	}
	c.rcv.acked = c.rcv.nxt
	c.timer[timerDelayedAck] = 0
	c.count.segsOut++
	if c.is(factSACK) && len(o.Body[0]) > 0 && (c.rcv.holes != 0 || c.is(factDSACK)) {
		return // a full segment has no room for what is to be reported: an ACK of its own will follow
	}
	c.blocks(x, &o.Options)
	c.unset(factDSACK)
	c.rcv.acks -= min(c.rcv.acks, 1)
}

// stampOptions puts the timestamps option into a segment, if it was agreed on.
func (c *Conn) stampOptions(now mono.Time, o *Out) {
	if c.is(factTimestamps) {
		o.Options.Has = HasTimestamps
		o.Options.TSVal, o.Options.TSEcr = c.timestamp(now), c.ts.recent
	}
}

// advertise chooses the window field, and notes the right edge that it promises. The edge moves only by a worthwhile
// step (MUST-39, section 3.8.6.2.2) and not back (SHLD-14), but for less than one unit of the scaled field where the
// buffer has no room for rounding up (RFC 7323 section 2.4): rounding up at every small segment would let the edge creep
// on for ever, though nobody reads.
func (c *Conn) advertise() uint16 {
	if !c.is(factSynAcked) { // what the SYN has promised, and no more: a packed half-open knows only that
		return uint16(c.rcv.adv.Sub(c.rcv.nxt) >> c.rcv.scale)
	}
	edge := c.edge()
	if step := edge - c.rcv.adv; int32(step) < 0 || uint32(step) < min(c.rcv.buf/2, uint32(c.rcv.mss)) {
		edge = c.rcv.adv
	}
	wnd := min(edge.Sub(c.rcv.nxt), 65535<<c.rcv.scale)
	field := wnd >> c.rcv.scale
	room := c.rcv.buf - min(c.rcv.buf, c.rcv.nxt.Sub(c.rcv.read))
	if c.rcv.nxt.Add(field<<c.rcv.scale).Less(c.rcv.adv) && (field+1)<<c.rcv.scale <= room {
		field = min(field+1, 65535)
	}
	c.rcv.adv = seq.Max(c.rcv.adv, c.rcv.nxt.Add(field<<c.rcv.scale))
	return uint16(field)
}

// edge is the right edge of what can be kept now.
func (c *Conn) edge() seq.Num {
	kept := c.rcv.nxt.Sub(c.rcv.read)
	most := c.rcv.buf - min(c.rcv.buf, 1<<c.rcv.scale-1) // room for rounding up
	return c.rcv.nxt.Add(most - min(most, kept))
}
