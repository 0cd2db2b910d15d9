package fsm

import (
	"math/bits"
	"strings"
	"testing"
)

func TestEveryCellCitesAParagraph(t *testing.T) {
	for s := range numStates {
		for e := range numEvents {
			if _, ok := Step(s, e); ok != (Paragraph(s, e) != "") {
				t.Errorf("%v x %v: cell %v, paragraph %q", s, e, ok, Paragraph(s, e))
			}
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	unique := func(name string) {
		if name == "" || seen[name] || strings.ContainsRune(name, '(') {
			t.Errorf("bad name %q", name)
		}
		seen[name] = true
	}
	for s := Closed; s < numStates; s++ {
		if s != SynRcvdOpen {
			unique(s.String())
		}
	}
	for e := range numEvents {
		unique(e.String())
	}
	for i := range actionNames {
		unique(Action(1 << i).String())
	}
	if SynRcvd.String() != "SYN-RECEIVED" || SynRcvdOpen.String() != "SYN-RECEIVED" {
		t.Errorf("SYN-RECEIVED is called %v and %v", SynRcvd, SynRcvdOpen)
	}
	if n := bits.Len16(uint16(Redeliver)); [2]int{len(actionNames), len(actionLetters)} != [2]int{n, n} {
		t.Errorf("%d actions, %d names, %d letters", n, len(actionNames), len(actionLetters))
	}
	for text, want := range map[string]string{
		State(0).String(): "State(0)", numStates.String(): "State(13)", numEvents.String(): "Event(25)",
		Action(0).String(): "0", (SendACK | SignalEOF).String(): "SendACK|SignalEOF",
	} {
		if text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

// TestTraits compares the second table with what the first one does.
func TestTraits(t *testing.T) {
	for s := Closed; s < numStates; s++ {
		// A FIN is expected exactly where text is, and ends both.
		if _, ok := Step(s, RcvFIN); ok != s.CanReceive() {
			t.Errorf("%v: RcvFIN %v, CanReceive %v", s, ok, s.CanReceive())
		}
		// The user may send until the end of the stream is marked. SYN-SENT queues text, but deletes it on Close.
		closed, _ := Step(s, Close)
		if marks := closed.Do&QueueFIN != 0 || s == SynSent; marks != s.CanSend() {
			t.Errorf("%v: Close marks the end %v, CanSend %v", s, marks, s.CanSend())
		}
		// Section 3.5.2: group 3 answers a bad ACK with an ACK, groups 1 and 2 with a RST.
		bad, ok := Step(s, BadAck)
		if acks := ok && bad.Do == ChallengeACK; acks != s.Synchronized() {
			t.Errorf("%v: BadAck %v, Synchronized %v", s, bad.Do, s.Synchronized())
		}
	}
}

// TestOrders holds for every cell, whatever the state.
func TestOrders(t *testing.T) {
	const signals = SignalOpen | SignalEOF | SignalReset | SignalRefused | SignalUnreachable | SignalTimeout
	const sends = SendSYN | SendSYNACK | SendACK | ChallengeACK | SendRST
	for s := Closed; s < numStates; s++ {
		for e := range numEvents {
			c, ok := Step(s, e)
			switch {
			case !ok:
			case (c.Do&Release != 0) != (s != Closed && c.Next == Closed):
				t.Errorf("%v x %v: a connection is released exactly where it ends", s, e)
			case bits.OnesCount16(uint16(c.Do&signals)) > 1:
				t.Errorf("%v x %v: two signals", s, e)
			case bits.OnesCount16(uint16(c.Do&sends)) > 1:
				t.Errorf("%v x %v: two segments", s, e)
			case (e == RcvRST || e == RcvOldFIN) && c.Do&SendRST != 0, e == RcvRST && c.Do&sends != 0:
				t.Errorf("%v x %v: a RST is not answered (section 3.5.2)", s, e)
			}
		}
	}
}

// TestDeriveCommutes takes every set of facts that can be, adds one more, and finds Step and Derive agreed on what
// comes of it.
func TestDeriveCommutes(t *testing.T) {
	states := map[State]int{}
	for facts := range 1 << 7 {
		c := crossingsOf(facts)
		s := Derive(c)
		if s == 0 {
			continue
		}
		states[s]++
		for _, next := range []struct {
			e    Event
			add  func(c *Crossings)
			when bool
		}{
			{RcvSYN, func(c *Crossings) { c.SYNReceived = true }, s == SynSent},
			{RcvSYNACK, func(c *Crossings) { c.SYNReceived, c.SYNAcked = true, true }, s == SynSent},
			{SYNAcked, func(c *Crossings) { c.SYNAcked = true }, c.SYNReceived && !c.SYNAcked},
			{Close, func(c *Crossings) { c.FINQueued = true }, c.SYNReceived && !c.FINQueued},
			{FINAcked, func(c *Crossings) { c.FINAcked = true }, c.SYNAcked && c.FINQueued && !c.FINAcked},
			{RcvFIN, func(c *Crossings) { c.FINReceived, c.PeerFirst = true, !c.FINQueued }, c.SYNAcked && !c.FINReceived},
		} {
			if !next.when {
				continue
			}
			after := c
			next.add(&after)
			if got, ok := Step(s, next.e); !ok || got.Next != Derive(after) {
				t.Errorf("%+v: %v x %v is %v (%v), the facts say %v", c, s, next.e, got.Next, ok, Derive(after))
			}
		}
	}
	for s := Closed; s < numStates; s++ {
		if (states[s] > 0) != (s != Listen) {
			t.Errorf("%v: derived from %d sets of facts", s, states[s])
		}
	}
}

func crossingsOf(facts int) Crossings {
	has := func(i int) bool { return facts&(1<<i) != 0 }
	return Crossings{
		Passive: has(0), SYNReceived: has(1), SYNAcked: has(2), FINQueued: has(3), FINReceived: has(4), FINAcked: has(5),
		PeerFirst: has(6),
	}
}
