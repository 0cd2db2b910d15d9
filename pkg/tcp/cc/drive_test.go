package cc

import (
	"math"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

const (
	testMSS = 1000
	second  = mono.Time(mono.Second)
	ms      = mono.Millisecond
)

// drive feeds an algorithm whole windows, acknowledged evenly over each round trip.
type drive struct {
	alg Algorithm
	w   Window
	now mono.Time
	rtt mono.Duration
	ack Ack
}

func newDrive(alg Algorithm, rtt mono.Duration, segments uint32) *drive {
	d := &drive{alg: alg, w: Window{MSS: testMSS}, now: 100 * second, rtt: rtt, ack: Ack{Limited: true, Flight: testMSS}}
	alg.Open(&d.w, d.now)
	d.w.Cwnd = segments * testMSS
	return d
}

// lose is an episode, with all of cwnd in flight, and its recovery of one round trip.
func (d *drive) lose() {
	d.alg.Loss(&d.w, d.now, Episode{Flight: d.w.Cwnd})
	d.now = d.now.Add(d.rtt)
	d.w.Cwnd = d.w.Ssthresh
}

func (d *drive) round() {
	const parts = 10
	window := d.w.Cwnd
	for i := range uint32(parts) {
		d.now = d.now.Add(d.rtt / parts)
		a := d.ack
		a.New, a.RTT, a.SRTT, a.MinRTT, a.Round = window/parts, d.rtt, d.rtt, d.rtt, i == 0
		a.Bytes = a.New
		d.alg.Ack(&d.w, d.now, &a)
	}
}

func (d *drive) until(t mono.Time) {
	for d.now < t {
		d.round()
	}
}

// segments is cwnd in segments.
func (d *drive) segments() float64 { return float64(d.w.Cwnd) / testMSS }

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s is %.3f, want %.3f (+-%.3f)", what, got, want, tolerance)
	}
}

func openReno() (*Window, *mono.Time) {
	w, now := &Window{MSS: testMSS}, 100*second
	NewReno{}.Open(w, now)
	return w, &now
}
