package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// NewReno is slow start and congestion avoidance of RFC 5681 with byte counting (RFC 3465, with no limit on one
// acknowledgment: one for a superframe counts as many segments, as Linux counts it). The first slow start is
// HyStart++'s (RFC 9406).
type NewReno struct{}

const renoAcked = 0 // word of Priv: bytes delivered towards the next increase, in congestion avoidance

// Name is "reno", as Linux calls it.
func (NewReno) Name() string { return "reno" }

// Open sets the initial window of RFC 6928.
func (NewReno) Open(w *Window, _ mono.Time) {
	w.Cwnd, w.Ssthresh = InitialWindow(w.MSS), unknown
	openHyStart(w)
}

// Ack grows cwnd: by what was delivered in slow start, by one MSS a window after it (RFC 5681 section 3.1).
func (NewReno) Ack(w *Window, now mono.Time, a *Ack) {
	n := slowStart(w, now, a)
	if !a.Limited || a.Loss || n == 0 {
		return // RFC 7661: what was not used was not proved
	}
	acked := w.Priv[renoAcked] + uint64(n)
	cwnd := uint64(max(w.Cwnd, 1))
	w.Priv[renoAcked] = acked % cwnd
	w.Cwnd = uint32(min(cwnd+acked/cwnd*uint64(w.MSS), maxWindow))
}

// Loss halves (RFC 5681 equation 4).
func (NewReno) Loss(w *Window, _ mono.Time, e Episode) {
	w.Ssthresh = max(e.Flight/2, MinWindow(w.MSS))
	w.Priv[renoAcked] = 0
}

// Timeout begins again from one segment (RFC 5681 section 3.1, the loss window).
func (NewReno) Timeout(w *Window, _ mono.Time, flight uint32) {
	w.Ssthresh = max(flight/2, MinWindow(w.MSS))
	w.Cwnd = w.MSS
	w.Priv[renoAcked] = 0
}
