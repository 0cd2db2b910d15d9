package fsm

import (
	"fmt"
	"testing"
)

// machine is a table that a test may change.
type machine [numStates][numEvents]cell

func (m *machine) step(s State, e Event) (Transition, bool) {
	c := m[s][e]
	return Transition{c.next, c.do}, c.next != 0
}

//	                            +---------+ ---------\      active OPEN
//	                            |  CLOSED |            \    -----------
//	                            +---------+<---------\   \   create TCB
//	                              |     ^              \   \  snd SYN
//	                 passive OPEN |     |   CLOSE        \   \
//	                 ------------ |     | ----------       \   \
//	                  create TCB  |     | delete TCB         \   \
//	                              V     |                      \   \
//	          rcv RST (note 1)  +---------+            CLOSE    |    \
//	       -------------------->|  LISTEN |          ---------- |     |
//	      /                     +---------+          delete TCB |     |
//	     /           rcv SYN      |     |     SEND              |     |
//	    /           -----------   |     |    -------            |     V
//	+--------+      snd SYN,ACK  /       \   snd SYN          +--------+
//	|        |<-----------------           ------------------>|        |
//	|  SYN   |                    rcv SYN                     |  SYN   |
//	|  RCVD  |<-----------------------------------------------|  SENT  |
//	|        |                  snd SYN,ACK                   |        |
//	|        |------------------           -------------------|        |
//	+--------+   rcv ACK of SYN  \       /  rcv SYN,ACK       +--------+
//	   |         --------------   |     |   -----------
//	   |                x         |     |     snd ACK
//	   |                          V     V
//	   |  CLOSE                 +---------+
//	   | -------                |  ESTAB  |
//	   | snd FIN                +---------+
//	   |                 CLOSE    |     |    rcv FIN
//	   V                -------   |     |    -------
//	+---------+         snd FIN  /       \   snd ACK         +---------+
//	|  FIN    |<----------------          ------------------>|  CLOSE  |
//	| WAIT-1  |------------------                            |   WAIT  |
//	+---------+          rcv FIN  \                          +---------+
//	  | rcv ACK of FIN   -------   |                          CLOSE  |
//	  | --------------   snd ACK   |                         ------- |
//	  V        x                   V                         snd FIN V
//	+---------+               +---------+                    +---------+
//	|FINWAIT-2|               | CLOSING |                    | LAST-ACK|
//	+---------+               +---------+                    +---------+
//	  |              rcv ACK of FIN |                 rcv ACK of FIN |
//	  |  rcv FIN     -------------- |    Timeout=2MSL -------------- |
//	  |  -------            x       V    ------------        x       V
//	   \ snd ACK              +---------+delete TCB          +---------+
//	     -------------------->|TIME-WAIT|------------------->| CLOSED  |
//	                          +---------+                    +---------+
//
//	                Figure 5: TCP Connection State Diagram
//
// figure5 is every arrow of it, the upper half first: from where, on what, to where, what is sent or deleted.
var figure5 = []struct {
	from State
	on   []Event
	to   State
	do   Action
	why  string // where the machine leaves the figure on purpose: the figure's own arrow, and the reason
}{
	{Closed, []Event{OpenPassive}, Listen, 0, ""},
	{Closed, []Event{OpenActive}, SynSent, SendSYN, ""},
	{Listen, []Event{Close}, Closed, Release, ""},
	{Listen, []Event{RcvSYN}, SynRcvd, SendSYNACK, ""},
	{Listen, []Event{OpenActive}, SynSent, SendSYN, "SEND: text for a listener has no destination, so only OPEN turns it active"},
	{SynSent, []Event{Close}, Closed, Release, ""},
	{SynSent, []Event{RcvSYN}, SynRcvdOpen, SendSYNACK, ""},
	{SynSent, []Event{RcvSYNACK}, Established, SendACK, ""},
	{SynRcvd, []Event{RcvRST}, Closed, Release, "to LISTEN: the listener never left it, what ends is a connection of its own"},
	{SynRcvd, []Event{SYNAcked}, Established, 0, ""},
	{SynRcvdOpen, []Event{SYNAcked}, Established, 0, ""},
	{SynRcvd, []Event{Close}, FinWait1, QueueFIN, ""},
	{SynRcvdOpen, []Event{Close}, FinWait1, QueueFIN, ""},
	{Established, []Event{Close}, FinWait1, QueueFIN, ""},
	{Established, []Event{RcvFIN}, CloseWait, SendACK, ""},
	{FinWait1, []Event{FINAcked}, FinWait2, 0, ""},
	{FinWait1, []Event{RcvFIN}, Closing, SendACK, ""},
	{FinWait1, []Event{FINAcked, RcvFIN}, TimeWait, SendACK, ""}, // note 2: our FIN is acknowledged in the same segment
	{FinWait2, []Event{RcvFIN}, TimeWait, SendACK, ""},
	{Closing, []Event{FINAcked}, TimeWait, 0, ""},
	{CloseWait, []Event{Close}, LastAck, QueueFIN, ""},
	{LastAck, []Event{FINAcked}, Closed, Release, ""},
	{TimeWait, []Event{TwoMSL}, Closed, Release, ""},
}

