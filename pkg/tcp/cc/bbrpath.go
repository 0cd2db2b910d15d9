package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// What both versions of BBR reckon alike.

const (
	extraRounds    = 5 // rounds of each of the two windows of clusters; 1 before the pipe is full
	extraTime      = 100 * mono.Millisecond
	ackEpochLength = 1 << 30 // bytes
)

// clusters measure how much more than the rate accounts for is acknowledged at once, where ACKs come together (Wi-Fi,
// cable, offload). cwnd needs as much more, or the sender stands still between them.
type clusters struct {
	epoch      mono.Time // since when acked is counted
	acked      uint32
	extra      [2]uint32 // the most that came at once beyond the rate, in two windows of rounds
	age, index uint8     // the window under way: its rounds, and which it is
}

// update takes what an ACK delivered. idle says that the connection has rested.
func (c *clusters) update(w *Window, now mono.Time, a *Ack, rate uint64, full, idle bool) {
	if idle {
		c.epoch, c.acked = max(now.Add(-max(a.RTT, 0)), c.epoch), 0
	}
	if a.New == 0 || a.Interval <= 0 {
		return
	}
	if a.Round {
		c.turn(full)
	}
	expected := mulDiv(rate, uint64(max(now.Sub(c.epoch), 0)), uint64(mono.Second))
	if uint64(c.acked) <= expected || c.acked >= ackEpochLength {
		c.epoch, c.acked, expected = now, 0, 0
	}
	c.acked += min(a.New, ackEpochLength)
	if extra := uint64(c.acked) - min(expected, uint64(c.acked)); extra > uint64(c.extra[c.index&1]) {
		c.extra[c.index&1] = uint32(min(extra, uint64(w.Cwnd)))
	}
}

// turn begins the other window when this one has its rounds.
func (c *clusters) turn(full bool) {
	c.age++
	if full && c.age < extraRounds {
		return
	}
	c.age = 0
	c.index ^= 1
	c.extra[c.index&1] = 0
}

// most is the most of both windows, and no more than 100 ms of the rate; nothing before the pipe is full.
func (c *clusters) most(rate uint64, full bool) uint32 {
	if !full {
		return 0
	}
	return uint32(min(uint64(max(c.extra[0], c.extra[1])), mulDiv(rate, uint64(extraTime), uint64(mono.Second))))
}

// bdp is gain times rate times least RTT, bytes, rounded up lest it feed back on itself. Without an RTT it is the
// initial window.
func bdp(w *Window, rate uint64, minRTT mono.Duration, gain uint64) uint64 {
	if minRTT == 0 {
		return uint64(InitialWindow(w.MSS))
	}
	return min(mulDiv(rate*gain, uint64(minRTT), unit*uint64(mono.Second)), maxWindow) + 1
}

// paceAt is the pacing rate for an estimate and a gain: a little less, so that queues drain.
func paceAt(rate, gain uint64) uint64 {
	return min(mulDiv(rate, gain*margin, unit*unit), largestRate)
}

// firstPace lets the initial window out within an RTT, with a gain.
func firstPace(w *Window, rtt mono.Duration, gain uint64) uint64 {
	return max(paceAt(mulDiv(uint64(w.Cwnd), uint64(mono.Second), uint64(rtt)), gain), 1)
}

// quantum is the superframe that goes out at once: a millisecond at the pacing rate, two segments at least unless the
// rate is very low.
func quantum(w *Window) uint32 {
	least := 2 * w.MSS
	if w.Pacing < slowPacing {
		least = w.MSS
	}
	n := uint32(min(w.Pacing/uint64(mono.Second/quantumTime), largestQuantum))
	return max(n-n%max(w.MSS, 1), least)
}

// chance is a number below n. There is nothing here to draw from; the time serves, its bits well mixed.
func chance(now mono.Time, n uint64) uint64 { return uint64(now) * 0x9e3779b97f4a7c15 >> 32 % n }
