// Package cc holds the congestion controllers, apart from the connection that they serve.
//
// A controller is an Algorithm: code without state. The state of one connection is a Window, which lies inside the
// connection's record and so holds no pointer; what an algorithm needs beyond cwnd and ssthresh it keeps in Priv. So
// a million idle connections cost no million small objects, and a connection can be encoded as it lies.
//
// The connection finds losses and decides what to resend; the algorithm only says how much may be in flight. It is
// told of every acknowledgment, of each loss episode once, and of time-outs.
package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// Window is one connection's congestion state. All sizes are in bytes.
type Window struct {
	Cwnd     uint32    // what may be in flight
	Ssthresh uint32    // below it cwnd grows by slow start
	MSS      uint32    // the sender's maximum segment size
	Priv     [8]uint64 // the algorithm's own
}

// Ack is what one acknowledgment said.
type Ack struct {
	Bytes   uint32 // newly acknowledged
	Flight  uint32 // in flight before it came
	RTT     int64  // ns, of this acknowledgment; 0: not measured
	Limited bool   // cwnd, not the application or the peer, was what held the sender back
}

// Algorithm is a congestion controller.
type Algorithm interface {
	// Name is what configuration calls it.
	Name() string
	// Open sets w at the start of a connection; w.MSS is set.
	Open(w *Window, now mono.Time)
	// Ack is called for each acknowledgment of new data outside of loss recovery.
	Ack(w *Window, now mono.Time, a Ack)
	// Loss is called once for each loss episode, with the bytes in flight: it sets Ssthresh, and Cwnd for after
	// recovery.
	Loss(w *Window, now mono.Time, flight uint32)
	// Timeout is called when the retransmission timer first expires for a segment.
	Timeout(w *Window, now mono.Time, flight uint32)
}

// InitialWindow is the first cwnd for an MSS, both in bytes (RFC 6928 section 2).
func InitialWindow(mss uint32) uint32 { return min(10*mss, max(2*mss, 14600)) }
