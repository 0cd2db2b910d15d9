package cc

import (
	"sort"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Cubic is CUBIC of RFC 9438, with HyStart++ in its first slow start. After a loss cwnd follows a cubic curve of time,
// flat where the loss was:
//
//	W_cubic(t) = C*(t-K)^3 + W_max     K = cbrt((W_max - cwnd_epoch)/C)
//
//	           loss                   /
//	cwnd  W_max - * - - - - - ______/ - -   convex: probing for more
//	           .  |        __/
//	           .  |     _/                  concave: back to where it was
//	       0.7 .  *____/
//	              |<----- K ----->|    t ->
//
// Where Reno would be faster (short RTTs, small windows), it is as fast as Reno: W_est.
//
// It answers an ECN mark as it answers a loss, as RFC 9438 and Linux do. ABE (RFC 8511, Experimental) would multiply by
// 0.85; but alpha is reckoned for 0.7, so with 0.85 it would take half as much again as its neighbours in the
// Reno-friendly region.
//
// All arithmetic is in integers: bytes and microseconds.
type Cubic struct{}

// beta is 7/10, so alpha, 3*(1-beta)/(1+beta), is 9/17, and fast convergence's (1+beta)/2 is 17/20; C is 2/5 segments
// a second cubed (sections 4.6, 4.3, 4.7 and 5.1).
const (
	betaNum, betaDen   = 7, 10
	alphaNum, alphaDen = 9, 17
	fastNum, fastDen   = 17, 20
)

// Words of Priv.
const (
	cubicCurve    = 0 // three words
	cubicUndo     = 3 // three words
	cubicFraction = 6
	cubicCredit   = 7
	cubicCounted  = 8
	cubicSsthresh = 9 // as a reduction set it, and as it was before
)

// curve is what a reduction changes and an undo brings back (section 4.9.2).
type curve struct {
	wMax  uint32    // W_max; 0: none, since the first slow start or a time-out
	prior uint32    // cwnd_prior; 0: none
	epoch mono.Time // t_epoch, later by the time that does not count; 0: the next ACK begins the stage
	k     uint32    // K, microseconds
	wEst  uint32    // W_est
}

type cubic struct {
	curve
	undo           curve
	fraction       uint32 // bytes times cwnd that the last increase left over
	idle           bool   // the last ACK left nothing in flight
	credit         uint64 // bytes acknowledged times alpha's parts, towards W_est's next segment
	counted        mono.Time
	set, undoneSet uint32 // Ssthresh as the last reduction left it, and as it found it
}

func loadCurve(p []uint64) (c curve) {
	c.wMax, c.prior = halves(p[0])
	c.epoch = mono.Time(p[1])
	c.k, c.wEst = halves(p[2])
	return c
}

func (c *curve) save(p []uint64) {
	p[0], p[1], p[2] = pair(c.wMax, c.prior), uint64(c.epoch), pair(c.k, c.wEst)
}

func loadCubic(w *Window) (s cubic) {
	s.curve = loadCurve(w.Priv[cubicCurve:])
	s.undo = loadCurve(w.Priv[cubicUndo:])
	var flags uint32
	s.fraction, flags = halves(w.Priv[cubicFraction])
	s.idle = flags != 0
	s.credit = w.Priv[cubicCredit]
	s.counted = mono.Time(w.Priv[cubicCounted])
	s.set, s.undoneSet = halves(w.Priv[cubicSsthresh])
	return s
}

func (s *cubic) save(w *Window) {
	s.curve.save(w.Priv[cubicCurve:])
	s.undo.save(w.Priv[cubicUndo:])
	var flags uint32
	if s.idle {
		flags = 1
	}
	w.Priv[cubicFraction] = pair(s.fraction, flags)
	w.Priv[cubicCredit] = s.credit
	w.Priv[cubicCounted] = uint64(s.counted)
	w.Priv[cubicSsthresh] = pair(s.set, s.undoneSet)
}

// Name is "cubic", as Linux calls it.
func (Cubic) Name() string { return "cubic" }

// Open sets the initial window of RFC 6928.
func (Cubic) Open(w *Window, _ mono.Time) {
	w.Cwnd, w.Ssthresh = InitialWindow(w.MSS), unknown
	openHyStart(w)
}

// Ack grows cwnd: by slow start, then along the curve (section 4.2).
func (Cubic) Ack(w *Window, now mono.Time, a *Ack) {
	s := loadCubic(w)
	s.undone(w)
	s.skip(now, a)
	n := slowStart(w, now, a)
	if a.Limited && !a.Loss && n > 0 {
		s.avoid(w, now, n, a.SRTT)
	}
	s.save(w)
}

// undone takes the curve up again where the connection found an episode spurious: it has put Ssthresh back to what it
// was. A cwnd that has meanwhile passed cwnd_prior keeps its own curve (section 4.9.2).
func (s *cubic) undone(w *Window) {
	if s.set == 0 || s.set == s.undoneSet || w.Ssthresh != s.undoneSet {
		return
	}
	if s.epoch == 0 || w.Cwnd <= s.prior {
		s.curve = s.undo
	}
	s.set = 0
}

// skip leaves out of t the time in which cwnd was not used and so could not grow (sections 4.2 and 5.8): from the last
// ACK to this one if the application held the sender back, and if nothing was in flight up to when this one's segment
// was sent. Linux moves its epoch when an idle connection sends again; to the curve that is the same.
func (s *cubic) skip(now mono.Time, a *Ack) {
	gap := now.Sub(s.counted)
	if a.Limited {
		gap -= max(a.RTT, 0)
	}
	if (!a.Limited || s.idle) && gap > 0 && s.epoch != 0 {
		s.epoch = min(s.epoch.Add(gap), now)
	}
	s.counted, s.idle = now, a.Flight == 0
}

// avoid is congestion avoidance for n bytes delivered (sections 4.3 to 4.5).
func (s *cubic) avoid(w *Window, now mono.Time, n uint32, srtt mono.Duration) {
	if s.epoch == 0 {
		s.begin(w, now)
	}
	t := micros(now.Sub(s.epoch))
	s.estimate(w, n)
	if s.at(t, w.MSS) < s.wEst {
		w.Cwnd = max(w.Cwnd, s.wEst)
		return
	}
	room := s.at(t+micros(srtt), w.MSS)
	room = min(max(room, w.Cwnd)-w.Cwnd, w.Cwnd/2) // target is within [cwnd, 1.5*cwnd]
	sum := uint64(room)*uint64(n) + uint64(s.fraction)
	cwnd := uint64(max(w.Cwnd, 1))
	s.fraction = uint32(sum % cwnd)
	w.Cwnd = uint32(min(cwnd+min(sum/cwnd, uint64(room)), maxWindow))
}

// begin starts a congestion avoidance stage. Without a W_max below which it could begin, after the first slow start or
// a time-out, the curve begins at its flat middle (sections 4.8 and 4.10).
func (s *cubic) begin(w *Window, now mono.Time) {
	s.epoch, s.wEst, s.credit, s.fraction = now, w.Cwnd, 0, 0
	if s.prior == 0 {
		s.prior = w.Cwnd
	}
	s.wMax = max(s.wMax, w.Cwnd)
	s.k = timeToGrow(s.wMax-w.Cwnd, w.MSS)
}

// estimate is what Reno's window would be: one segment a window times alpha, and no less than Reno from where the loss
// was (section 4.3, figure 4).
func (s *cubic) estimate(w *Window, n uint32) {
	alpha := uint64(alphaNum)
	if s.wEst >= s.prior {
		alpha = alphaDen
	}
	s.credit += alpha * uint64(n)
	segment := alphaDen * uint64(max(w.Cwnd, 1)) // what one segment of increase costs
	s.wEst = uint32(min(uint64(s.wEst)+s.credit/segment*uint64(w.MSS), maxWindow))
	s.credit %= segment
}

// at is W_cubic t microseconds into the stage (section 4.2, figure 1).
func (s *cubic) at(t uint64, mss uint32) uint32 {
	k := uint64(s.k)
	if t < k {
		return s.wMax - uint32(min(growth(k-t, mss), uint64(s.wMax)))
	}
	return uint32(min(uint64(s.wMax)+growth(t-k, mss), maxWindow))
}

// farthest is a time in microseconds in which every curve outgrows maxWindow, for MSS from 36 up.
const farthest = 430 * 1_000_000

// growth is C*t^3 in bytes: 2/5 MSS times a million cubed parts, for t in microseconds.
func growth(t uint64, mss uint32) uint64 {
	t = min(t, farthest)
	return mulDiv(t*t, t*2*uint64(mss), 5e18)
}

// timeToGrow is the least time in microseconds in which growth reaches bytes: the cube root of figure 2.
func timeToGrow(bytes, mss uint32) uint32 {
	return uint32(sort.Search(farthest, func(t int) bool { return growth(uint64(t), mss) >= uint64(bytes) }))
}

// Loss reduces to beta of the window. Fast convergence: a window that has not reached the last W_max is giving way to
// another flow, and gives way a little more (sections 4.6 and 4.7).
func (Cubic) Loss(w *Window, _ mono.Time, e Episode) {
	s := loadCubic(w)
	wMax := w.Cwnd
	if w.Cwnd < s.wMax {
		wMax = uint32(uint64(w.Cwnd) * fastNum / fastDen)
	}
	s.reduce(w, e.Flight)
	s.wMax = wMax
	s.save(w)
}

// Timeout begins again from one segment; the stage after it has no W_max (section 4.8).
func (Cubic) Timeout(w *Window, _ mono.Time, flight uint32) {
	s := loadCubic(w)
	s.reduce(w, flight)
	s.wMax = 0
	s.save(w)
	w.Cwnd = w.MSS
}

// reduce sets ssthresh. Section 4.6 takes beta of the flight, or of cwnd where growth is only of what was used, which
// holds here. So cwnd counts, as with Linux, except where less than half of it was in use: then it is not validated
// (RFC 7661 section 4.2), and the flight counts.
func (s *cubic) reduce(w *Window, flight uint32) {
	used := w.Cwnd
	if flight < used/2 {
		used = flight
	}
	s.undo, s.undoneSet = s.curve, w.Ssthresh
	s.prior, s.epoch = w.Cwnd, 0
	w.Ssthresh = max(uint32(uint64(used)*betaNum/betaDen), MinWindow(w.MSS))
	s.set = w.Ssthresh
}
