package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// BBR is version 1 as Linux has it (draft-cardwell-iccrg-bbr-congestion-control-00 describes it). It models the path
// by two numbers, the most that was delivered a second within ten round trips and the least RTT within ten seconds,
// sends at the first and keeps in flight little more than their product, the BDP. It answers neither loss nor marks
// but by taking care for a round trip.
//
//	STARTUP ---> DRAIN ---> PROBE_BW <---> PROBE_RTT
//	 2.89 x      1/2.89     1.25, 0.75,     4 segments
//	 the rate               1 six times     for 200 ms
//
// What Linux has and this has not: the detector of policers (lt_bw), which answers a bucket that is refilled more
// slowly than bursts suggest; and the reckoning of what is in flight at the time at which the next segment may leave,
// for which an Ack would have to carry that time.
type BBR struct{}

// Gains in thousandths. 2/ln(2) is the least that doubles the rate every round trip.
const (
	unit      = 1000
	highGain  = 2886
	drainGain = unit * unit / highGain
	cwndGain  = 2 * unit // in PROBE_BW: for ACKs that are late or stretched
	probeUp   = 0        // the phase of cycleGains that probes for more
	probeDown = 1        // and the one that takes back the queue of it
	margin    = 990      // of the estimate: 1 % less, so that queues drain
)

var cycleGains = [8]uint64{1250, 750, unit, unit, unit, unit, unit, unit}

const (
	minRTTWindow   = 10 * mono.Second
	probeRTTTime   = 200 * mono.Millisecond
	minSegments    = 4    // in flight at least, for receivers that acknowledge every other
	fullGrowth     = 1250 // thousandths: a rate that grows less in a round
	fullRounds     = 3    // for so many rounds has filled the pipe
	firstRTT       = mono.Millisecond
	slowPacing     = 150_000 // bytes a second, 1.2 Mbit/s: below it one segment at a time
	quantumTime    = mono.Millisecond
	largestQuantum = 65535
)

const (
	startup = iota
	drain
	probeBW
	probeRTT
)

// Name is "bbr", as Linux calls it.
func (BBR) Name() string { return "bbr" }

// Open paces the initial window as if the RTT were 1 ms, until the first ACK tells better.
func (BBR) Open(w *Window, now mono.Time) {
	w.Cwnd, w.Ssthresh, w.Owns = InitialWindow(w.MSS), unknown, true
	s := bbr{mode: startup, minRTTAt: now, clusters: clusters{epoch: now}}
	w.Pacing = firstPace(w, firstRTT, highGain)
	s.save(w)
}

// Ack updates the model, then the mode, then the rate and the window.
func (BBR) Ack(w *Window, now mono.Time, a *Ack) {
	s := loadBBR(w)
	if a.Undone && (s.mode == startup || s.mode == drain) { // the pipe seemed full for want of window (Linux's bbr_undo_cwnd)
		s.mode, s.fullRate, s.fullCount = startup, 0, 0
	}
	s.updateRate(a)
	s.clusters.update(w, now, a, s.rate(), s.full(), s.idle)
	s.updatePhase(w, now, a)
	s.checkFull(a)
	s.checkDrain(w, now, a)
	s.updateMinRTT(w, now, a)
	s.setPacing(w, a)
	s.setCwnd(w, a)
	s.restIdle(w, a)
	s.save(w)
}

// Loss keeps the window that recovery will be left with. The rest of the answer is Ack's.
func (BBR) Loss(w *Window, _ mono.Time, e Episode) {
	if e.ECN {
		return
	}
	s := loadBBR(w)
	s.keep(w)
	s.save(w)
}

// Timeout begins again from one segment, up to what the model says: the window comes back when what was lost is
// repaired. In STARTUP the rounds that showed the pipe no fuller count no more.
func (BBR) Timeout(w *Window, _ mono.Time, _ uint32) {
	s := loadBBR(w)
	s.keep(w)
	s.inLoss, s.conserve, s.fullRate = true, 0, 0
	w.Cwnd = w.MSS
	s.save(w)
}

// keep remembers the last cwnd that neither loss nor PROBE_RTT had cut.
func (s *bbr) keep(w *Window) {
	if s.inLoss || s.mode == probeRTT {
		s.prior = max(s.prior, w.Cwnd)
		return
	}
	s.prior = w.Cwnd
}

// gains are those of the mode, for the rate and for the window.
func (s *bbr) gains() (pace, cwnd uint64) {
	switch s.mode {
	case startup:
		return highGain, highGain
	case drain:
		return drainGain, highGain
	case probeBW:
		return cycleGains[s.phase%8], cwndGain
	}
	return unit, unit
}

// checkFull sees the pipe full when three rounds have brought less than a quarter more each.
func (s *bbr) checkFull(a *Ack) {
	if s.full() || !a.Round || a.AppLimited {
		return
	}
	if s.rate() >= s.fullRate*fullGrowth/unit {
		s.fullRate, s.fullCount = s.rate(), 0
		return
	}
	s.fullCount++
}

func (s *bbr) full() bool { return s.fullCount >= fullRounds }

// checkDrain goes from a full pipe to DRAIN, and on when its queue is gone.
func (s *bbr) checkDrain(w *Window, now mono.Time, a *Ack) {
	if s.mode == startup && s.full() {
		s.mode = drain
	}
	if s.mode == drain && a.Flight <= s.inflight(w, unit) {
		s.enterProbeBW(now)
	}
}

