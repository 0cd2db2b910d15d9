package explain

import "github.com/tcpd-project/tcpd/pkg/fsm"

// Transition says what it means that an event has moved the machine from one state to another, or has found it there: a
// sentence or two for each cell in which something happens, "" for what is impossible. Both kinds of SYN-RECEIVED have the
// one name: open says which, "passive" or "simultaneous"; if it is "", and what happens is not the same in both, it says both.
func Transition(from, open, event, to string) string {
	passive, active := cell(fsm.SynRcvd, from, event, to), cell(fsm.SynRcvdOpen, from, event, to)
	switch {
	case open == "passive":
		return passive
	case open == "simultaneous":
		return active
	case passive == active && passive != "", passive != "" && active == "":
		return passive
	case active != "" && passive == "":
		return active
	case passive != "":
		return "After a passive open: " + passive + " After a simultaneous open: " + active
	}
	for s := fsm.Closed; s <= fsm.TimeWait; s++ {
		if text := cell(s, from, event, to); text != "" {
			return text
		}
	}
	return ""
}

// cell is the sentence for one cell, if it has these names.
func cell(s fsm.State, from, event, to string) string {
	if s.String() != from {
		return ""
	}
	for e := fsm.OpenPassive; e <= fsm.TwoMSL; e++ {
		if e.String() != event {
			continue
		}
		if t, ok := fsm.Step(s, e); ok && t.Next.String() == to {
			return cells[s][e]
		}
	}
	return ""
}
