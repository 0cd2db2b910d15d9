package cc

import (
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"pgregory.net/rapid"
)

// watchBBR3 notes when the state changes.
type watchBBR3 struct {
	states  []uint8
	entered []mono.Duration
}

func (b *watchBBR3) watch(d mono.Duration, w *Window, _ *Ack) {
	if s := loadBBR3(w); len(b.states) == 0 || b.states[len(b.states)-1] != s.stage {
		b.states, b.entered = append(b.states, s.stage), append(b.entered, d)
	}
}

func (b *watchBBR3) times(state uint8) (list []mono.Duration) {
	for i, m := range b.states {
		if m == state {
			list = append(list, b.entered[i])
		}
	}
	return list
}

// The figure of section 5.1.1: STARTUP, DRAIN, then DOWN, CRUISE, REFILL, UP, round and round, PROBE_RTT from anywhere
// and from it to CRUISE. From DOWN it goes to REFILL at once where a probe was cut short by caution or the time has come.
func TestBBR3GoesRoundItsStates(t *testing.T) {
	t.Parallel()
	next := map[uint8][]uint8{
		startup3: {drain3, probeRTT3}, drain3: {down3, cruise3, probeRTT3}, down3: {cruise3, refill3, probeRTT3},
		cruise3: {refill3, probeRTT3}, refill3: {up3, down3, probeRTT3}, up3: {down3, probeRTT3}, probeRTT3: {cruise3},
	}
	for _, c := range []Path{
		{Rate: 5_000_000, RTT: 40 * ms, Queue: 400_000},
		{Rate: 5_000_000, RTT: 40 * ms, Queue: 25_000},
		{Rate: 5_000_000, RTT: 40 * ms, Queue: 400_000, Loss: 0.01},
		{Rate: 1_250_000, RTT: 20 * ms, Queue: 100_000},
	} {
		var seen watchBBR3
		c.Watch = seen.watch
		c.Run(BBR3{}, 30*mono.Second)
		for i, s := range seen.states[1:] {
			if !slices.Contains(next[seen.states[i]], s) {
				t.Fatalf("queue %d, loss %g: from state %d to %d at %v", c.Queue, c.Loss, seen.states[i], s, seen.entered[i+1])
			}
		}
		for s := range uint8(probeRTT3 + 1) {
			if s != down3 && len(seen.times(s)) < 1 || s == up3 && len(seen.times(s)) < 5 {
				t.Errorf("queue %d, loss %g: state %d entered at %v", c.Queue, c.Loss, s, seen.times(s))
			}
		}
	}
}

// A shallow queue loses far less of version 3 than of version 1, which fills it and more each time it probes.
func TestBBR3SparesAShallowQueue(t *testing.T) {
	t.Parallel()
	for _, queue := range []int{20_000, 50_000} { // a tenth of the BDP, and a quarter
		lost := map[string]float64{}
		for _, alg := range []Algorithm{BBR{}, BBR3{}} {
			p := Path{Rate: 5_000_000, RTT: 40 * ms, Queue: queue}
			r := p.Run(alg, 20*mono.Second)
			lost[alg.Name()] = float64(r.Dropped) / float64(r.Sent)
			if r.Rate() < 0.88*5_000_000 {
				t.Errorf("queue %d: %s reaches %.3f of the bottleneck", queue, alg.Name(), r.Rate()/5_000_000)
			}
		}
		if t.Logf("queue %d: lost %v", queue, lost); lost["bbr3"] > 0.006 || lost["bbr3"]*4 > lost["bbr"] {
			t.Errorf("queue %d: lost %v", queue, lost)
		}
	}
}

