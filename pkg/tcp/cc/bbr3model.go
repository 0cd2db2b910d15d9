package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// unbounded is the bound of a flight that is not bounded.
const unbounded = uint32(1<<32 - 1)

// tick is a time in steps of a millisecond (2^20 ns), round a ring of 52 days.
type tick uint32

func tickOf(t mono.Time) tick { return tick(uint64(t) >> 20) }

func (t tick) since(now mono.Time) mono.Duration { return mono.Duration(tickOf(now)-t) << 20 }

// shortTime is a round trip in steps of 64 ns, rounded up; 274 s at the most.
func shortTime(d mono.Duration) uint32 { return uint32(min((uint64(max(d, 0))+63)>>6, 1<<32-1)) }

func longTime(u uint32) mono.Duration { return mono.Duration(u) << 6 }

// bbr3 is BBR3's state. What is counted by Delivered is kept in its lower 32 bits.
type bbr3 struct {
	max            [2]uint64 // BBR.max_bw_filter: the most of the cycle before and of this one; bytes a second
	shortRate      uint64    // BBR.bw_shortterm
	latest         uint64    // BBR.bw_latest
	fullRate       uint64    // BBR.full_bw
	long, short    uint32    // BBR.inflight_longterm, BBR.inflight_shortterm
	inflightLatest uint32
	prior          uint32 // cwnd before loss or PROBE_RTT
	minRTT         mono.Duration
	probeMin       mono.Duration // BBR.probe_rtt_min_delay
	minRTTAt       tick
	probeMinAt     tick
	roundEnd       uint32 // Delivered
	lossRoundEnd   uint32 // Delivered
	clusters       clusters
	stamp          tick   // since when the cycle, or in PROBE_RTT the low flight, has lasted
	perInc         uint32 // BBR.probe_up_acked_per_inc
	upAcked        uint32 // BBR.bw_probe_up_acked

	stage, acks   uint8
	fullCount     uint8
	upRounds      uint8  // BBR.bw_probe_up_rounds
	sinceProbe    uint8  // BBR.rounds_since_probe_up
	wait          uint16 // until the next probe, ms beyond two seconds
	lossEvents    uint8  // ACKs of this round that showed losses
	drained       uint8  // rounds of DRAIN
	fullNow       bool
	reached       bool // BBR.full_bw_reached
	lossRound     bool // BBR.is_loss_in_round
	markRound     bool // a mark has come in the round
	probeSample   bool // BBR.is_bw_probe_sample
	prevTooHigh   bool // BBR.prev_probe_too_high
	precautionary bool // BBR.prev_probe_precautionary
	idle, timed   bool
	inLoss        bool // in recovery, or after a time-out
	timedOut      bool // since the last ACK
	marked        bool // since the last ACK
	cwndFull      bool // cwnd was used up in this round
	cwndWasFull   bool // in the one before
	low           bool // what was sent in PROBE_RTT still comes back
	lowSince      bool // PROBE_RTT has a low flight, since stamp
	lowRound      bool // and has had it for a round trip

	// Of this ACK alone.
	sampled        uint64 // its rate
	limited        bool   // which is not the path's
	roundStart     bool
	lossRoundStart bool
	expired        bool // probeMin is too old
}

// flags are the booleans that are kept, in order.
func (s *bbr3) flags() [17]*bool {
	return [17]*bool{&s.fullNow, &s.reached, &s.lossRound, &s.markRound, &s.probeSample, &s.prevTooHigh, &s.precautionary,
		&s.idle, &s.timed, &s.inLoss, &s.timedOut, &s.marked, &s.cwndFull, &s.cwndWasFull, &s.low, &s.lowSince,
		&s.lowRound}
}

