package fsm

import (
	"fmt"
	"testing"
)

// A requirement is a sentence of the RFC and what it has the machine do. stay means the state is kept ("if no state
// change is mentioned, the TCP connection stays in the same state", section 3.10).
type requirement struct {
	paragraph string
	sentence  string
	in        []State
	on        Event
	next      State
	do        Action
}

const stay State = 0

var (
	synReceived  = []State{SynRcvd, SynRcvdOpen}
	closing      = []State{Closing, LastAck, TimeWait}
	synchronized = []State{Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait}
	untilLastAck = []State{Established, FinWait1, FinWait2, CloseWait, Closing, LastAck} // all but TIME-WAIT
)

func in(s ...State) []State { return s }

// requirements follows the order of section 3.10. Words in brackets are ours, where the RFC is silent or this machine
// departs from it; the comment above the table says why.
var requirements = []requirement{
	{"3.10.1", "If passive, enter the LISTEN state and return.",
		in(Closed), OpenPassive, Listen, 0},
	{"3.10.1", "A SYN segment of the form <SEQ=ISS><CTL=SYN> is sent. Set SND.UNA to ISS, SND.NXT to ISS+1, enter SYN-SENT state, and return.",
		in(Closed), OpenActive, SynSent, SendSYN},
	{"3.10.1", "Send a SYN segment, set SND.UNA to ISS, SND.NXT to ISS+1. Enter SYN-SENT state.",
		in(Listen), OpenActive, SynSent, SendSYN},

	{"3.10.3", "Otherwise, return \"error: connection does not exist\".",
		in(Closed), ReceiveDropped, stay, 0},

	{"3.10.4", "Otherwise, return \"error: connection does not exist\".",
		in(Closed), Close, stay, 0},
	{"3.10.4", "Otherwise, return \"error: connection does not exist\".",
		in(Closed), CloseUnread, stay, 0},
	{"3.10.4", "Delete TCB, enter CLOSED state, and return.",
		in(Listen), Close, Closed, Release},
	{"3.10.4", "Delete the TCB and return \"error: closing\" responses to any queued SENDs, or RECEIVEs.",
		in(SynSent), Close, Closed, Release},
	{"3.10.4", "If no SENDs have been issued and there is no pending data to send, then form a FIN segment and send it, and enter FIN-WAIT-1 state",
		synReceived, Close, FinWait1, QueueFIN},
	{"3.10.4", "Queue this until all preceding SENDs have been segmentized, then form a FIN segment and send it. In any case, enter FIN-WAIT-1 state.",
		in(Established), Close, FinWait1, QueueFIN},
	{"3.10.4", "An \"ok\" response would be acceptable, too, as long as a second FIN is not emitted",
		in(FinWait1, FinWait2), Close, stay, 0},
	{"3.10.4", "Queue this request until all preceding SENDs have been segmentized; then send a FIN segment, enter LAST-ACK state.",
		in(CloseWait), Close, LastAck, QueueFIN},
	{"3.10.4", "Respond with \"error: connection closing\".",
		closing, Close, stay, 0},

	{"3.6.1", "If such a host issues a CLOSE call while received data is still pending in the TCP connection",
		untilLastAck, CloseUnread, Closed, SendRST | Release},
	{"3.6.1", "When a connection is closed actively, it MUST linger in the TIME-WAIT state",
		in(TimeWait), CloseUnread, stay, 0},
	{"3.6.1", "or if new data is received after CLOSE is called, its TCP implementation SHOULD send a RST to show that data was lost",
		in(FinWait1, FinWait2), RcvLateData, Closed, SendRST | SignalReset | Release},
	{"3.6.1", "an application that has called CLOSE cannot continue to read data from the connection",
		in(SynSent, SynRcvd, SynRcvdOpen, Established, FinWait1, CloseWait, Closing, LastAck, TimeWait), ReceiveDropped, stay, 0},
	{"3.6.1", "[nobody will see the FIN that FIN-WAIT-2 waits for: wait with a timer]",
		in(FinWait2), ReceiveDropped, stay, StartFinWait},
	{"3.6.1", "[the FIN-WAIT-2 timer expires]",
		in(FinWait2), FinWaitTimeout, Closed, Release},

	{"3.10.5", "Otherwise, return \"error: connection does not exist\".",
		in(Closed), Abort, stay, 0},
	{"3.10.5", "Any outstanding RECEIVEs should be returned with \"error: connection reset\" responses. Delete TCB, enter CLOSED state, and return.",
		in(Listen), Abort, Closed, Release},
	{"3.10.5", "Delete the TCB, enter CLOSED state, and return.",
		in(SynSent), Abort, Closed, Release},
	{"3.10.5", "Send a reset segment: <SEQ=SND.NXT><CTL=RST>",
		in(SynRcvd, SynRcvdOpen, Established, FinWait1, FinWait2, CloseWait), Abort, Closed, SendRST | Release},
	{"3.10.5", "[our FIN may not have been sent: as in CLOSE-WAIT]",
		in(Closing, LastAck), Abort, Closed, SendRST | Release},
	{"3.10.5", "Respond with \"ok\" and delete the TCB, enter CLOSED state, and return.",
		in(TimeWait), Abort, Closed, Release},

	{"3.10.7.2 first", "An incoming RST should be ignored.",
		in(Listen), RcvRST, stay, 0},
	{"3.10.7.2 second", "An acceptable reset segment should be formed for any arriving ACK-bearing segment.",
		in(Listen), BadAck, stay, SendRST},
	{"3.10.7.2 third", "ISS should be selected and a SYN segment sent of the form: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>",
		in(Listen), RcvSYN, SynRcvd, SendSYNACK},

	{"3.10.7.3 first", "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset",
		in(SynSent), BadAck, stay, SendRST},
	{"3.10.7.3 second", "If the ACK was acceptable, then signal to the user \"error: connection reset\", drop the segment, enter CLOSED state, delete TCB",
		in(SynSent), RcvRST, Closed, SignalRefused | Release},
	{"3.10.7.3 fourth", "If SND.UNA > ISS (our SYN has been ACKed), change the connection state to ESTABLISHED, form an ACK segment",
		in(SynSent), RcvSYNACK, Established, SendACK | SignalOpen},
	{"3.10.7.3 fourth", "Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment",
		in(SynSent), RcvSYN, SynRcvdOpen, SendSYNACK},

	{"3.10.7.4 first", "If an incoming segment is not acceptable, an acknowledgment should be sent in reply",
		append(in(SynRcvd, SynRcvdOpen), synchronized...), BadSeq, stay, SendACK},
	{"3.10.7.4 first", "[the acknowledgment of a SYN that is still being answered carries our SYN]",
		in(SynRcvd, SynRcvdOpen, FinWait1), RcvOldSYN, stay, SendSYNACK},
	{"3.10.7.4 second", "TCP endpoints MUST send an acknowledgment (challenge ACK)",
		append(in(SynRcvd, SynRcvdOpen), untilLastAck...), BadRST, stay, ChallengeACK},
	{"3.10.7.4 second", "then return this connection to LISTEN state and return. The user need not be informed.",
		in(SynRcvd), RcvRST, Closed, Release},
	{"3.10.7.4 second", "signal the user \"connection refused\"",
		in(SynRcvdOpen), RcvRST, Closed, SignalRefused | Release},
	{"3.10.7.4 second", "Users should also receive an unsolicited general \"connection reset\" signal. Enter the CLOSED state, delete the TCB, and return.",
		in(Established, FinWait1, FinWait2, CloseWait), RcvRST, Closed, SignalReset | Release},
	{"3.10.7.4 second", "[MUST-12: the local application MUST be informed whether it closed normally or was aborted]",
		in(Closing, LastAck), RcvRST, Closed, SignalReset | Release},
	{"RFC 1337 3", "[Ignore RST segments in TIME-WAIT state.]",
		in(TimeWait), RcvRST, stay, 0},
	{"RFC 1337 3", "[Ignore RST segments in TIME-WAIT state.]",
		in(TimeWait), BadRST, stay, 0},
	{"3.10.7.4 fourth", "If the connection was initiated with a passive OPEN, then return this connection to the LISTEN state and return.",
		in(SynRcvd), BadSYN, Closed, Release},
	{"3.10.7.4 fourth", "Otherwise, handle per the directions for synchronized states below.",
		in(SynRcvdOpen), BadSYN, stay, ChallengeACK},
	{"3.10.7.4 fourth", "TCP endpoints MUST send a \"challenge ACK\" to the remote peer",
		synchronized, BadSYN, stay, ChallengeACK},
	{"3.6.1", "it MAY accept a new SYN from the remote TCP endpoint to reopen the connection directly from TIME-WAIT state",
		in(TimeWait), NewSYN, Closed, Release | Redeliver},
	{"RFC 5961 5", "All incoming segments whose ACK value doesn't satisfy the above condition MUST be discarded and an ACK sent back.",
		synchronized, BadAck, stay, ChallengeACK},
	{"3.10.7.4 fifth", "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state",
		synReceived, SYNAcked, Established, SignalOpen},
	{"3.10.7.4 fifth", "[the handshake ends for a connection that its user has closed]",
		in(FinWait1), SYNAcked, stay, 0},
	{"3.10.7.4 fifth", "If the segment acknowledgment is not acceptable, form a reset segment <SEQ=SEG.ACK><CTL=RST>",
		synReceived, BadAck, stay, SendRST},
	{"3.5.2", "the incoming segment acknowledges something not yet sent (the segment carries an unacceptable ACK)",
		in(FinWait1), BadAckEarly, stay, SendRST},
	{"3.10.7.4 fifth", "if the FIN segment is now acknowledged, then enter FIN-WAIT-2 and continue processing in that state",
		in(FinWait1), FINAcked, FinWait2, StartFinWait},
	{"3.10.7.4 fifth", "if the ACK acknowledges our FIN, then enter the TIME-WAIT state",
		in(Closing), FINAcked, TimeWait, StartTimeWait},
	{"3.10.7.4 fifth", "If our FIN is now acknowledged, delete the TCB, enter the CLOSED state, and return.",
		in(LastAck), FINAcked, Closed, Release},
	{"3.10.7.4 eighth", "Enter the CLOSE-WAIT state.",
		in(Established), RcvFIN, CloseWait, SendACK | SignalEOF},
	{"3.10.7.4 eighth", "otherwise, enter the CLOSING state",
		in(FinWait1), RcvFIN, Closing, SendACK | SignalEOF},
	{"3.10.7.4 eighth", "Enter the TIME-WAIT state. Start the time-wait timer, turn off the other timers.",
		in(FinWait2), RcvFIN, TimeWait, SendACK | SignalEOF | StartTimeWait},
	{"3.10.7.4 eighth", "Remain in the CLOSE-WAIT state.",
		in(CloseWait), RcvOldFIN, stay, SendACK},
	{"3.10.7.4 eighth", "Remain in the CLOSING state.",
		in(Closing), RcvOldFIN, stay, SendACK},
	{"3.10.7.4 eighth", "Remain in the LAST-ACK state.",
		in(LastAck), RcvOldFIN, stay, SendACK},
	{"3.10.7.4 eighth", "Remain in the TIME-WAIT state. Restart the 2 MSL time-wait timeout.",
		in(TimeWait), RcvOldFIN, stay, SendACK | StartTimeWait},

	{"3.9.2.2", "These are hard error conditions, so TCP implementations SHOULD abort the connection",
		in(SynSent, SynRcvdOpen), HardError, Closed, SignalUnreachable | Release},
	{"3.9.2.2", "[the same; its user has not been told of it yet]",
		in(SynRcvd), HardError, Closed, Release},
	{"3.9.2.2", "some implementations do not abort connections when an ICMP hard error is received for a connection that is in any of the synchronized states",
		synchronized, HardError, stay, 0},

	{"3.10.8", "signal the user \"error: connection aborted due to user timeout\" in general and for any outstanding calls, delete the TCB, enter the CLOSED state",
		append(in(SynSent, SynRcvdOpen), untilLastAck...), GaveUp, Closed, SignalTimeout | Release},
	{"3.10.8", "[the same; its user has not been told of it yet]",
		in(SynRcvd), GaveUp, Closed, Release},
	{"3.10.8", "If the time-wait timeout expires on a connection, delete the TCB, enter the CLOSED state, and return.",
		in(TimeWait), TwoMSL, Closed, Release},
}

