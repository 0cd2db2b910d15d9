package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// Loss recovery is NewReno's (RFC 5681 section 3.2, RFC 6582): three duplicate ACKs show a loss, and a partial ACK
// within the recovery shows the next.

// dupThreshold is how many duplicate ACKs show a loss (RFC 5681 section 3.2).
const dupThreshold = 3

// duplicateAck takes note of an ACK that repeats the last one.
func (c *Conn) duplicateAck(x *Env, now mono.Time) {
	if c.is(factRecovery) {
		c.cw.Cwnd += c.cw.MSS // RFC 6582 section 3.2 step 3: a segment has left the network
		return
	}
	c.snd.dupAcks = min(c.snd.dupAcks+1, 254)
	if c.snd.dupAcks >= dupThreshold {
		c.enterRecovery(x, now)
	}
}

// enterRecovery begins fast retransmit, unless the duplicates belong to the last recovery (RFC 6582 section 3.2
// step 2).
func (c *Conn) enterRecovery(x *Env, now mono.Time) {
	if c.snd.una.Less(c.snd.recover) {
		return
	}
	c.set(factRecovery | factResend)
	c.unset(factTimed)
	c.snd.recover = c.snd.max
	c.settings(x).Congestion.Loss(&c.cw, now, c.snd.max.Sub(c.snd.una))
	c.cw.Cwnd += dupThreshold * c.cw.MSS
}

// recovered takes an acknowledgment of new data, in recovery or out of it. SND.UNA has moved.
func (c *Conn) recovered(x *Env, now mono.Time, a cc.Ack) {
	c.snd.dupAcks = 0
	switch {
	case !c.is(factRecovery):
		c.snd.recover = seq.Max(c.snd.recover, c.snd.una) // never so far behind that it seems ahead
		c.settings(x).Congestion.Ack(&c.cw, now, a)
	case c.snd.recover.LessEq(c.snd.una): // a full acknowledgment
		c.unset(factRecovery)
		c.cw.Cwnd = min(c.cw.Ssthresh, max(c.snd.max.Sub(c.snd.una), c.cw.MSS)+c.cw.MSS)
	default: // a partial one: the next hole
		c.set(factResend)
		c.cw.Cwnd -= min(c.cw.Cwnd, a.Bytes)
		if a.Bytes >= c.cw.MSS {
			c.cw.Cwnd += c.cw.MSS
		}
		c.cw.Cwnd = max(c.cw.Cwnd, c.cw.MSS)
	}
}

// timedOut goes back to the oldest segment (RFC 6298 (5.4) to (5.6), RFC 5681 section 3.1).
func (c *Conn) timedOut(x *Env, now mono.Time) {
	if c.retries == 1 && c.is(factSynAcked) {
		c.settings(x).Congestion.Timeout(&c.cw, now, c.snd.max.Sub(c.snd.una))
	}
	c.unset(factRecovery | factResend | factTimed)
	c.snd.dupAcks = 0
	c.snd.recover = c.snd.max
	c.snd.nxt = c.snd.una
}