func loadBBR3(w *Window) (s bbr3) {
	p := &w.Priv
	var b [5]uint32 // what lies beside the rates
	for i, rate := range []*uint64{&s.max[0], &s.max[1], &s.shortRate, &s.latest, &s.fullRate} {
		x := peakOf(p[i])
		*rate, b[i] = x.rate, x.round
	}
	s.long, s.short = halves(p[5])
	s.inflightLatest, s.prior = halves(p[6])
	hi, lo := halves(p[7])
	s.minRTT, s.probeMin = longTime(hi), longTime(lo)
	hi, lo = halves(p[8])
	s.minRTTAt, s.probeMinAt = tick(hi), tick(lo)
	s.roundEnd, s.lossRoundEnd = halves(p[9])
	g := &s.clusters
	g.epoch = mono.Time(p[10])
	g.extra[0], g.extra[1] = halves(p[11])
	g.acked, lo = halves(p[12])
	s.stamp = tick(lo)
	s.perInc, s.upAcked = halves(p[13])
	s.stage, s.acks, s.fullCount, s.upRounds = uint8(b[0]&7), uint8(b[0]>>3&7), uint8(b[0]>>6&3), uint8(b[0]>>8&31)
	g.age, g.index = uint8(b[0]>>13&7), uint8(b[0]>>16&1)
	s.sinceProbe, s.wait = uint8(b[1]), uint16(b[1]>>8&1023)
	s.lossEvents, s.drained = uint8(b[2]&15), uint8(b[2]>>4&7)
	for i, f := range s.flags() {
		*f = b[3]>>i&1 != 0
	}
	return s
}

func (s *bbr3) save(w *Window) {
	p, g := &w.Priv, &s.clusters
	var flags uint32
	for i, f := range s.flags() {
		flags |= uint32(bit(*f)) << i
	}
	beside := uint32(s.stage) | uint32(s.acks)<<3 | uint32(s.fullCount)<<6 | uint32(s.upRounds)<<8 |
		uint32(g.age)<<13 | uint32(g.index)<<16
	p[0] = peak{s.max[0], beside}.word()
	p[1] = peak{s.max[1], uint32(s.sinceProbe) | uint32(s.wait)<<8}.word()
	p[2] = peak{s.shortRate, uint32(s.lossEvents) | uint32(s.drained)<<4}.word()
	p[3] = peak{s.latest, flags}.word()
	p[4] = peak{s.fullRate, 0}.word()
	p[5] = pair(s.long, s.short)
	p[6] = pair(s.inflightLatest, s.prior)
	p[7] = pair(shortTime(s.minRTT), shortTime(s.probeMin))
	p[8] = pair(uint32(s.minRTTAt), uint32(s.probeMinAt))
	p[9] = pair(s.roundEnd, s.lossRoundEnd)
	p[10] = uint64(g.epoch)
	p[11] = pair(g.extra[0], g.extra[1])
	p[12] = pair(g.acked, uint32(s.stamp))
	p[13] = pair(s.perInc, s.upAcked)
}

// maxRate is BBR.max_bw.
func (s *bbr3) maxRate() uint64 { return max(s.max[0], s.max[1]) }

// rate is BBR.bw: the estimate, within what losses have taught.
func (s *bbr3) rate() uint64 { return min(s.maxRate(), s.shortRate) }

func (s *bbr3) bdp(w *Window, gain uint64) uint64 { return bdp(w, s.rate(), s.minRTT, gain) }

// inflight is the window for a gain.
func (s *bbr3) inflight(w *Window, gain uint64) uint32 { return s.budget(w, s.bdp(w, gain)) }

// budget sees to it that a window keeps the ends busy beside the path (section 5.5.8), and that UP gets above a small
// BDP.
func (s *bbr3) budget(w *Window, window uint64) uint32 {
	window = max(window, 3*uint64(quantum(w)), uint64(minSegments*w.MSS))
	if s.stage == up3 {
		window += 2 * uint64(w.MSS)
	}
	return uint32(min(window, maxWindow))
}

// target is what is wanted in flight: the BDP, unless congestion has cut cwnd.
func (s *bbr3) target(w *Window) uint32 { return min(uint32(s.bdp(w, unit)), w.Cwnd) }

// roomy is long with free room for others.
func (s *bbr3) roomy(w *Window) uint32 {
	if s.long == unbounded {
		return unbounded
	}
	room := max(w.MSS, uint32(uint64(s.long)*headroom/unit))
	return max(s.long-min(room, s.long), minSegments*w.MSS)
}

func share(n uint32, thousandths uint64) uint32 { return uint32(uint64(n) * thousandths / unit) }

// passed reports that Delivered, of which mark is the lower half, has come to it.
func passed(delivered uint64, mark uint32) bool { return int32(uint32(delivered)-mark) >= 0 }

func (s *bbr3) startRound(a *Ack) { s.roundEnd = uint32(a.Delivered) }