// drawn are the actions that the figure draws; what it calls "delete TCB" is Release, and "x" is none of them.
const drawn = SendSYN | SendSYNACK | SendACK | SendRST | QueueFIN | Release

// checkFigure5 walks every arrow, and then finds every change of state that is not one.
func checkFigure5(step func(State, Event) (Transition, bool)) error {
	var arrow [numStates][numEvents]bool
	for _, edge := range figure5 {
		at, do := edge.from, Action(0)
		for _, e := range edge.on {
			arrow[at][e] = true
			t, ok := step(at, e)
			if !ok {
				return fmt.Errorf("%v x %v: no such cell", at, e)
			}
			at, do = t.Next, do|t.Do
		}
		if at != edge.to || do&drawn != edge.do {
			return fmt.Errorf("%v x %v: %v %v, want %v %v", edge.from, edge.on, at, do&drawn, edge.to, edge.do)
		}
	}
	for s := Closed; s < numStates; s++ {
		for e := range numEvents {
			t, ok := step(s, e)
			if ok && t.Next != s && !arrow[s][e] && !beyondFigure5(s, e, t) {
				return fmt.Errorf("%v x %v -> %v is neither in the figure nor an error", s, e, t.Next)
			}
		}
	}
	return nil
}

// beyondFigure5 is what the figure leaves out: "error conditions" (section 3.3.2) and note 3, all of which delete the
// connection.
func beyondFigure5(s State, e Event, t Transition) bool {
	switch e {
	case Abort, CloseUnread, RcvLateData, RcvRST, HardError, GaveUp:
		return t.Next == Closed && t.Do&Release != 0
	case BadSYN: // 3.10.7.4 fourth
		return s == SynRcvd && t.Next == Closed
	case FinWaitTimeout: // not in the RFC
		return s == FinWait2 && t.Next == Closed
	case NewSYN: // MAY-2
		return s == TimeWait && t.Next == Closed
	}
	return false
}

func TestFigure5(t *testing.T) {
	if err := checkFigure5(Step); err != nil {
		t.Fatal(err)
	}
}

// TestFigures walks both ends through Figures 6, 7, 12 and 13, a line at a time.
func TestFigures(t *testing.T) {
	type line struct {
		e    Event
		want State
	}
	for name, lines := range map[string][]line{
		"6 A":  {{OpenActive, SynSent}, {RcvSYNACK, Established}},
		"6 B":  {{OpenPassive, Listen}, {RcvSYN, SynRcvd}, {SYNAcked, Established}},
		"7":    {{OpenActive, SynSent}, {RcvSYN, SynRcvdOpen}, {SYNAcked, Established}},
		"8 B":  {{OpenPassive, Listen}, {RcvSYN, SynRcvd}, {RcvRST, Closed}},
		"12 A": {{OpenActive, SynSent}, {RcvSYNACK, Established}, {Close, FinWait1}, {FINAcked, FinWait2}, {RcvFIN, TimeWait}, {TwoMSL, Closed}},
		"12 B": {{OpenActive, SynSent}, {RcvSYNACK, Established}, {RcvFIN, CloseWait}, {Close, LastAck}, {FINAcked, Closed}},
		"13":   {{OpenActive, SynSent}, {RcvSYNACK, Established}, {Close, FinWait1}, {RcvFIN, Closing}, {FINAcked, TimeWait}, {TwoMSL, Closed}},
	} {
		at := Closed
		for i, l := range lines {
			got, ok := Step(at, l.e)
			if !ok || got.Next != l.want {
				t.Fatalf("figure %s, step %d: %v x %v is %v, %v; want %v", name, i+1, at, l.e, got.Next, ok, l.want)
			}
			at = got.Next
		}
	}
}
