package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// The window of the rate's filter, in rounds: the eight phases of the cycle and two more.
const rateRounds = len(cycleGains) + 2

const (
	largestRate = 1<<40 - 1 // bytes a second: what a word of Priv holds beside a round
	roundMask   = 1<<24 - 1

	extraRounds    = 5 // rounds of each of the two windows of extra; 1 before the pipe is full
	extraTime      = 100 * mono.Millisecond
	ackEpochLength = 1 << 30 // bytes
)

// peak is a rate and the round in which it was seen.
type peak struct {
	rate  uint64
	round uint32
}

func (p peak) word() uint64       { return p.rate<<24 | uint64(p.round) }
func peakOf(word uint64) peak     { return peak{word >> 24, uint32(word & roundMask)} }
func age(now, then uint32) int    { return int((now - then) & roundMask) }
func (p peak) age(now uint32) int { return age(now, p.round) }

// peaks are the largest rate of the last rateRounds rounds and the largest after it and after that, as Kathleen
// Nichols's filter keeps them: when the first grows too old, there is a next.
type peaks [3]peak

func (p *peaks) add(n peak) {
	if n.rate >= p[0].rate || p[2].age(n.round) > rateRounds {
		*p = peaks{n, n, n}
		return
	}
	if n.rate >= p[1].rate {
		p[1], p[2] = n, n
	} else if n.rate >= p[2].rate {
		p[2] = n
	}
	p.expire(n)
}

// expire lets what is too old go, and takes care that the second and the third are of later parts of the window.
func (p *peaks) expire(n peak) {
	switch old := p[0].age(n.round); {
	case old > rateRounds:
		*p = peaks{p[1], p[2], n}
		if p[0].age(n.round) > rateRounds {
			*p = peaks{p[1], p[2], n}
		}
	case p[1].round == p[0].round && old > rateRounds/4:
		p[1], p[2] = n, n
	case p[2].round == p[1].round && old > rateRounds/2:
		p[2] = n
	}
}

// Words of Priv, beside the three of the peaks.
const (
	bbrMinRTT   = 3
	bbrMinRTTAt = 4
	bbrStamp    = 5
	bbrAckEpoch = 6
	bbrAcked    = 7 // ackAcked, prior
	bbrExtra    = 8
	bbrFull     = 9 // fullRate and round, as a peak
	bbrBits     = 10
	bbrConserve = 11
	bbrLowered  = 12
	bbrProbed   = 13
)

type bbr struct {
	peaks    peaks
	minRTT   mono.Duration // of ten seconds; 0: none yet
	minRTTAt mono.Time
	stamp    mono.Time // PROBE_BW: when the phase began; PROBE_RTT: when it may end, 0 before the flight is low
	ackEpoch mono.Time // since when ackAcked is counted
	ackAcked uint32
	prior    uint32    // cwnd before loss or PROBE_RTT
	extra    [2]uint32 // the most that came at once beyond the rate, in two windows of rounds
	fullRate uint64    // what the rate must outgrow for the pipe not to be full
	round    uint32
	conserve uint64 // packets are conserved until so much is delivered
	lowered  uint64 // samples of what was sent before so much was delivered say nothing: PROBE_RTT kept it low
	probed   uint64 // PROBE_RTT has lasted a round trip when so much is delivered

	mode, phase, fullCount uint8
	extraAge, extraIndex   uint8
	inLoss                 bool // in recovery, or after a time-out
	idle                   bool // the connection rests
	timed                  bool // an RTT has been measured
}

func loadBBR(w *Window) (s bbr) {
	p := &w.Priv
	s.peaks = peaks{peakOf(p[0]), peakOf(p[1]), peakOf(p[2])}
	s.minRTT, s.minRTTAt = mono.Duration(p[bbrMinRTT]), mono.Time(p[bbrMinRTTAt])
	s.stamp, s.ackEpoch = mono.Time(p[bbrStamp]), mono.Time(p[bbrAckEpoch])
	s.ackAcked, s.prior = halves(p[bbrAcked])
	s.extra[0], s.extra[1] = halves(p[bbrExtra])
	full := peakOf(p[bbrFull])
	s.fullRate, s.round = full.rate, full.round
	s.conserve, s.lowered, s.probed = p[bbrConserve], p[bbrLowered], p[bbrProbed]
	b := p[bbrBits]
	s.mode, s.phase, s.fullCount = uint8(b), uint8(b>>8), uint8(b>>16)
	s.extraAge, s.extraIndex = uint8(b>>24), uint8(b>>32)
	s.inLoss, s.idle, s.timed = b>>40&1 != 0, b>>41&1 != 0, b>>42&1 != 0
	return s
}

