package cc_test

import (
	"fmt"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// Delay is a controller of thirty lines, after TCP Vegas: it compares the RTT with the least it has seen, and keeps
// between two and four segments in the queue.
type Delay struct{ cc.NewReno } // Open, Loss and Timeout are Reno's

func (Delay) Name() string { return "delay" }

func (d Delay) Ack(w *cc.Window, now mono.Time, a *cc.Ack) {
	if a.Loss || !a.Limited || a.RTT == 0 || a.MinRTT == 0 {
		return
	}
	queued := uint64(w.Cwnd) * uint64(a.RTT-a.MinRTT) / uint64(a.RTT) // bytes
	switch segments := queued / uint64(w.MSS); {
	case w.Cwnd < w.Ssthresh && segments < 2:
		w.Cwnd += a.New // slow start, until the queue begins to grow
	case w.Cwnd < w.Ssthresh:
		w.Ssthresh = w.Cwnd
	case !a.Round: // then one step each round trip
	case segments < 2:
		w.Cwnd += w.MSS
	case segments > 4:
		w.Cwnd = max(w.Cwnd-w.MSS, 2*w.MSS)
	}
}

// A controller is tried out in virtual time: a minute on a path of 20 Mbit/s and 30 ms takes a fraction of a second.
func Example_student() {
	path := cc.Path{Rate: 2_500_000, RTT: 30 * mono.Millisecond, Queue: 150_000}
	for _, alg := range []cc.Algorithm{cc.NewReno{}, Delay{}} {
		r := path.Run(alg, 60*mono.Second)
		fmt.Printf("%-5s %.1f Mbit/s, mean queue %3.0f kB, %d losses\n",
			alg.Name(), r.Rate()*8/1e6, r.MeanQueue/1e3, r.Episodes)
	}
	// Output:
	// reno  20.0 Mbit/s, mean queue 101 kB, 11 losses
	// delay 20.0 Mbit/s, mean queue   5 kB, 0 losses
}
