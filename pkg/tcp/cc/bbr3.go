package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// BBR3 is version 3 (draft-ietf-ccwg-bbr). Beside BBR's model of the path it keeps bounds that losses and marks have
// taught: for the flight that a probe found too large (long), and for the rate and the flight when losses come unasked
// (shortRate, short). So it leaves room for others where queues are shallow, and yet random loss below 2 % costs little.
//
//	STARTUP --> DRAIN --> DOWN --> CRUISE --> REFILL --> UP --> DOWN ...     and from anywhere: PROBE_RTT
//	2.77 x      0.5 x     0.9 x    1 x,       1 x        1.25 x               half the BDP for 200 ms,
//	the rate              the rate 2 to 3 s   a round                         5 s after the least RTT
//
// A probe (REFILL, UP) that loses more than 2 % of what was in flight lowers long; one that does not raises it. Outside
// of probes each round trip with losses lowers the short bounds to what was delivered, by 30 % at most, until the next
// REFILL forgets them.
//
// What the draft leaves to others is so here: of the ranges lost in a round of STARTUP each ACK that shows losses counts
// as one; what an ACK finds lost counts as one packet, sent when the last of it was sent; a mark (RFC 3168), once a
// round trip, ends STARTUP and UP as too much loss does, and elsewhere lowers the short bound of the flight to 85 %
// of what was delivered in the round (RFC 8511). Without SACK any loss in a probe is too much.
//
// What the draft has and this has not: the return to the bounds and the state before losses that prove spurious. The
// connection restores cwnd; the bounds come back with the next probe.
type BBR3 struct{}

// Gains and shares in thousandths.
const (
	startupGain3  = 2773 // 4 ln 2
	drainGain3    = 500
	downGain3     = 900
	upGain3       = 1250
	cwndGain3     = 2000
	upCwndGain3   = 2250
	rttCwndGain3  = 500
	lossThreshold = 20
	beta3         = 700
	betaMark      = 850
	headroom      = 150
)

const (
	startupLosses = 6 // ranges lost in a round that end STARTUP
	drainRounds   = 3
	renoRounds    = 63 // between probes at most, so that Reno has the time to grow by as many segments
	probeEvery    = 2 * mono.Second
	probeRTTEvery = 5 * mono.Second
)

// The states.
const (
	startup3 = iota
	drain3
	down3
	cruise3
	refill3
	up3
	probeRTT3
)

// What ACKs say of probes (BBR.ack_phase).
const (
	acksInit      = iota // nothing
	acksRefilling        // the pipe is being filled
	acksStarting         // the probe has begun
	acksFeedback         // ACKs of the probe come
	acksStopping         // the probe is over, but its ACKs still come
)

// Name is "bbr3".
func (BBR3) Name() string { return "bbr3" }

// Open paces the initial window as if the RTT were 1 ms, until the first ACK tells better.
func (BBR3) Open(w *Window, now mono.Time) {
	w.Cwnd, w.Ssthresh, w.Owns = InitialWindow(w.MSS), unknown, true
	s := bbr3{shortRate: largestRate, long: unbounded, short: unbounded, perInc: unbounded, clusters: clusters{epoch: now},
		minRTTAt: tickOf(now), probeMinAt: tickOf(now)}
	w.Pacing = firstPace(w, firstRTT, startupGain3)
	s.save(w)
}

// Ack is the draft's section 5.2.3: the model, then the state, then the rate and the window.
func (BBR3) Ack(w *Window, now mono.Time, a *Ack) {
	s := loadBBR3(w)
	s.takeLosses(w, now, a)
	s.countRounds(w, a)
	s.takeSample(a)
	s.adaptShort(w)
	s.clusters.update(w, now, a, s.rate(), s.reached, s.idle)
	s.checkFull(a)
	s.checkStartup(w, a)
	s.checkDrain(w, now, a)
	s.updateCycle(w, now, a)
	s.updateMinRTT(now, a)
	s.checkProbeRTT(w, now, a)
	if s.lossRoundStart {
		s.latest, s.inflightLatest = s.sampled, a.Sampled
	}
	s.setPacing(w, a)
	s.setCwnd(w, a)
	s.restIdle(w, a)
	s.save(w)
}

// Loss keeps the window that recovery will be left with, or notes a mark. The rest of the answer is Ack's.
func (BBR3) Loss(w *Window, _ mono.Time, e Episode) {
	s := loadBBR3(w)
	if e.ECN {
		s.marked = true
	} else {
		s.keep(w)
		s.inLoss = true
	}
	s.save(w)
}

// Timeout begins again from one segment; the window comes back when what was lost is repaired.
func (BBR3) Timeout(w *Window, _ mono.Time, _ uint32) {
	s := loadBBR3(w)
	s.keep(w)
	s.inLoss, s.timedOut = true, true
	w.Cwnd = w.MSS
	s.save(w)
}

