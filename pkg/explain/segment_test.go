package explain

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

func TestSegment(t *testing.T) {
	for _, c := range []struct {
		g    Segment
		want string // is in it
	}{
		{Segment{Flags: "SYN", State: "SYN-SENT", Sent: true}, "we call"},
		{Segment{Flags: "SYN", State: "SYN-SENT", Sent: true, Text: 9}, "RFC 7413"},
		{Segment{Flags: "SYN", State: "LISTEN"}, "somebody calls"},
		{Segment{Flags: "SYN", State: "SYN-SENT"}, "simultaneous"},
		{Segment{Flags: "SYN", State: "ESTABLISHED"}, "challenge"},
		{Segment{Flags: "SYN,ACK", State: "SYN-RECEIVED", Sent: true, Again: "syn"}, "not answered"},
		{Segment{Flags: "SYN,ACK", State: "SYN-SENT"}, "the peer's answer"},
		{Segment{Flags: "SYN,ACK,ECE", State: "ESTABLISHED"}, "once more"},
		{Segment{Flags: "ACK", State: "SYN-SENT", Sent: true}, "third segment"},
		{Segment{Flags: "ACK", State: "SYN-RECEIVED"}, "third segment"},
		{Segment{Flags: "ACK", State: "ESTABLISHED"}, "expects next"},
		{Segment{Flags: "ACK", State: "ESTABLISHED", Closed: true}, "the peer's user has to read"},
		{Segment{Flags: "ACK", State: "ESTABLISHED", Sent: true, Closed: true}, "our user has to read"},
		{Segment{Flags: "ACK", State: "ESTABLISHED", Sent: true, Update: true}, "window update: our user has read"},
		{Segment{Flags: "ACK", State: "ESTABLISHED", Update: true}, "the peer's user has read"},
		{Segment{Flags: "ACK", State: "ESTABLISHED", Sent: true, Probe: true}, "keep-alive"},
		{Segment{Flags: "ACK", State: "ESTABLISHED", Text: 1, Probe: true}, "for which we had no room"},
		{Segment{Flags: "PSH,ACK", State: "ESTABLISHED", Text: 1, Sent: true, Again: "window_probe"}, "A window probe"},
		{Segment{Flags: "PSH,ACK", State: "ESTABLISHED", Text: 100, Sent: true, Again: "recovery"}, "has arrived"},
		{Segment{Flags: "PSH,ACK", State: "ESTABLISHED", Text: 100}, "beyond a gap"},
		{Segment{Flags: "ACK", State: "FIN-WAIT-2", Text: 100}, "after our FIN"},
		{Segment{Flags: "ACK", State: "CLOSE-WAIT", Text: 100}, "ignored (RFC 9293 3.10.7.4 seventh)"},
		{Segment{Flags: "ACK", State: "LAST-ACK", Text: 100}, "after the peer's FIN"},
		{Segment{Flags: "ACK", State: "TIME-WAIT", Text: 100}, "to catch it"},
		{Segment{Flags: "FIN,ACK", State: "ESTABLISHED"}, "reads the end"},
		{Segment{Flags: "FIN,PSH,ACK", State: "ESTABLISHED", Text: 5}, "The last text"},
		{Segment{Flags: "FIN,ACK", State: "FIN-WAIT-1"}, "crossed"},
		{Segment{Flags: "FIN,ACK", State: "CLOSE-WAIT"}, "once more"},
		{Segment{Flags: "FIN,ACK", State: "LAST-ACK", Sent: true}, "nothing more to send"},
		{Segment{Flags: "ACK", State: "CLOSE-WAIT", Sent: true}, "Ours comes when our user closes"},
		{Segment{Flags: "ACK", State: "TIME-WAIT", Sent: true}, "stay to repeat it"},
		{Segment{Flags: "ACK", State: "LAST-ACK"}, "so has the connection"},
		{Segment{Flags: "RST,ACK", State: "SYN-SENT"}, "refused"},
		{Segment{Flags: "RST", State: "ESTABLISHED"}, "exactly the next number"},
		{Segment{Flags: "RST,ACK", State: "CLOSED", Sent: true}, "no such connection"},
		{Segment{Flags: "RST", State: "ESTABLISHED", Closed: true}, "RFC 5961 3)."},
		{Segment{Flags: "PSH", State: "ESTABLISHED", Text: 4}, "must acknowledge"},
		{Segment{Flags: "", State: "LISTEN"}, "must acknowledge"},
	} {
		got := c.g.Explain()
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, without %q", c.g, got, c.want)
		}
		checkSentence(t, got)
	}
}

// TestSegmentInEveryState wants something to be said of every segment in every state, in the flags' own words.
func TestSegmentInEveryState(t *testing.T) {
	for s := fsm.Closed; s <= fsm.TimeWait; s++ {
		for f := range tcp.Flags(1 << 5) {
			for _, text := range []int{0, 1} {
				for _, sent := range []bool{false, true} {
					g := Segment{Flags: f.String(), State: s.String(), Text: text, Sent: sent}
					checkSentence(t, g.Explain())
					if g.Explain() == "" {
						t.Errorf("%+v: nothing", g)
					}
				}
			}
		}
	}
}

// TestWordsNameStates finds a state's name that is none.
func TestWordsNameStates(t *testing.T) {
	states := []string{"", PerhapsListen}
	for s := fsm.Closed; s <= fsm.TimeWait; s++ {
		states = append(states, s.String())
	}
	for _, w := range []words{synSent, synReceived, synACKSent, synACKReceived, finSent, finReceived, rstSent, rstReceived, textSent, textReceived, ackSent, ackReceived} {
		for _, s := range slices.Sorted(maps.Keys(w)) {
			if !slices.Contains(states, s) {
				t.Errorf("there is no state %s", s)
			}
		}
	}
}
