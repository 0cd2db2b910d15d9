package tcp

import "github.com/tcpd-project/tcpd/pkg/mono"

// Pacing spreads what cwnd allows over the round trip, so that a burst does not fill a shallow queue. The clock is the
// shard's wheel; what a late tick has missed is made up for, within paceCatchUp.

const (
	// paceFrom is the shortest round trip worth pacing: below it a window is a matter of microseconds.
	paceFrom    = 2 * mono.Millisecond
	paceCatchUp = mono.Millisecond
	// paceLate is what is made up for with factWaiting: a timer came late, or acknowledgments did.
	paceLate = 2 * mono.Millisecond
	// slowest is the longest that a window is spread over: a round trip that seems longer is more likely wrong than true.
	slowest = mono.Second
)

// pacingRate is in bytes a second; 0: not paced. An algorithm's own rate comes first; else it is Linux's: twice
// cwnd a round trip in slow start, 1.2 times after it.
func (c *Conn) pacingRate() uint64 {
	if c.cw.Pacing != 0 {
		return c.cw.Pacing
	}
	if c.rtt.srtt < paceFrom || c.is(factUnpaced) {
		return 0
	}
	return c.windowRate()
}

// windowRate spreads cwnd over the round trip, as Linux does: twice cwnd in slow start, 1.2 times after it.
func (c *Conn) windowRate() uint64 {
	percent := uint64(120)
	if c.cw.Cwnd < c.cw.Ssthresh/2 {
		percent = 200
	}
	return uint64(c.cw.Cwnd) * uint64(mono.Second) / 100 * percent / uint64(max(1, min(c.rtt.srtt, slowest)))
}

// paced reports that text must wait, and starts the timer for it. It waits no longer than for a loss: what was spent at a rate
// that was wrong is forgotten.
func (c *Conn) paced(x *Env, now mono.Time) bool {
	if c.pace = min(c.pace, now.Add(c.rto(x))); c.pace <= now || c.pacingRate() == 0 {
		return false
	}
	c.timer[timerPace] = c.pace
	c.set(factWaiting)
	return true
}

// spend takes the time that n bytes are to last.
func (c *Conn) spend(now mono.Time, n uint32) {
	if rate := c.pacingRate(); rate != 0 {
		behind := paceCatchUp
		if c.is(factWaiting) {
			behind = paceLate
		}
		c.pace = max(c.pace, now.Add(-behind)).Add(mono.Duration(uint64(n) * uint64(mono.Second) / rate))
	}
}

// quantum is the most text for one superframe, in bytes: what a millisecond lasts for at the pacing rate, or would if
// there were one, and no less than the settings say (Linux's TSO autosizing). Over short ways it is without a bound.
func (c *Conn) quantum(x *Env) uint32 {
	rate := c.pacingRate()
	if rate == 0 {
		if c.rtt.srtt < paceFrom {
			return 1 << 30
		}
		rate = c.windowRate()
	}
	least := uint64(max(2, c.Settings(x).LeastSuperframe)) * uint64(c.snd.mss)
	return uint32(min(max(rate>>10, least), 1<<30))
}