// Beside CUBIC in shallow queues: version 1 leaves it next to nothing, version 3 a fifth and more.
func TestBBR3SharesWithCubic(t *testing.T) {
	t.Parallel()
	for _, queue := range []int{20_000, 50_000, 100_000} {
		left := map[string]float64{}
		for _, alg := range []Algorithm{BBR{}, BBR3{}} {
			p := Path{Rate: 5_000_000, RTT: 40 * ms, Queue: queue}
			r := p.Share(40*mono.Second, alg, Cubic{})
			left[alg.Name()] = r[1].Rate() / 5_000_000
			if sum := r[0].Rate() + r[1].Rate(); sum < 0.9*5_000_000 {
				t.Errorf("queue %d: %s and CUBIC reach %.3f of the bottleneck", queue, alg.Name(), sum/5_000_000)
			}
		}
		if t.Logf("queue %d: left to CUBIC %v", queue, left); left["bbr3"] < 0.25 || left["bbr3"] < 2*left["bbr"] {
			t.Errorf("queue %d: left to CUBIC %v", queue, left)
		}
	}
}

// Two of version 3 come to like shares.
func TestBBR3SharesWithItself(t *testing.T) {
	t.Parallel()
	p := Path{Rate: 5_000_000, RTT: 40 * ms, Queue: 200_000}
	r := p.Share(60*mono.Second, BBR3{}, BBR3{})
	if share := r[0].Rate() / (r[0].Rate() + r[1].Rate()); share < 0.3 || share > 0.7 {
		t.Errorf("the first has %.2f of what both have", share)
	}
}

// While a burst of losses lasts, the short bounds follow what gets through; afterwards the next REFILL forgets them.
func TestBBR3RecoversFromLosses(t *testing.T) {
	t.Parallel()
	var before, during, after, at13, at17 uint64
	p := Path{Rate: 5_000_000, RTT: 40 * ms, Queue: 200_000}
	p.Change = func(p *Path, d mono.Duration) {
		p.Loss = 0
		if d > 8*mono.Second && d < 9*mono.Second {
			p.Loss = 0.15
		}
	}
	p.Watch = func(d mono.Duration, w *Window, a *Ack) {
		s := loadBBR3(w)
		switch {
		case d < 8*mono.Second:
			before = s.rate()
		case d < 9*mono.Second:
			during = s.rate()
		case d < 13*mono.Second:
			at13 = a.Delivered
		case d < 17*mono.Second:
			after, at17 = s.rate(), a.Delivered
		}
	}
	p.Run(BBR3{}, 17*mono.Second)
	near(t, "the estimate before", float64(before)/5e6, 1, 0.05)
	if during > 5_000_000*6/10 {
		t.Errorf("after a second of 15 %% loss the estimate is %d", during)
	}
	near(t, "the estimate four seconds after", float64(after)/5e6, 1, 0.05)
	if rate := float64(at17-at13) / 4; rate < 0.9*5_000_000 {
		t.Errorf("%.0f bytes/s from four seconds after the burst on", rate)
	}
}

// Random loss below 2 % is no reason to give up a path; above, it is taken for a full queue.
func TestBBR3RandomLoss(t *testing.T) {
	t.Parallel()
	for loss, least := range map[float64]float64{0.002: 0.85, 0.01: 0.65} {
		p := Path{Rate: 5_000_000, RTT: 40 * ms, Queue: 200_000, Loss: loss}
		if r := p.Run(BBR3{}, 20*mono.Second); r.Rate() < least*5_000_000 {
			t.Errorf("loss %g: %.3f of the bottleneck", loss, r.Rate()/5_000_000)
		}
	}
}

// STARTUP ends by losses where the queue is shallow, and keeps their bound; a little random loss does not end it.
func TestBBR3StartupEndsByLosses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		Path
		bound bool
	}{
		{Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 125_000}, true},
		{Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 4_000_000}, false},
		{Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 4_000_000, Loss: 0.003}, false},
	} {
		var seen watchBBR3
		long := uint32(0)
		c.Watch = func(d mono.Duration, w *Window, a *Ack) {
			if seen.watch(d, w, a); long == 0 && len(seen.states) > 1 {
				long = loadBBR3(w).long
			}
		}
		c.Run(BBR3{}, 2*mono.Second)
		if len(seen.states) < 2 || seen.states[1] != drain3 {
			t.Errorf("queue %d, loss %g: states %v", c.Queue, c.Loss, seen.states)
			continue
		}
		if bdp := uint32(500_000); (long != unbounded) != c.bound || c.bound && (long < bdp*9/10 || long > 2*bdp) {
			t.Errorf("queue %d, loss %g: after STARTUP the flight is bounded by %d", c.Queue, c.Loss, long)
		}
	}
}

