package tcp

import (
	"fmt"
	"slices"

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

// Timer is what a connection's next deadline is for.
type Timer uint8

// The timers.
const (
	TimerNone       Timer = iota
	TimerRetransmit       // the oldest segment is sent again
	TimerProbe            // the peer's window is closed, or too small for long, and is probed
	TimerReorder          // what might have come late is taken for lost
	TimerTail             // the last segments are probed for
	TimerPace             // text may go out again
	TimerDelayedACK
	TimerKeepAlive
	TimerTimeWait // 2 MSL
	TimerFinWait  // FIN-WAIT-2 of a connection that nobody holds
	TimerOrphan   // the last patience with a peer that takes nothing from a connection that nobody holds
)

var timerNames = [...]string{
	"", "retransmit", "window_probe", "reorder", "tail_probe", "pace", "delayed_ack", "keep_alive", "time_wait", "fin_wait", "orphan",
}

// MarshalText implements encoding.TextMarshaler: it is the timer's name.
func (t Timer) MarshalText() ([]byte, error) { return []byte(timerNames[t]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Timer) UnmarshalText(b []byte) error {
	i := slices.Index(timerNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("tcp: %q is no timer", b)
	}
	*t = Timer(i)
	return nil
}

// next is the timer that is due first.
func (c *Conn) next() Timer {
	first := -1
	for i, t := range c.timer {
		if t != 0 && (first < 0 || t < c.timer[first]) {
			first = i
		}
	}
	switch {
	case first < 0:
		return TimerNone
	case first == timerRetransmit && c.is(factSynAcked) && (c.snd.wnd == 0 || c.snd.una == c.snd.nxt):
		return TimerProbe
	case first == timerWait && c.is(factFinAcked|factFinRcvd):
		return TimerTimeWait
	case first == timerWait && c.is(factFinAcked):
		return TimerFinWait
	}
	return [numTimers]Timer{TimerRetransmit, TimerReorder, TimerTail, TimerPace, TimerDelayedACK, TimerKeepAlive, TimerOrphan}[first]
}

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
		c.tell(x, IncidentDelayedACK)
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
	if c.outOfPatience(x, now) {
		c.fire(x, now, fsm.GaveUp)
		return
	}
	if c.snd.wnd == 0 || c.snd.una != c.snd.nxt || !c.is(factSynAcked) { // what was held back though it might go was not lost
		c.backoff = min(c.backoff+1, 30)
	}
	if c.retries == c.Settings(x).Retries1 {
		c.signal(Troubled)
	}
	if c.retries >= c.Settings(x).Retries1 && c.is(factSynAcked) && c.snd.wnd != 0 {
		c.doubtPath(x)
	}
	switch {
	case !c.is(factSynAcked):
		c.tell(x, IncidentSYNTimeout)
		c.count.timeouts++
		c.set(factSYNDue | factSYNLate)
		c.unset(factTimed)
	case c.snd.wnd == 0 || c.snd.una == c.snd.nxt:
		c.tell(x, IncidentWindowProbe)
		c.set(factProbe)
	default:
		c.tell(x, IncidentTimeout)
		c.count.timeouts++
		c.timedOut(x, now)
	}
	c.armRetransmit(x, now)
}

// armRetransmit starts the retransmission timer (RFC 6298 (5.1), (5.3)), for no longer than the user waits.
func (c *Conn) armRetransmit(x *Env, now mono.Time) {
	c.timer[timerRetransmit] = min(now.Add(c.rto(x)), max(c.userLimit(), now+1))
}

// userLimit is when the user time-out ends the connection, unless there is progress.
func (c *Conn) userLimit() mono.Time {
	if c.userTimeout == 0 {
		return mono.Never
	}
	return c.stalled.Add(mono.Duration(c.userTimeout) * mono.Millisecond)
}

// outOfPatience reports that the connection is to be given up (section 3.8.3): by the user time-out if there is one,
// as with Linux's TCP_USER_TIMEOUT, else by R2.
func (c *Conn) outOfPatience(x *Env, now mono.Time) bool {
	if c.userTimeout != 0 && c.is(factSynAcked) {
		return now >= c.userLimit()
	}
	return c.retries > c.patience(x) && now.Sub(c.stalled) >= c.leastPatience(x) || now >= c.userLimit()
}

// leastPatience is how long the time-outs of R2 last at least. They come sooner only if routers told that they were not
// to be doubled (RFC 6069 section 6).
func (c *Conn) leastPatience(x *Env) (sum mono.Duration) {
	s := c.Settings(x)
	if c.icmp == (ICMPError{}) {
		return 0
	}
	for d, n := s.RTOMin, c.patience(x); ; d = min(2*d, s.RTOMax) {
		sum += d
		if n == 0 {
			return sum
		}
		n--
	}
}

// patience is R2 in time-outs (section 3.8.3).
func (c *Conn) patience(x *Env) uint8 {
	s := c.Settings(x)
	switch {
	case !c.is(factSynRcvd):
		return s.SynRetries
	case !c.is(factSynAcked):
		return s.SynAckRetries
	case c.is(factLetGo):
		return s.OrphanRetries
	}
	return s.Retries2
}

// overrideTimeout is the longest that silly window avoidance, Nagle or a cork hold back what the window takes while nothing is
// outstanding (section 3.8.6.2.1: 0.1 to 1.0 seconds).
const overrideTimeout = mono.Second

// armProbe starts the probe timer when text or the FIN waits, nothing is outstanding, and so no acknowledgment will
// set it free (section 3.8.6.1).
func (c *Conn) armProbe(x *Env, now mono.Time) {
	waiting := c.snd.nxt.LessEq(c.snd.end) && (c.snd.nxt != c.snd.end || c.is(factFinQueued))
	if waiting && c.snd.nxt == c.snd.una && c.timer[timerRetransmit] == 0 {
		c.retries, c.stalled = 0, now
		c.armRetransmit(x, now)
		if c.snd.wnd != 0 {
			c.timer[timerRetransmit] = min(c.timer[timerRetransmit], now.Add(overrideTimeout))
		}
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
	if c.keepIdle == 0 {
		return
	}
	idle := mono.Duration(c.keepIdle) * mono.Second
	quiet := now.Sub(c.heard)
	switch {
	case quiet < idle:
		c.retries = 0
		c.timer[timerKeepAlive] = c.heard.Add(idle)
		return
	case c.snd.una != c.snd.nxt:
		c.timer[timerKeepAlive] = now.Add(idle) // the retransmission timer watches already
		return
	case c.keepAliveOver(quiet):
		c.fire(x, now, fsm.GaveUp)
		return
	}
	c.retries++
	c.tell(x, IncidentKeepAlive)
	c.set(factKeep)
	c.timer[timerKeepAlive] = now.Add(mono.Duration(c.keepInterval) * mono.Second)
}

// keepAliveOver reports that a peer quiet for so long is given up: by the user time-out if there is one, else by the
// number of probes.
func (c *Conn) keepAliveOver(quiet mono.Duration) bool {
	if c.userTimeout != 0 {
		return c.retries > 0 && quiet >= mono.Duration(c.userTimeout)*mono.Millisecond
	}
	return c.retries >= c.keepCount
}

func (c *Conn) armKeepAlive(x *Env, now mono.Time) {
	c.timer[timerKeepAlive] = 0
	if c.keepIdle != 0 && !c.is(factReleased) && !c.is(factFinAcked|factFinRcvd) {
		c.timer[timerKeepAlive] = now.Add(mono.Duration(c.keepIdle) * mono.Second)
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
		c.tell(x, IncidentOrphanTimeout)
		c.fire(x, now, fsm.Abort)
	}
}
