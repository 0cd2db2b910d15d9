package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

func withScale(s *Settings) { s.WindowScale = true }

// scaled is an ESTABLISHED connection whose peer scales its window by shift. Its SYN offers 1000.
func scaled(t testing.TB, shift uint8) *lone {
	l := synSent(t, withScale)
	l.hear(Segment{Flags: SYN | ACK, Window: 1000, Options: Options{Has: HasMSS | HasWindowScale, MSS: 1460, WindowScale: shift}})
	l.seq++
	l.expect(ACK)
	return l
}

// RFC 7323 section 2.2: "The window field in a segment where the SYN bit is set MUST NOT be scaled", and the option in a
// segment without SYN "MUST be ignored". Section 2.3: the window of others is shifted to the left by the peer's shift, and
// ours to the right by our own.
//
// Proves: RFC 7323 2.2-2, 2.2-3, 2.3-3
func TestWindowsAreScaled(t *testing.T) {
	l := newLone(t, withScale, func(s *Settings) { s.ReceiveBuffer = 200_000 })
	l.c.OpenActive(l.x, l.now, Open{ISS: ourISS})
	syn := l.expect(SYN)
	if syn.Window != 65535 || syn.Options.WindowScale != 2 {
		t.Errorf("our SYN: window %d, shift %d", syn.Window, syn.Options.WindowScale)
	}
	l.hear(Segment{Flags: SYN | ACK, Window: 1000, Options: Options{Has: HasMSS | HasWindowScale, MSS: 1460, WindowScale: 7}})
	l.seq++
	l.expect(ACK)
	if l.c.snd.wnd != 1000 {
		t.Errorf("the window of their SYN is %d", l.c.snd.wnd)
	}
	l.hear(Segment{Flags: ACK, Window: 1000, Options: Options{Has: HasWindowScale, WindowScale: 3}}) // 3 is nothing
	if l.c.snd.wnd != 1000<<7 {
		t.Errorf("the window of their ACK is %d", l.c.snd.wnd)
	}
	l.text(10)
	if g := l.expect(ACK); uint32(g.Window)<<2 > 200_000 || uint32(g.Window)<<2 < 190_000 {
		t.Errorf("our window is %d<<2", g.Window)
	}
}

// Section 3.2: TSecr "MUST be zero" where there is no ACK, and the option is ignored on a connection that did not agree on
// it: neither its values count, nor is there an answer in kind.
//
// Proves: RFC 7323 3.2-6, 3.2-7
func TestTimestampsNotAgreed(t *testing.T) {
	l := newLone(t, withTimestamps)
	l.c.OpenActive(l.x, l.now, Open{ISS: ourISS, TSOffset: 7})
	if g := l.expect(SYN); g.Options.Has&HasTimestamps == 0 || g.Options.TSVal == 0 || g.Options.TSEcr != 0 {
		t.Errorf("our SYN: %+v", g.Options)
	}
	l.hear(Segment{Flags: SYN | ACK}) // without timestamps
	l.seq++
	l.expect(ACK)
	for _, val := range []uint32{1 << 31, 5, 1 << 30} { // in no order
		for _, flags := range []Flags{ACK, ACK | URG} { // as predicted, and not
			d := l.hear(Segment{Flags: flags, Urgent: 1, Text: make([]byte, 10), Options: Options{Has: HasTimestamps, TSVal: val, TSEcr: 1}})
			l.seq += 10
			if g := l.expect(ACK); d != DropNone || g.Ack != l.seq || g.Options.Has != 0 {
				t.Errorf("%v, TSval %d: %v, answered with %+v", flags, val, d, g.Options)
			}
		}
	}
}

