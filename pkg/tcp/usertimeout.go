package tcp

import "github.com/tcpd-project/tcpd/pkg/mono"

// The user time-out is how long the peer may make no progress before the connection is given up (section 3.8.3; Linux's
// TCP_USER_TIMEOUT). Where the option of RFC 5482 is enabled, each side tells the other its own, and the longer one counts,
// unless the user has set one.

const (
	// What a peer can bring us to (RFC 5482 section 3.1, L_LIMIT and U_LIMIT): not less than R2 has to be, and not
	// so long that who holds connections for nothing holds them for ever.
	leastUserTimeout = 100_000   // ms
	mostUserTimeout  = 3_600_000 // ms
	// withoutUserTimeout is about what R2's time-outs last for, ms.
	withoutUserTimeout = 924_600
	inMinutes          = 1 << 15
)

// SetUserTimeout sets how long the peer may make no progress: text unacknowledged, or a window closed to text that
// waits, or keep-alive probes unanswered (Linux's TCP_USER_TIMEOUT). 0: the number of time-outs decides. It is rounded up
// to milliseconds. What a peer says of it counts no more.
func (c *Conn) SetUserTimeout(x *Env, now mono.Time, d mono.Duration) {
	c.userTimeout = millis(d)
	c.set(factUserTimeout)
	c.tellUserTimeout(x)
	if c.timer[timerRetransmit] != 0 {
		c.armRetransmit(x, now)
	}
}

// tellUserTimeout has the next segment that has room say what the user time-out is.
func (c *Conn) tellUserTimeout(x *Env) {
	if c.ownUserTimeout(x) != 0 && c.is(factSynAcked) {
		c.set(factTellUserTimeout)
		c.ackNow()
	}
}

// ownUserTimeout is what is told, in ms: not what the peer has brought us to. 0: nothing is.
func (c *Conn) ownUserTimeout(x *Env) uint32 {
	switch s := c.Settings(x); {
	case !s.UserTimeoutOption:
		return 0
	case c.is(factUserTimeout):
		return c.userTimeout
	default:
		return millis(s.UserTimeout)
	}
}

// putUserTimeout says it in a segment (RFC 5482 section 2).
func (c *Conn) putUserTimeout(x *Env, o *Options) {
	c.unset(factTellUserTimeout)
	o.Has |= HasUserTimeout
	s := (uint64(c.ownUserTimeout(x)) + 999) / 1000
	if s < inMinutes {
		o.UserTimeout = uint16(s)
	} else {
		o.UserTimeout = inMinutes | uint16(min((s+59)/60, inMinutes-1))
	}
}

// takeUserTimeout takes what the peer says (RFC 5482 section 3.1).
func (c *Conn) takeUserTimeout(x *Env, o *Options) {
	if o.Has&HasUserTimeout == 0 || !c.Settings(x).UserTimeoutOption || c.is(factUserTimeout) || o.UserTimeout&^inMinutes == 0 {
		return
	}
	remote := uint32(o.UserTimeout&^inMinutes) * 1000
	if o.UserTimeout&inMinutes != 0 {
		remote *= 60
	}
	local := c.userTimeout
	if local == 0 {
		local = withoutUserTimeout
	}
	if longer := min(max(local, remote, leastUserTimeout), mostUserTimeout); longer > local {
		c.userTimeout = longer
	}
}
