package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Mere acknowledgments of text may wait, and share, where the peer is known to be near. What a peer counts does neither:
// duplicate ACKs (RFC 5681 section 4.2), DSACKs (RFC 2883), marks (RFC 9768 section 3.2.2.5.1); and what he waits for does not.
func TestWhichACKsMayWait(t *testing.T) {
	next := Segment{Flags: ACK, Text: make([]byte, 1460)}
	for _, c := range []struct {
		name   string
		way    mono.Duration
		do     func(*lone)
		wait   bool
		before bool // another segment is taken
	}{
		{"text", mono.Millisecond, func(l *lone) { l.text(1460) }, true, false},
		{"text from afar", 2 * mono.Millisecond, func(l *lone) { l.text(1460) }, false, true},
		{"text, from nobody knows where", mono.Millisecond, func(l *lone) { l.text(1460); l.c.rtt.min = 0 }, false, true},
		{"text beyond a hole", mono.Millisecond, func(l *lone) {
			l.hear(Segment{Seq: l.seq + 1460, Flags: ACK, Text: make([]byte, 1460)})
		}, false, true},
		{"text that fills a hole", mono.Millisecond, func(l *lone) {
			l.hear(Segment{Seq: l.seq + 1460, Flags: ACK, Text: make([]byte, 1460)})
			l.says()
			l.text(1460)
		}, true, false},
		{"text that came twice", mono.Millisecond, func(l *lone) {
			l.text(1460)
			l.says()
			l.hear(Segment{Seq: l.seq - 1460, Flags: ACK, Text: make([]byte, 1460)})
		}, false, true},
		{"room in the window", mono.Millisecond, func(l *lone) {
			l.text(60_000)
			l.says()
			l.c.Consume(l.x, 60_000)
		}, false, false},
		{"text, and text of ours", mono.Millisecond, func(l *lone) { l.write(1); l.text(1460) }, false, false},
		{"text, and text of ours in flight", mono.Millisecond, func(l *lone) {
			l.write(1)
			l.says()
			l.hear(Segment{Flags: ACK, Ack: l.c.snd.una, Text: make([]byte, 1460)})
		}, false, false},
		{"a FIN", mono.Millisecond, func(l *lone) { l.hear(Segment{Flags: FIN | ACK}) }, false, false},
	} {
		l := newLone(t, func(s *Settings) { s.SACK = true })
		l.c.OpenActive(l.x, l.now, Open{ISS: ourISS})
		l.expect(SYN)
		l.now = l.now.Add(c.way)
		l.hear(Segment{Flags: SYN | ACK, Options: Options{Has: HasMSS | HasSACKPermitted, MSS: 1460}})
		l.seq++
		l.expect(ACK)
		c.do(l)
		if got := l.c.ACKMayWait(); got != c.wait {
			t.Errorf("%s: may wait: %v", c.name, got)
		}
		if got := l.c.ACKBefore(&next); got != c.before {
			t.Errorf("%s: goes before what comes next: %v", c.name, got)
		}
	}
}
