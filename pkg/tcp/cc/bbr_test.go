package cc

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// watchBBR notes when the mode changes.
type watchBBR struct {
	modes   []uint8
	entered []mono.Duration
}

func (b *watchBBR) watch(d mono.Duration, w *Window, _ *Ack) {
	if s := loadBBR(w); len(b.modes) == 0 || b.modes[len(b.modes)-1] != s.mode {
		b.modes, b.entered = append(b.modes, s.mode), append(b.entered, d)
	}
}

func (b *watchBBR) times(mode uint8) (list []mono.Duration) {
	for i, m := range b.modes {
		if m == mode {
			list = append(list, b.entered[i])
		}
	}
	return list
}

// The headline: random loss of 1 % takes from BBR little more than 1 %, from CUBIC and Reno nearly all.
func TestRandomLoss(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		alg      Algorithm
		min, max float64
	}{{BBR{}, 0.90, 1}, {Cubic{}, 0.01, 0.10}, {NewReno{}, 0.01, 0.10}} {
		p := Path{Rate: 25_000_000, RTT: 20 * ms, Queue: 500_000, Loss: 0.01}
		r := p.Run(c.alg, 6*mono.Second)
		if got := r.Rate() / 25_000_000; got < c.min || got > c.max {
			t.Errorf("%s reaches %.3f of the bottleneck with 1 %% loss", c.alg.Name(), got)
		}
		t.Logf("%s: %.1f of 200 Mbit/s, mean queue %.0f, %d episodes", c.alg.Name(), r.Rate()*8/1e6, r.MeanQueue, r.Episodes)
	}
}

// STARTUP finds the rate within some round trips, by doubling; then DRAIN takes back its queue within few more.
func TestBBRStartsAndDrains(t *testing.T) {
	t.Parallel()
	for _, c := range []Path{
		{Rate: 12_500_000, RTT: 40 * ms},
		{Rate: 12_500_000, RTT: 40 * ms, Loss: 0.01},
		{Rate: 62_500_000, RTT: 40 * ms},
		{Rate: 125_000_000, RTT: 10 * ms, Frame: 45, Stretch: 45},
		{Rate: 125_000, RTT: 100 * ms, MSS: 536},
	} {
		var seen watchBBR
		bdp := float64(c.Rate) * float64(c.RTT) / 1e9
		c.Queue = int(4*bdp) + 100_000
		steady, queue, n := mono.Duration(0), 0.0, 0
		c.Watch = func(d mono.Duration, w *Window, a *Ack) {
			seen.watch(d, w, a)
			if s := loadBBR(w); s.mode == probeBW && steady == 0 {
				steady = d
				if rate := float64(s.rate()) / float64(c.Rate); rate < 0.95 || rate > 1.05 {
					t.Errorf("%+v: the estimate is %.3f of the rate", c, rate)
				}
			}
			if steady > 0 && d > steady+10*c.RTT {
				queue += max(float64(a.Prior)-bdp, 0)
				n++
			}
		}
		c.Run(BBR{}, max(60*c.RTT, mono.Second))
		if len(seen.modes) < 3 || seen.modes[0] != startup || seen.modes[1] != drain || seen.modes[2] != probeBW {
			t.Errorf("%v: modes %v", c.RTT, seen.modes)
			continue
		}
		if seen.entered[1] > 25*c.RTT || seen.entered[2]-seen.entered[1] > 8*c.RTT {
			t.Errorf("RTT %v: DRAIN after %v, PROBE_BW after %v", c.RTT, seen.entered[1], seen.entered[2])
		}
		quanta := float64(4 * quantum(&c.Window))
		if queue /= float64(max(n, 1)); queue > 0.3*bdp+quanta {
			t.Errorf("RTT %v: in flight %.0f beyond the BDP of %.0f", c.RTT, queue, bdp)
		}
	}
}

func TestBBRKeepsTheQueueSmall(t *testing.T) {
	t.Parallel()
	path := Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 2_000_000}
	mean := map[string]float64{}
	for _, alg := range []Algorithm{BBR{}, Cubic{}} {
		p := path
		r := p.Run(alg, 12*mono.Second)
		mean[alg.Name()] = r.MeanQueue
		if r.Rate() < 0.93*12_500_000 {
			t.Errorf("%s reaches %.0f bytes/s", alg.Name(), r.Rate())
		}
	}
	if mean["bbr"] > 0.2*500_000 || mean["bbr"]*5 > mean["cubic"] {
		t.Errorf("mean queues: %v", mean)
	}
}

