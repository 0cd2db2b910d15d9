package cc

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// plain is reno with the slow start of RFC 5681.
type plain struct{ NewReno }

func (p plain) Ack(w *Window, now mono.Time, a *Ack) {
	openHyStart(w)
	p.NewReno.Ack(w, now, a)
}

// RFC 9406 section 1: slow start overshoots; HyStart++ leaves it when the queue begins to grow.
func TestHyStartLeavesBeforeTheQueueOverflows(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{NewReno{}, Cubic{}} {
		for _, unpaced := range []bool{false, true} {
			path := func() *Path {
				return &Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 6_000_000, Unpaced: unpaced}
			}
			p := path()
			if r := p.Run(alg, 3*mono.Second); r.Dropped > 0 || p.Window.Ssthresh == unknown || r.Rate() < 0.8*12_500_000 {
				t.Errorf("%s: %d dropped, ssthresh %d, %.0f bytes/s", alg.Name(), r.Dropped, p.Window.Ssthresh, r.Rate())
			}
			if r := path().Run(plain{}, 3*mono.Second); r.Dropped == 0 {
				t.Error("plain slow start overflows nothing: the test shows nothing")
			}
		}
	}
}

func TestHyStartHalvesTheDropsOfAShallowQueue(t *testing.T) {
	t.Parallel()
	path := Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 1_000_000}
	with, without := path, path
	a, b := with.Run(NewReno{}, 3*mono.Second), without.Run(plain{}, 3*mono.Second)
	if a.Dropped > b.Dropped/2 {
		t.Errorf("%d dropped, %d without", a.Dropped, b.Dropped)
	}
}

// Section 4.3: RTTs that vary by less than 4 ms say nothing of a queue.
func TestHyStartIgnoresJitter(t *testing.T) {
	t.Parallel()
	for _, p := range []Path{
		{Rate: 12_500_000, RTT: 10 * ms, Jitter: 3900 * mono.Microsecond},
		{Rate: 1_250_000_000, RTT: 20 * mono.Microsecond, Jitter: 900 * mono.Microsecond},
		{Rate: 1_250_000_000, RTT: 20 * mono.Microsecond, Jitter: 900 * mono.Microsecond, Frame: 45, Stretch: 45},
		{Rate: 1_250_000_000, RTT: 20 * mono.Microsecond, Gather: mono.Millisecond, Frame: 45, Stretch: 45},
	} {
		p.Queue = 50_000_000
		p.Written = func(d mono.Duration) uint64 { return uint64(d) * (p.Rate / 2) / 1e9 } // no queue but jitter
		p.Watch = func(d mono.Duration, w *Window, _ *Ack) {
			if h := loadHyStart(w); h.baseline != never || w.Ssthresh != unknown {
				t.Fatalf("%v jitter: left slow start after %v: %+v", p.Jitter, d, h)
			}
		}
		p.Run(Cubic{}, 200*ms)
	}
}

// rounds feeds rounds of n ACKs of two segments each, a microsecond apart, with one RTT.
func rounds(w *Window, now *mono.Time, count, n int, rtt mono.Duration) {
	for range count {
		for i := range n {
			*now += mono.Time(mono.Microsecond)
			a := Ack{New: 2 * w.MSS, RTT: rtt, SRTT: rtt, Limited: true, Round: i == 0, Flight: w.Cwnd}
			NewReno{}.Ack(w, *now, &a)
		}
	}
}

func inCSS(w *Window) bool { return loadHyStart(w).baseline != never }

