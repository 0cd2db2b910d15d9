// Package fsm is the TCP connection state machine of RFC 9293, as data.
//
// A connection's life is four crossings: SND.UNA passes our SYN, RCV.NXT passes their SYN, SND.UNA passes our
// FIN, RCV.NXT passes their FIN. Whoever drives the machine reports them one at a time, in the order of section
// 3.10.7.4 (the ACK, then the text, then the FIN); then no transition needs a guard and the machine is a table.
//
// A cell that the table lacks is impossible, not ignored: Step's ok is false there, and arriving is a bug in the
// caller.
package fsm

// State is a connection state (RFC 9293 section 3.3.2). The zero State is invalid, so that a cell missing from the
// table can be told from a real one. The order of the states means nothing.
type State uint8

// SYN-RECEIVED is two states, since a RST, a SYN and giving up are answered by where it came from (MUST-11).
const (
	_           State = iota
	Closed            // CLOSED
	Listen            // LISTEN
	SynSent           // SYN-SENT
	SynRcvd           // SYN-RECEIVED, passive open
	SynRcvdOpen       // SYN-RECEIVED, simultaneous open
	Established       // ESTABLISHED
	FinWait1          // FIN-WAIT-1
	FinWait2          // FIN-WAIT-2
	CloseWait         // CLOSE-WAIT
	Closing           // CLOSING
	LastAck           // LAST-ACK
	TimeWait          // TIME-WAIT
	numStates
)

// NumStates and NumEvents are more than the numbers of any state and of any event.
const (
	NumStates = int(numStates)
	NumEvents = int(numEvents)
)

// Event is a fact that the caller has established: a user call, one step of SEGMENT ARRIVES, or a timer. It
// carries no numbers.
type Event uint8

const (
	OpenPassive Event = iota
	OpenActive
	Close          // the user has nothing more to send
	CloseUnread    // the user lets go of a connection with text unread, or text lost for want of a reader
	Abort          // the user gives the connection up
	ReceiveDropped // the user will read no more
	RcvSYN         // acceptable SYN, our SYN not acknowledged by it
	RcvSYNACK      // acceptable SYN that acknowledges our SYN
	RcvOldSYN      // the peer repeats the SYN that we are answering
	SYNAcked       // SND.UNA has just passed our SYN
	FINAcked       // SND.UNA has just passed our FIN
	RcvFIN         // RCV.NXT has just passed the peer's FIN
	RcvOldFIN      // the peer repeats a FIN that we have acknowledged
	RcvRST         // RST at exactly RCV.NXT, or acceptable in SYN-SENT
	BadRST         // RST in the window, but not at RCV.NXT
	RcvLateData    // new text after the user let go of the connection
	BadSeq         // the segment fails the sequence number test
	BadAck         // the ACK is unacceptable (section 3.10.7.4 fifth, RFC 5961 section 5)
	BadAckEarly    // FIN-WAIT-1 only: an ACK that does not cover our SYN, which is still unacknowledged
	BadSYN         // SYN inside a synchronized connection
	NewSYN         // TIME-WAIT only: a SYN that starts a new incarnation which a listener will take
	HardError      // an ICMP hard error for this connection (section 3.9.2.2)
	GaveUp         // R2, the user time-out, keep-alive, or an orphan's end
	FinWaitTimeout // the FIN-WAIT-2 timer
	TwoMSL         // the TIME-WAIT timer
	numEvents
)

// Cause is where an event comes from.
type Cause uint8

// The causes. What has come of a packet but not by its flags alone, such as RcvLateData, is a segment's, too.
const (
	ByCall Cause = iota
	BySegment
	ByICMP
	ByTimer
)

// Cause is where the event comes from.
func (e Event) Cause() Cause {
	switch {
	case e <= ReceiveDropped:
		return ByCall
	case e == HardError:
		return ByICMP
	case e >= GaveUp:
		return ByTimer
	}
	return BySegment
}

// Action is a set of orders to the caller, who obeys them lowest bit first.
type Action uint16

const (
	SendSYN Action = 1 << iota
	SendSYNACK
	SendACK
	ChallengeACK // SendACK under the rate limit of RFC 5961 section 7
	SendRST
	QueueFIN      // mark the end of the send stream
	StartTimeWait // stop every timer, start 2 MSL
	StartFinWait  // start the FIN-WAIT-2 timer, if the user has dropped the receive side
	SignalOpen
	SignalEOF
	SignalReset
	SignalRefused
	SignalUnreachable
	SignalTimeout
	Release   // delete the connection
	Redeliver // after Release: hand the segment to the demultiplexer again
)

// Transition is one cell of the table: where to go, and what to do on the way.
type Transition struct {
	Next State
	Do   Action
}

// Step is the whole machine. ok is false where the table has no cell: the event is impossible in that state, and
// its arrival is a bug in the caller.
func Step(s State, e Event) (t Transition, ok bool) {
	c := table[s][e]
	return Transition{c.next, c.do}, c.next != 0
}

// Paragraph names the text that the cell follows: a section of RFC 9293 and the step in it, or another RFC. It is
// empty where Step is not ok.
func Paragraph(s State, e Event) string { return table[s][e].ref }
