package fsm

// Crossings are the facts that determine the state of a connection, once one exists: which sequence numbers have been
// passed, and, where two passings leave the same numbers behind, which came first.
type Crossings struct {
	Passive     bool // it began in LISTEN, with the peer's SYN
	SYNReceived bool // RCV.NXT has passed the peer's SYN
	SYNAcked    bool // SND.UNA has passed our SYN
	FINQueued   bool // the end of the send stream is marked
	FINReceived bool // RCV.NXT has passed the peer's FIN
	FINAcked    bool // SND.UNA has passed our FIN
	PeerFirst   bool // the peer's FIN was received before ours was queued
}

// Derive is the state that the facts amount to: a second opinion on Step that knows nothing of the table. Simulations
// compare the two after every event. It is Closed where LAST-ACK ends, never Listen, and 0 where the facts contradict
// each other.
func Derive(c Crossings) State {
	switch {
	case !c.possible():
		return 0
	case !c.SYNReceived:
		return SynSent
	case c.FINQueued:
		return c.closing()
	case c.FINReceived:
		return CloseWait
	case c.SYNAcked:
		return Established
	case c.Passive:
		return SynRcvd
	}
	return SynRcvdOpen
}

// closing is the state of a connection that the user has closed.
func (c Crossings) closing() State {
	switch {
	case !c.FINReceived && !c.FINAcked:
		return FinWait1
	case !c.FINReceived:
		return FinWait2
	case c.PeerFirst && !c.FINAcked:
		return LastAck
	case c.PeerFirst:
		return Closed
	case !c.FINAcked:
		return Closing
	}
	return TimeWait
}

// possible reports whether every fact has what it presupposes. Close in SYN-SENT deletes the connection (section
// 3.10.4), so a FIN is queued only after the peer's SYN; a FIN that came with a SYN waits for SYNAcked.
func (c Crossings) possible() bool {
	return implies(c.Passive, c.SYNReceived) &&
		implies(c.SYNAcked, c.SYNReceived) &&
		implies(c.FINQueued, c.SYNReceived) &&
		implies(c.FINReceived, c.SYNAcked) &&
		implies(c.FINAcked, c.SYNAcked && c.FINQueued) &&
		implies(c.PeerFirst, c.FINReceived) &&
		implies(c.FINReceived && !c.FINQueued, c.PeerFirst)
}

func implies(a, b bool) bool { return !a || b }