// keep remembers the last cwnd that neither loss nor PROBE_RTT had cut.
func (s *bbr3) keep(w *Window) {
	if s.inLoss || s.stage == probeRTT3 {
		s.prior = max(s.prior, w.Cwnd)
		return
	}
	s.prior = w.Cwnd
}

// gains are those of the state, for the rate and for the window.
func (s *bbr3) gains() (pace, cwnd uint64) {
	switch s.stage {
	case startup3:
		return startupGain3, cwndGain3
	case drain3:
		return drainGain3, cwndGain3
	case down3:
		return downGain3, cwndGain3
	case up3:
		return upGain3, upCwndGain3
	case probeRTT3:
		return unit, rttCwndGain3
	}
	return unit, cwndGain3
}

// checkFull sees the pipe full when three rounds have brought less than a quarter more (section 5.3.1.2).
func (s *bbr3) checkFull(a *Ack) {
	if s.fullNow || !s.roundStart || s.limited || a.Interval <= 0 {
		return
	}
	if s.sampled >= s.fullRate*fullGrowth/unit {
		s.resetFull(s.sampled)
		return
	}
	s.fullCount++
	if s.fullCount >= fullRounds {
		s.fullNow, s.reached = true, true
	}
}

// resetFull begins to look for a full pipe, from a rate.
func (s *bbr3) resetFull(rate uint64) { s.fullRate, s.fullCount, s.fullNow = rate, 0, false }

// checkStartup ends STARTUP when the pipe is full, or by losses that have lasted for a round trip (section 5.3.1.3).
func (s *bbr3) checkStartup(w *Window, a *Ack) {
	if s.stage != startup3 {
		return
	}
	lossy := s.lossRoundStart && a.Loss && s.lossEvents >= startupLosses && tooHigh(a, a.TxInFlight, a.LostSince)
	if lossy || s.lossEvents > 0 && a.NoSACK || s.markRound {
		s.reached = true
		s.long = uint32(min(max(s.bdp(w, unit), uint64(s.inflightLatest)), maxWindow))
	}
	if s.lossRoundStart {
		s.lossEvents = 0
	}
	if s.reached {
		s.stage, s.drained = drain3, 0
	}
}

// checkDrain goes on when the queue of STARTUP is gone, or after three rounds.
func (s *bbr3) checkDrain(w *Window, now mono.Time, a *Ack) {
	if s.stage != drain3 {
		return
	}
	if a.Flight <= s.inflight(w, unit) || s.drained > drainRounds {
		s.startDown(now, a)
	}
}

// setPacing sets the rate: in STARTUP it never sinks.
func (s *bbr3) setPacing(w *Window, a *Ack) {
	if !s.timed && a.SRTT > 0 {
		s.timed = true
		w.Pacing = firstPace(w, a.SRTT, startupGain3)
	}
	gain, _ := s.gains()
	if rate := paceAt(s.rate(), gain); rate > 0 && (s.reached || rate > w.Pacing) {
		w.Pacing = rate
	}
}

// setCwnd lets cwnd follow what is delivered up to what the path holds, within the bounds (section 5.6.4).
func (s *bbr3) setCwnd(w *Window, a *Ack) {
	if s.inLoss && !a.Loss && !a.Repair {
		s.inLoss = false
		w.Cwnd = max(w.Cwnd, s.prior)
	}
	if a.New > 0 {
		_, gain := s.gains()
		most := s.budget(w, s.bdp(w, gain)+uint64(s.clusters.most(s.rate(), s.reached)))
		grown := min(w.Cwnd, maxWindow) + min(a.New, maxWindow)
		switch {
		case s.reached:
			w.Cwnd = min(grown, most)
		case w.Cwnd < most || a.Delivered < uint64(InitialWindow(w.MSS)):
			w.Cwnd = grown
		}
		w.Cwnd = max(w.Cwnd, minSegments*w.MSS)
	}
	if s.stage == probeRTT3 {
		w.Cwnd = min(w.Cwnd, s.probeRTTCwnd(w))
	}
	w.Cwnd = min(w.Cwnd, s.cap(w), maxWindow)
}

// cap is what the bounds allow in the state.
func (s *bbr3) cap(w *Window) uint32 {
	most := unbounded
	switch s.stage {
	case down3, refill3, up3:
		most = s.long
	case cruise3, probeRTT3:
		most = s.roomy(w)
	}
	return max(min(most, s.short), minSegments*w.MSS)
}

// restIdle notices that the connection comes to rest: all is acknowledged, and not for want of window. What it sends
// next leaves at the rate of the path.
func (s *bbr3) restIdle(w *Window, a *Ack) {
	if a.Flight > 0 || a.Limited {
		return
	}
	s.idle = true
	if rate := paceAt(s.rate(), unit); s.probingBW() && rate > 0 {
		w.Pacing = rate
	}
}