// Marks are heeded as losses are: the queue stays near where they begin, and next to nothing is lost.
func TestBBR3HeedsMarks(t *testing.T) {
	t.Parallel()
	path := Path{Rate: 5_000_000, RTT: 40 * ms, Queue: 400_000}
	queue := map[int]float64{}
	for _, mark := range []int{0, 12_000} {
		p := path
		p.Mark = mark
		r := p.Run(BBR3{}, 20*mono.Second)
		queue[mark] = r.MeanQueue
		if r.Rate() < 0.8*5_000_000 || r.Dropped > 0 {
			t.Errorf("marks from %d: %.3f of the bottleneck, %d dropped", mark, r.Rate()/5_000_000, r.Dropped)
		}
		if share := float64(r.Marked) / float64(r.Sent); share > 0.05 {
			t.Errorf("%.3f of the segments are marked", share)
		}
	}
	if queue[12_000]*2 > queue[0] {
		t.Errorf("mean queue %.0f with marks, %.0f without", queue[12_000], queue[0])
	}
}

// PROBE_RTT comes when no RTT as low has been seen for five seconds, leaves half the BDP in flight, and lasts 200 ms
// and a round trip.
func TestBBR3ProbesRTT(t *testing.T) {
	t.Parallel()
	var seen watchBBR3
	low, most := uint32(1<<30), uint32(0)
	p := Path{Rate: 2_500_000, RTT: 50 * ms, Queue: 500_000}
	p.Watch = func(d mono.Duration, w *Window, a *Ack) {
		seen.watch(d, w, a)
		if s := loadBBR3(w); s.stage == probeRTT3 && s.lowSince {
			low, most = min(low, a.Flight), max(most, a.Flight)
		}
	}
	r := p.Run(BBR3{}, 65*mono.Second)
	probes := seen.times(probeRTT3)
	if len(probes) < 10 || len(probes) > 13 {
		t.Errorf("PROBE_RTT at %v", probes)
	}
	for i, s := range seen.states[:len(seen.states)-1] {
		if stay := seen.entered[i+1] - seen.entered[i]; s == probeRTT3 && (stay < 200*ms || stay > 350*ms) {
			t.Errorf("PROBE_RTT lasted %v", stay)
		}
	}
	if half := uint32(62_500); low < half*8/10 || most > half*11/10 {
		t.Errorf("PROBE_RTT has %d to %d in flight, half the BDP is %d", low, most, half)
	}
	if r.Rate() < 0.93*2_500_000 {
		t.Errorf("with PROBE_RTT %.0f bytes/s", r.Rate())
	}
}

// steady3 feeds ACKs of a megabyte a second until CRUISE.
func steady3(t *testing.T) *drive {
	t.Helper()
	d := newDrive(BBR3{}, 100*ms, 10)
	for range 300 {
		d.feed(func(a *Ack) { a.Flight, a.TxInFlight = 100*testMSS, 100*testMSS })
	}
	for range 1000 {
		if loadBBR3(&d.w).stage == cruise3 {
			return d
		}
		d.feed(func(a *Ack) { a.Flight, a.TxInFlight = 100*testMSS, 100*testMSS })
	}
	t.Fatal("no CRUISE")
	return nil
}

// edit changes the state.
func (d *drive) edit(change func(*bbr3)) {
	s := loadBBR3(&d.w)
	change(&s)
	s.save(&d.w)
}