func (s *bbr) save(w *Window) {
	p := &w.Priv
	p[0], p[1], p[2] = s.peaks[0].word(), s.peaks[1].word(), s.peaks[2].word()
	p[bbrMinRTT], p[bbrMinRTTAt] = uint64(s.minRTT), uint64(s.minRTTAt)
	p[bbrStamp], p[bbrAckEpoch] = uint64(s.stamp), uint64(s.ackEpoch)
	p[bbrAcked] = pair(s.ackAcked, s.prior)
	p[bbrExtra] = pair(s.extra[0], s.extra[1])
	p[bbrFull] = peak{s.fullRate, s.round}.word()
	p[bbrConserve], p[bbrLowered], p[bbrProbed] = s.conserve, s.lowered, s.probed
	p[bbrBits] = uint64(s.mode) | uint64(s.phase)<<8 | uint64(s.fullCount)<<16 |
		uint64(s.extraAge)<<24 | uint64(s.extraIndex)<<32 | bit(s.inLoss)<<40 | bit(s.idle)<<41 | bit(s.timed)<<42
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// rate is the estimate of the bottleneck, bytes a second.
func (s *bbr) rate() uint64 { return s.peaks[0].rate }

// updateRate takes a sample, unless it is low because the sender, not the path, was slow. One over less than the
// least RTT is of ACKs that came together (draft-ietf-ccwg-bbr section 4.1.2.3).
func (s *bbr) updateRate(a *Ack) {
	if a.Round {
		s.round = (s.round + 1) & roundMask
	}
	if a.Interval <= 0 || a.Interval < a.MinRTT {
		return
	}
	rate := min(a.Rate(), largestRate)
	limited := a.AppLimited || s.lowered > 0 && a.Delivered <= s.lowered+uint64(a.Sampled)
	if limited && rate < s.rate() {
		return
	}
	s.peaks.add(peak{rate, s.round})
}

// updateAggregation measures how much more than the rate accounts for is acknowledged at once, where ACKs come in
// clusters (Wi-Fi, cable, offload). cwnd needs as much more, or the sender stands still between them.
func (s *bbr) updateAggregation(w *Window, now mono.Time, a *Ack) {
	if s.idle {
		s.ackEpoch, s.ackAcked = max(now.Add(-max(a.RTT, 0)), s.ackEpoch), 0
	}
	if a.New == 0 || a.Interval <= 0 {
		return
	}
	if a.Round {
		s.ageExtra()
	}
	expected := mulDiv(s.rate(), uint64(max(now.Sub(s.ackEpoch), 0)), uint64(mono.Second))
	if uint64(s.ackAcked) <= expected || s.ackAcked >= ackEpochLength {
		s.ackEpoch, s.ackAcked, expected = now, 0, 0
	}
	s.ackAcked += min(a.New, ackEpochLength)
	if extra := uint64(s.ackAcked) - min(expected, uint64(s.ackAcked)); extra > uint64(s.extra[s.extraIndex&1]) {
		s.extra[s.extraIndex&1] = uint32(min(extra, uint64(w.Cwnd)))
	}
}

// ageExtra begins the other window when this one has its rounds.
func (s *bbr) ageExtra() {
	s.extraAge++
	if s.full() && s.extraAge < extraRounds {
		return
	}
	s.extraAge = 0
	s.extraIndex ^= 1
	s.extra[s.extraIndex&1] = 0
}

// aggregation is what cwnd is larger by: the most of both windows, and no more than 100 ms of the rate.
func (s *bbr) aggregation() uint32 {
	if !s.full() {
		return 0
	}
	most := mulDiv(s.rate(), uint64(extraTime), uint64(mono.Second))
	return uint32(min(uint64(max(s.extra[0], s.extra[1])), most))
}

// bdp is gain times rate times least RTT, bytes, rounded up lest it feed back on itself. Without an RTT it is the
// initial window.
func (s *bbr) bdp(w *Window, gain uint64) uint64 {
	if s.minRTT == 0 {
		return uint64(InitialWindow(w.MSS))
	}
	return min(mulDiv(s.rate()*gain, uint64(s.minRTT), unit*uint64(mono.Second)), maxWindow) + 1
}

// inflight is the window for a gain.
func (s *bbr) inflight(w *Window, gain uint64) uint32 { return s.budget(w, s.bdp(w, gain)) }

// budget adds to a window what the ends hold beside the path: a superframe being made up, one in the device, and one
// that the receiver has not acknowledged yet. It rounds up to two segments, for receivers that acknowledge every
// other, and lets the probing phase get above the BDP where that is small.
func (s *bbr) budget(w *Window, window uint64) uint32 {
	two := uint64(max(2*w.MSS, 1))
	window += 3 * uint64(quantum(w))
	window = (window + two - 1) / two * two
	if s.mode == probeBW && s.phase == probeUp {
		window += two
	}
	return uint32(min(window, maxWindow))
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