// stampedLone is an ESTABLISHED connection with timestamps. The peer's SYN had TSval 100.
func stampedLone(t testing.TB) *lone {
	l := newLone(t, withTimestamps)
	l.c.OpenActive(l.x, l.now, Open{ISS: ourISS, TSOffset: 7})
	syn := l.expect(SYN)
	l.hear(Segment{Flags: SYN | ACK, Options: Options{Has: HasMSS | HasTimestamps, MSS: 1460, TSVal: 100, TSEcr: syn.Options.TSVal}})
	l.seq++
	l.expect(ACK)
	return l
}

// Section 3.2: once agreed, the option "MUST be sent in every non-<RST> segment for the duration of the connection, and
// SHOULD be sent in an <RST> segment".
//
// Proves: RFC 7323 3.2-2, 3.2-3
func TestEverySegmentIsStamped(t *testing.T) {
	l := stampedLone(t)
	stamped := Options{Has: HasTimestamps, TSVal: 101, TSEcr: 1}
	l.now = l.now.Add(50 * ms)
	l.write(3000)
	all := l.says()
	l.hear(Segment{Flags: ACK, Options: stamped})
	l.hear(Segment{Flags: ACK, Text: []byte{1}, Options: stamped})
	l.seq++
	all = append(all, l.after(mono.Second)...)
	l.c.CloseWrite(l.x, l.now)
	all = append(all, l.says()...)
	l.c.Abort(l.x, l.now)
	all = append(all, l.says()...)
	for _, g := range all {
		if g.Options.Has != HasTimestamps || g.Options.TSVal == 0 || g.Options.TSEcr == 0 {
			t.Errorf("%v: %+v", g.Flags, g.Options)
		}
	}
	if last := all[len(all)-1]; len(all) < 5 || last.Flags&RST == 0 {
		t.Errorf("%d segments, the last %v", len(all), last.Flags)
	}
}

// Section 4.1: TSecr measures "only if the segment advances the left edge of the send window".
//
// Proves: RFC 7323 4.1-1
func TestEchoesThatMeasureNothing(t *testing.T) {
	l := stampedLone(t)
	l.write(100)
	g := l.expect(ACK)
	l.now = l.now.Add(3 * mono.Second)
	before := l.c.rtt
	echo := Options{Has: HasTimestamps, TSVal: 200, TSEcr: g.Options.TSVal}
	l.hear(Segment{Flags: ACK, Ack: l.c.snd.una, Options: echo})
	l.hear(Segment{Flags: ACK, Ack: l.c.snd.una, Text: []byte{1}, Options: echo})
	l.seq++
	if l.c.rtt != before {
		t.Errorf("%+v was measured", l.c.rtt)
	}
	l.hear(Segment{Flags: ACK, Options: echo})
	if l.c.rtt == before {
		t.Error("the ACK measures nothing")
	}
}

// Section 5.3, rules R1 and R2: a segment is rejected for its timestamp though it lies in the window, and for its place
// though its timestamp is new; either is answered. R4: what passes both is taken.
//
// Proves: RFC 7323 5.3-R1, 5.3-R2, 5.3-R4
func TestPAWSBesideTheWindow(t *testing.T) {
	for _, c := range []struct {
		name string
		off  uint32
		val  uint32
		want Drop
	}{
		{"old, in order", 0, 90, DropPAWS}, {"old, in the window", 1000, 90, DropPAWS},
		{"new, beyond the window", 1 << 30, 110, DropSequence}, {"new, before it", 1<<32 - 1000, 110, DropSequence},
		{"new, in order", 0, 110, DropNone},
	} {
		l := stampedLone(t)
		l.now = l.now.Add(mono.Second)
		d := l.hear(Segment{Seq: l.seq.Add(c.off), Flags: ACK, Text: make([]byte, 100), Options: Options{Has: HasTimestamps, TSVal: c.val, TSEcr: 1}})
		up := l.seq
		if c.want == DropNone {
			up += 100
		}
		if g := l.expect(ACK); d != c.want || g.Ack != up {
			t.Errorf("%s: %v, ACK %d", c.name, d, g.Ack-l.seq)
		}
	}
}
