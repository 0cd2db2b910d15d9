package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// HyStart++ (RFC 9406) ends the first slow start before its queue overflows: when the least RTT of a round lies clearly
// above that of the round before, growth falls to a quarter (Conservative Slow Start), and five rounds later, unless
// the RTT has sunk again, congestion avoidance begins. Later slow starts know ssthresh and need it not (section 4.3).

// The constants of section 4.3; RTTs in microseconds.
const (
	minRTTThresh     = 4000
	maxRTTThresh     = 16000
	minRTTDivisor    = 8
	nRTTSample       = 8
	cssGrowthDivisor = 4
	cssRounds        = 5
	unpacedL         = 8 // segments that one ACK may count for where nothing paces; where something does, all
)

// Words of Priv, behind those of the algorithms.
const (
	hyRTTs     = 11 // lastRoundMinRTT, currentRoundMinRTT
	hyBaseline = 12 // cssBaselineMinRtt; CSS rounds, samples in the round, samples of this moment: 8 bits each
	hySampled  = 13 // when the latest sample was taken
)

const never = 1<<32 - 1 // an RTT that has not been measured: the RFC's infinity

type hyStart struct {
	last, current uint32 // lastRoundMinRTT, currentRoundMinRTT
	baseline      uint32 // cssBaselineMinRtt; never: not in CSS
	rounds        uint8  // of CSS, that have ended
	samples       uint8  // rttSampleCount, no further than nRTTSample
	atOnce        uint8  // those of the moment sampled
	sampled       mono.Time
}

func loadHyStart(w *Window) (h hyStart) {
	h.last, h.current = halves(w.Priv[hyRTTs])
	var counts uint32
	h.baseline, counts = halves(w.Priv[hyBaseline])
	h.rounds, h.samples, h.atOnce = uint8(counts), uint8(counts>>8), uint8(counts>>16)
	h.sampled = mono.Time(w.Priv[hySampled])
	return h
}

func (h *hyStart) save(w *Window) {
	w.Priv[hyRTTs] = pair(h.last, h.current)
	w.Priv[hyBaseline] = pair(h.baseline, uint32(h.rounds)|uint32(h.samples)<<8|uint32(h.atOnce)<<16)
	w.Priv[hySampled] = uint64(h.sampled)
}

func openHyStart(w *Window) {
	h := hyStart{last: never, current: never, baseline: never}
	h.save(w)
}

// slowStart grows cwnd by what a delivered, up to ssthresh, and returns the bytes that are left for congestion
// avoidance. It counts what is newly delivered rather than what SND.UNA passes: the ACK that ends a recovery passes
// much that was delivered, and reacted to, before.
func slowStart(w *Window, now mono.Time, a *Ack) uint32 {
	if w.Cwnd >= w.Ssthresh {
		return a.New
	}
	n := a.New
	if w.Ssthresh == unknown {
		n = hyStartAck(w, now, a)
	}
	if !a.Limited || a.Loss {
		return 0
	}
	step := min(n, w.Ssthresh-w.Cwnd)
	w.Cwnd = min(w.Cwnd+step, maxWindow)
	return n - step
}

// hyStartAck is section 4.2 for one ACK: it returns the bytes to grow by.
func hyStartAck(w *Window, now mono.Time, a *Ack) uint32 {
	h := loadHyStart(w)
	if a.Round {
		h.beginRound(w)
	}
	h.sample(w, now, a)
	h.judge()
	h.save(w)
	n := a.New
	if a.Unpaced {
		n = min(n, unpacedL*w.MSS)
	}
	if h.baseline != never {
		n /= cssGrowthDivisor
	}
	return n
}

// beginRound ends CSS, too, after its last round; the round in which it began counts.
func (h *hyStart) beginRound(w *Window) {
	h.last, h.current = h.current, never
	h.samples, h.atOnce = 0, 0
	if h.baseline == never {
		return
	}
	if h.rounds++; h.rounds >= cssRounds {
		w.Ssthresh = w.Cwnd
	}
}

// sample takes note of an RTT. The RFC counts ACKs and expects one for every other segment. An ACK for a superframe
// stands for many such: it counts for as many, or a window of several superframes would be too few samples to ever
// judge. But what arrives at one moment is delayed by the same queue and by the same scheduler: however many ACKs a
// batch holds, it makes no more than half of what is needed.
func (h *hyStart) sample(w *Window, now mono.Time, a *Ack) {
	if a.RTT <= 0 {
		return
	}
	h.current = uint32(min(micros(a.RTT), uint64(h.current), never-1))
	if h.sampled != now {
		h.sampled, h.atOnce = now, 0
	}
	n := min(max(a.New/max(2*w.MSS, 1), 1), uint32(nRTTSample/2-h.atOnce))
	h.atOnce += uint8(n)
	h.samples = min(h.samples+uint8(n), nRTTSample)
}

// judge goes into CSS when the RTT has risen, and back when it has sunk below what it was then.
func (h *hyStart) judge() {
	switch {
	case h.samples < nRTTSample || h.current == never:
	case h.baseline != never:
		if h.current < h.baseline {
			h.baseline = never
		}
	case h.last != never:
		thresh := max(minRTTThresh, min(h.last/minRTTDivisor, maxRTTThresh))
		if uint64(h.current) >= uint64(h.last)+uint64(thresh) {
			h.baseline, h.rounds = h.current, 0
		}
	}
}
