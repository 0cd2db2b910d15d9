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
}

// Output builds the next segment into o and reports whether there was one to send. What is sent follows SND.UNA and
// SND.NXT, never the state.
func (c *Conn) Output(x *Env, now mono.Time, o *Out) bool {
	*o = Out{}
	switch {
	case c.is(factSendRST):
		c.outRST(o)
		return true
	case c.is(factReleased):
		return false
	case !c.is(factSynAcked) && c.snd.nxt == c.snd.iss:
		c.outSYN(x, now, o)
		return true
	case c.is(factSynAcked) && c.outText(x, now, o):
		return true
	case c.is(factKeep):
		c.unset(factKeep)
		c.put(x, now, o, c.snd.una-1, ACK) // nothing the peer has not seen: it must answer (section 3.8.4)
		return true
	case c.rcv.acks > 0 && c.is(factSynRcvd):
		c.put(x, now, o, c.ackSeq(), ACK)
		return true
	}
	return false
}

// ackSeq is the sequence number of a segment without text: SND.NXT, kept inside the peer's window.
func (c *Conn) ackSeq() seq.Num {
	return seq.Max(c.snd.una, seq.Min(c.snd.max, c.snd.una.Add(c.snd.wnd)))
}

func (c *Conn) outRST(o *Out) {
	c.unset(factSendRST)
	o.Seq, o.Flags = c.ackSeq(), RST
	if c.is(factSynRcvd) {
		o.Ack, o.Flags = c.rcv.nxt, RST|ACK
	}
	c.count.segsOut++
}

// outSYN sends the SYN, with an ACK when theirs has come.
func (c *Conn) outSYN(x *Env, now mono.Time, o *Out) {
	o.Options = c.offer(x, now)
	c.rcv.adv = seq.Max(c.rcv.adv, c.rcv.nxt.Add(c.synWindow())) // a repeated SYN takes back nothing
	o.Seq, o.Flags, o.Window = c.snd.iss, SYN, uint16(c.rcv.adv.Sub(c.rcv.nxt))
	if c.is(factSynRcvd) {
		o.Flags, o.Ack = SYN|ACK, c.rcv.nxt
		c.rcv.acks = 0
	}
	c.snd.nxt = c.snd.iss + 1
	c.sent(x, now, c.snd.iss, 1)
	c.count.segsOut++
}

// synWindow is the window of a SYN in bytes: never scaled (RFC 7323 section 2.2).
func (c *Conn) synWindow() uint32 { return min(c.rcv.buf, 65535) }

// outText sends text, or the FIN, or both: first what was lost, then what is new, then a probe.
func (c *Conn) outText(x *Env, now mono.Time, o *Out) bool {
	if c.is(factResend) {
		c.unset(factResend)
		if n, fin := c.resendable(); n > 0 || fin {
			c.transmit(x, now, o, c.snd.una, n, fin)
			return true
		}
	}
	if n, fin := c.sendable(x); n > 0 || fin {
		c.unset(factProbe)
		at := c.snd.nxt
		c.snd.nxt = at.Add(n)
		if fin {
			c.snd.nxt++
		}
		c.transmit(x, now, o, at, n, fin)
		return true
	}
	if c.is(factProbe) {
		c.unset(factProbe)
		// What the window takes, however little, for it has been so too long (section 3.8.6.2.1); into a closed
		// window one octet (MUST-36), or the FIN.
		n := min(max(1, c.snd.wnd), c.snd.end.Sub(c.snd.una), uint32(c.snd.mss))
		c.transmit(x, now, o, c.snd.una, n, n == 0 && c.is(factFinQueued))
		return true
	}
	c.armProbe(x, now)
	return false
}

// resendable is the segment at SND.UNA.
func (c *Conn) resendable() (n uint32, fin bool) {
	if c.snd.end.Less(c.snd.una) {
		return 0, false // all is acknowledged, the FIN too
	}
	left := c.snd.end.Sub(c.snd.una)
	n = min(left, uint32(c.snd.mss), c.snd.max.Sub(c.snd.una))
	return n, n == left && c.is(factFinQueued) && c.snd.end.Less(c.snd.max)
}

// sendable is how much may go out at SND.NXT, in bytes, and whether the FIN may go with it.
func (c *Conn) sendable(x *Env) (n uint32, fin bool) {
	if c.snd.end.Less(c.snd.nxt) {
		return 0, false // the FIN is out
	}
	flight := c.snd.nxt.Sub(c.snd.una)
	wnd, cwnd := c.snd.wnd-min(flight, c.snd.wnd), c.cw.Cwnd-min(flight, c.cw.Cwnd)
	queued := c.snd.end.Sub(c.snd.nxt)
	if cwnd < min(queued, wnd) {
		c.set(factLimited)
	} else if flight < c.cw.Cwnd/2 {
		c.unset(factLimited)
	}
	most := c.frame(x)
	n = min(queued, wnd, cwnd, most)
	fin = n == queued && c.is(factFinQueued) && wnd > n
	if !c.worthSending(n, queued, flight, most, fin) {
		return 0, fin && n == 0
	}
	if part := n % uint32(c.snd.mss); part != 0 && n > part && !(n == queued && (fin || flight == 0 || c.is(factNoDelay))) {
		n -= part // the rest waits to become a full segment (Nagle)
		fin = false
	}
	return n, fin
}

