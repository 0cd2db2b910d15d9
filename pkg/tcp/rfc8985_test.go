package tcp

import (
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 8985 section 6.2 step 2: an ACK that comes sooner after a retransmission than any round trip was is not of that. It
// says nothing of what was sent later than the first sending.
//
//	0 1 2 3 4 5 -->  0 is only late
//	            <--  SACK of 1, 2, 3
//	          0 -->
//	            <--  ACK of 3, at once
//
// Proves: RFC 8985 6.2-2
func TestRACKIgnoresTheImpossible(t *testing.T) {
	for _, soon := range []bool{true, false} {
		s := newSender(t, ms, 10, 6)
		s.want("at first", "0 1 2 3 4 5")
		s.pass(s.rtt)
		s.ack(0, [2]int{1, 4})
		s.want("the SACK", "r0")
		before := s.c.rack
		if !soon {
			s.pass(s.rtt)
		}
		s.ack(4)
		if noted := s.c.rack.at > before.at; noted == soon {
			t.Errorf("soon %v: the latest sending delivered was at %v, and is at %v", soon, before.at, s.c.rack.at)
		}
	}
}

// Section 6.3: at the time-out the first segment is lost, and all that have had their time; what was sent just before is
// waited for.
//
// Proves: RFC 8985 6.3-1
func TestRACKTimeOut(t *testing.T) {
	s := newSender(t, ms, 10, 0)
	s.write(1)
	s.pass(s.rtt)
	s.ack(1)
	s.out()
	s.c.set(factProbed) // no probe: the time-out is to come first
	s.write(3)
	s.want("at first", "1 2 3")
	s.pass(s.c.timer[timerRetransmit].Sub(s.now) - 100*mono.Microsecond)
	s.write(2)
	s.want("just before", "4 5")
	s.pass(100 * mono.Microsecond)
	f := &s.x.Memory.flights[s.c.snd.flight]
	if lost := s.segments(f.lost) + 1; lost != 3 || s.out() != "r1" { // one of them has been sent again
		t.Errorf("%g segments are lost", lost)
	}
}

// Section 7.2: the probe's timer is no later than the RTO, which on a steady way is little more than a round trip.
//
// Proves: RFC 8985 7.2-3
func TestTLPBeforeTheTimeOut(t *testing.T) {
	const way = 400 * ms
	s := newSender(t, way, 10, 0)
	for n := range 60 {
		s.write(1)
		s.pass(way - mono.Microsecond)
		s.ack(n + 1)
	}
	s.out()
	s.c.cw.Pacing = 1 << 40
	s.write(3)
	s.out()
	rto := s.c.rto(s.x)
	if rto >= 2*way {
		t.Fatalf("RTO %v", rto)
	}
	if d := s.toNext(); d > rto || !s.c.is(factProbing) {
		t.Errorf("after %v, RTO %v: probing %v", d, rto, s.c.is(factProbing))
	}
}

// Section 7.2: the probe goes after twice SRTT; without SRTT after a second; and a lone segment's ACK is given the time for
// which it may be delayed.
//
// Proves: RFC 8985 7.2-2
func TestTLPTimes(t *testing.T) {
	for _, c := range []struct {
		measured bool
		segments int
		want     mono.Duration
	}{{true, 3, 2*20*ms + 2*ms}, {true, 1, 2*20*ms + 200*ms}, {false, 3, mono.Second}} {
		s := newSender(t, 20*ms, 10, 0)
		s.c.cw.Pacing = 1 << 40
		s.c.rtt.rttvar = 200 * ms // the RTO is no bound here
		if !c.measured {
			s.c.rtt = estimator{}
		}
		s.write(c.segments)
		s.out()
		if d := s.toNext(); d != c.want || !s.c.is(factProbing) {
			t.Errorf("%+v: after %v, probing %v", c, d, s.c.is(factProbing))
		}
	}
}

// Section 7.2: what is selected leaves the work to RACK, and so does a recovery: no probe is due.
//
// Proves: RFC 8985 7.2-1
func TestTLPIsNotArmed(t *testing.T) {
	s := newSender(t, ms, 10, 6)
	if s.c.timer[timerTail] == 0 {
		t.Fatal("new text arms no probe")
	}
	s.pass(s.rtt)
	s.ack(1, [2]int{2, 3})
	if s.c.timer[timerTail] != 0 {
		t.Error("armed though something is selected")
	}
	s.ack(1, [2]int{2, 5})
	if !s.c.is(factRecovery) || s.c.timer[timerTail] != 0 {
		t.Error("armed in recovery")
	}
}

// RFC 6675 section 5.1: after a time-out what was selected is not sent again, and duplicate ACKs of what was sent before
// it begin no recovery of their own.
//
// Proves: RFC 6675 5.1-1, 5.1-2
func TestScoreboardOutlivesATimeOut(t *testing.T) {
	s := newSender(t, ms, 10, 8)
	s.want("at first", to(0, 7))
	s.pass(s.rtt)
	s.ack(0, [2]int{4, 6})
	for n := 0; !s.c.is(factLoss); n++ { // what is sent again is lost, too
		if s.pass(10 * ms); n > 100 {
			t.Fatal("no time-out")
		}
	}
	s.out()
	h := s.c.cw.Ssthresh
	for _, up := range []int{0, 0, 0, 0, 1, 1, 2, 3} { // duplicates, and then what is sent again arrives
		s.ack(up, [2]int{6, 7}, [2]int{4, 6})
		if s.c.is(factRecovery) || s.c.cw.Ssthresh != h {
			t.Fatal("a duplicate ACK began a recovery")
		}
		s.pass(5 * ms)
	}
	again := s.out()
	for _, g := range []string{"r4", "r5", "r6"} {
		if strings.Contains(again, g) || !strings.Contains(again, "r1 ") {
			t.Errorf("sent again: %s", again)
		}
	}
}

// RFC 2883 section 4.2: a block that lies within the second is a duplicate, too, though it is above the ACK.
//
//	0 1 2 3 -->  1 is lost
//	        <--  ACK of 0, SACK of 2, 3
//	        <--  ACK of 0, SACK of 2, 2-3     2 has come twice
//
// Proves: RFC 2018 D4-4
func TestDSACKBeyondAHole(t *testing.T) {
	s := newSender(t, ms, 10, 4)
	s.pass(s.rtt)
	s.ack(1, [2]int{2, 4})
	if s.c.count.dsacks != 0 {
		t.Error("the first SACK is none of a duplicate")
	}
	s.ack(1, [2]int{2, 3}, [2]int{2, 4})
	if s.c.count.dsacks != 1 {
		t.Errorf("%d duplicates", s.c.count.dsacks)
	}
	s.ack(1, [2]int{0, 1}, [2]int{2, 4}) // below the ACK
	if s.c.count.dsacks != 2 {
		t.Errorf("%d duplicates", s.c.count.dsacks)
	}
}
