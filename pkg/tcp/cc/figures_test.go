package cc

import (
	"math"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// averageWindow is the mean window in segments where one segment of every 1/p is lost: what is sent in a round trip.
func averageWindow(rtt mono.Duration, p float64) float64 {
	d := newDrive(Cubic{}, rtt, 10)
	d.w.Ssthresh = d.w.Cwnd
	sum, rounds := 0., 0.
	for episode := range 60 {
		for sent := 0.; sent < 1/p; {
			now := d.segments()
			d.round()
			sent += now
			if episode >= 30 {
				sum, rounds = sum+now, rounds+1
			}
		}
		d.lose()
	}
	return sum / rounds
}

// RFC 9438 section 5.1, figures 5 and 6, with C = 0.4 and beta = 0.7:
//
//	AVG_W_cubic = (C*(3+beta) / (4*(1-beta)))^(1/4) * RTT^(3/4) / p^(3/4)
//	            = 1.054 * RTT^(3/4) / p^(3/4)
//
// unless Reno has more, which is sqrt(3/2) / sqrt(p) (section 4.3, alpha = 9/17):
//
//	p          RTT 0.1 s     RTT 0.01 s
//	10^-3             39             39
//	10^-4            187            122
//	10^-5           1054            387
//	10^-6           5927           1225
func TestCubicAverageWindow(t *testing.T) {
	for _, rtt := range []mono.Duration{100 * ms, 10 * ms} {
		for _, p := range []float64{1e-3, 1e-4, 1e-5, 1e-6} {
			cubic := 1.054 * math.Pow(rtt.Seconds()/p, 0.75)
			want := max(cubic, math.Sqrt(1.5/p))
			if got := averageWindow(rtt, p); math.Abs(got-want) > 0.1*want {
				t.Errorf("RTT %v, p %g: %.0f segments, not %.0f", rtt, p, got, want)
			}
		}
	}
}
