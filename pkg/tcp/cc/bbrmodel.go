package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// The window of the rate's filter, in rounds: the eight phases of the cycle and two more.
const rateRounds = len(cycleGains) + 2

const (
	largestRate = 1<<40 - 1 // bytes a second: what a word of Priv holds beside a round
	roundMask   = 1<<24 - 1
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
	prior    uint32    // cwnd before loss or PROBE_RTT
	clusters clusters
	fullRate uint64 // what the rate must outgrow for the pipe not to be full
	round    uint32
	conserve uint64 // packets are conserved until so much is delivered
	lowered  uint64 // samples of what was sent before so much was delivered say nothing: PROBE_RTT kept it low
	probed   uint64 // PROBE_RTT has lasted a round trip when so much is delivered

	mode, phase, fullCount uint8
	inLoss                 bool // in recovery, or after a time-out
	idle                   bool // the connection rests
	timed                  bool // an RTT has been measured
}

func loadBBR(w *Window) (s bbr) {
	p := &w.Priv
	s.peaks = peaks{peakOf(p[0]), peakOf(p[1]), peakOf(p[2])}
	s.minRTT, s.minRTTAt = mono.Duration(p[bbrMinRTT]), mono.Time(p[bbrMinRTTAt])
	g := &s.clusters
	s.stamp, g.epoch = mono.Time(p[bbrStamp]), mono.Time(p[bbrAckEpoch])
	g.acked, s.prior = halves(p[bbrAcked])
	g.extra[0], g.extra[1] = halves(p[bbrExtra])
	full := peakOf(p[bbrFull])
	s.fullRate, s.round = full.rate, full.round
	s.conserve, s.lowered, s.probed = p[bbrConserve], p[bbrLowered], p[bbrProbed]
	b := p[bbrBits]
	s.mode, s.phase, s.fullCount = uint8(b), uint8(b>>8), uint8(b>>16)
	g.age, g.index = uint8(b>>24), uint8(b>>32)
	s.inLoss, s.idle, s.timed = b>>40&1 != 0, b>>41&1 != 0, b>>42&1 != 0
	return s
}

func (s *bbr) save(w *Window) {
	p := &w.Priv
	p[0], p[1], p[2] = s.peaks[0].word(), s.peaks[1].word(), s.peaks[2].word()
	g := &s.clusters
	p[bbrMinRTT], p[bbrMinRTTAt] = uint64(s.minRTT), uint64(s.minRTTAt)
	p[bbrStamp], p[bbrAckEpoch] = uint64(s.stamp), uint64(g.epoch)
	p[bbrAcked] = pair(g.acked, s.prior)
	p[bbrExtra] = pair(g.extra[0], g.extra[1])
	p[bbrFull] = peak{s.fullRate, s.round}.word()
	p[bbrConserve], p[bbrLowered], p[bbrProbed] = s.conserve, s.lowered, s.probed
	p[bbrBits] = uint64(s.mode) | uint64(s.phase)<<8 | uint64(s.fullCount)<<16 |
		uint64(g.age)<<24 | uint64(g.index)<<32 | bit(s.inLoss)<<40 | bit(s.idle)<<41 | bit(s.timed)<<42
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

// aggregation is what cwnd is larger by.
func (s *bbr) aggregation() uint32 { return s.clusters.most(s.rate(), s.full()) }

// bdp is gain times rate times least RTT.
func (s *bbr) bdp(w *Window, gain uint64) uint64 { return bdp(w, s.rate(), s.minRTT, gain) }

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
