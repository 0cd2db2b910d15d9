package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// NewReno is slow start and congestion avoidance of RFC 5681 with byte counting (RFC 3465, with no limit on one
// acknowledgment: one for a superframe counts as many segments, as Linux counts it).
type NewReno struct{}

const privAcked = 0 // bytes acknowledged towards the next increase, in congestion avoidance

// Name is "reno", as Linux calls it.
func (NewReno) Name() string { return "reno" }

// Open sets the initial window of RFC 6928.
func (NewReno) Open(w *Window, _ mono.Time) {
	w.Cwnd, w.Ssthresh = InitialWindow(w.MSS), 1<<31-1
}

// Ack grows cwnd: by what was acknowledged in slow start, by one MSS a window after it (RFC 5681 section 3.1).
func (NewReno) Ack(w *Window, _ mono.Time, a *Ack) {
	if !a.Limited || a.Loss {
		return // RFC 7661: what was not used was not proved
	}
	n := slowStart(w, a.Bytes)
	w.Priv[privAcked] += uint64(n)
	for w.Priv[privAcked] >= uint64(w.Cwnd) {
		w.Priv[privAcked] -= uint64(w.Cwnd)
		w.Cwnd += w.MSS
	}
	w.Cwnd = min(w.Cwnd, maxWindow)
}

// maxWindow is the largest cwnd in bytes: sequence numbers must tell its two ends apart.
const maxWindow = 1 << 30

// slowStart grows cwnd by n bytes acknowledged, up to ssthresh, and returns the bytes that are left.
func slowStart(w *Window, n uint32) uint32 {
	if w.Cwnd >= w.Ssthresh {
		return n
	}
	step := min(n, w.Ssthresh-w.Cwnd)
	w.Cwnd += step
	return n - step
}

// Loss halves (RFC 5681 equation 4).
func (NewReno) Loss(w *Window, _ mono.Time, e Episode) {
	w.Ssthresh = max(e.Flight/2, MinWindow(w.MSS))
	w.Priv[privAcked] = 0
}

// Timeout begins again from one segment (RFC 5681 section 3.1, the loss window).
func (NewReno) Timeout(w *Window, _ mono.Time, flight uint32) {
	w.Ssthresh = max(flight/2, MinWindow(w.MSS))
	w.Cwnd = w.MSS
	w.Priv[privAcked] = 0
}
