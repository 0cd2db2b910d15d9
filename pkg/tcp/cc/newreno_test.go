package cc

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// The sawtooth: cwnd climbs by one MSS a round trip up to what the path holds, and falls to half.
//
//	cwnd    /|   /|   /|
//	      /  | /  | /  |
//	         |/   |/   |/
func TestRenoSawtooth(t *testing.T) {
	t.Parallel()
	type tooth struct {
		at   mono.Duration
		cwnd uint32
	}
	var teeth []tooth
	p := Path{Rate: 1_250_000, RTT: 40 * ms, Queue: 50_000}
	p.OnLoss = func(d mono.Duration, w *Window, _ bool) { teeth = append(teeth, tooth{d, w.Cwnd}) }
	r := p.Run(NewReno{}, 60*mono.Second)
	if len(teeth) < 5 || r.Timeouts > 0 {
		t.Fatalf("%d losses, %d time-outs", len(teeth), r.Timeouts)
	}
	for i := 2; i < len(teeth); i++ { // the first is of slow start, the second follows it
		peak := float64(teeth[i].cwnd)
		near(t, "the peak", peak, 100_000, 8_000)
		// from half to the peak, a segment each RTT, of which the queue makes up to a half
		roundTrips := peak / 2 / 1448
		if climb := teeth[i].at - teeth[i-1].at; i > 2 && (float64(climb) < roundTrips*40e6 || float64(climb) > roundTrips*85e6) {
			t.Errorf("climbed for %v", climb)
		}
	}
	if r.Rate() < 0.95*1_250_000 {
		t.Errorf("%.0f bytes/s", r.Rate())
	}
}

// RFC 5681: slow start by what is acknowledged, congestion avoidance by one MSS a window, half at a loss, one MSS at a
// time-out; and nothing while cwnd is not what limits (RFC 7661), or in recovery.
//
// Proves: RFC 9293 MUST-19
func TestRenoRules(t *testing.T) {
	w, now := openReno()
	if w.Cwnd != 10*testMSS {
		t.Errorf("initial window %d", w.Cwnd)
	}
	ack := Ack{New: 2 * testMSS, Limited: true}
	NewReno{}.Ack(w, *now, &ack)
	if w.Cwnd != 12*testMSS {
		t.Errorf("slow start: %d", w.Cwnd)
	}
	for _, idle := range []Ack{{New: testMSS}, {New: testMSS, Limited: true, Loss: true}, {Bytes: testMSS, Limited: true}} {
		NewReno{}.Ack(w, *now, &idle)
	}
	if w.Cwnd != 12*testMSS {
		t.Errorf("grew without cause: %d", w.Cwnd)
	}
	NewReno{}.Loss(w, *now, Episode{Flight: 12 * testMSS})
	w.Cwnd = w.Ssthresh
	for range 3 {
		NewReno{}.Ack(w, *now, &ack)
	}
	for range 20 {
		NewReno{}.Ack(w, *now, &Ack{New: testMSS})
		NewReno{}.Ack(w, *now, &Ack{New: testMSS, Limited: true, Loss: true})
	}
	if w.Ssthresh != 6*testMSS || w.Cwnd != 7*testMSS {
		t.Errorf("a window after the loss: ssthresh %d, cwnd %d", w.Ssthresh, w.Cwnd)
	}
	NewReno{}.Timeout(w, *now, 3*testMSS)
	if w.Ssthresh != 2*testMSS || w.Cwnd != testMSS {
		t.Errorf("time-out: ssthresh %d, cwnd %d", w.Ssthresh, w.Cwnd)
	}
}
