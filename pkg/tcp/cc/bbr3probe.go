package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// probingBW reports the four states of the cycle.
func (s *bbr3) probingBW() bool { return s.stage >= down3 && s.stage <= up3 }

// startDown begins the cycle: it takes back the probe's queue.
func (s *bbr3) startDown(now mono.Time, a *Ack) {
	s.lossRound, s.markRound, s.latest, s.inflightLatest = false, false, 0, 0
	s.perInc = unbounded
	s.sinceProbe = uint8(chance(now, 2))
	s.wait = uint16(chance(now+1, 1000))
	s.stamp = tickOf(now)
	s.acks = acksStopping
	s.startRound(a)
	s.stage = down3
}

// startRefill forgets the short bounds and fills the pipe for a round trip.
func (s *bbr3) startRefill(a *Ack) {
	s.resetShort()
	s.upRounds, s.upAcked, s.precautionary = 0, 0, false
	s.acks = acksRefilling
	s.startRound(a)
	s.stage = refill3
}

// startUp probes for more.
func (s *bbr3) startUp(w *Window, a *Ack) {
	s.acks, s.probeSample = acksStarting, true
	s.startRound(a)
	s.resetFull(s.sampled)
	s.stage = up3
	s.raiseSlope(w)
}

// updateCycle is UpdateProbeBWCyclePhase.
func (s *bbr3) updateCycle(w *Window, now mono.Time, a *Ack) {
	if !s.reached || a.New == 0 || s.adaptLong(w, a) {
		return
	}
	switch s.stage {
	case down3, cruise3:
		if s.timeToProbe(w, now) {
			s.startRefill(a)
		} else if a.Flight <= min(s.roomy(w), s.budget(w, bdp(w, s.maxRate(), s.minRTT, unit))) {
			s.stage = cruise3
		}
	case refill3:
		if s.roundStart {
			s.startUp(w, a)
		}
	case up3:
		if s.timeToGoDown(w, a) {
			s.prevTooHigh = false
			s.startDown(now, a)
		}
	}
}

// adaptLong is AdaptLongTermModel; it reports that it has changed the state.
func (s *bbr3) adaptLong(w *Window, a *Ack) bool {
	if s.acks == acksStarting && s.roundStart {
		s.acks = acksFeedback
	}
	if s.acks == acksStopping && s.roundStart {
		s.probeSample, s.acks = false, acksInit
		if s.probingBW() && !s.limited {
			s.advanceFilter()
		}
		if s.probingBW() && s.precautionary && !s.prevTooHigh {
			s.startRefill(a)
			return true
		}
	}
	if s.long == unbounded || tooHigh(a, a.TxInFlight, a.LostSince) {
		return false
	}
	s.long = max(s.long, a.TxInFlight)
	if s.stage == up3 {
		s.probeLong(w, a)
	}
	return false
}

// timeToProbe is after two to three seconds, or when Reno would have grown by as many segments as are in flight, 63
// round trips at the most (section 5.3.3.5).
func (s *bbr3) timeToProbe(w *Window, now mono.Time) bool {
	wait := probeEvery + mono.Duration(s.wait)*mono.Millisecond
	rounds := min(s.target(w)/max(w.MSS, 1), renoRounds)
	return s.stamp.since(now) > wait || uint32(s.sinceProbe) >= rounds
}

// timeToGoDown ends the probe: by caution, where the last one went too high, or when the pipe is full. It is not known
// to be full while long is what holds the flight back.
func (s *bbr3) timeToGoDown(w *Window, a *Ack) bool {
	switch {
	case s.prevTooHigh && uint64(a.Prior)+uint64(w.MSS) > uint64(s.long): // no more fits
		s.precautionary = true
		return true
	case s.atLong(w):
		s.resetFull(s.sampled)
		return false
	}
	return s.fullNow
}

// atLong reports that long is what holds the flight back.
func (s *bbr3) atLong(w *Window) bool { return (s.cwndFull || s.cwndWasFull) && w.Cwnd >= s.long }

// raiseSlope doubles the growth of long in each round of a probe: 1, 2, 4 ... segments.
func (s *bbr3) raiseSlope(w *Window) {
	s.perInc = max(w.Cwnd>>s.upRounds, w.MSS)
	s.upRounds = min(s.upRounds+1, 30)
}

// probeLong raises long as the slope has it, if it is used.
func (s *bbr3) probeLong(w *Window, a *Ack) {
	if !s.atLong(w) {
		return
	}
	s.upAcked += min(a.New, maxWindow)
	if s.perInc > 0 && s.upAcked >= s.perInc {
		n := s.upAcked / s.perInc
		s.upAcked -= n * s.perInc
		s.long = uint32(min(uint64(s.long)+uint64(n)*uint64(w.MSS), maxWindow))
	}
	if s.roundStart {
		s.raiseSlope(w)
	}
}

// updateMinRTT keeps the least RTT of five seconds, and of ten (section 5.3.4.3).
func (s *bbr3) updateMinRTT(now mono.Time, a *Ack) {
	s.expired = s.probeMinAt.since(now) > probeRTTEvery
	if a.RTT > 0 && (s.probeMin == 0 || a.RTT < s.probeMin || s.expired) {
		s.probeMin, s.probeMinAt = a.RTT, tickOf(now)
	}
	if s.minRTT == 0 || s.probeMin < s.minRTT || s.minRTTAt.since(now) > minRTTWindow {
		s.minRTT, s.minRTTAt = s.probeMin, s.probeMinAt
	}
}

// checkProbeRTT empties the path for a moment when the least RTT of five seconds grows old, unless the connection comes
// from rest: then its queue is gone already.
func (s *bbr3) checkProbeRTT(w *Window, now mono.Time, a *Ack) {
	if s.expired && !s.idle && s.stage != probeRTT3 {
		s.keep(w)
		s.stage, s.acks, s.lowSince = probeRTT3, acksStopping, false
		s.startRound(a)
	}
	if s.stage == probeRTT3 {
		s.probeRTT(w, now, a)
	}
	if a.New > 0 {
		s.idle = false
	}
}

// probeRTT holds it for 200 ms and a round trip after the flight has sunk to half the BDP.
func (s *bbr3) probeRTT(w *Window, now mono.Time, a *Ack) {
	s.low = true
	switch {
	case !s.lowSince && a.Flight <= s.probeRTTCwnd(w):
		s.lowSince, s.lowRound, s.stamp = true, false, tickOf(now)
		s.startRound(a)
	case s.lowSince:
		s.lowRound = s.lowRound || s.roundStart
	}
	if s.lowSince && s.lowRound && s.stamp.since(now) > probeRTTTime {
		s.leaveProbeRTT(w, now, a)
	}
}

func (s *bbr3) leaveProbeRTT(w *Window, now mono.Time, a *Ack) {
	s.probeMinAt = tickOf(now)
	w.Cwnd = max(w.Cwnd, s.prior)
	s.resetShort()
	s.startRound(a)
	s.stage = startup3
	if s.reached {
		s.startDown(now, a)
		s.stage = cruise3
	}
}

func (s *bbr3) probeRTTCwnd(w *Window) uint32 {
	return uint32(min(max(s.bdp(w, rttCwndGain3), uint64(minSegments*w.MSS)), maxWindow))
}
