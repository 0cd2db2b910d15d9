package explain

import (
	"slices"
	"strings"
)

// Segment is a segment, as an end sees it that sends or receives it.
type Segment struct {
	Flags string // as events have them: "SYN,ACK"
	State string // of that end: when it comes, and when it is sent, before it if that is known and else after it
	Text  int    // bytes
	Sent  bool   // by that end; else it has come
	Again string // why it is sent again, if it is: the name of a tcp.Resend

	// What only who follows the numbers knows.
	Closed bool // its window is closed
	Update bool // an ACK without text that changes nothing but the window
	Probe  bool // nothing in it is new, or one octet at most: it asks for an ACK
}

// Explain says what the segment says, and what that means where the connection stands.
func (g Segment) Explain() string {
	text := ""
	for _, m := range meanings {
		if m.of(&g) {
			text = m.received(&g)
			if g.Sent {
				text = m.sent(&g)
			}
			break
		}
	}
	if g.Closed && !g.has("RST") && !g.has("SYN") {
		text += closedWindow[g.Sent]
	}
	if again := Resend(g.Again); again != "" {
		text += " " + again
	}
	return text
}

func (g *Segment) has(flag string) bool {
	return slices.Contains(strings.FieldsFunc(g.Flags, func(r rune) bool { return strings.ContainsRune(", |", r) }), flag)
}

// closedWindow is for a segment that leaves no room, by whether it is sent.
var closedWindow = map[bool]string{
	true:  " Its window is 0: our user has to read before the peer may send more.",
	false: " Its window is 0: the peer's user has to read before we may send more.",
}

// words is what there is to say in a state; the words for "" are for the others.
type words map[string]string

func (w words) in(g *Segment) string {
	if text, ok := w[g.State]; ok {
		return text
	}
	return w[""]
}

// meanings are the kinds of segments; the first that fits is what it is.
var meanings = []struct {
	of             func(*Segment) bool
	sent, received func(*Segment) string
}{
	{func(g *Segment) bool { return g.has("RST") }, rstSent.in, rstReceived.in},
	{func(g *Segment) bool { return g.has("SYN") && g.has("ACK") }, synACKSent.in, synACKReceived.in},
	{func(g *Segment) bool { return g.has("SYN") }, withEarly(synSent), withEarly(synReceived)},
	{func(g *Segment) bool { return g.has("FIN") }, withText(finSent), withText(finReceived)},
	{func(g *Segment) bool { return !g.has("ACK") }, noACK.in, noACK.in},
	{func(g *Segment) bool { return g.Probe && g.Text == 0 }, keepAliveSent.in, keepAliveReceived.in},
	{func(g *Segment) bool { return g.Probe || g.Again == "window_probe" }, probeSent.in, probeReceived.in},
	{func(g *Segment) bool { return g.Text > 0 }, textSent.in, textReceived.in},
	{func(g *Segment) bool { return g.Update }, updateSent.in, updateReceived.in},
	{func(*Segment) bool { return true }, ackSent.in, ackReceived.in},
}

// withText adds that there is text before a FIN.
func withText(w words) func(*Segment) string {
	return func(g *Segment) string {
		if g.Text > 0 {
			return "The last text, and behind it the end. " + w.in(g)
		}
		return w.in(g)
	}
}

// withEarly adds that there is text on a SYN.
func withEarly(w words) func(*Segment) string {
	return func(g *Segment) string {
		if g.Text > 0 {
			return w.in(g) + " It brings text at once, which is delivered before the handshake is over only if a cookie shows who the caller is (TCP Fast Open, RFC 7413)."
		}
		return w.in(g)
	}
}
