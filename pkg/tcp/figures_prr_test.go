package tcp

import (
	"fmt"
	"testing"
)

// RFC 9937 section 8, Figure 1, once RFC 6937 section 3.1: 20 segments are in flight, 0 is lost, ssthresh will be 10. Two
// new segments leave by limited transmit, the third SACK brings the retransmission, and then about every other ACK a new
// segment: half of the window goes over a whole round trip, not by half a round trip's silence.
//
//	ack#      X  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22
//	cwnd        20 20 19 18 18 17 17 16 16 15 15 14 14 13 13 12 12 11 11 10 10 10
//	inflight    19 19 18 18 17 17 16 16 15 15 14 14 13 13 12 12 11 11 10 10  9  9
//	sent         N  N  R     N     N     N     N     N     N     N     N     N  N
//
// Here bytes are counted, so that a segment goes when all of it is due, and not the first byte: an ACK later, and at the
// end as much has been sent.
//
//	ack#      X  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22
//	inflight    19 19 18 18 17 16 16 15 15 14 14 13 13 12 12 11 11 10  9  9  9  9
//	sent         N  N  R        N     N     N     N     N     N        N  N  N
//
// Proves: RFC 2018 5.1-1
// Proves: RFC 6675 4-SetPipe, 5-1, 5-4.1, 5-4.2, 5-4.3, 5-A, 5-C
func TestPRRFigure1(t *testing.T) {
	s := newSender(t, ms, 20, 60)
	s.want("at first", to(0, 19))
	s.pass(s.rtt)
	sent := []string{1: "20", 2: "21", 3: "r0", 6: "22", 8: "23", 10: "24", 12: "25", 14: "26", 16: "27", 19: "28", 20: "29", 21: "30"}
	inflight := []int{1: 19, 19, 18, 18, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 9, 9, 9}
	for i := 1; i <= 21; i++ {
		if i == 20 {
			s.pass(s.rtt)
		}
		s.ack(0, [2]int{1, i + 1})
		s.want(fmt.Sprint("ACK ", i), sent[i])
		left := inflight[i]
		if sent[i] != "" {
			left++
		}
		if got := s.segments(s.c.pipe(s.x)); got != float64(left) {
			s.t.Errorf("ACK %d: %g segments in flight, not %d", i, got, left)
		}
	}
	s.ack(22)
	s.want("the full ACK", "31")
	s.state("the full ACK", 10, 10)
	if s.c.is(factRecovery) || s.c.count.retransmits != 1 {
		t.Errorf("in recovery %v, %d retransmissions", s.c.is(factRecovery), s.c.count.retransmits)
	}
}

// RFC 9937 section 8, Figure 2: the same with 0 to 14 lost. Inflight is far below ssthresh at once, and no burst makes
// up for it: each ACK lets out what it says was delivered (PRR-CRB).
//
//	ack#      X ... X 15 16 17 18 19
//	cwnd              20 20  5  5  5
//	inflight          19 19  4  4  4
//	sent               N  N  R  R  R
//
// Once the retransmissions come in and move SND.UNA, each ACK lets out one more than it delivers, up to ssthresh
// (PRR-SSRB, which RFC 6937 used from the first ACK on: 2R 2R 2R in its figure).
//
//	ack#              20 21  0  1  2
//	sent               R  R 2R 2R 2R
//
// Proves: RFC 6675 4-NextSeg, 5-C
func TestPRRFigure2(t *testing.T) {
	s := newSender(t, ms, 20, 60)
	s.want("at first", to(0, 19))
	s.pass(s.rtt)
	for i, row := range []struct {
		sent string
		cwnd float64
	}{{"20", 20}, {"21", 20}, {"r0", 5}, {"r1", 5}, {"r2", 5}} {
		s.ack(0, [2]int{15, 16 + i})
		s.want(fmt.Sprint("ACK ", 15+i), row.sent)
		if got := s.segments(s.c.cw.Cwnd); got != row.cwnd {
			t.Errorf("ACK %d: cwnd is %g segments, not %g", 15+i, got, row.cwnd)
		}
	}
	s.state("the end of the first round trip", 5, 10)
	s.pass(s.rtt)
	for i, sent := range []string{"r3", "r4"} {
		s.ack(0, [2]int{15, 21 + i})
		s.want(fmt.Sprint("ACK ", 20+i), sent)
	}
	for i, sent := range []string{"r5 r6", "r7 r8", "r9 r10"} {
		s.ack(i+1, [2]int{15, 22})
		s.want(fmt.Sprint("ACK of ", i), sent)
	}
	s.pass(s.rtt)
	for i, sent := range []string{"r11 r12", "r13 r14", "22", "23"} {
		s.ack(i+4, [2]int{15, 22})
		s.want(fmt.Sprint("ACK of ", i+3), sent)
	}
	if got := s.segments(s.c.pipe(s.x)); got != 10 {
		t.Errorf("%g segments in flight, not ssthresh", got)
	}
	s.ack(22)
	s.state("the full ACK", 10, 10)
}

// RFC 9937 section 6.4: at the end cwnd is ssthresh, however little is in flight. Here all that seemed lost comes after
// the three ACKs of Figure 2 that let out a retransmission each.
func TestPRREnds(t *testing.T) {
	s := newSender(t, ms, 20, 60)
	s.pass(s.rtt)
	for i := range 5 {
		s.ack(0, [2]int{15, 16 + i})
	}
	s.state("in recovery", 5, 10)
	s.pass(ms / 2)
	s.out()
	s.c.unset(factLimited) // or slow start would hide it
	s.ack(22)
	s.want("the end", to(22, 31))
	s.state("the end", 10, 10)
}
