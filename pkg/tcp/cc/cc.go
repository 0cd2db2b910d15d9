// Package cc holds the congestion controllers, apart from the connection that they serve.
//
// A controller is an Algorithm: code without state. The state of one connection is a Window, which lies inside the
// connection's record and so holds no pointer; what an algorithm needs beyond what all have it keeps in Priv. So a
// million idle connections cost no million small objects, and a connection can be encoded as it lies.
//
// # Who does what
//
// The connection finds losses, decides what to resend, and measures: round trips, deliveries, losses, and whether it
// was the window that held it back. The algorithm says how much may be in flight (Cwnd) and, if it paces by a rate of
// its own, how fast (Pacing). In recovery the connection lets Cwnd follow what is delivered (PRR, RFC 6937) down to
// the Ssthresh that Loss has set, unless the algorithm Owns its window there, too.
//
// The calls come in this order: Open once; then for each acknowledgment Ack; before the Ack that shows a loss, Loss,
// once an episode; Timeout when the retransmission timer expires. If an episode proves to have been spurious, the
// connection puts Cwnd and Ssthresh back to what they were (RFC 4015, RFC 3708); an algorithm with more to put back
// sees it by Ack.Undone.
package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// Window is one connection's congestion state. Sizes are in bytes.
type Window struct {
	Cwnd     uint32     // what may be in flight
	Ssthresh uint32     // below it cwnd grows by slow start
	MSS      uint32     // the sender's maximum segment size
	Owns     bool       // the algorithm sets Cwnd in recovery, too
	Pacing   uint64     // bytes a second; 0: the connection paces by Cwnd and the round-trip time, or not at all
	Priv     [14]uint64 // the algorithm's own
}

// Ack is what one acknowledgment said.
type Ack struct {
	Bytes   uint32        // newly acknowledged by SND.UNA, bytes
	New     uint32        // newly delivered: by SND.UNA and by SACK, bytes
	Lost    uint32        // newly found lost, by the reordering timer since the last acknowledgment, too, bytes
	Flight  uint32        // in flight now, after it, bytes
	Prior   uint32        // in flight before it, bytes
	RTT     mono.Duration // of the latest segment that it acknowledges; 0: not measured
	SRTT    mono.Duration // smoothed, RFC 6298; 0: none yet
	MinRTT  mono.Duration // the least ever; 0: none yet
	Limited bool          // cwnd, not the application or the peer, was what held the sender back
	Loss    bool          // in recovery, or slowing down for ECN marks
	Round   bool          // it is the first of a new round trip: what was sent after the last such has come back
	Unpaced bool          // nothing spreads over time what cwnd lets out
	Undone  bool          // the episode before has proved spurious by it
	Repair  bool          // after a time-out, until what was sent before it is acknowledged
	NoSACK  bool          // the peer reports no selective acknowledgments: one loss a round trip is all that shows

	// The delivery rate sample (draft-ietf-ccwg-bbr section 4.1.2) is of the segment sent last among those newly
	// delivered: Sampled bytes were delivered since it was sent, up to this acknowledgment, within Interval. Interval
	// is 0 where that says nothing of a rate; Sampled is 0 where nothing is newly delivered.
	Sampled    uint32
	Interval   mono.Duration
	AppLimited bool   // the sample was taken while the application had too little to send
	Delivered  uint64 // bytes delivered over the connection's life
	TxInFlight uint32 // in flight when the sampled segment had been sent, it included, bytes; 0: not known
	LostSince  uint32 // found lost since it was sent, this acknowledgment's losses included, bytes

	// The same of the segment sent last among those that make up Lost.
	LossTxInFlight uint32
	LossLostSince  uint32
	LossAppLimited bool
}

// Rate is the sample's delivery rate in bytes a second, or 0.
func (a *Ack) Rate() uint64 {
	if a.Interval <= 0 {
		return 0
	}
	return uint64(a.Sampled) * uint64(mono.Second) / uint64(a.Interval)
}

// Episode is what began a reduction.
type Episode struct {
	Flight uint32 // sent and not acknowledged by SND.UNA: FlightSize of RFC 5681, bytes
	ECN    bool   // a mark, not a loss
}

// Algorithm is a congestion controller.
type Algorithm interface {
	// Name is what configuration calls it; Linux's names.
	Name() string
	// Open sets w at the start of a connection; w.MSS is set, the rest is zero.
	Open(w *Window, now mono.Time)
	// Ack is called for each acknowledgment that says something new. With a.Loss only algorithms that Own their
	// window set Cwnd.
	Ack(w *Window, now mono.Time, a *Ack)
	// Loss is called once for each loss episode, and once a round trip for ECN marks: it sets Ssthresh.
	Loss(w *Window, now mono.Time, e Episode)
	// Timeout is called when the retransmission timer expires: it sets Ssthresh, and Cwnd to the loss window.
	Timeout(w *Window, now mono.Time, flight uint32)
}

// InitialWindow is the first cwnd for an MSS, both in bytes (RFC 6928 section 2).
func InitialWindow(mss uint32) uint32 { return min(10*mss, max(2*mss, 14600)) }

// MinWindow is the least Ssthresh after a loss, in bytes (RFC 5681 equation 4).
func MinWindow(mss uint32) uint32 { return 2 * mss }
