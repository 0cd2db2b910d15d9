package fsm

import (
	"strconv"
	"strings"
)

var stateNames = [numStates]string{
	Closed: "CLOSED", Listen: "LISTEN", SynSent: "SYN-SENT", SynRcvd: "SYN-RECEIVED", SynRcvdOpen: "SYN-RECEIVED",
	Established: "ESTABLISHED", FinWait1: "FIN-WAIT-1", FinWait2: "FIN-WAIT-2", CloseWait: "CLOSE-WAIT",
	Closing: "CLOSING", LastAck: "LAST-ACK", TimeWait: "TIME-WAIT",
}

var eventNames = [numEvents]string{
	OpenPassive: "OpenPassive", OpenActive: "OpenActive", Close: "Close", CloseUnread: "CloseUnread", Abort: "Abort",
	ReceiveDropped: "ReceiveDropped", RcvSYN: "RcvSYN", RcvSYNACK: "RcvSYNACK", RcvOldSYN: "RcvOldSYN",
	SYNAcked: "SYNAcked", FINAcked: "FINAcked", RcvFIN: "RcvFIN", RcvOldFIN: "RcvOldFIN", RcvRST: "RcvRST",
	BadRST: "BadRST", RcvLateData: "RcvLateData", BadSeq: "BadSeq", BadAck: "BadAck", BadAckEarly: "BadAckEarly",
	BadSYN: "BadSYN", NewSYN: "NewSYN", HardError: "HardError", GaveUp: "GaveUp", FinWaitTimeout: "FinWaitTimeout",
	TwoMSL: "TwoMSL",
}

// String is the state's name in RFC 9293; both kinds of SYN-RECEIVED have the one name.
func (s State) String() string {
	if s == 0 || s >= numStates {
		return "State(" + strconv.Itoa(int(s)) + ")"
	}
	return stateNames[s]
}

// String is the event's name in this package.
func (e Event) String() string {
	if e >= numEvents {
		return "Event(" + strconv.Itoa(int(e)) + ")"
	}
	return eventNames[e]
}

// String is call, segment, ICMP or timer.
func (c Cause) String() string { return [...]string{"call", "segment", "ICMP", "timer"}[c] }

var actionNames = [...]string{
	"SendSYN", "SendSYNACK", "SendACK", "ChallengeACK", "SendRST", "QueueFIN", "StartTimeWait", "StartFinWait",
	"SignalOpen", "SignalEOF", "SignalReset", "SignalRefused", "SignalUnreachable", "SignalTimeout", "Release",
	"Redeliver",
}

// String lists the actions in the order in which they are obeyed: "SendACK|SignalEOF".
func (a Action) String() string {
	if a == 0 {
		return "0"
	}
	var names []string
	for i, name := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}
