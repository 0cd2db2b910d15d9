package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/explain"
)

// ladder draws events: the peer's line on the left, tcpd's on the right, and time goes down.
type ladder struct {
	out        *bufio.Writer
	paragraphs bool
	sentences  bool
	color      bool
	terminal   *os.File         // where it is drawn, or nil
	width      int              // of the screen, in columns; 0: a line is as long as need be
	rung       int              // the least room between the two lines, in columns
	last       string           // the connection drawn last
	began      int64            // the first event of all
	flows      map[string]*isns // by connection
	known      func(id string) (ours, theirs uint32, ok bool)
}

// isns are the sequence numbers of a connection's SYNs: from them on is counted.
type isns struct {
	ours, theirs           uint32
	oursKnown, theirsKnown bool
}

// usualRung is the room between the two lines that the handshake's segments need.
const usualRung = 74

// narrowRung is what a narrow screen leaves of it at least.
const narrowRung = 20

// asideRoom is what a screen has beside the two lines, in columns: the time on the left, and on the right a state and how it was
// come to.
const asideRoom = 39

// mostFlows bounds the connections whose numbers are kept.
const mostFlows = 10000

func newLadder(w io.Writer, paragraphs bool) *ladder {
	l := &ladder{
		out: bufio.NewWriter(w), paragraphs: paragraphs, color: colored(w), rung: usualRung, flows: map[string]*isns{},
		known: func(string) (uint32, uint32, bool) { return 0, 0, false },
	}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		l.terminal = f
	}
	return l
}

// fit has no line be wider than a screen; what does not fit goes on below.
func (l *ladder) fit(width int) {
	l.width, l.rung = width, min(usualRung, max(narrowRung, width-asideRoom))
}

