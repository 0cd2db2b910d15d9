package stack

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		t  mono.Duration
		at int
	}{
		{-mono.Second, 0}, {0, 0}, {mono.Microsecond - 1, 0}, {mono.Microsecond, 1}, {2 * mono.Microsecond, 2}, {3 * mono.Microsecond, 2},
		{4 * mono.Microsecond, 3}, {mono.Millisecond, 10}, {3600 * mono.Second, 23},
	} {
		var d Durations
		d.add(c.t)
		if d[c.at] != 1 {
			t.Errorf("%v is counted in %v, not at %d", c.t, d, c.at)
		}
	}
}