// Outside of probes a round trip with losses lowers the short bounds to what was delivered in it, but by no more than
// 30 %; marks lower that of the flight to 85 %. REFILL forgets them.
func TestBBR3ShortBounds(t *testing.T) {
	for _, c := range []struct {
		name           string
		loss           bool
		sampled        uint32 // in each round trip, segments
		rate, inflight float64
		without        bool
	}{
		{name: "no loss", sampled: 90, without: true},
		{name: "little is lost", loss: true, sampled: 90, rate: 0.90},
		{name: "much is lost", loss: true, sampled: 20, rate: 0.70},
		{name: "a mark", sampled: 90, rate: 0.90, inflight: 90 * 0.85},
	} {
		d := steady3(t)
		cwnd := float64(d.w.Cwnd) / testMSS
		d.edit(func(s *bbr3) { s.latest, s.inflightLatest = 0, 0 })
		if c.loss {
			d.feed(func(a *Ack) { a.Lost, a.Flight, a.Sampled = testMSS, 80*testMSS, c.sampled*testMSS })
		} else if !c.without {
			d.alg.Loss(&d.w, d.now, Episode{ECN: true})
		}
		for range 9 + c.sampled/10 {
			d.feed(func(a *Ack) { a.Flight, a.Sampled = 80*testMSS, c.sampled*testMSS })
		}
		s := loadBBR3(&d.w)
		if c.without {
			if s.short != unbounded || s.shortRate != largestRate {
				t.Errorf("%s: bounds %d, %d", c.name, s.shortRate, s.short)
			}
			continue
		}
		near(t, c.name+": the bound of the rate", float64(s.shortRate)/1e6, c.rate, 0.01)
		if c.inflight == 0 {
			c.inflight = 0.7 * cwnd
		}
		near(t, c.name+": the bound of the flight", float64(s.short)/testMSS, c.inflight, 1)
		if d.w.Cwnd > s.short {
			t.Errorf("%s: cwnd %d beyond its bound %d", c.name, d.w.Cwnd, s.short)
		}
		d.edit(func(s *bbr3) { s.stamp -= 4000 })
		d.feed(func(a *Ack) { a.Flight = 80 * testMSS })
		if s := loadBBR3(&d.w); s.stage != refill3 || s.short != unbounded || s.shortRate != largestRate {
			t.Errorf("%s: in state %d the bounds are %d, %d", c.name, s.stage, s.shortRate, s.short)
		}
	}
}

// probing3 is a connection in UP that gets ACKs of its probe.
func probing3(t *testing.T) *drive {
	t.Helper()
	d := steady3(t)
	d.edit(func(s *bbr3) { s.stamp -= 4000 })
	for range 100 {
		if s := loadBBR3(&d.w); s.stage == up3 && s.acks == acksFeedback {
			return d
		}
		d.feed(func(a *Ack) { a.Flight, a.Prior, a.TxInFlight = 100*testMSS, 110*testMSS, 110*testMSS })
	}
	t.Fatal("no UP")
	return nil
}

// A probe that loses more than 2 % of what was in flight sets the long bound and ends; 2 % do neither.
func TestBBR3ProbeTooHigh(t *testing.T) {
	for _, c := range []struct {
		lost    uint32
		tooHigh bool
	}{{1, false}, {2, false}, {3, true}, {30, true}} {
		d := probing3(t)
		d.feed(func(a *Ack) {
			a.Lost, a.Flight = c.lost*testMSS, 100*testMSS
			a.LossTxInFlight, a.LossLostSince, a.TxInFlight, a.LostSince = 120*testMSS, c.lost*testMSS, 120*testMSS, c.lost*testMSS
		})
		s := loadBBR3(&d.w)
		if s.prevTooHigh != c.tooHigh || (s.stage != up3) != c.tooHigh || (s.long != unbounded) != c.tooHigh {
			t.Errorf("%d of 120 lost: state %d, bound %d, too high %v", c.lost, s.stage, s.long, s.prevTooHigh)
		}
		if want := flightAtLoss(&Ack{Lost: c.lost * testMSS, LossTxInFlight: 120 * testMSS, LossLostSince: c.lost * testMSS}); c.tooHigh && s.long != want {
			t.Errorf("%d of 120 lost: bound %d, want %d", c.lost, s.long, want)
		}
	}
	d := probing3(t)
	d.alg.Loss(&d.w, d.now, Episode{ECN: true})
	d.feed(func(a *Ack) { a.TxInFlight = 120 * testMSS })
	if s := loadBBR3(&d.w); s.stage == up3 || s.long != 120*testMSS || !s.prevTooHigh {
		t.Errorf("after a mark: state %d, bound %d", s.stage, s.long)
	}
	d = probing3(t)
	d.feed(func(a *Ack) {
		a.NoSACK, a.Lost, a.LossTxInFlight, a.LossLostSince = true, testMSS, 120*testMSS, testMSS
	})
	if s := loadBBR3(&d.w); s.stage == up3 {
		t.Errorf("after a loss without SACK: state %d", s.stage)
	}
	d = probing3(t)
	d.feed(func(a *Ack) {
		a.Lost, a.LossTxInFlight, a.LossLostSince, a.LossAppLimited = 9*testMSS, 120*testMSS, 9*testMSS, true
	})
	if s := loadBBR3(&d.w); s.long != unbounded {
		t.Errorf("losses of what the application limited bound the flight by %d", s.long)
	}
}

