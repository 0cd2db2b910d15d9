package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Section 3.4: "A TCP receiver MUST process the RST and URG fields of all incoming segments, even when the receive window
// is zero", those with text, which finds no room, included.
//
// Proves: RFC 9293 MUST-66
func TestClosedWindowHearsURGAndRST(t *testing.T) {
	for _, text := range [][]byte{nil, {1}} {
		l := closedWindow(t)
		l.hear(Segment{Flags: ACK | URG, Urgent: 5, Text: text})
		if l.ev&Urgent == 0 || l.c.UrgentLeft() != 4000+5 {
			t.Errorf("%d bytes: events %b, %d bytes are urgent", len(text), l.ev, l.c.UrgentLeft())
		}
		l.says()
		l.hear(Segment{Flags: RST, Text: text})
		l.silent()
		l.in(fsm.Closed)
		if l.ev&Reset == 0 {
			t.Errorf("%d bytes with a RST: events %b", len(text), l.ev)
		}
	}
}

// The same section: with a closed window a valid ACK is still taken, so that what goes the other way flows; and section
// 3.8.6.1: each segment that arrives is answered by an ACK with the window, zero.
func TestClosedWindowHearsACKs(t *testing.T) {
	l := closedWindow(t)
	l.write(100)
	if g := l.expect(ACK); len(g.Text) != 100 {
		t.Fatalf("%d bytes", len(g.Text))
	}
	l.hear(Segment{Flags: ACK, Text: []byte{1}}) // the peer's probe, with the ACK
	if l.c.outstanding() != 0 {
		t.Errorf("%d bytes are still outstanding", l.c.outstanding())
	}
	if g := l.expect(ACK); g.Ack != l.seq || g.Window != 0 {
		t.Errorf("the probe is answered with ACK %d, window %d", g.Ack-l.seq, g.Window)
	}
}

// shrunk is a connection that has sent five segments into a window of 10,000 bytes, of which the peer takes back all but
// left. The user has written 10,000 bytes.
func shrunk(t testing.TB, left uint16) *lone {
	l := estab(t)
	l.hear(Segment{Flags: ACK, Window: 10_000})
	l.c.cw.Cwnd = 5 * 1460
	l.write(10_000)
	if n := textOf(l.says()); n != 5*1460 {
		t.Fatalf("%d bytes sent", n)
	}
	ack := Segment{Flags: ACK, Ack: l.c.snd.una, Window: left}
	if left == 0 {
		l.closes(ack)
	} else {
		l.hear(ack)
	}
	l.c.cw.Cwnd = 20 * 1460
	return l
}

// Section 3.8.6: a sender "MUST be robust against window shrinking, which may cause the usable window to become
// negative". Then it "SHOULD NOT send new data, but SHOULD retransmit normally the old unacknowledged data between SND.UNA
// and SND.UNA+SND.WND", which is all that is sent again here. It "SHOULD NOT time out the connection if data beyond the
// right window edge is not acknowledged".
//
// Proves: RFC 9293 MUST-34, SHLD-15, SHLD-16
func TestShrunkWindow(t *testing.T) {
	l := shrunk(t, 2000)
	edge := l.c.snd.una.Add(2000)
	l.silent() // no new data
	sent := 0
	for _, g := range l.after(2 * mono.Second) {
		if sent++; g.Seq.Less(l.c.snd.una) || edge.Less(g.End()) || len(g.Text) == 0 {
			t.Errorf("sent again: %d bytes, %d beyond SND.UNA", len(g.Text), g.Seq.Sub(l.c.snd.una))
		}
	}
	if sent < 2 {
		t.Errorf("sent again %d times", sent)
	}
	// The peer takes what its window admits: the text beyond it is still not sent, and neither is new text.
	l.hear(Segment{Flags: ACK, Ack: edge, Window: 1})
	for _, g := range l.after(10 * mono.Second) {
		if edge.Add(1).Less(g.End()) {
			t.Errorf("%d bytes, %d beyond the right edge", len(g.Text), g.End().Sub(edge))
		}
	}
	l.in(fsm.Established)
	for l.hear(Segment{Flags: ACK, Ack: edge, Window: 60_000}); l.c.snd.una != l.c.snd.end; l.hear(Segment{Flags: ACK, Ack: edge, Window: 60_000}) {
		list := l.after(60 * mono.Second) // it opens again, and all goes
		if len(list) == 0 {
			t.Fatalf("silent with %d bytes unacknowledged", l.c.snd.end.Sub(l.c.snd.una))
		}
		for _, g := range list {
			if g.Seq.LessEq(edge) {
				edge = seq.Max(edge, g.End())
			}
		}
	}
}

