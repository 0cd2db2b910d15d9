package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 6298 sections 3 and 4: a measurement is taken each round trip, and a variance that comes to nothing counts as the
// clock's granularity, a millisecond.
//
// Proves: RFC 6298 3-2, 4-1
func TestRTOOfASteadyWay(t *testing.T) {
	const way = 400 * ms
	s := newSender(t, way, 10, 0)
	for n := range 60 {
		before := s.c.rtt
		s.write(1)
		s.pass(way - mono.Microsecond) // an ACK takes the last microsecond
		s.ack(n + 1)
		if s.c.rtt.rttvar >= before.rttvar && before.rttvar > 10 {
			t.Fatalf("round trip %d was not measured: %+v, was %+v", n, s.c.rtt, before)
		}
	}
	if rto := s.c.rto(s.x); s.c.rtt.rttvar > mono.Microsecond || rto != s.c.rtt.srtt+ms {
		t.Errorf("SRTT %v, RTTVAR %v, RTO %v", s.c.rtt.srtt, s.c.rtt.rttvar, rto)
	}
}

// Section 5: "a segment is never retransmitted too early, i.e., less than one RTO after the previous transmission of that
// segment", by the timer: an ACK of what was sent before it does not shorten its time, however late it comes.
//
// Proves: RFC 6298 5-1
func TestNeverTooEarly(t *testing.T) {
	for _, gap := range []mono.Duration{1, ms, 100 * ms, 190 * ms} {
		l := estab(t)
		l.c.SetNoDelay(true)
		l.write(100)
		l.expectText(100)
		l.quiet(gap)
		l.write(100)
		l.expectText(100)
		from := l.now
		l.hear(Segment{Flags: ACK, Ack: l.c.snd.una + 100}) // of the first
		rto := l.c.rto(l.x)
		l.quiet(rto - 2) // since an ACK that has come a nanosecond later
		if list := l.after(rto); len(list) != 1 || len(list[0].Text) != 100 {
			t.Fatalf("the second, after a gap of %v: %d segments", gap, len(list))
		}
		if l.now.Sub(from) < rto {
			t.Errorf("sent again after %v, RTO %v", l.now.Sub(from), rto)
		}
	}
}
