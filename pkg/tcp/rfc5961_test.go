package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 5961 section 4.2: a peer who has really started anew, and sends a SYN from the same port, has no connection that
// the challenge ACK could be for. He answers it by a RST, at the number that it acknowledges, and that ends ours.
//
// Proves: RFC 5961 4.2-3
func TestSYNOfOneWhoHasStartedAnew(t *testing.T) {
	l := estab(t)
	l.text(1000)
	l.says()
	l.now = l.now.Add(mono.Second)
	l.hear(Segment{Seq: 77, Flags: SYN})
	challenge := l.expect(ACK)
	l.in(fsm.Established)
	rst, ok := ResetFor(&challenge)
	if !ok {
		t.Fatal("a RST is not answered")
	}
	l.hear(rst)
	l.silent()
	l.in(fsm.Closed)
	if l.ev&Reset == 0 {
		t.Errorf("events %b", l.ev)
	}
}

// Section 5.2: "MAX.SND.WND is defined as the largest window that the local sender has ever received from its peer", and it
// is scaled. What is older than that is challenged.
//
// Proves: RFC 5961 5.2-1, 5.2-2, 5.2-3
func TestMaxSndWnd(t *testing.T) {
	l := scaled(t, 7)
	l.hear(Segment{Flags: ACK, Window: 1000}) // 128,000 bytes
	l.hear(Segment{Flags: ACK, Window: 10})   // and then no more than 1,280
	for _, c := range []struct {
		old   uint32
		taken bool
	}{{0, true}, {1281, true}, {128_000, true}, {128_001, false}} {
		l.now = l.now.Add(mono.Second)
		d := l.hear(Segment{Flags: ACK, Ack: l.c.snd.una.Add(-c.old), Window: 10, Text: make([]byte, 10)})
		if c.taken {
			l.seq += 10
		}
		if g := l.expect(ACK); c.taken != (d == DropNone) || g.Ack != l.seq {
			t.Errorf("an ACK %d old: %v, answered by ACK %d", c.old, d, g.Ack-l.seq)
		}
	}
}