// Section 3.8.6: "If the window shrinks to zero, the TCP implementation MUST probe it in the standard way". As long as
// the peer answers the probes the connection stays, though nothing that lies beyond the edge is acknowledged.
//
// Proves: RFC 9293 MUST-35, MUST-37, SHLD-17
func TestWindowShrunkToZero(t *testing.T) {
	l := shrunk(t, 0)
	l.silent()
	probes := 0
	for range 100 {
		l.now = l.c.Deadline()
		l.c.Timeout(l.x, l.now)
		for _, g := range l.says() {
			if probes++; len(g.Text) > 1 || g.Seq != l.c.snd.una {
				t.Errorf("probe %d: %d bytes, %d beyond SND.UNA", probes, len(g.Text), g.Seq.Sub(l.c.snd.una))
			}
			l.closes(Segment{Ack: l.c.snd.una})
		}
	}
	if l.in(fsm.Established); probes < 90 || l.now.Sub(mono.Time(1e12)) < 3600*mono.Second {
		t.Errorf("%d probes in %v", probes, l.now.Sub(mono.Time(1e12)))
	}
}

// Section 3.8.6.1: "Probing of zero (offered) windows MUST be supported." The sender "SHOULD send the first zero-window
// probe when a zero window has existed for the retransmission timeout period, and SHOULD increase exponentially the
// interval between successive probes".
//
// Proves: RFC 9293 MUST-36, SHLD-29, SHLD-30
func TestZeroWindowProbes(t *testing.T) {
	l := estab(t)
	l.closes(Segment{Ack: l.c.snd.nxt})
	l.write(1 + 3*1460)
	rto := l.c.rto(l.x)
	for n := range 8 {
		wait := rto << n
		l.quiet(wait - 1)
		list := l.after(1)
		if len(list) != 1 || len(list[0].Text) != 1 || list[0].Seq != l.c.snd.una {
			t.Fatalf("probe %d: %d segments after %v", n+1, len(list), wait)
		}
		l.closes(Segment{Ack: l.c.snd.una})
	}
	// The octet is taken when there is room: the probe was new text.
	l.quiet(rto<<8 - 1)
	l.expectText(1)
	l.hear(Segment{Flags: ACK, Ack: l.c.snd.una + 1})
	if n := textOf(l.says()); n != 3*1460 {
		t.Errorf("then %d bytes", n)
	}
}

// expectText demands one segment of n bytes at the next instant.
func (l *lone) expectText(n int) {
	l.t.Helper()
	if list := l.after(1); len(list) != 1 || len(list[0].Text) != n {
		l.t.Fatalf("%d segments of %d bytes in all", len(list), textOf(list))
	}
}

// Section 3.8.6: "A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to the left"; section
// 3.8.6.1: it "MAY keep its offered receive window closed indefinitely". A user reads nothing, whatever the peer sends.
//
// Proves: RFC 9293 SHLD-14, MAY-8
func TestWindowDoesNotShrink(t *testing.T) {
	for _, size := range []int{7, 100, 1000, 1460} {
		l := estab(t, func(s *Settings) { s.ReceiveBuffer = 20_000 })
		edge := l.c.rcv.adv
		look := func() {
			for _, g := range l.after(50 * ms) {
				right := g.Ack.Add(uint32(g.Window))
				if right.Less(edge) {
					t.Fatalf("%d bytes a segment: the edge moves back by %d", size, edge.Sub(right))
				}
				edge = right
			}
		}
		for l.c.rcv.nxt != l.c.rcv.adv {
			l.text(min(size, int(l.c.rcv.adv.Sub(l.c.rcv.nxt))))
			look()
		}
		l.c.SetBuffers(0, 5000) // the user wants less, too late
		for range 100 {
			l.hear(Segment{Flags: ACK, Text: []byte{1}})
			look()
			l.now = l.now.Add(60 * mono.Second)
		}
		if l.in(fsm.Established); l.c.unreadText() > 20_000 {
			t.Errorf("%d bytes are kept", l.c.unreadText())
		}
	}
}