// The bound never sinks below 70 % of the target.
func TestBBR3BoundSinksBySteps(t *testing.T) {
	d := probing3(t)
	d.feed(func(a *Ack) { a.Lost, a.LossTxInFlight, a.LossLostSince = 9*testMSS, 20*testMSS, 9*testMSS })
	near(t, "the bound in segments", float64(loadBBR3(&d.w).long)/testMSS, 70, 1)
}

// A sample that is not the path's raises the estimate, but lowers it at no time: not what the application limited, nor
// what was sent in PROBE_RTT.
func TestBBR3Samples(t *testing.T) {
	for _, c := range []struct {
		rate         uint32 // segments a round trip
		limited, low bool
		want         uint64
	}{{90, false, false, 900_000}, {90, true, false, 0}, {90, false, true, 0}, {110, true, false, 1_100_000}, {110, false, true, 1_100_000}} {
		d := steady3(t)
		d.edit(func(s *bbr3) {
			s.max, s.low, s.roundEnd = [2]uint64{1_000_000, 0}, c.low, uint32(d.ack.Delivered)+1<<20
		})
		d.feed(func(a *Ack) { a.Sampled, a.AppLimited = c.rate*testMSS, c.limited })
		if s := loadBBR3(&d.w); s.max[1] != c.want {
			t.Errorf("%+v: the most of the cycle is %d", c, s.max[1])
		}
	}
}

// DRAIN lasts until the flight is the BDP, or three rounds.
func TestBBR3Drains(t *testing.T) {
	for _, c := range []struct{ flight, least, most int }{{100, 0, 1}, {250, 31, 41}} { // ACKs, ten a round trip
		d := newDrive(BBR3{}, 100*ms, 10)
		n := 0
		for loadBBR3(&d.w).stage == startup3 {
			d.feed(func(a *Ack) { a.Flight, a.TxInFlight = 250*testMSS, 250*testMSS })
		}
		for ; n < 100 && loadBBR3(&d.w).stage == drain3; n++ {
			d.feed(func(a *Ack) { a.Flight = uint32(c.flight) * testMSS })
		}
		if n < c.least || n > c.most {
			t.Errorf("with %d segments in flight DRAIN lasted %d ACKs", c.flight, n)
		}
	}
}

// A mark ends STARTUP.
func TestBBR3StartupEndsByAMark(t *testing.T) {
	d := newDrive(BBR3{}, 100*ms, 10)
	d.feed(nil)
	d.alg.Loss(&d.w, d.now, Episode{ECN: true})
	d.feed(nil)
	if s := loadBBR3(&d.w); s.stage == startup3 || s.long == unbounded {
		t.Errorf("after a mark state %d, bound %d", s.stage, s.long)
	}
}