// checkRequirements holds the machine to each sentence, and has no cell that no sentence asks for.
func checkRequirements(step func(State, Event) (Transition, bool), paragraph func(State, Event) string) error {
	var asked [numStates][numEvents]bool
	for _, r := range requirements {
		for _, s := range r.in {
			if asked[s][r.on] {
				return fmt.Errorf("%v x %v: two sentences for it", s, r.on)
			}
			asked[s][r.on] = true
			want := Transition{r.next, r.do}
			if r.next == stay {
				want.Next = s
			}
			if t, ok := step(s, r.on); !ok || t != want {
				return fmt.Errorf("%s: %q: %v x %v is %v %v (%v), want %v %v", r.paragraph, r.sentence, s, r.on, t.Next, t.Do, ok, want.Next, want.Do)
			}
			if p := paragraph(s, r.on); p != r.paragraph {
				return fmt.Errorf("%v x %v cites %q, want %q", s, r.on, p, r.paragraph)
			}
		}
	}
	for s := range numStates {
		for e := range numEvents {
			if _, ok := step(s, e); ok && !asked[s][e] {
				return fmt.Errorf("%v x %v: no sentence asks for it", s, e)
			}
		}
	}
	return nil
}

func TestRequirements(t *testing.T) {
	if err := checkRequirements(Step, Paragraph); err != nil {
		t.Fatal(err)
	}
}
