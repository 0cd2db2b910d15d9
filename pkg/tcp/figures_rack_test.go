package tcp

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 8985 section 3.4, Figure 1:
//
//  1. send P0 P1 P2 P3 -->  P1, P2, P3 are lost
//  2. <--  ACK of P0
//  3. 2 RTT later the probe: P3 -->
//  4. <--  SACK of P3
//  5. RACK: P1, P2 lost; P1, P2 -->  P1 is lost again
//  6. <--  SACK of P2, P3
//  7. RACK: P1 lost again; P1 -->
//  8. <--  ACK of P3
//
// Proves: RFC 8985 6.1-1, 6.2-5a, 6.2-5c, 7.3-1
func TestRACKFigure1(t *testing.T) {
	s := newSender(t, ms, 10, 4)
	s.c.cw.Owns = true // PRR would let out P2 only when P1 has come
	s.want("1", "0 1 2 3")
	s.pass(s.rtt)
	s.ack(1)
	s.want("2", "")
	if d := s.toNext(); d < 2*s.rtt || d > 2*s.rtt+3*ms {
		t.Errorf("3: the probe after %v", d)
	}
	s.want("3", "r3")
	s.pass(s.rtt)
	s.ack(1, [2]int{3, 4})
	s.want("5", "r1 r2")
	s.pass(s.rtt)
	s.ack(1, [2]int{2, 4})
	s.want("7", "r1")
	s.pass(s.rtt)
	s.ack(4)
	s.want("8", "")
	if d := s.now.Sub(s.began); s.c.is(factRecovery|factLoss) || d > 10*s.rtt || s.c.Deadline() != mono.Never {
		t.Errorf("after %v: in recovery %v", d, s.c.is(factRecovery|factLoss))
	}
}

// RFC 8985 section 6.2 step 5: what comes late by less than the reordering window, a quarter of the least round trip,
// is not sent again. What is later is, by the reordering timer, though no ACK comes.
//
//	send P0 P1 P2 -->  P0 takes the longer way
//	              <--  SACK of P1, P2
//	within RTT/4  <--  ACK of P2           after RTT/4: P0 -->
//
// Proves: RFC 8985 4-2, 6.2-3, 6.2-4b, 6.2-5b
func TestRACKReorderingWindow(t *testing.T) {
	for _, late := range []mono.Duration{ms/4 - 2*mono.Microsecond, ms / 4} {
		s := newSender(t, ms, 10, 3)
		s.want("at first", "0 1 2")
		s.pass(s.rtt)
		s.ack(0, [2]int{1, 3})
		s.want("the SACK", "")
		s.pass(late)
		if late < ms/4 {
			s.want("within the window", "")
			s.ack(3)
			s.pass(10 * ms)
			s.want("later", "")
			if !s.c.is(factReordering) || s.c.is(factRecovery) {
				t.Error("the reordering was not seen")
			}
		} else {
			s.want("after the window", "r0")
		}
	}
}

// RFC 8985 section 6.2 step 4: as long as no reordering has been seen, three segments selected make the window 0, which
// is RFC 5681's third duplicate. Once it has been seen, the third waits for the window.
//
// Proves: RFC 6675 4-IsLost
// Proves: RFC 8985 6.2-4a, 9.3-1
func TestRACKDupThresh(t *testing.T) {
	s := newSender(t, ms, 4, 4)
	s.want("at first", "0 1 2 3")
	s.pass(s.rtt)
	s.ack(0, [2]int{1, 3})
	s.ack(4) // P0 was only late
	s.write(4)
	s.want("then", "4 5 6 7")
	s.pass(s.rtt)
	s.ack(4, [2]int{5, 8})
	s.want("three selected, reordering seen", "")
	s.pass(ms / 4)
	s.want("a quarter of the round trip later", "r4")

	s = newSender(t, ms, 4, 4)
	s.pass(s.rtt)
	s.ack(0, [2]int{1, 3})
	s.out()
	s.ack(0, [2]int{1, 4})
	s.want("three selected, no reordering seen", "r0")
}

