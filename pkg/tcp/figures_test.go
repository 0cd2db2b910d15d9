package tcp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

const ms = mono.Millisecond

// sender is a connection whose peer is the test. Its text is counted in full segments, from 0 on, as the figures of the
// RFCs count.
type sender struct {
	*pair
	c     *Conn
	x     *Env
	rtt   mono.Duration
	from  seq.Num // of segment 0
	mss   uint32
	began mono.Time
	next  int      // the first segment not seen yet
	sent  []string // since the last call of out
	clock uint32   // the peer's timestamps
}

// halving is the algorithm of the figures: Reno, with ssthresh at half of cwnd.
type halving struct{ cc.NewReno }

func (halving) Loss(w *cc.Window, _ mono.Time, _ cc.Episode) { w.Ssthresh = w.Cwnd / 2 }
func (halving) Timeout(w *cc.Window, _ mono.Time, _ uint32) {
	w.Ssthresh, w.Cwnd = w.Cwnd/2, w.MSS
}

// newSender is in congestion avoidance with a window of cwnd segments and text for n; its handshake took rtt, which is
// below 2 ms where nothing is to be paced.
func newSender(t testing.TB, rtt mono.Duration, cwnd, n int, settings ...func(*Settings)) *sender {
	p := &pair{t: t, now: mono.Time(1e12), a: end{x: newEnv()}, b: end{x: newEnv()}}
	own := &p.a.x.Settings[0]
	own.Congestion, own.Timestamps = halving{}, false
	for _, f := range settings {
		f(own)
	}
	p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 1000, TSOffset: 7})
	p.carry(true)
	p.now = p.now.Add(rtt)
	p.carry(false)
	p.carry(true)
	s := &sender{pair: p, c: &p.a.c, x: p.a.x, rtt: rtt, from: p.a.c.snd.una, mss: uint32(p.a.c.snd.mss), began: p.now}
	s.clock = p.b.c.timestamp(p.now)
	s.ack(0)
	s.c.cw.Cwnd = uint32(cwnd) * s.mss
	s.c.cw.Ssthresh = s.c.cw.Cwnd
	s.write(n)
	return s
}

// write queues n segments of text.
func (s *sender) write(n int) {
	s.t.Helper()
	if k := s.c.Write(s.x, make([]byte, n*int(s.mss))); k != n*int(s.mss) {
		s.t.Fatalf("wrote %d bytes", k)
	}
	s.collect()
}

// collect takes what is to be sent now: a number for a segment sent for the first time, r before it for another time.
func (s *sender) collect() {
	var o Out
	for s.c.Output(s.x, s.now, &o) {
		n := len(o.Body[0]) + len(o.Body[1])
		at := int(o.Seq.Sub(s.from)) / int(s.mss)
		switch {
		case n == 0:
			s.sent = append(s.sent, o.Flags.String())
		case at >= s.next:
			s.sent = append(s.sent, fmt.Sprint(at))
			s.next = at + 1
		default:
			s.sent = append(s.sent, fmt.Sprint("r", at))
		}
	}
	if err := s.c.Check(s.x); err != nil {
		s.t.Fatal(err)
	}
}

// out is what was sent since the last call.
func (s *sender) out() string {
	list := strings.Join(s.sent, " ")
	s.sent = nil
	return list
}

// want demands what was sent since the last call.
func (s *sender) want(when, list string) {
	s.t.Helper()
	if got := s.out(); got != list {
		s.t.Errorf("%s: sent %q, not %q", when, got, list)
	}
}

// ack is an ACK of the segments below n, with SACK blocks of the segments [from, to).
func (s *sender) ack(n int, blocks ...[2]int) { s.ackEcho(0, n, blocks...) }

// ackEcho is ack with a timestamp echoed.
func (s *sender) ackEcho(echo uint32, n int, blocks ...[2]int) {
	s.pass(mono.Microsecond) // each comes by itself
	g := Segment{Seq: s.c.rcv.nxt, Ack: s.at(n), Flags: ACK, Window: 60000}
	if s.c.is(factTimestamps) {
		s.clock++
		g.Options.Has, g.Options.TSVal, g.Options.TSEcr = HasTimestamps, s.clock, echo
	}
	for _, b := range blocks {
		g.Options.SACK[g.Options.Blocks] = Block{s.at(b[0]), s.at(b[1])}
		g.Options.Blocks++
	}
	s.c.Input(s.x, s.now, &g)
	s.collect()
}

func (s *sender) at(n int) seq.Num { return s.from.Add(uint32(n) * s.mss) }

// pass lets d pass; what is due is done, and sent, in time.
func (s *sender) pass(d mono.Duration) {
	for end := s.now.Add(d); ; {
		next := s.c.Deadline()
		if next > end {
			s.now = end
			return
		}
		s.now = max(s.now, next)
		s.c.Timeout(s.x, s.now)
		s.collect()
	}
}

// toNext lets time pass until something is sent, and returns how long that took.
func (s *sender) toNext() mono.Duration {
	from := s.now
	for len(s.sent) == 0 {
		s.pass(s.c.Deadline().Sub(s.now))
	}
	return s.now.Sub(from)
}

// segments is n bytes in segments.
func (s *sender) segments(n uint32) float64 { return float64(n) / float64(s.mss) }

// state demands cwnd and ssthresh in segments.
func (s *sender) state(when string, cwnd, ssthresh float64) {
	s.t.Helper()
	if c, h := s.segments(s.c.cw.Cwnd), s.segments(s.c.cw.Ssthresh); c != cwnd || h != ssthresh {
		s.t.Errorf("%s: cwnd %g and ssthresh %g segments, not %g and %g", when, c, h, cwnd, ssthresh)
	}
}

// to writes "0 1 2" for 0 to 2.
func to(from, end int) string {
	var list []string
	for i := from; i <= end; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return strings.Join(list, " ")
}