// worthSending is the sender's silly window avoidance (section 3.8.6.2.1) with Nagle's algorithm (section 3.7.4), and
// patience with a small piece of a large amount: acknowledgments on their way will make it a superframe.
func (c *Conn) worthSending(n, queued, flight, most uint32, fin bool) bool {
	mss := uint32(c.snd.mss)
	switch {
	case n == 0:
		return false
	case n == queued && (fin || flight == 0 || c.is(factNoDelay)):
		return true
	case n < mss: // what was worth sending once, as a probe perhaps, is worth sending again
		return flight == 0 && n >= c.snd.maxWnd/2 || c.snd.nxt.Less(c.snd.max)
	case n < queued && n < min(most, c.cw.Cwnd/4, c.snd.maxWnd/4):
		return flight < 2*mss
	}
	return true
}

// frame is the most text for one superframe, a whole number of segments.
func (c *Conn) frame(x *Env) uint32 {
	mss := uint32(c.snd.mss)
	most := x.Frame - 40 - c.optionBytes()
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
		if at.Add(n) == c.snd.end {
			flags |= PSH
		}
		if n > uint32(c.snd.mss) {
			o.GSOSize = c.snd.mss
		}
	}
	length := n
	if fin {
		flags |= FIN
		length++
	}
	c.put(x, now, o, at, flags)
	c.rcv.quick = 0 // a conversation: our text carries the acknowledgments
	c.sent(x, now, at, length)
}

// put fills in the header of a segment with an ACK.
func (c *Conn) put(x *Env, now mono.Time, o *Out, at seq.Num, flags Flags) {
	o.Seq, o.Ack, o.Flags, o.Window = at, c.rcv.nxt, flags, c.advertise()
	if c.is(factTimestamps) {
		o.Options.Has = HasTimestamps
		o.Options.TSVal, o.Options.TSEcr = c.timestamp(now), c.ts.recent
	}
	c.rcv.acked = c.rcv.nxt
	c.timer[timerDelayedAck] = 0
	c.rcv.acks -= min(c.rcv.acks, 1)
	c.count.segsOut++
}

// sent notes that the stream from at on, n long, has gone out: SND.MAX, the timer, and the timing of a segment.
func (c *Conn) sent(x *Env, now mono.Time, at seq.Num, n uint32) {
	end := at.Add(n)
	if at.Less(c.snd.max) {
		c.count.retransmits++
		if c.is(factTimed) && c.rtt.seq-uint32(at)-1 < n {
			c.unset(factTimed) // Karn: it is ambiguous now
		}
	} else if !c.is(factTimed) && c.retries == 0 {
		c.set(factTimed)
		c.rtt.seq, c.rtt.at = uint32(end), now
	}
	c.snd.max = seq.Max(c.snd.max, end)
	if c.timer[timerRetransmit] == 0 {
		c.timer[timerRetransmit] = now.Add(c.rto(x)) // RFC 6298 (5.1)
	}
}

// advertise chooses the window field, and notes the right edge that it promises. The edge moves only by a worthwhile
// step (MUST-39, section 3.8.6.2.2) and never back (SHLD-14).
func (c *Conn) advertise() uint16 {
	edge := c.edge()
	if step := edge - c.rcv.adv; int32(step) < 0 || uint32(step) < min(c.rcv.buf/2, uint32(c.rcv.mss)) {
		edge = c.rcv.adv
	}
	wnd := min(edge.Sub(c.rcv.nxt), 65535<<c.rcv.scale)
	field := wnd >> c.rcv.scale
	if c.rcv.nxt.Add(field << c.rcv.scale).Less(c.rcv.adv) {
		field = min(field+1, 65535) // rounding must not take back what was promised
	}
	c.rcv.adv = seq.Max(c.rcv.adv, c.rcv.nxt.Add(field<<c.rcv.scale))
	return uint16(field)
}

// edge is the right edge of what can be kept now.
func (c *Conn) edge() seq.Num {
	kept := c.rcv.nxt.Sub(c.rcv.read)
	most := c.rcv.buf - min(c.rcv.buf, 1<<c.rcv.scale) // room for rounding up
	return c.rcv.nxt.Add(most - min(most, kept))
}