// measure fits the ladder to its terminal, which may be another size by now. One that does not know its size has any.
func (l *ladder) measure() {
	if l.terminal == nil {
		return
	}
	if size, err := unix.IoctlGetWinsize(int(l.terminal.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
		l.fit(int(size.Col))
	}
}

// show draws one event.
func (l *ladder) show(e *control.Event) error {
	if e.Kind == "verdict" {
		return nil // the drop has been drawn
	}
	if e.Lost > 0 {
		l.measure()
		text := fmt.Sprintf("%d events are missing here: they came faster than they could be read", e.Lost)
		if e.Lost == 1 {
			text = "1 event is missing here: it came faster than it could be read"
		}
		fmt.Fprintln(l.out, strings.Join(wrap(text, l.textRoom(0)), "\n"))
	}
	l.head(e)
	l.step(e)
	if l.sentences {
		l.explain(e)
	}
	return l.out.Flush()
}

// head begins the time with the first event, and heads those of another connection than before.
func (l *ladder) head(e *control.Event) {
	l.measure()
	if l.began == 0 {
		l.began = e.At
	}
	if e.Connection != l.last {
		l.title(e.Connection)
	}
}

// step draws what happens.
func (l *ladder) step(e *control.Event) {
	switch e.Kind {
	case "arrival", "departure":
		l.segment(e)
	case "transition":
		text := "→ " + e.To
		if e.To == e.State {
			text = "stays " + e.State
		}
		l.aside(e, text, e.Event, stateColor(ssName(e.To)))
	case "incident":
		l.aside(e, strings.ReplaceAll(e.Incident, "_", " "), "", "\x1b[33m")
	case "drop":
		l.aside(e, "not taken: "+e.Reason, "", "\x1b[31m")
	case "call":
		text := "user: " + strings.ReplaceAll(e.Call, "_", " ")
		if e.Bytes > 0 {
			text += fmt.Sprint(" ", e.Bytes)
		}
		l.aside(e, text, "", "")
	}
}

// sentence says what an event means.
func sentence(e *control.Event) string {
	switch e.Kind {
	case "arrival", "departure":
		g := explain.Segment{Flags: e.Segment.Flags, State: e.State, Text: e.Segment.Text, Sent: e.Kind == "departure", Again: e.Again}
		g.Closed = e.Segment.Window == 0
		return g.Explain()
	case "transition":
		return explain.Transition(e.State, e.Open, e.Event, e.To)
	case "incident":
		return explain.Incident(e.Incident)
	case "drop":
		return explain.Drop(e.Reason)
	}
	return explain.Call(e.Call)
}

// textWidth is how long a line of a sentence is at most, in columns.
const textWidth = 96

// sentenceIndent is where sentences begin: below what they are about.
const sentenceIndent = 13

// explain writes an event's sentence below it.
func (l *ladder) explain(e *control.Event) {
	text := sentence(e)
	if text == "" {
		return
	}
	dim, plain := "", ""
	if l.color {
		dim, plain = "\x1b[2m", "\x1b[0m"
	}
	for _, line := range wrap(text, l.textRoom(sentenceIndent)) {
		fmt.Fprintf(l.out, "%*s%s%s%s\n", sentenceIndent, "", dim, line, plain)
	}
}

// textRoom is how long a line of a sentence may be behind so many columns.
func (l *ladder) textRoom(indent int) int {
	if l.width == 0 {
		return textWidth
	}
	return max(narrowRung, min(textWidth, l.width-indent))
}

// title heads the events of a connection that follow those of another.
func (l *ladder) title(id string) {
	l.last = id
	ours, peer, _ := strings.Cut(id, "-")
	if id == "" {
		ours, peer = "tcpd", "(no connection)"
	}
	fmt.Fprintf(l.out, "\n%*s%-*s%s\n", timeWidth, "", l.rung+1, peer, ours)
}

// timeWidth is that of the column of times.
const timeWidth = 11

// time is since the first event, in seconds.
func (l *ladder) time(e *control.Event) string {
	return fmt.Sprintf("%10.6f ", float64(e.At-l.began)/1e9)
}

// aside is what happens on tcpd's side alone.
func (l *ladder) aside(e *control.Event, text, event, color string) {
	more := []string{}
	if event != "" {
		more = append(more, event)
	}
	if l.paragraphs && e.RFC != "" {
		more = append(more, e.RFC)
	}
	paint := func(s string) string { return s }
	if l.color && color != "" {
		paint = func(s string) string { return color + s + "\x1b[0m" }
	}
	rest := ""
	if len(more) > 0 {
		rest = "(" + strings.Join(more, ", ") + ")"
	}
	l.beside(e, text, rest, paint)
}

// beside writes a text on the right, and the rest after it, or below if there is no room.
func (l *ladder) beside(e *control.Event, text, rest string, paint func(string) string) {
	var lines []string
	switch {
	case rest != "" && l.fits(text+"  "+rest):
		lines = []string{paint(text) + "  " + rest}
	case rest == "" && l.fits(text):
		lines = []string{paint(text)}
	default:
		for _, line := range wrap(text, l.room()) {
			lines = append(lines, paint(line))
		}
		lines = append(lines, wrap(rest, l.room())...)
	}
	at := l.time(e)
	for _, line := range lines {
		if line != "" {
			fmt.Fprintf(l.out, "%*s│%*s│ %s\n", timeWidth, at, l.rung, "", line)
		}
		at = ""
	}
}

// room is what is on the right of tcpd's line, in columns.
func (l *ladder) room() int { return max(1, l.width-timeWidth-1-l.rung-2) }

// fits reports whether there is room for a text there.
func (l *ladder) fits(text string) bool {
	return l.width == 0 || utf8.RuneCountInString(text) <= l.room()
}

// segment is an arrow. What it has no room for stands below it.
func (l *ladder) segment(e *control.Event) {
	label := []string{l.label(e)}
	if l.width > 0 {
		label = wrap(label[0], l.rung-4-2) // dashes and the head of the arrow, spaces
	}
	first := " " + label[0] + " "
	dashes := max(l.rung-1-utf8.RuneCountInString(first), 3)
	left := min(3, dashes-1)
	arrow := strings.Repeat("─", left) + first + strings.Repeat("─", dashes-left) + "▶"
	if e.Kind == "departure" {
		arrow = "◀" + strings.Repeat("─", left) + first + strings.Repeat("─", dashes-left)
	}
	fmt.Fprintf(l.out, "%s│%s│ %s\n", l.time(e), arrow, e.State)
	for _, more := range label[1:] {
		fmt.Fprintf(l.out, "%*s│    %-*s│\n", timeWidth, "", l.rung-4, more)
	}
}

// label is what an arrow says: flags, sequence number, text and options.
func (l *ladder) label(e *control.Event) string {
	g, f := e.Segment, l.flow(e)
	sender, receiver := f.theirs, f.ours
	if e.Kind == "departure" {
		sender, receiver = receiver, sender
	}
	words := []string{g.Flags, fmt.Sprint(g.Seq - sender)}
	if g.Text > 0 {
		words = append(words, fmt.Sprintf("text %d", g.Text))
	}
	if g.Segments > 1 {
		words = append(words, fmt.Sprintf("in %d segments", g.Segments))
	}
	if strings.Contains(g.Flags, "ACK") {
		words = append(words, fmt.Sprint("ack ", g.Ack-receiver))
	}
	words = append(words, fmt.Sprint("win ", g.Window))
	words = append(words, options(g, receiver)...)
	if e.Again != "" {
		words = append(words, "again: "+strings.ReplaceAll(e.Again, "_", " "))
	}
	return strings.Join(words, " ")
}

// options names a segment's options; SACK blocks are counted from from.
func options(g *control.Segment, from uint32) (words []string) {
	var list []string
	if g.MSS != 0 {
		list = append(list, fmt.Sprint("mss ", g.MSS))
	}
	if g.SACKOK {
		list = append(list, "sackOK")
	}
	if g.Stamps != nil && g.MSS != 0 { // on a SYN; on each segment it would be noise
		list = append(list, "timestamps")
	}
	if g.Scale != nil {
		list = append(list, fmt.Sprint("wscale ", *g.Scale))
	}
	for _, b := range g.SACK {
		list = append(list, fmt.Sprintf("sack %d-%d", b[0]-from, b[1]-from))
	}
	if g.Urgent != 0 && strings.Contains(g.Flags, "URG") {
		list = append(list, fmt.Sprint("urgent ", g.Urgent))
	}
	if len(list) == 0 {
		return nil
	}
	return []string{"<" + strings.Join(list, ", ") + ">"}
}

// flow finds the numbers from which a connection's are counted: those of the SYNs, if they were seen or tcpd knows them; else those
// of the first segment each way.
func (l *ladder) flow(e *control.Event) *isns {
	f, g := l.flows[e.Connection], e.Segment
	syn := strings.Contains(g.Flags, "SYN")
	if f == nil || syn && e.Kind == "arrival" && !strings.Contains(g.Flags, "ACK") && f.theirs != g.Seq {
		f = &isns{}
		if !syn {
			f.ours, f.theirs, f.oursKnown = l.numbers(e.Connection)
			f.theirsKnown = f.oursKnown
		}
		if len(l.flows) >= mostFlows {
			clear(l.flows)
		}
		l.flows[e.Connection] = f
	}
	sender, known := &f.theirs, &f.theirsKnown
	if e.Kind == "departure" {
		sender, known = &f.ours, &f.oursKnown
	}
	if !*known {
		*sender, *known = g.Seq, true
	}
	if strings.Contains(g.Flags, "ACK") { // the other end's numbers may not have been seen
		other, known := &f.ours, &f.oursKnown
		if e.Kind == "departure" {
			other, known = &f.theirs, &f.theirsKnown
		}
		if !*known {
			*other, *known = g.Ack-1, true
		}
	}
	return f
}

func (l *ladder) numbers(id string) (ours, theirs uint32, ok bool) {
	if id == "" {
		return 0, 0, false
	}
	return l.known(id)
}
