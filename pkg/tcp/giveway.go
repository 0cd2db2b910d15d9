package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Whoever holds memory and makes no progress can starve all others: peers who close their windows and answer every probe
// (RFC 6429), or who leave a hole and fill it never. A host without memory may end the first (section 3 there), and may
// forget what the second have sent out of order, though it was selected (RFC 2018 section 8).

// way is where a connection stood when it was last looked at for this.
type way struct {
	at  mono.Time
	una seq.Num // SND.UNA
	nxt seq.Num // RCV.NXT
}

const (
	// wayAfter is the time over which progress is measured, and wayStale when a look is too long ago to measure from.
	wayAfter = 10 * mono.Second
	wayStale = 60 * mono.Second
)

// progressed looks at the connection, and returns how far both streams have come since the last look; ok is false when that
// was not long ago, or too long.
func (c *Conn) progressed(now mono.Time) (sent, received uint32, ok bool) {
	then := c.way
	since := now.Sub(then.at)
	if since < wayAfter {
		return 0, 0, false
	}
	c.way = way{now, c.snd.una, c.rcv.nxt}
	return c.snd.una.Sub(then.una), c.rcv.nxt.Sub(then.nxt), since <= wayStale
}

// GiveWay is for who has found no memory: text beyond a hole that nobody fills is forgotten, and a connection whose peer has
// taken next to nothing of what waits for him is ended: he gets a RST, the user hears TimedOut. It reports what it has done.
func (c *Conn) GiveWay(x *Env, now mono.Time) (reneged, ended bool) {
	sent, received, ok := c.progressed(now)
	if !ok {
		return false, false
	}
	if c.rcv.holes != 0 && received == 0 {
		c.renege(x)
		return true, false
	}
	held := uint32(x.Memory.ring(c.snd.ring).owned())
	if held == 0 || c.timer[timerRetransmit] == 0 || sent >= held/16 {
		return false, false
	}
	c.signal(TimedOut)
	c.fire(x, now, fsm.Abort)
	return false, true
}

// renege forgets the text beyond a hole.
func (c *Conn) renege(x *Env) {
	x.Memory.freeHoles(&c.rcv.holes)
	c.spareRing(x)
}