// countRounds finds out whether the ACK begins a round trip, of the two kinds: the state's, and that of losses.
func (s *bbr3) countRounds(w *Window, a *Ack) {
	sent := a.Delivered - uint64(a.Sampled) // Delivered when the sampled segment was sent
	if a.Sampled > 0 && passed(sent, s.roundEnd) {
		s.startRound(a)
		s.roundStart = true
		s.sinceProbe = min(s.sinceProbe+1, 255)
		s.drained = min(s.drained+1, 7)
		s.cwndFull, s.cwndWasFull = false, s.cwndFull
		s.low = s.low && s.stage == probeRTT3
	}
	if a.Sampled > 0 && passed(sent, s.lossRoundEnd) {
		s.lossRoundEnd = uint32(a.Delivered)
		s.lossRoundStart = true
	}
	s.cwndFull = s.cwndFull || a.Limited && uint64(a.Prior)+uint64(quantum(w)) >= uint64(w.Cwnd)
}

// takeSample is UpdateLatestDeliverySignals and UpdateMaxBw.
func (s *bbr3) takeSample(a *Ack) {
	s.sampled, s.limited = min(a.Rate(), largestRate), a.AppLimited || s.low
	s.latest = max(s.latest, s.sampled)
	s.inflightLatest = max(s.inflightLatest, a.Sampled)
	if s.sampled > 0 && (s.sampled >= s.maxRate() || !s.limited) {
		s.max[1] = max(s.max[1], s.sampled)
	}
}

// advanceFilter begins the next cycle of the rate's filter, unless this one has seen nothing.
func (s *bbr3) advanceFilter() {
	if s.max[1] > 0 {
		s.max = [2]uint64{s.max[1], 0}
	}
}

// tooHigh reports that of what was in flight when a segment was sent too much has been lost since.
func tooHigh(a *Ack, flight, lost uint32) bool {
	return flight > 0 && uint64(lost)*unit > uint64(flight)*lossThreshold || lost > 0 && a.NoSACK
}

// takeLosses is HandleLostPacket, for what the ACK found lost, and for a time-out and a mark before it.
func (s *bbr3) takeLosses(w *Window, now mono.Time, a *Ack) {
	if a.Lost > 0 || s.timedOut || s.marked {
		if !s.lossRound {
			s.lossRoundEnd = uint32(a.Delivered)
		}
		s.lossRound = true
	}
	if a.Lost > 0 {
		s.lossEvents = min(s.lossEvents+1, 15)
	}
	s.markRound = s.markRound || s.marked
	switch {
	case !s.probeSample:
	case a.Lost > 0 && tooHigh(a, a.LossTxInFlight, a.LossLostSince):
		s.limit(w, now, a, flightAtLoss(a), a.LossAppLimited)
	case s.marked:
		s.limit(w, now, a, a.TxInFlight, a.AppLimited)
	}
	s.timedOut, s.marked = false, false
}

// flightAtLoss is InflightAtLoss: how much was in flight when the losses among it came to the threshold.
func flightAtLoss(a *Ack) uint32 {
	before := uint64(a.LossTxInFlight - min(a.Lost, a.LossTxInFlight))
	lost := uint64(a.LossLostSince - min(a.Lost, a.LossLostSince))
	allowed := before * lossThreshold / unit
	return uint32(min(before+(allowed-min(lost, allowed))*unit/(unit-lossThreshold), maxWindow))
}

// limit is HandleInflightTooHigh: the probe has put too much into flight.
func (s *bbr3) limit(w *Window, now mono.Time, a *Ack, flight uint32, limited bool) {
	s.prevTooHigh, s.probeSample = true, false
	if !limited {
		s.long = max(flight, share(s.target(w), beta3))
	}
	if s.stage == up3 {
		s.startDown(now, a)
	}
}

// adaptShort is AdaptLowerBoundsFromCongestion: at the end of a round trip with losses, outside of probes, the short
// bounds follow what was delivered.
func (s *bbr3) adaptShort(w *Window) {
	if !s.lossRoundStart {
		return
	}
	if probing := s.stage == startup3 || s.stage == refill3 || s.stage == up3; s.lossRound && !probing {
		if s.shortRate == largestRate {
			s.shortRate = s.maxRate()
		}
		if s.short == unbounded {
			s.short = w.Cwnd
		}
		s.shortRate = max(s.latest, s.shortRate*beta3/unit)
		s.short = max(s.inflightLatest, share(s.short, beta3))
		if s.markRound {
			s.short = share(min(s.short, s.inflightLatest), betaMark)
		}
	}
	s.lossRound, s.markRound = false, false
}

func (s *bbr3) resetShort() { s.shortRate, s.short = largestRate, unbounded }
