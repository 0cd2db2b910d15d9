package tcp

import "testing"

func noSACK(s *Settings) { s.SACK = false }

// RFC 5681 section 3.2 with RFC 3042 section 2, without SACK: 10 segments are in flight, 0 is lost. The first two
// duplicate ACKs let out a new segment each, at the same cwnd; the third sends 0 again.
//
//	lost  0
//	dup 1           10 -->
//	dup 2           11 -->
//	dup 3            0 -->   ssthresh = 5
func TestFastRetransmitOnThirdDuplicate(t *testing.T) {
	s := newSender(t, ms, 10, 40, noSACK)
	s.want("at first", to(0, 9))
	s.pass(s.rtt)
	s.ack(0)
	s.want("dup 1", "10")
	s.ack(0)
	s.want("dup 2", "11")
	s.state("after two", 10, 10)
	s.ack(0)
	s.want("dup 3", "r0")
	if h := s.segments(s.c.cw.Ssthresh); h != 5 || !s.c.is(factRecovery) {
		t.Errorf("ssthresh %g, in recovery %v", h, s.c.is(factRecovery))
	}
	for range 8 {
		s.ack(0)
	}
	s.out()
	s.pass(s.rtt)
	s.ack(12)
	s.state("the full ACK", 5, 5)
}

// RFC 5681 section 2: a duplicate ACK has no text and the same window. An ACK with either counts for nothing, nor does
// one while nothing is outstanding.
func TestWhatIsNoDuplicate(t *testing.T) {
	s := newSender(t, ms, 4, 4, noSACK)
	s.want("at first", to(0, 3))
	for range 4 {
		g := Segment{Seq: s.c.rcv.nxt + 10, Ack: s.at(0), Flags: ACK, Window: 60000, Text: make([]byte, 10)}
		s.c.Input(s.x, s.now, &g)
	}
	for i := range 4 {
		g := Segment{Seq: s.c.rcv.nxt, Ack: s.at(0), Flags: ACK, Window: uint16(50000 + i)}
		s.c.Input(s.x, s.now, &g)
	}
	if s.c.snd.dupAcks != 0 || s.c.is(factRecovery) {
		t.Errorf("%d duplicate ACKs, in recovery %v", s.c.snd.dupAcks, s.c.is(factRecovery))
	}
	s.ack(4)
	for range 4 {
		s.ack(4)
	}
	if s.c.snd.dupAcks != 0 || s.c.count.retransmits != 0 {
		t.Errorf("with nothing outstanding: %d duplicate ACKs", s.c.snd.dupAcks)
	}
}

// RFC 6582 section 3.2: 0, 3 and 6 of 10 segments are lost. A partial ACK shows the next loss, which is sent again at
// once: one a round trip, and no other. The full ACK covers recover, which is all that was out when it began.
//
//	lost 0, 3, 6            recover = 12
//	ACK of 2          3 -->
//	ACK of 5          6 -->
//	ACK of 11         over: cwnd = ssthresh
func TestNewRenoPartialACKs(t *testing.T) {
	s := newSender(t, ms, 10, 14, noSACK)
	s.want("at first", to(0, 9))
	s.pass(s.rtt)
	for _, sent := range []string{"10", "11", "r0", "", "", "", ""} { // 1 2 4 5 7 8 9 have come
		s.ack(0)
		if got := s.out(); sent != "" && got != sent {
			t.Errorf("sent %q, not %q", got, sent)
		}
	}
	s.out()
	s.pass(s.rtt)
	s.ack(0) // 10
	s.ack(0) // 11
	s.out()
	s.ack(3)
	s.resent("ACK of 2", "r3")
	s.pass(s.rtt)
	s.ack(6)
	s.resent("ACK of 5", "r6")
	if !s.c.is(factRecovery) {
		t.Error("a partial ACK ended the recovery")
	}
	s.pass(s.rtt)
	s.ack(12)
	s.resent("the full ACK", "")
	if s.c.is(factRecovery) || s.segments(s.c.cw.Ssthresh) != 5 || s.c.count.retransmits != 3 {
		t.Errorf("in recovery %v, %d retransmissions", s.c.is(factRecovery), s.c.count.retransmits)
	}
}

// resent demands what was sent again since the last call of out.
func (s *sender) resent(when, list string) {
	s.t.Helper()
	got := ""
	for _, g := range s.sent {
		if g[0] == 'r' {
			got += g
		}
	}
	s.sent = nil
	if got != list {
		s.t.Errorf("%s: sent %q again, not %q", when, got, list)
	}
}
