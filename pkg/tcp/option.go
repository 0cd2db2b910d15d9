package tcp

import "github.com/tcpd-project/tcpd/pkg/mono"

// What a user may set of one connection, beside its settings.

// SetNoDelay turns Nagle's algorithm off, or on (MUST-17).
func (c *Conn) SetNoDelay(on bool) {
	c.unset(factNoDelay)
	if on {
		c.set(factNoDelay)
	}
}

// SetCork holds back all but full segments, for a user who writes in pieces; turned off, it lets go of the rest. A
// piece waits no longer than the retransmission time-out (Linux's TCP_CORK: 200 ms).
func (c *Conn) SetCork(on bool) {
	c.unset(factCork)
	if on {
		c.set(factCork)
	}
}

// SetQuickAck lets acknowledgments of the next segments go at once, or be delayed as usual (Linux's TCP_QUICKACK).
func (c *Conn) SetQuickAck(on bool) {
	c.rcv.quick = 0
	if on {
		c.rcv.quick = quickACKs
		if c.timer[timerDelayedAck] != 0 {
			c.ackNow()
		}
	}
}

// SetFinTimeout sets how long FIN-WAIT-2 lasts after Close (Linux's TCP_LINGER2), rounded up to milliseconds.
func (c *Conn) SetFinTimeout(d mono.Duration) { c.finTimeout = millis(d) }

// SetDSCP sets the Differentiated Services codepoint of what is sent from now on, 0 to 63 (MUST-48, SHLD-21). TIME-WAIT,
// once the user has closed, goes by the settings.
func (c *Conn) SetDSCP(codepoint uint8) { c.dscp = codepoint & 63 }

// SetKeepAlive sets when an idle connection is probed (section 3.8.4): after idle, then every interval, count times.
// Times are rounded up to seconds; idle 0 turns it off.
func (c *Conn) SetKeepAlive(x *Env, now mono.Time, idle, interval mono.Duration, count uint8) {
	seconds := func(d mono.Duration) uint32 { return uint32((d + mono.Second - 1) / mono.Second) }
	c.keepIdle, c.keepInterval, c.keepCount = seconds(idle), seconds(interval), count
	if c.is(factSynAcked) {
		c.armKeepAlive(x, now)
	}
}

// SetBuffers sets how much text is queued and kept, in bytes, for good; 0 leaves one as it is. The receive buffer does not
// shrink below what has been promised to the peer.
func (c *Conn) SetBuffers(send, receive int) {
	const most = 1 << (maxRingLog - 1)
	if send > 0 {
		c.snd.buf = uint32(min(send, most))
		c.set(factSendFixed)
	}
	if receive > 0 {
		receive = max(receive, 4<<c.rcv.scale) // or the window field would never rise above 0
		c.rcv.buf = uint32(min(receive, most, 65535<<c.rcv.scale))
		c.set(factReceiveFixed)
	}
}
