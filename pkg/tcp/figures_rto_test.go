package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 6298 section 2, with alpha 1/8 and beta 1/4:
//
//	(2.1)  at first                RTO = 1 s
//	(2.2)  R = 400 ms              SRTT = 400, RTTVAR = 200               RTO = SRTT + 4*RTTVAR = 1200
//	(2.3)  R = 800 ms              RTTVAR = 3/4*200 + 1/4*400 = 250
//	                               SRTT = 7/8*400 + 1/8*800 = 450         RTO = 1450
//	       R = 450 ms              RTTVAR = 187.5, SRTT = 450             RTO = 1200
//
// Proves: RFC 9293 MUST-18
// Proves: RFC 6298 2.1, 2.2, 2.3
func TestRTOEstimator(t *testing.T) {
	p := newPair(t)
	if rto := p.a.c.rto(p.a.x); rto != mono.Second {
		t.Errorf("at first %v", rto)
	}
	s := newSender(t, 400*ms, 10, 0)
	expect := func(when string, srtt, rttvar, rto mono.Duration) {
		t.Helper()
		if i := s.c.Info(s.x, s.now); i.RTT != srtt || i.RTTVar != rttvar || i.RTO != rto {
			t.Errorf("%s: SRTT %v, RTTVAR %v, RTO %v, not %v, %v, %v", when, i.RTT, i.RTTVar, i.RTO, srtt, rttvar, rto)
		}
	}
	expect("the first", 400*ms, 200*ms, 1200*ms)
	for i, row := range []struct{ r, srtt, rttvar, rto mono.Duration }{
		{800 * ms, 450 * ms, 250 * ms, 1450 * ms},
		{450 * ms, 450 * ms, 187500 * mono.Microsecond, 1200 * ms},
	} {
		s.write(2)
		s.pass(row.r - mono.Microsecond) // an ACK takes the last microsecond
		s.ack(2 * (i + 1))
		expect(row.r.String(), row.srtt, row.rttvar, row.rto)
	}
}

// RFC 6298 (2.4) and (2.5): the RTO stays between the bounds; the lower is Linux's.
//
// Proves: RFC 6298 2.5
// Proves: RFC 1122 4.2.3.1-4
func TestRTOBounds(t *testing.T) {
	s := newSender(t, ms, 10, 1)
	if rto := s.c.rto(s.x); rto != 200*ms {
		t.Errorf("RTO %v after a way of %v", rto, s.rtt)
	}
	s.want("at first", "0")
	for range 12 {
		s.toNext()
		s.out()
	}
	if d := s.toNext(); d != 120*mono.Second {
		t.Errorf("after many time-outs %v", d)
	}
}

// RFC 6298 section 5:
//
//	(5.1)        0 -->               the timer starts
//	             1 -->               it runs already
//	(5.3)            <-- ACK of 0    it starts again
//	(5.4) (5.5)  1 -->               after RTO, which doubles
//	             1 -->               after 2*RTO
//	(5.2)            <-- ACK of 1    it stops
//
// Proves: RFC 6298 5.1, 5.2, 5.3, 5.4, 5.5, 5.6
func TestRTOTimer(t *testing.T) {
	s := newSender(t, ms, 10, 1, noSACK)
	left := func() mono.Duration { return s.c.timer[timerRetransmit].Sub(s.now) }
	if left() != 200*ms {
		t.Errorf("5.1: %v", left())
	}
	s.pass(50 * ms)
	s.write(1)
	s.want("then", "0 1")
	if left() != 150*ms {
		t.Errorf("5.1, running: %v", left())
	}
	s.ack(1)
	if rto := s.c.rto(s.x); left() != rto {
		t.Errorf("5.3: %v of %v", left(), rto)
	}
	rto := s.c.rto(s.x)
	for i := range 3 {
		if d := s.toNext(); d != rto<<i {
			t.Errorf("5.5: time-out %d after %v, RTO %v", i+1, d, rto)
		}
		s.want("5.4", "r1")
	}
	s.ack(2)
	if s.c.timer[timerRetransmit] != 0 {
		t.Error("5.2: it runs on")
	}
}

// RFC 6298 section 3 (Karn): no sample is taken of a segment that was sent twice, nor of what waited behind it.
//
// Proves: RFC 9293 MUST-18
// Proves: RFC 6298 3-1
func TestKarn(t *testing.T) {
	s := newSender(t, ms, 10, 2, noSACK)
	before := s.c.rtt
	s.want("at first", "0 1")
	s.toNext()
	s.want("the time-out", "r0")
	s.pass(s.rtt)
	s.ack(2)
	if s.c.rtt != before {
		t.Errorf("%+v, was %+v", s.c.rtt, before)
	}
	s.write(1)
	s.pass(10 * ms)
	s.ack(3)
	if s.c.rtt == before {
		t.Error("no sample of what was sent once")
	}
}

// The same of the SYN: with one lost, the handshake measures nothing, unless timestamps tell which one is acknowledged; and
// the time-out is 3 s then (RFC 6298 (5.7)).
//
// Proves: RFC 9293 MUST-18
// Proves: RFC 6298 3-1, 5.7
func TestKarnOfTheSYN(t *testing.T) {
	for _, c := range []struct {
		lost       int
		timestamps bool
		measured   bool
		rto        mono.Duration
	}{{0, true, true, 200 * mono.Millisecond}, {0, false, true, 200 * mono.Millisecond}, {1, true, true, 200 * mono.Millisecond}, {1, false, false, 3 * mono.Second}} {
		p := newPair(t)
		p.a.x.Settings[0].Timestamps = c.timestamps
		p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 5})
		p.lose = func(fromA bool, g *Segment) bool { return g.Flags == SYN && len(p.log) <= c.lost }
		p.run()
		for !p.a.c.Opened() && p.wait(p.now.Add(2*mono.Second)) {
			p.run()
		}
		i := p.a.c.Info(p.a.x, p.now)
		if measured := i.RTT != 0; measured != c.measured || i.RTO != c.rto || i.RTT > mono.Second {
			t.Errorf("%+v: RTT %v, RTO %v", c, i.RTT, i.RTO)
		}
	}
}