// What was in flight when losses among it came to 2 %.
func TestBBR3FlightAtLoss(t *testing.T) {
	for _, c := range []struct{ lost, flight, since, want uint32 }{
		{1000, 100_000, 1000, 101_020},     // nothing lost before: 2 % of the 99,000 before it, and of itself
		{10_000, 110_000, 10_000, 102_040}, // in the midst of what was lost
		{1000, 100_000, 3000, 99_000},      // too much was lost before
		{5000, 3000, 5000, 0},              // more lost than was in flight
	} {
		if got := flightAtLoss(&Ack{Lost: c.lost, LossTxInFlight: c.flight, LossLostSince: c.since}); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// After a probe that went too high the next ends as soon as it comes to the bound, and if nothing is lost by that, the
// one after follows at once.
func TestBBR3Precaution(t *testing.T) {
	t.Parallel()
	var seen watchBBR3
	caution := map[int]bool{} // the entries of seen that end a probe by caution
	p := Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 250_000}
	p.Watch = func(d mono.Duration, w *Window, a *Ack) {
		if seen.watch(d, w, a); loadBBR3(w).precautionary {
			caution[len(seen.states)-1] = true
		}
	}
	p.Run(BBR3{}, 20*mono.Second)
	n := 0
	for i := range caution {
		if i+1 >= len(seen.states) || seen.states[i] != down3 {
			continue
		}
		n++
		if seen.states[i+1] != refill3 || seen.entered[i]-seen.entered[i-1] > 150*ms {
			t.Errorf("UP for %v, then state %d", seen.entered[i]-seen.entered[i-1], seen.states[i+1])
		}
	}
	if n < 3 {
		t.Errorf("%d probes ended by caution", n)
	}
}

// On a small path probes come as often as Reno would grow by the BDP, elsewhere every two to three seconds.
func TestBBR3ProbesAsRenoWould(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate        uint64
		rtt         mono.Duration
		least, most mono.Duration
	}{
		{724_000, 20 * ms, 200 * ms, 700 * ms},      // ten segments
		{2_500_000, 20 * ms, 700 * ms, 1400 * ms},   // 34
		{5_000_000, 100 * ms, 2000 * ms, 3800 * ms}, // 345, but 63 at the most, which is longer than three seconds
	} {
		var seen watchBBR3
		p := Path{Rate: c.rate, RTT: c.rtt, Queue: 400_000, Watch: seen.watch}
		p.Run(BBR3{}, 20*mono.Second)
		for i, s := range seen.states {
			if i < 2 || s != refill3 || seen.states[i-1] != cruise3 || seen.states[i-2] != down3 {
				continue
			}
			if gap := seen.entered[i] - seen.entered[i-2]; gap < c.least || gap > c.most {
				t.Errorf("BDP %d: from DOWN to REFILL %v", uint64(c.rtt)*c.rate/1e9, gap)
			}
		}
		if n := len(seen.times(up3)); n < 4 {
			t.Errorf("BDP %d: %d probes", uint64(c.rtt)*c.rate/1e9, n)
		}
	}
}

// A bottleneck that becomes faster is found by some probes, one that becomes slower within two cycles.
func TestBBR3FollowsThePath(t *testing.T) {
	t.Parallel()
	var at20, at40 bbr3
	p := Path{Rate: 2_500_000, RTT: 40 * ms, Queue: 250_000}
	p.Change = func(p *Path, d mono.Duration) {
		switch {
		case d > 20*mono.Second:
			p.Rate = 2_500_000
		case d > 5*mono.Second:
			p.Rate = 10_000_000
		}
	}
	p.Watch = func(d mono.Duration, w *Window, _ *Ack) {
		if at40 = loadBBR3(w); d < 20*mono.Second {
			at20 = at40
		}
	}
	p.Run(BBR3{}, 40*mono.Second)
	near(t, "the estimate after the rate grew fourfold", float64(at20.maxRate())/1e7, 1, 0.05)
	near(t, "the estimate after it fell", float64(at40.maxRate())/2.5e6, 1, 0.05)
}

// What the application did not write lowers no estimate, and rest needs no PROBE_RTT.
func TestBBR3ApplicationLimited(t *testing.T) {
	t.Parallel()
	var seen watchBBR3
	var last bbr3
	p := Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 1_000_000}
	p.Written = func(d mono.Duration) uint64 { // 3 s of all there is, then messages of 20 kB
		if d < 3*mono.Second {
			return 1 << 40
		}
		return (37_500_000 + uint64(d-3*mono.Second)/uint64(170*ms)*20_000) &^ 1023
	}
	p.Watch = func(d mono.Duration, w *Window, a *Ack) {
		if d > 4*mono.Second {
			seen.watch(d, w, a)
		}
		last = loadBBR3(w)
	}
	p.Run(BBR3{}, 30*mono.Second)
	near(t, "the estimate", float64(last.rate())/12.5e6, 1, 0.05)
	if len(seen.times(probeRTT3)) > 1 { // the first may be due before rest shows a low RTT
		t.Errorf("PROBE_RTT at %v though the connection rests", seen.times(probeRTT3))
	}
}

