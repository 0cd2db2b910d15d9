package tcp

import "testing"

func withTimestamps(s *Settings) { s.Timestamps = true }

// spike is a sender whose ten segments all arrive, but whose ACKs are so late that the retransmission timer expires. It
// returns when they were sent, by their timestamp.
func spike(t *testing.T, settings ...func(*Settings)) (*sender, uint32) {
	s := newSender(t, ms, 10, 30, settings...)
	s.want("at first", to(0, 9))
	echo := s.c.timestamp(s.now)
	s.pass(150 * ms)
	s.out() // the tail loss probe, if any
	for !s.c.is(factLoss) {
		s.toNext()
	}
	s.want("the time-out", "r0")
	s.state("the time-out", 1, 5)
	return s, echo
}

// RFC 5682 section 2.1: the time-out was spurious.
//
//	time-out           0 -->
//	ACK of 0           two new segments -->     (2b)
//	ACK of 1           it was sent once only: spurious, and nothing more is sent again (3b)
func TestFRTOSpurious(t *testing.T) {
	for name, f := range map[string]func(*Settings){"without SACK": noSACK, "with SACK": func(*Settings) {}} {
		s, _ := spike(t, f)
		n := s.next
		s.ack(1)
		s.want(name+", 2b", to(n, n+1))
		s.ack(2)
		s.resent(name+", 3b", "")
		if c := s.segments(s.c.cw.Cwnd); c < 10 || s.segments(s.c.cw.Ssthresh) < 10 || s.c.any(factLoss|factRecovery) {
			t.Errorf("%s: cwnd %g", name, c)
		}
		s.pass(s.rtt)
		s.ack(n)
		s.resent(name+", later", "")
	}
}

// The time-out was right: 0 to 9 are lost.
//
//	time-out           0 -->
//	ACK of 0           two new segments -->     (2b)
//	a duplicate        1 2 -->                  (3a: slow start, cwnd is 3 at most)
func TestFRTOLoss(t *testing.T) {
	for name, f := range map[string]func(*Settings){"without SACK": noSACK, "with SACK": func(*Settings) {}} {
		s, _ := spike(t, f)
		n := s.next
		s.pass(s.rtt)
		s.ack(1)
		s.want(name+", 2b", to(n, n+1))
		s.pass(s.rtt)
		if s.c.is(factSACK) {
			s.ack(1, [2]int{n, n + 1})
		} else {
			s.ack(1)
		}
		s.resent(name+", 3a", "r1r2")
		s.state(name+", 3a", 3, 5)
	}
}

// RFC 3522 section 3.2 and RFC 4015 section 3.2: after a time-out the first ACK echoes the timestamp of the first
// sending, and not of the second: the time-out was spurious. cwnd and ssthresh come back at once, where F-RTO waits for
// the second ACK.
//
//	TSval=t0           0 -->
//	time-out, TSval=t1 0 -->
//	     <-- ACK of 0, TSecr=t0           spurious
//	     <-- ACK of 0, TSecr=t1           not known
func TestEifelTimeOut(t *testing.T) {
	for _, first := range []bool{true, false} {
		s, echo := spike(t, withTimestamps)
		if !first {
			echo = s.c.timestamp(s.now)
		}
		s.ackEcho(echo, 1)
		s.resent("the ACK", "")
		c, h := s.segments(s.c.cw.Cwnd), s.segments(s.c.cw.Ssthresh)
		if undone := c >= 10 && h >= 10 && !s.c.is(factLoss); undone != first {
			t.Errorf("of the first sending %v: cwnd %g, ssthresh %g", first, c, h)
		}
	}
}

// The same for a fast retransmit: 0 was only late, by more than the three segments after it.
//
//	0 1 2 3 -->
//	        <-- SACK of 1, 2, 3
//	      0 -->
//	        <-- ACK of 3, TSecr of the first 0
func TestEifelFastRetransmit(t *testing.T) {
	for _, first := range []bool{true, false} {
		s := newSender(t, ms, 10, 30, withTimestamps)
		s.want("at first", to(0, 9))
		sent := s.c.timestamp(s.now)
		s.pass(s.rtt)
		for i := range 3 {
			s.ackEcho(sent, 0, [2]int{1, 2 + i})
		}
		s.resent("the third", "r0")
		if h := s.segments(s.c.cw.Ssthresh); h != 5 {
			t.Errorf("ssthresh %g", h)
		}
		s.pass(s.rtt)
		if !first {
			sent = s.c.timestamp(s.now.Add(-s.rtt))
		}
		s.ackEcho(sent, 4)
		c, h := s.segments(s.c.cw.Cwnd), s.segments(s.c.cw.Ssthresh)
		if undone := c >= 10 && h == 10 && !s.c.is(factRecovery); undone != first {
			t.Errorf("of the first sending %v: cwnd %g, ssthresh %g", first, c, h)
		}
	}
}

// RFC 3708: duplicates reported for all that was sent again show the same, without timestamps.
//
//	0 1 2 3 -->
//	        <-- SACK of 1, 2, 3
//	      0 -->
//	        <-- ACK of 9                 0 was late
//	        <-- ACK of 9, D-SACK of 0    and has come twice
func TestDSACKUndoes(t *testing.T) {
	s := newSender(t, ms, 10, 10)
	s.want("at first", to(0, 9))
	s.pass(s.rtt)
	for i := range 3 {
		s.ack(0, [2]int{1, 2 + i})
	}
	s.want("the third", "r0")
	s.ack(10)
	if h := s.segments(s.c.cw.Ssthresh); h != 5 {
		t.Errorf("ssthresh %g", h)
	}
	s.pass(s.rtt)
	s.ack(10, [2]int{0, 1})
	s.state("the D-SACK", 10, 10)
}
