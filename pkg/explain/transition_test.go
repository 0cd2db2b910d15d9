package explain

import (
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
)

// everyCell calls f for each cell of the machine.
func everyCell(f func(s fsm.State, e fsm.Event, t fsm.Transition, ok bool)) {
	for s := fsm.Closed; s <= fsm.TimeWait; s++ {
		for e := fsm.OpenPassive; e <= fsm.TwoMSL; e++ {
			t, ok := fsm.Step(s, e)
			f(s, e, t, ok)
		}
	}
}

func TestEveryCellHasItsSentence(t *testing.T) {
	everyCell(func(s fsm.State, e fsm.Event, to fsm.Transition, ok bool) {
		text := cells[s][e]
		if ok != (text != "") {
			t.Errorf("%v x %v: the machine has a cell: %v; it has a sentence: %q", s, e, ok, text)
		}
		if got := Transition(s.String(), "", e.String(), to.Next.String()); ok && !strings.Contains(got, text) {
			t.Errorf("%v x %v -> %v: %q, not %q", s, e, to.Next, got, text)
		}
		checkSentence(t, text)
	})
}

// TestSameSentenceSameMeaning lets cells share a sentence only if the same event has the same actions there, and keeps
// the state in both or leads to the same one.
func TestSameSentenceSameMeaning(t *testing.T) {
	type meaning struct {
		e    fsm.Event
		do   fsm.Action
		next fsm.State // 0: the state is kept
	}
	said := map[string]meaning{}
	everyCell(func(s fsm.State, e fsm.Event, to fsm.Transition, ok bool) {
		if !ok {
			return
		}
		m := meaning{e, to.Do, to.Next}
		if to.Next == s {
			m.next = 0
		}
		if before, ok := said[cells[s][e]]; ok && before != m {
			t.Errorf("%v x %v means %v, but its sentence is that of %v: %s", s, e, m, before, cells[s][e])
		}
		said[cells[s][e]] = m
	})
}

func TestTransitionOfBothKindsOfSYNReceived(t *testing.T) {
	for _, c := range []struct{ event, to, has, hasNot string }{
		{"RcvRST", "CLOSED", "After a simultaneous open: We have called each other", "\x00"},
		{"GaveUp", "CLOSED", "After a passive open: Our SYN,ACK", "\x00"},
		{"BadSYN", "CLOSED", "begins anew", "After a"},
		{"BadSYN", "SYN-RECEIVED", "challenge ACK", "After a"},
		{"RcvOldSYN", "SYN-RECEIVED", "whole", "After a"},
	} {
		got := Transition("SYN-RECEIVED", "", c.event, c.to)
		if !strings.Contains(got, c.has) || strings.Contains(got, c.hasNot) {
			t.Errorf("%s -> %s: %q", c.event, c.to, got)
		}
	}
}

func TestTransitionOfOneKindOfSYNReceived(t *testing.T) {
	passive, both := Transition("SYN-RECEIVED", "passive", "GaveUp", "CLOSED"), Transition("SYN-RECEIVED", "", "GaveUp", "CLOSED")
	simultaneous := Transition("SYN-RECEIVED", "simultaneous", "GaveUp", "CLOSED")
	if passive == "" || simultaneous == "" || passive == simultaneous || !strings.Contains(both, passive) || !strings.Contains(both, simultaneous) {
		t.Errorf("%q, %q, %q", passive, simultaneous, both)
	}
}

func TestNoSentenceForTheImpossible(t *testing.T) {
	for _, c := range [][3]string{
		{"LISTEN", "TwoMSL", "CLOSED"}, {"ESTABLISHED", "RcvFIN", "TIME-WAIT"}, {"ESTAB", "RcvFIN", "CLOSE-WAIT"}, {"ESTABLISHED", "", "ESTABLISHED"},
	} {
		if got := Transition(c[0], "", c[1], c[2]); got != "" {
			t.Errorf("%v: %q", c, got)
		}
	}
}

// checkSentence wants whole sentences.
func checkSentence(t *testing.T, text string) {
	t.Helper()
	if text == "" {
		return
	}
	if first := text[:1]; first != strings.ToUpper(first) || !strings.HasSuffix(strings.TrimSuffix(text, ")"), ".") {
		t.Errorf("no whole sentence: %q", text)
	}
	if strings.Contains(text, "  ") || strings.TrimSpace(text) != text {
		t.Errorf("spaces: %q", text)
	}
}