// Section 4.2: a rise by RttThresh within N_RTT_SAMPLE samples enters CSS, which grows by a quarter, and after
// CSS_ROUNDS rounds, the one in which it began among them, ends slow start.
func TestCSS(t *testing.T) {
	w, now := openReno()
	rounds(w, now, 3, 10, 40*ms)
	rounds(w, now, 1, 7, 45*ms)
	if inCSS(w) {
		t.Fatal("seven samples suffice")
	}
	rounds(w, now, 1, 10, 45*ms)
	if inCSS(w) {
		t.Fatal("the round before is the standard, and the RTT has not risen since")
	}
	rounds(w, now, 1, 10, 49*ms)
	if inCSS(w) {
		t.Fatal("4 ms is below an eighth of 45")
	}
	rounds(w, now, 1, 8, 56*ms)
	if !inCSS(w) {
		t.Fatal("a rise by 7 ms and eight samples do not suffice")
	}
	before := w.Cwnd
	rounds(w, now, 1, 10, 57*ms)
	if got := w.Cwnd - before; got != 10*2*testMSS/cssGrowthDivisor {
		t.Errorf("CSS grew by %d", got)
	}
	rounds(w, now, 3, 10, 57*ms)
	if w.Ssthresh != unknown {
		t.Error("CSS ended after four rounds")
	}
	rounds(w, now, 1, 1, 57*ms)
	if w.Ssthresh == unknown || w.Cwnd > w.Ssthresh+testMSS {
		t.Errorf("CSS did not end after five rounds: cwnd %d, ssthresh %d", w.Cwnd, w.Ssthresh)
	}
}

// Section 4.2: if the RTT sinks below the baseline, it was jitter: slow start goes on.
func TestCSSReturns(t *testing.T) {
	w, now := openReno()
	rounds(w, now, 2, 10, 40*ms)
	rounds(w, now, 2, 10, 50*ms)
	if !inCSS(w) {
		t.Fatal("no CSS")
	}
	rounds(w, now, 1, 8, 41*ms)
	if inCSS(w) || w.Ssthresh != unknown {
		t.Fatal("still in CSS")
	}
	before := w.Cwnd
	rounds(w, now, 1, 10, 41*ms)
	if got := w.Cwnd - before; got != 20*testMSS {
		t.Errorf("slow start grew by %d", got)
	}
}

// The threshold lies between 4 and 16 ms.
func TestHyStartThreshold(t *testing.T) {
	for _, c := range []struct {
		base, rise mono.Duration
		css        bool
	}{
		{10 * mono.Microsecond, 3900 * mono.Microsecond, false}, {10 * mono.Microsecond, 4 * ms, true},
		{80 * ms, 9 * ms, false}, {80 * ms, 10 * ms, true},
		{2 * mono.Second, 15 * ms, false}, {2 * mono.Second, 16 * ms, true},
	} {
		w, now := openReno()
		rounds(w, now, 2, 10, c.base)
		rounds(w, now, 1, 10, c.base+c.rise)
		if inCSS(w) != c.css {
			t.Errorf("%v risen by %v: CSS %v", c.base, c.rise, !c.css)
		}
	}
}

// An ACK for a superframe counts as the ACKs it replaces, but one moment never as more than half of what is needed.
func TestHyStartSamples(t *testing.T) {
	feed := func(acks int, segments uint32, apart mono.Duration) bool {
		w, now := openReno()
		rounds(w, now, 2, 10, 40*ms)
		for i := range acks {
			now := now.Add(ms + mono.Duration(i)*apart)
			NewReno{}.Ack(w, now, &Ack{New: segments * w.MSS, RTT: 50 * ms, Limited: true, Round: i == 0})
		}
		return inCSS(w)
	}
	for _, c := range []struct {
		acks     int
		segments uint32
		apart    mono.Duration
		css      bool
	}{
		{8, 1, 1, true}, {7, 1, 1, false}, {8, 2, 1, true}, {4, 4, 1, true}, {3, 4, 1, false},
		{1, 45, 1, false}, {2, 45, 1, true}, {64, 2, 0, false}, {64, 45, 0, false},
	} {
		if got := feed(c.acks, c.segments, c.apart); got != c.css {
			t.Errorf("%d ACKs of %d segments, %d ns apart: CSS %v", c.acks, c.segments, c.apart, got)
		}
	}
}

// Section 4.3: L is 8 segments an ACK where nothing paces, otherwise infinite.
func TestHyStartL(t *testing.T) {
	for unpaced, want := range map[bool]uint32{true: 8 * testMSS, false: 45 * testMSS} {
		w, now := openReno()
		before := w.Cwnd
		NewReno{}.Ack(w, *now, &Ack{New: 45 * testMSS, Limited: true, Unpaced: unpaced})
		if got := w.Cwnd - before; got != want {
			t.Errorf("unpaced %v: an ACK of 45 segments grew cwnd by %d", unpaced, got)
		}
	}
}