// RFC 8985 section 3.3.2 and 6.2 step 4: the window grows by a quarter of the least round trip for each round trip with
// a D-SACK, up to SRTT, and is small again after 16 recoveries without one.
//
// Proves: RFC 8985 4-3, 6.2-4b, 6.2-4c, 6.2-4d
func TestRACKWindowAdapts(t *testing.T) {
	s := newSender(t, ms, 10, 0)
	s.c.cw.Owns = true
	n := 0
	window := func() mono.Duration { return s.c.reorderWindow(&flight{}) }
	// episode loses the first of six segments; with dsack it has come after all, and so twice.
	episode := func(dsack bool) {
		t.Helper()
		s.write(6)
		s.pass(s.rtt)
		s.ack(n, [2]int{n + 1, n + 4})
		s.out()
		s.pass(2 * s.rtt) // longer than the window
		s.out()
		if dsack {
			s.ack(n+4, [2]int{n, n + 1})
			s.ack(n+4, [2]int{n, n + 1}) // it counts once a round trip
		}
		s.ack(n + 6)
		n += 6
	}
	if d := window(); d != ms/4 {
		t.Errorf("at first %v", d)
	}
	for i := range 9 {
		episode(true)
		if d, want := window(), mono.Duration(i+2)*ms/4; d != min(want, s.c.rtt.srtt) {
			t.Errorf("after %d round trips with D-SACK: %v, not %v", i+1, d, want)
		}
	}
	if s.c.rtt.srtt >= 2*ms {
		t.Errorf("SRTT is %v: no bound", s.c.rtt.srtt)
	}
	for i := 1; i <= 15; i++ {
		episode(false)
		if d := window(); d != s.c.rtt.srtt {
			t.Errorf("after %d recoveries: %v", i, d)
		}
	}
	episode(false)
	if d := window(); d != ms/4 {
		t.Errorf("after 16 recoveries: %v", d)
	}
}

// RFC 8985 section 7.3: the probe is new text if there is any, though cwnd is full; there is one only, and what it
// leaves open is the RTO's, which it starts anew.
//
//	send P0 P1 -->  both are lost; cwnd is 2
//	PTO: P2    -->  lost
//	RTO: P0    -->
//
// Proves: RFC 8985 7.3-1, 7.3-2, 7.3-3, 7.4-2
func TestTLPSendsNewText(t *testing.T) {
	s := newSender(t, ms, 2, 4)
	s.want("at first", "0 1")
	s.toNext()
	s.want("the probe", "2")
	if d := s.toNext(); d != Defaults().RTOMin {
		t.Errorf("the RTO %v after the probe", d)
	}
	s.want("the RTO", "r0")

	s = newSender(t, ms, 2, 4)
	s.out()
	s.toNext()
	s.out()
	s.pass(s.rtt)
	s.ack(3) // new text repaired nothing
	s.want("all have come", "3")
	s.state("all have come", 3, 2) // congestion avoidance, and no reduction
}

// RFC 8985 section 7.4.2: what ACKs say of a probe that sent the last segment again.
//
//	P3 lost, the probe repairs it:    ACK of P3; later, ACK of P4       a loss: the window is reduced
//	P3 and the probe have both come:  ACK of P3, D-SACK of P3           no loss
//	P3 is late, the probe comes, too: ACK of P3; then D-SACK of P3      no loss
//	the peer reports no duplicates:   ACK of P3; then a duplicate of it no loss
//
// Proves: RFC 8985 7.4-1, 7.4-2
func TestTLPDetectsTheLossItRepairs(t *testing.T) {
	for _, c := range []struct {
		name string
		acks func(s *sender)
		loss bool
	}{
		{"lost", func(s *sender) { s.ack(4); s.write(1); s.out(); s.ack(5) }, true},
		{"both at once", func(s *sender) { s.ack(4, [2]int{3, 4}) }, false},
		{"late", func(s *sender) { s.ack(4); s.ack(4, [2]int{3, 4}) }, false},
		{"late, no D-SACK", func(s *sender) { s.ack(4); s.ack(4) }, false},
	} {
		s := newSender(t, ms, 10, 4)
		s.want("at first", "0 1 2 3")
		s.toNext()
		s.want("the probe", "r3")
		s.pass(s.rtt)
		c.acks(s)
		if s.c.is(factProbing) {
			t.Errorf("%s: the probe is still thought out", c.name)
		}
		s.write(1)
		s.out()
		s.pass(s.rtt)
		s.ack(int(s.c.snd.nxt-s.c.snd.iss-1) / int(s.c.snd.mss))
		if reduced := s.segments(s.c.cw.Ssthresh) < 10; reduced != c.loss {
			t.Errorf("%s: reduced %v", c.name, reduced)
		}
	}
}

// RFC 8985 section 7.2: PTO is 2*SRTT, before any RTO. It is armed by new text and by ACKs that move SND.UNA, not by
// those that select: there RACK's timer waits.
//
// Proves: RFC 8985 7.2-1, 7.2-2
func TestTLPTimer(t *testing.T) {
	for _, rtt := range []mono.Duration{ms, 20 * ms, 100 * ms} {
		s := newSender(t, rtt, 10, 0)
		s.c.cw.Pacing = 1 << 40
		s.write(4)
		s.want("at first", "0 1 2 3")
		s.pass(rtt / 2)
		s.write(2)
		s.want("then", "4 5")
		if d := s.toNext(); d < 2*rtt || d > 2*rtt+3*ms {
			t.Errorf("RTT %v: the probe after %v", rtt, d)
		}
		s.want("the probe", fmt.Sprint("r", 5))
	}
}