// enterProbeBW begins anywhere in the cycle but in the phase that drains, so that connections do not probe in step.
func (s *bbr) enterProbeBW(now mono.Time) {
	s.mode, s.stamp = probeBW, now
	s.phase = uint8(chance(now, 7))
	if s.phase >= probeDown {
		s.phase++
	}
}

// updatePhase goes round the cycle, a minimal RTT a phase: the probe lasts until what is in flight shows it or it
// loses, and draining ends early when the queue is gone.
func (s *bbr) updatePhase(w *Window, now mono.Time, a *Ack) {
	if s.mode != probeBW {
		return
	}
	next := now.Sub(s.stamp) > s.minRTT
	switch s.phase {
	case probeUp:
		next = next && (a.Lost > 0 || a.Prior >= s.inflight(w, cycleGains[probeUp]))
	case probeDown:
		next = next || a.Prior <= s.inflight(w, unit)
	}
	if next {
		s.phase, s.stamp = (s.phase+1)%8, now
	}
}

// updateMinRTT keeps the least RTT of ten seconds. When it grows older, PROBE_RTT empties the path for a moment to
// measure it again, unless the connection comes from rest: then its queue is gone already.
func (s *bbr) updateMinRTT(w *Window, now mono.Time, a *Ack) {
	expired := now.Sub(s.minRTTAt) > minRTTWindow
	if a.RTT > 0 && (s.minRTT == 0 || a.RTT < s.minRTT || expired) {
		s.minRTT, s.minRTTAt = a.RTT, now
	}
	if expired && !s.idle && s.mode != probeRTT {
		s.keep(w)
		s.mode, s.stamp = probeRTT, 0
	}
	if s.mode == probeRTT {
		s.probe(w, now, a)
	}
	if a.New > 0 {
		s.idle = false
	}
}

// probe holds PROBE_RTT for 200 ms and a round trip after the flight has sunk to four segments. The samples of what was
// sent in it say nothing of the path.
func (s *bbr) probe(w *Window, now mono.Time, a *Ack) {
	s.lowered = a.Delivered + uint64(a.Flight)
	switch {
	case s.stamp == 0 && a.Flight <= minSegments*w.MSS:
		s.stamp = now.Add(probeRTTTime)
		s.probed = a.Delivered + uint64(a.Flight)
	case s.stamp != 0 && a.Delivered >= s.probed:
		s.leaveProbeRTT(w, now)
	}
}

func (s *bbr) leaveProbeRTT(w *Window, now mono.Time) {
	if s.stamp == 0 || now <= s.stamp {
		return
	}
	s.minRTTAt = now
	w.Cwnd = max(w.Cwnd, s.prior)
	if s.full() {
		s.enterProbeBW(now)
	} else {
		s.mode = startup
	}
}

// setPacing sets the rate: in STARTUP it never sinks.
func (s *bbr) setPacing(w *Window, a *Ack) {
	if !s.timed && a.SRTT > 0 {
		s.timed = true
		w.Pacing = firstPace(w, a.SRTT, highGain)
	}
	gain, _ := s.gains()
	if rate := paceAt(s.rate(), gain); rate > 0 && (s.full() || rate > w.Pacing) {
		w.Pacing = rate
	}
}

// setCwnd lets cwnd follow what is delivered up to the target, which is some BDPs.
func (s *bbr) setCwnd(w *Window, a *Ack) {
	least := minSegments * w.MSS
	if a.New > 0 && !s.recovery(w, a) {
		_, gain := s.gains()
		target := s.budget(w, s.bdp(w, gain)+uint64(s.aggregation()))
		grown := min(w.Cwnd, maxWindow) + min(a.New, maxWindow)
		switch {
		case s.full():
			w.Cwnd = min(grown, target)
		case w.Cwnd < target || a.Delivered < uint64(InitialWindow(w.MSS)):
			w.Cwnd = grown
		}
		w.Cwnd = max(w.Cwnd, least)
	}
	if s.mode == probeRTT {
		w.Cwnd = min(w.Cwnd, least)
	}
	w.Cwnd = min(w.Cwnd, maxWindow)
}

// recovery takes from cwnd what was lost. For the first round trip of a recovery packets are conserved: as much may be
// sent as is delivered; it reports so. At its end cwnd is what it was.
func (s *bbr) recovery(w *Window, a *Ack) bool {
	w.Cwnd = max(w.Cwnd-min(a.Lost, w.Cwnd), w.MSS)
	kept := min(uint64(a.Flight)+uint64(a.New), maxWindow)
	lossy := a.Loss || a.Repair
	switch {
	case lossy && !s.inLoss:
		s.inLoss = true
		s.conserve = a.Delivered + uint64(a.Flight)
		w.Cwnd = max(uint32(kept), w.MSS)
	case !lossy && s.inLoss:
		s.inLoss = false
		s.conserve = 0
		w.Cwnd = max(w.Cwnd, s.prior)
	}
	if a.Delivered >= s.conserve {
		s.conserve = 0
		return false
	}
	w.Cwnd = max(w.Cwnd, uint32(kept))
	return true
}

// restIdle notices that the connection comes to rest: all is acknowledged, and not for want of window. What it sends
// next leaves at the rate of the path, for there is nothing to probe with. Linux does this when it sends again.
func (s *bbr) restIdle(w *Window, a *Ack) {
	if a.Flight > 0 || a.Limited {
		return
	}
	s.idle = true
	if rate := paceAt(s.rate(), unit); s.mode == probeBW && rate > 0 {
		w.Pacing = rate
	}
}