// PROBE_RTT comes when no RTT as low has been seen for ten seconds, and lasts 200 ms and a round trip.
func TestBBRProbesRTT(t *testing.T) {
	t.Parallel()
	var seen watchBBR
	low := uint32(1 << 30)
	p := Path{Rate: 2_500_000, RTT: 50 * ms, Queue: 500_000}
	p.Watch = func(d mono.Duration, w *Window, a *Ack) {
		seen.watch(d, w, a)
		if s := loadBBR(w); s.mode == probeRTT && s.stamp != 0 {
			low = min(low, w.Cwnd, a.Flight+w.MSS)
		}
	}
	r := p.Run(BBR{}, 65*mono.Second)
	probes := seen.times(probeRTT)
	if len(probes) < 4 || len(probes) > 6 {
		t.Errorf("PROBE_RTT at %v", probes)
	}
	for i := 1; i < len(probes); i++ {
		if gap := probes[i] - probes[i-1]; gap < 10*mono.Second || gap > 21*mono.Second {
			t.Errorf("PROBE_RTT at %v", probes)
		}
	}
	for i, m := range seen.modes[:len(seen.modes)-1] {
		if stay := seen.entered[i+1] - seen.entered[i]; m == probeRTT && (stay < 200*ms || stay > 500*ms) {
			t.Errorf("PROBE_RTT lasted %v", stay)
		}
	}
	if low > minSegments*1448 {
		t.Errorf("PROBE_RTT leaves %d bytes in flight", low)
	}
	if r.Rate() < 0.93*2_500_000 {
		t.Errorf("with PROBE_RTT %.0f bytes/s", r.Rate())
	}
}

// A path grown longer is believed after ten seconds, a faster one within a cycle or two, a slower one within ten rounds
// or so.
func TestBBRFollowsThePath(t *testing.T) {
	t.Parallel()
	var at10, at20, at40 bbr
	p := Path{Rate: 2_500_000, RTT: 40 * ms, Queue: 1_000_000}
	p.Change = func(p *Path, d mono.Duration) {
		switch {
		case d > 21*mono.Second:
			p.RTT = 80 * ms
		case d > 10*mono.Second:
			p.Rate = 1_250_000
		case d > 5*mono.Second:
			p.Rate = 5_000_000
		}
	}
	p.Watch = func(d mono.Duration, w *Window, _ *Ack) {
		switch s := loadBBR(w); {
		case d < 10*mono.Second:
			at10 = s
		case d < 20*mono.Second:
			at20 = s
		default:
			at40 = s
		}
	}
	p.Run(BBR{}, 45*mono.Second)
	near(t, "the estimate after the rate doubled", float64(at10.rate())/5e6, 1, 0.05)
	near(t, "the estimate after the rate fell", float64(at20.rate())/1.25e6, 1, 0.05)
	near(t, "the least RTT after the path grew, ms", float64(at40.minRTT)/1e6, 80, 15)
}

// What the application did not write lowers no estimate, and rest needs no PROBE_RTT.
func TestBBRApplicationLimited(t *testing.T) {
	t.Parallel()
	var seen watchBBR
	var last bbr
	p := Path{Rate: 12_500_000, RTT: 40 * ms, Queue: 1_000_000}
	p.Written = func(d mono.Duration) uint64 { // 3 s of all there is, then messages of 20 kB
		if d < 3*mono.Second {
			return 1 << 40
		}
		return (37_500_000 + uint64(d-3*mono.Second)/uint64(200*ms)*20_000) &^ 1023
	}
	limited := false
	p.Watch = func(d mono.Duration, w *Window, a *Ack) {
		if d > 4*mono.Second {
			limited = limited || a.AppLimited
			seen.watch(d, w, a)
		}
		last = loadBBR(w)
	}
	p.Run(BBR{}, 30*mono.Second)
	if !limited {
		t.Error("no sample was limited by the application: the test shows nothing")
	}
	near(t, "the estimate, of the rate", float64(last.rate())/12.5e6, 1, 0.05)
	near(t, "the rate at which it would go on, of the estimate", float64(p.Window.Pacing)/12.5e6, 0.99, 0.05)
	if probes := seen.times(probeRTT); len(probes) > 1 { // one, if a message is under way when ten seconds are over
		t.Errorf("PROBE_RTT at %v though the connection rests", probes)
	}
}

