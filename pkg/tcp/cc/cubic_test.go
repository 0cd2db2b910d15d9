package cc

import (
	"math"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 9438 section 4.2, figures 1 and 2:
//
//	W_cubic(t) = C * (t - K)^3 + W_max
//	K = cbrt((W_max - cwnd_epoch) / C)
func wCubic(t, wMax, cwndEpoch float64) float64 {
	k := math.Cbrt((wMax - cwndEpoch) / 0.4)
	return 0.4*math.Pow(t-k, 3) + wMax
}

// Proves: RFC 9293 MAY-18
func TestCubicFollowsItsCurve(t *testing.T) {
	d := newDrive(Cubic{}, 100*ms, 1000)
	d.lose()
	start := d.now
	near(t, "cwnd after the loss", d.segments(), 700, 0.01)
	for _, at := range []float64{0.5, 1, 2, 5, 9, 9.5, 11, 15, 18} { // K is 9.09 s
		d.until(start.Add(mono.Duration(at * 1e9)))
		elapsed := d.now.Sub(start)
		near(t, "cwnd", d.segments(), wCubic(float64(elapsed)/1e9, 1000, 700), 8)
	}
	if d.segments() < 1280 {
		t.Errorf("the convex region ends at %.0f", d.segments())
	}
}

func TestCubicArithmetic(t *testing.T) {
	for _, mss := range []uint32{36, 536, 1448, 8948, 65495} {
		for _, segments := range []uint32{2, 10, 100, 5000} {
			wMax, start := segments*mss, segments*mss/10*7
			s := cubic{curve: curve{wMax: wMax, k: timeToGrow(wMax-start, mss)}}
			k := math.Cbrt(float64(wMax-start) / float64(mss) / 0.4)
			near(t, "K", float64(s.k)/1e6, k, 1e-5)
			for _, at := range []float64{0, 0.001, 0.1, k / 2, k, 2 * k, 300} {
				got, want := float64(s.at(uint64(at*1e6), mss)), wCubic(at, float64(wMax)/float64(mss), float64(start)/float64(mss))*float64(mss)
				if want = min(want, maxWindow); math.Abs(got-want) > 2+want*1e-5 {
					t.Errorf("MSS %d: W_cubic(%g) is %.0f, want %.0f", mss, at, got, want)
				}
			}
		}
	}
}

// Section 4.2: target is at most 1.5*cwnd, so a round trip that is long against the curve does not leap.
func TestCubicTargetIsBounded(t *testing.T) {
	d := newDrive(Cubic{}, 60*mono.Second, 10)
	d.lose()
	for range 5 {
		before := d.w.Cwnd
		d.round()
		if d.w.Cwnd > before+before*3/4 { // 1.5 each whole window, counted against a window that grows
			t.Fatalf("cwnd went from %d to %d in a round trip", before, d.w.Cwnd)
		}
	}
}

// Section 4.3, figure 4: W_est = W_est + alpha * segments_acked/cwnd, alpha 9/17, then 1 from cwnd_prior on.
func TestCubicIsAsFastAsReno(t *testing.T) {
	d := newDrive(Cubic{}, ms, 100)
	d.lose()
	for range 34 {
		d.round()
	}
	near(t, "cwnd after 34 rounds", d.segments(), 70+34*9./17, 1.1)
	for d.w.Cwnd < 100*testMSS {
		d.round()
	}
	from := d.segments()
	for range 40 {
		d.round()
	}
	near(t, "growth in 40 rounds above cwnd_prior", d.segments()-from, 40, 1.6)
}

// Section 4.6: ssthresh = flight_size * beta, at least 2; cwnd serves as flight_size where it is in use.
func TestCubicReduces(t *testing.T) {
	for _, c := range []struct{ cwnd, flight, ssthresh uint32 }{
		{100, 100, 70}, {100, 60, 70}, {100, 40, 28}, {2, 2, 2}, {1, 1, 2}, {3, 3, 2}, {10, 0, 2},
	} {
		d := newDrive(Cubic{}, 100*ms, c.cwnd)
		d.alg.Loss(&d.w, d.now, Episode{Flight: c.flight * testMSS})
		if got := float64(d.w.Ssthresh) / testMSS; math.Abs(got-float64(c.ssthresh)) > 0.11 {
			t.Errorf("cwnd %d, flight %d: ssthresh %g, want %d", c.cwnd, c.flight, got, c.ssthresh)
		}
		if d.w.Cwnd != c.cwnd*testMSS {
			t.Errorf("Loss set cwnd, which is PRR's")
		}
	}
}

// Section 4.7: W_max = cwnd * (1+beta)/2 if cwnd < W_max, otherwise cwnd.
func TestCubicFastConvergence(t *testing.T) {
	d := newDrive(Cubic{}, 100*ms, 100)
	d.lose()
	d.round()
	if s := loadCubic(&d.w); s.wMax != 100*testMSS {
		t.Errorf("W_max is %d after the first loss", s.wMax)
	}
	d.w.Cwnd = 80 * testMSS
	d.lose()
	if s := loadCubic(&d.w); s.wMax != 68*testMSS {
		t.Errorf("W_max is %d, want 68 segments", s.wMax)
	}
	d.w.Cwnd = 90 * testMSS
	d.lose()
	if s := loadCubic(&d.w); s.wMax != 90*testMSS {
		t.Errorf("W_max is %d, want 90 segments", s.wMax)
	}
}

// Section 4.2: t must not include periods in which cwnd was not used.
func TestCubicTimeStandsStillWhileIdle(t *testing.T) {
	rest := map[string]func(*drive){
		"application writes little": func(d *drive) {
			d.ack.Limited = false
			d.until(d.now.Add(30 * mono.Second))
			d.ack.Limited = true
		},
		"application writes nothing": func(d *drive) {
			a := d.ack
			a.Flight, a.New, a.RTT, a.SRTT = 0, testMSS, d.rtt, d.rtt
			d.alg.Ack(&d.w, d.now, &a)
			d.now = d.now.Add(30 * mono.Second)
		},
	}
	for name, pause := range rest {
		through, paused := newDrive(Cubic{}, 100*ms, 1000), newDrive(Cubic{}, 100*ms, 1000)
		for _, d := range []*drive{through, paused} {
			d.lose()
			d.until(d.now.Add(3 * mono.Second))
		}
		before := paused.w.Cwnd
		pause(paused)
		if paused.w.Cwnd > before+testMSS*5 {
			t.Errorf("%s: cwnd grew by %d meanwhile", name, paused.w.Cwnd-before)
		}
		for _, d := range []*drive{through, paused} {
			d.until(d.now.Add(3 * mono.Second))
		}
		near(t, name+": cwnd", paused.segments(), through.segments(), 6)
	}
}

// Section 4.8: after a time-out slow start up to beta of the window, then the curve from its flat middle: K = 0.
func TestCubicTimeout(t *testing.T) {
	d := newDrive(Cubic{}, 100*ms, 300)
	d.lose() // its W_max is forgotten
	d.w.Cwnd = 200 * testMSS
	d.alg.Timeout(&d.w, d.now, 200*testMSS)
	if d.w.Cwnd != testMSS || d.w.Ssthresh != 140*testMSS {
		t.Fatalf("cwnd %d, ssthresh %d", d.w.Cwnd, d.w.Ssthresh)
	}
	for d.w.Cwnd < d.w.Ssthresh {
		d.round()
	}
	d.round()
	s := loadCubic(&d.w)
	if s.k != 0 || s.wMax < 140*testMSS || s.wMax > 146*testMSS || s.prior != 200*testMSS {
		t.Errorf("K %d, W_max %d, cwnd_prior %d", s.k, s.wMax, s.prior)
	}
}

// Section 4.9.2: the connection restores cwnd and ssthresh, the algorithm the rest.
func TestCubicUndo(t *testing.T) {
	d := newDrive(Cubic{}, 100*ms, 1000)
	d.lose()
	d.until(d.now.Add(3 * mono.Second))
	cwnd, ssthresh, was := d.w.Cwnd, d.w.Ssthresh, loadCubic(&d.w).curve
	for name, cut := range map[string]func(){
		"fast retransmit": d.lose,
		"time-out":        func() { d.alg.Timeout(&d.w, d.now, d.w.Cwnd) },
	} {
		cut()
		d.w.Cwnd, d.w.Ssthresh = cwnd, ssthresh
		a := Ack{New: testMSS, RTT: d.rtt, SRTT: d.rtt, Flight: cwnd}
		d.alg.Ack(&d.w, d.now, &a)
		got := loadCubic(&d.w).curve
		got.epoch = was.epoch // it moves by what the ACK above did not use
		if got != was {
			t.Errorf("%s: the curve is %+v, was %+v", name, got, was)
		}
		if d.w.Cwnd != cwnd {
			t.Errorf("%s: cwnd %d, was %d", name, d.w.Cwnd, cwnd)
		}
	}
	d.lose()
	d.round()
	if loadCubic(&d.w).curve == was {
		t.Error("what was not undone came back")
	}
}

// Section 4.10: leaving HyStart++ without a loss, W_max is cwnd and K is 0.
func TestCubicAfterHyStart(t *testing.T) {
	d := newDrive(Cubic{}, 100*ms, 300)
	d.w.Ssthresh = d.w.Cwnd
	d.round()
	s := loadCubic(&d.w)
	if s.k != 0 || s.wMax != 300*testMSS || s.prior != 300*testMSS {
		t.Errorf("K %d, W_max %d, cwnd_prior %d", s.k, s.wMax, s.prior)
	}
}
