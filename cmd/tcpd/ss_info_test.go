package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// TestPlainNumbers: no number is with an exponent, which neither ss has nor what reads its output knows.
func TestPlainNumbers(t *testing.T) {
	for n, want := range map[uint64]string{124_990: "1000Kbps", 1 << 40: "8800Gbps"} {
		if got := ssRate(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{12: "12 B", 999.6: "1000 B", 14480: "14.5 kB", 2e12: "2000 GB"} {
		if got := size(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
	slow := ssInfo(&control.Details{
		RTO: 1634 * time.Millisecond, RTT: 1_204_567_800, RTTVar: 12_345, MinRTT: 200 * time.Nanosecond, PacingRate: 124_990, Congestion: "cubic",
	})
	for _, part := range []string{" rto:1634 ", " rtt:1204.568/0.012 ", " minrtt:0", " pacing_rate 1000Kbps "} {
		if !strings.Contains(slow, part) {
			t.Errorf("%q is not in %q", part, slow)
		}
	}
}