// A recovery leaves cwnd alone; a time-out begins again from a segment, and gives the window back when all is repaired.
func TestBBR3Recovery(t *testing.T) {
	d := steady3(t)
	before := d.w.Cwnd
	d.alg.Loss(&d.w, d.now, Episode{Flight: before})
	d.feed(func(a *Ack) { a.Loss = true })
	if d.w.Cwnd != before || d.w.Ssthresh != unknown {
		t.Errorf("cwnd %d in recovery, was %d", d.w.Cwnd, before)
	}
	d.feed(nil)
	d.alg.Timeout(&d.w, d.now, before)
	if d.w.Cwnd != testMSS {
		t.Errorf("cwnd %d after a time-out", d.w.Cwnd)
	}
	d.feed(func(a *Ack) { a.Repair, a.Flight, a.New = true, 0, testMSS })
	if d.w.Cwnd != minSegments*testMSS {
		t.Errorf("cwnd %d after the time-out's first ACK", d.w.Cwnd)
	}
	d.feed(nil)
	if d.w.Cwnd != before {
		t.Errorf("cwnd %d after the repair, was %d", d.w.Cwnd, before)
	}
}

// The state survives its packing, as far as its parts are wide.
func TestBBR3Packing(t *testing.T) {
	w := &Window{MSS: 1448}
	for i := range w.Priv {
		w.Priv[i] = 0x0123456789abcdef * uint64(2*i+1)
	}
	w.Priv[0] &^= 0xfe0000
	w.Priv[1] &^= 0xfc0000
	w.Priv[2] &^= 0xffff80
	w.Priv[3] &^= 0xfe0000
	w.Priv[4] &^= 0xffffff
	was := *w
	s := loadBBR3(w)
	if s.save(w); *w != was {
		t.Errorf("%x\nwas %x", w.Priv, was.Priv)
	}
}

// Whatever a connection says, cwnd stays within its bounds and the state within its parts.
func TestBBR3Bounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkBounds(t, BBR3{}) })
	rapid.Check(t, func(t *rapid.T) {
		w, now, delivered := &Window{MSS: 1448}, mono.Time(rapid.Int64Range(0, 1<<50).Draw(t, "now")), uint64(0)
		BBR3{}.Open(w, now)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(mono.Duration(rapid.Int64Range(0, 1e9).Draw(t, "step")))
			a := anyAck(t, w, &delivered)
			for _, f := range []*uint32{&a.TxInFlight, &a.LostSince, &a.LossTxInFlight, &a.LossLostSince} {
				*f = rapid.OneOf(rapid.Uint32Range(0, 1<<20), rapid.Uint32()).Draw(t, "bytes")
			}
			a.Repair, a.NoSACK = rapid.Bool().Draw(t, "Repair"), rapid.IntRange(0, 9).Draw(t, "NoSACK") == 0
			if rapid.IntRange(0, 9).Draw(t, "mark") == 0 {
				BBR3{}.Loss(w, now, Episode{ECN: true})
			}
			BBR3{}.Ack(w, now, &a)
			if s := loadBBR3(w); w.Cwnd < minSegments*w.MSS || w.Cwnd > maxWindow || w.Pacing == 0 || s.stage > probeRTT3 {
				t.Fatalf("cwnd %d, pacing %d, state %d", w.Cwnd, w.Pacing, s.stage)
			}
		}
	})
}

func TestBBR3AllocatesNothing(t *testing.T) {
	d := steady3(t)
	a := Ack{New: testMSS, RTT: ms, SRTT: ms, MinRTT: ms, Sampled: testMSS, Interval: ms}
	if n := testing.AllocsPerRun(1000, func() { d.alg.Ack(&d.w, d.now, &a) }); n != 0 {
		t.Errorf("an ACK allocates %g times", n)
	}
}
