package fsm

import (
	"slices"
	"strconv"
	"strings"
)

// shortNames head the grid's columns.
var shortNames = [numStates]string{
	Closed: "CLOSED", Listen: "LISTEN", SynSent: "SYNSENT", SynRcvd: "SYNRCVD", SynRcvdOpen: "SYNRCV2", Established: "ESTAB",
	FinWait1: "FINWT1", FinWait2: "FINWT2", CloseWait: "CLOSEWT", Closing: "CLOSING", LastAck: "LASTACK", TimeWait: "TIMEWT",
}

// actionLetters stand for the actions in the grid, in the order of their bits.
const actionLetters = "SYAcRFtwoexrunDd"

const columnWidth = 12

// Grid is the whole table as text: a row an event, a column a state, and a legend.
func Grid() string {
	var b strings.Builder
	row := func(first string, column func(State) string) {
		line := pad(first, 15)
		for s := Closed; s < numStates; s++ {
			line += pad(column(s), columnWidth)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	row("", func(s State) string { return shortNames[s] })
	for e := range numEvents {
		row(e.String(), func(s State) string { return gridCell(s, e) })
	}
	b.WriteString("\n.  impossible    =  the state is kept    ")
	b.WriteString("SYNRCVD, SYNRCV2  SYN-RECEIVED, after a passive and a simultaneous open\n")
	for i, name := range actionNames {
		b.WriteString(pad(actionLetters[i:i+1]+"  "+name, 22))
		if i%4 == 3 {
			b.WriteString("\n")
		}
	}
	return trimLines(b.String())
}

func gridCell(s State, e Event) string {
	t, ok := Step(s, e)
	if !ok {
		return "."
	}
	text := "="
	if t.Next != s {
		text = shortNames[t.Next]
	}
	letters := ""
	for i := range actionNames {
		if t.Do&(1<<i) != 0 {
			letters += actionLetters[i : i+1]
		}
	}
	if letters != "" {
		text += " " + letters
	}
	return text
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(width-len(s), 1)) }

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// arrow is a line of a drawing: everything that leads from one state to another.
type arrow struct {
	from, to string
	labels   []string
}

// arrows are the table's changes of state, in the order of the table. Without errors they are those of Figure 5; with
// them they include what ends a connection early. The two kinds of SYN-RECEIVED are drawn as one, as the figure does.
func arrows(errors bool) []arrow {
	var list []arrow
	for s := Closed; s < numStates; s++ {
		for e := range numEvents {
			t, ok := Step(s, e)
			if !ok || t.Next == s || endsEarly(e) != errors {
				continue
			}
			list = addArrow(list, drawnName(s), drawnName(t.Next), label(e, t.Do, errors))
		}
	}
	return list
}

func addArrow(list []arrow, from, to, label string) []arrow {
	for i := range list {
		if list[i].from == from && list[i].to == to {
			if !slices.Contains(list[i].labels, label) {
				list[i].labels = append(list[i].labels, label)
			}
			return list
		}
	}
	return append(list, arrow{from, to, []string{label}})
}

// endsEarly tells what section 3.3.2 calls error conditions, and a new incarnation, from the course of Figure 5.
func endsEarly(e Event) bool {
	switch e {
	case Abort, CloseUnread, RcvLateData, RcvRST, BadSYN, NewSYN, HardError, GaveUp, FinWaitTimeout:
		return true
	}
	return false
}

// drawnName is the node's identifier.
func drawnName(s State) string {
	return strings.ReplaceAll(s.String(), "-", "_")
}

// label is "event / what is sent"; the errors have too many to say what each sends.
func label(e Event, do Action, brief bool) string {
	const shown = SendSYN | SendSYNACK | SendACK | QueueFIN
	if brief || do&shown == 0 {
		return e.String()
	}
	return e.String() + " / " + (do & shown).String()
}

// Mermaid draws the changes of state of Figure 5, in the notation that GitHub renders.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	b.WriteString("    %% Left out: what keeps the state, and what ends a connection early (reset, abort, giving up, errors),\n")
	b.WriteString("    %% which leads from any state to CLOSED. Both kinds of SYN-RECEIVED are drawn as one.\n")
	for s := Closed; s < numStates; s++ {
		if s != SynRcvdOpen {
			b.WriteString("    state " + strconv.Quote(s.String()) + " as " + drawnName(s) + "\n")
		}
	}
	b.WriteString("    state \"CLOSED\" as OVER\n")
	for _, a := range arrows(false) {
		b.WriteString("    " + a.from + " --> " + target(a) + " : " + strings.Join(a.labels, "<br/>") + "\n")
	}
	return b.String()
}

// target is where an arrow ends. CLOSED is drawn twice, as in the figure, so that a connection runs downwards: an OPEN
// that is withdrawn goes back to the first, a connection that is over goes to the second.
func target(a arrow) string {
	if a.to == drawnName(Closed) && a.from != drawnName(Listen) && a.from != drawnName(SynSent) {
		return "OVER"
	}
	return a.to
}

// Dot draws all changes of state for graphviz: the course of Figure 5 in black, what ends a connection early in grey.
func Dot() string {
	var b strings.Builder
	b.WriteString("// Left out: what keeps the state. Both kinds of SYN-RECEIVED are drawn as one.\n")
	b.WriteString("digraph fsm {\n\tnode [shape=box fontname=\"monospace\"]\n\tedge [fontname=\"monospace\" fontsize=9]\n")
	for s := Closed; s < numStates; s++ {
		if s != SynRcvdOpen {
			b.WriteString("\t" + drawnName(s) + " [label=" + strconv.Quote(s.String()) + "]\n")
		}
	}
	b.WriteString("\tOVER [label=\"CLOSED\"]\n")
	for _, a := range arrows(false) {
		b.WriteString("\t" + a.from + " -> " + target(a) + " [label=\"" + strings.Join(a.labels, "\\n") + "\"]\n")
	}
	for _, a := range arrows(true) {
		b.WriteString("\t" + a.from + " -> OVER [color=gray fontcolor=gray label=\"" + strings.Join(a.labels, "\\n") + "\"]\n")
	}
	b.WriteString("}\n")
	return b.String()
}
