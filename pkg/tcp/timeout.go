package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// The timers of a connection, as indices into Conn.timer; a zero time means off.
const (
	timerRetransmit = iota // the oldest segment, or the next probe into a closed window
	timerReorder           // RACK: what may still arrive (RFC 8985 section 6.3)
	timerTail              // the tail loss probe (RFC 8985 section 7)
	timerPace              // text may go out again
	timerDelayedAck
	timerKeepAlive
	timerWait // TIME-WAIT, FIN-WAIT-2, or the last patience with a connection that nobody waits for
	numTimers
)

// Deadline is when Timeout is next to be called, or mono.Never.
func (c *Conn) Deadline() mono.Time {
	d := mono.Never
	for _, t := range c.timer {
		if t != 0 && t < d {
			d = t
		}
	}
	return d
}

// Timeout does what is due (section 3.10.8).
func (c *Conn) Timeout(x *Env, now mono.Time) {
	if c.timer[timerPace] <= now {
		c.timer[timerPace] = 0 // Output will look
	}
	due := func(i int) bool {
		if c.timer[i] == 0 || now < c.timer[i] || c.is(factReleased) {
			return false
		}
		c.timer[i] = 0
		return true
	}
	if due(timerDelayedAck) {
		c.ackNow()
	}
	if due(timerReorder) {
		c.reorderTimer(x, now)
	}
	if due(timerTail) {
		c.tailProbe(x, now)
	}
	if due(timerRetransmit) {
		c.retransmit(x, now)
	}
	if due(timerKeepAlive) {
		c.keepAlive(x, now)
	}
	if due(timerWait) {
		c.waited(x, now)
	}
}

// retransmit is RETRANSMISSION TIMEOUT, or the probe timer's when the window is closed or nothing is outstanding.
func (c *Conn) retransmit(x *Env, now mono.Time) {
	c.retries = min(c.retries+1, 254)
	if c.retries > c.patience(x) {
		c.fire(x, now, fsm.GaveUp)
		return
	}
	c.backoff = min(c.backoff+1, 30)
	switch {
	case !c.is(factSynAcked):
		c.set(factSYNDue)
		c.unset(factTimed)
	case c.snd.wnd == 0 || c.snd.una == c.snd.nxt:
		c.set(factProbe)
	default:
		c.timedOut(x, now)
	}
	c.timer[timerRetransmit] = now.Add(c.rto(x))
}

// patience is R2 in time-outs (section 3.8.3).
func (c *Conn) patience(x *Env) uint8 {
	s := c.settings(x)
	switch {
	case !c.is(factSynRcvd):
		return s.SynRetries
	case !c.is(factSynAcked):
		return s.SynAckRetries
	case c.is(factLetGo):
		return s.OrphanRetries
	}
	return s.Retries
}

// armProbe starts the probe timer when text or the FIN waits, nothing is outstanding, and so no acknowledgment will
// set it free (section 3.8.6.1).
func (c *Conn) armProbe(x *Env, now mono.Time) {
	waiting := c.snd.nxt.LessEq(c.snd.end) && (c.snd.nxt != c.snd.end || c.is(factFinQueued))
	if waiting && c.snd.nxt == c.snd.una && c.timer[timerRetransmit] == 0 {
		c.timer[timerRetransmit] = now.Add(c.rto(x))
	}
}

// alive notes that the peer has been heard. While probes go into a closed window, each answer renews the patience
// (MUST-37).
func (c *Conn) alive(x *Env, now mono.Time) {
	c.heard = now
	if c.snd.wnd == 0 || c.snd.una == c.snd.nxt {
		c.retries = 0
	}
}

// keepAlive is section 3.8.4. The timer is not set back by every segment: it looks when it fires.
func (c *Conn) keepAlive(x *Env, now mono.Time) {
	if c.keep.idle == 0 {
		return
	}
	idle := mono.Duration(c.keep.idle) * mono.Second
	quiet := now.Sub(c.heard)
	switch {
	case quiet < idle:
		c.retries = 0
		c.timer[timerKeepAlive] = c.heard.Add(idle)
		return
	case c.snd.una != c.snd.nxt:
		c.timer[timerKeepAlive] = now.Add(idle) // the retransmission timer watches already
		return
	case c.retries >= c.keep.count:
		c.fire(x, now, fsm.GaveUp)
		return
	}
	c.retries++
	c.set(factKeep)
	c.timer[timerKeepAlive] = now.Add(mono.Duration(c.keep.interval) * mono.Second)
}

func (c *Conn) armKeepAlive(x *Env, now mono.Time) {
	c.timer[timerKeepAlive] = 0
	if c.keep.idle != 0 && !c.is(factReleased) && !c.is(factFinAcked|factFinRcvd) {
		c.timer[timerKeepAlive] = now.Add(mono.Duration(c.keep.idle) * mono.Second)
	}
}

// waited is the end of TIME-WAIT, of FIN-WAIT-2, or of the patience with a peer that takes nothing from a connection
// that the user has closed: that one is aborted for him, so that the peer learns of it.
func (c *Conn) waited(x *Env, now mono.Time) {
	switch {
	case c.is(factFinAcked | factFinRcvd):
		c.fire(x, now, fsm.TwoMSL)
	case c.is(factFinAcked):
		c.fire(x, now, fsm.FinWaitTimeout)
	default:
		c.fire(x, now, fsm.Abort)
	}
}