// A recovery conserves packets for a round trip and then gives the window back; so does a time-out at its end.
func TestBBRRecovery(t *testing.T) {
	d := newDrive(BBR{}, 100*ms, 10)
	d.steady()
	before := d.w.Cwnd
	least := before - 2*testMSS // the probing phase has two segments more
	d.alg.Loss(&d.w, d.now, Episode{Flight: before})
	if d.w.Cwnd != before || d.w.Ssthresh != unknown {
		t.Error("Loss set cwnd or ssthresh")
	}
	d.feed(func(a *Ack) { a.Loss, a.Lost, a.Flight = true, 3*testMSS, before-10*testMSS })
	if want := before - 10*testMSS + 10*testMSS; d.w.Cwnd != want {
		t.Errorf("cwnd %d as the recovery begins, want flight and what was delivered, %d", d.w.Cwnd, want)
	}
	d.feed(func(a *Ack) { a.Loss, a.Lost, a.Flight = true, 20*testMSS, before-40*testMSS })
	if want := before - 20*testMSS; d.w.Cwnd != want {
		t.Errorf("cwnd %d, want %d", d.w.Cwnd, want)
	}
	d.feed(func(a *Ack) { a.Flight = before / 2 })
	if d.w.Cwnd < least {
		t.Errorf("cwnd %d after the recovery, was %d", d.w.Cwnd, before)
	}
	d.alg.Timeout(&d.w, d.now, before)
	if d.w.Cwnd != testMSS {
		t.Errorf("cwnd %d after a time-out", d.w.Cwnd)
	}
	d.feed(func(a *Ack) { a.Loss, a.Flight, a.New = true, 0, testMSS })
	if d.w.Cwnd < minSegments*testMSS || d.w.Cwnd > 6*testMSS {
		t.Errorf("cwnd %d after the time-out's first ACK", d.w.Cwnd)
	}
	d.feed(nil)
	if d.w.Cwnd < least {
		t.Errorf("cwnd %d after the time-out's repair, was %d", d.w.Cwnd, before)
	}
	d.alg.Loss(&d.w, d.now, Episode{ECN: true})
	d.feed(nil)
	if d.w.Cwnd < least {
		t.Error("a mark cut cwnd")
	}
}

// After a time-out cwnd grows by what is delivered, until what was in flight before it is repaired.
func TestBBRRepair(t *testing.T) {
	d := newDrive(BBR{}, 100*ms, 10)
	d.steady()
	before := d.w.Cwnd
	d.alg.Loss(&d.w, d.now, Episode{Flight: before})
	d.alg.Timeout(&d.w, d.now, before)
	for i := range uint32(3) {
		d.feed(func(a *Ack) { a.Repair, a.Flight, a.New = true, 2*testMSS, 2*testMSS })
		if most := 10*testMSS + i*2*testMSS; d.w.Cwnd > most {
			t.Fatalf("cwnd %d after %d ACKs of two segments", d.w.Cwnd, i+1)
		}
	}
	d.feed(nil)
	if d.w.Cwnd < before-2*testMSS {
		t.Errorf("cwnd %d after the repair, was %d", d.w.Cwnd, before)
	}
}

// Where the RTT is longer than 200 ms, PROBE_RTT lasts a round trip; cwnd comes back at its end.
func TestBBRProbeRTTLastsARoundTrip(t *testing.T) {
	d := newDrive(BBR{}, mono.Second, 10)
	d.steady()
	for i := range 100 { // the RTT rises, so ten seconds after the last low one...
		d.feed(func(a *Ack) { a.Flight, a.RTT = 100*testMSS, mono.Second+1 })
		if loadBBR(&d.w).mode == probeRTT {
			break
		} else if i == 99 {
			t.Fatal("no PROBE_RTT")
		}
	}
	prior := loadBBR(&d.w).prior
	if d.w.Cwnd != minSegments*testMSS {
		t.Errorf("cwnd %d in PROBE_RTT", d.w.Cwnd)
	}
	for range 30 { // the flight is not low yet
		d.feed(func(a *Ack) { a.Flight = 5 * testMSS })
	}
	if s := loadBBR(&d.w); s.mode != probeRTT || s.stamp != 0 {
		t.Error("PROBE_RTT did not wait for the flight to sink")
	}
	low := func(a *Ack) { a.Delivered -= 9 * testMSS; a.New, a.Flight = testMSS, 4*testMSS }
	start := d.now
	for loadBBR(&d.w).mode == probeRTT {
		d.feed(low)
		d.ack.Delivered -= 9 * testMSS
	}
	if stay := d.now.Sub(start); stay < 500*ms || stay > 700*ms { // the first ACK sees it low, four more bring what was in flight
		t.Errorf("a low flight for %v", stay)
	}
	if d.w.Cwnd < prior/10*9 { // what the clusters added has grown old
		t.Errorf("cwnd %d after PROBE_RTT, was %d", d.w.Cwnd, prior)
	}
}

