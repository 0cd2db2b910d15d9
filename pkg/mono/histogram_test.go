package mono

import "testing"

func TestHistogram(t *testing.T) {
	for _, c := range []struct {
		t  Duration
		at int
	}{
		{-Second, 0}, {0, 0}, {Microsecond - 1, 0}, {Microsecond, 1}, {2 * Microsecond, 2}, {3 * Microsecond, 2},
		{4 * Microsecond, 3}, {Millisecond, 10}, {3600 * Second, 23},
	} {
		var h Histogram
		h.Add(c.t)
		if h[c.at] != 1 {
			t.Errorf("%v is counted in %v, not at %d", c.t, h, c.at)
		}
	}
}
