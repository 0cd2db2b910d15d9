package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Whoever holds memory and makes no progress can starve all others: peers who close their windows and answer every probe
// (RFC 6429), or who leave a hole and fill it never. A host without memory may end the first (section 3 there), and may
// forget what the second have sent out of order, though it was selected (RFC 2018 section 8).

// wayAfter is how long there must have been no progress.
const wayAfter = 10 * mono.Second

// Renege forgets text beyond a hole that has not been filled for long, and reports whether there was any.
func (c *Conn) Renege(x *Env, now mono.Time) bool {
	if c.rcv.holes == 0 || now.Sub(c.heard) < wayAfter {
		return false
	}
	x.Memory.freeHoles(&c.rcv.holes)
	if c.rcv.read == c.rcv.stored {
		x.Memory.ring(c.rcv.ring).shared = false // whoever shared it has read it to the end
		x.Memory.detach(&c.rcv.ring)
	}
	return true
}

// Hoards reports that the peer has let text wait for long: unacknowledged, or behind a closed window.
func (c *Conn) Hoards(now mono.Time) bool {
	return c.snd.ring != 0 && c.timer[timerRetransmit] != 0 && now.Sub(c.stalled) >= wayAfter
}

// GiveWay ends a connection for want of memory: the peer gets a RST, the user hears TimedOut.
func (c *Conn) GiveWay(x *Env, now mono.Time) {
	c.signal(TimedOut)
	c.fire(x, now, fsm.Abort)
}