// Three quanta beyond the window, an even number of segments, two more in the probing phase.
func TestBBRBudget(t *testing.T) {
	for _, c := range []struct {
		pacing uint64
		window uint64
		phase  uint8
		want   uint32
	}{
		{100_000, 10_000, 2, 14_000}, // quanta of one segment below 1.2 Mbit/s
		{1_000_000, 10_000, 2, 16_000},
		{10_500_000, 10_000, 2, 40_000},
		{10_500_000, 10_000, probeUp, 42_000},
		{1 << 39, 10_001, 2, 206_000}, // 65 segments at the most
	} {
		w, s := &Window{MSS: testMSS, Pacing: c.pacing}, bbr{mode: probeBW, phase: c.phase}
		if got := s.budget(w, c.window); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// A sample over less than the least RTT is of ACKs that came together.
func TestBBRIgnoresCompressedSamples(t *testing.T) {
	var s bbr
	s.updateRate(&Ack{Sampled: 1_000_000, Interval: ms, MinRTT: 2 * ms})
	if s.rate() != 0 {
		t.Errorf("%d bytes/s from a sample of 1 ms", s.rate())
	}
	s.updateRate(&Ack{Sampled: 1_000_000, Interval: 2 * ms, MinRTT: 2 * ms})
	if s.rate() != 500_000_000 {
		t.Errorf("%d bytes/s", s.rate())
	}
}

// feed is one ACK of ten segments.
func (d *drive) feed(mend func(*Ack)) {
	d.now = d.now.Add(d.rtt / 10)
	d.ack.Delivered += 10 * testMSS
	a := d.ack
	a.New, a.RTT, a.SRTT, a.MinRTT, a.Flight = 10*testMSS, d.rtt, d.rtt, d.rtt, d.w.Cwnd
	a.Round = a.Delivered/(100*testMSS) != (a.Delivered-10*testMSS)/(100*testMSS)
	a.Sampled, a.Interval = 100*testMSS, d.rtt
	if mend != nil {
		mend(&a)
	}
	d.alg.Ack(&d.w, d.now, &a)
}

// steady feeds ACKs of a megabyte a second for half a minute, which ends in PROBE_BW.
func (d *drive) steady() {
	for range 300 {
		d.feed(func(a *Ack) { a.Flight = 100 * testMSS })
	}
}

// The filter holds the most of ten rounds and no longer.
func TestBBRRateFilter(t *testing.T) {
	var p peaks
	rates := []uint64{5, 9, 4, 3, 7, 6, 6, 6, 5, 5, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 8, 1}
	for i, r := range rates {
		round := uint32(i+1<<24-5) & roundMask // through the wrap
		p.add(peak{r, round})
		var most uint64
		for _, x := range rates[max(0, i-rateRounds) : i+1] {
			most = max(most, x)
		}
		if p[0].rate > most || i-rateRounds < 0 && p[0].rate != most {
			t.Errorf("after %d rounds %d, want %d", i, p[0].rate, most)
		}
	}
	for i := range 30 { // one sample a round, falling: what is left is of the window
		p.add(peak{uint64(1000 - i), uint32(i + 100)})
		if got, want := p[0].rate, uint64(1000-max(0, i-rateRounds)); got > want || got < want-4 {
			t.Errorf("falling, after %d rounds: %d, window begins with %d", i, got, want)
		}
	}
}

// ACKs that come in clusters widen the window by a cluster, or BBR would stand still between them.
func TestBBRAggregation(t *testing.T) {
	t.Parallel()
	p := Path{Rate: 12_500_000, RTT: 20 * ms, Queue: 2_000_000, Gather: 30 * ms}
	if r := p.Run(BBR{}, 10*mono.Second); r.Rate() < 0.90*12_500_000 {
		t.Errorf("%.0f bytes/s with ACKs every 30 ms", r.Rate())
	}
	if s := loadBBR(&p.Window); s.aggregation() < 100_000 {
		t.Errorf("aggregation %d, clusters are of 375,000", s.aggregation())
	}
}

// The phases are entered anywhere but in the one that drains.
func TestBBRFirstPhase(t *testing.T) {
	var seen [8]int
	for i := range 7000 {
		var s bbr
		s.enterProbeBW(mono.Time(i * 1000))
		seen[s.phase]++
	}
	for phase, n := range seen {
		if (phase == probeDown) != (n == 0) || phase != probeDown && n < 500 {
			t.Errorf("phase %d %d times of 7000: %v", phase, n, seen)
		}
	}
}
