package mono

import "math/bits"

// Histogram counts lengths of time by powers of two: those below 2^i us and not below half of that at i, all longer ones at
// the last.
type Histogram [24]uint64

// Add counts one length of time.
func (h *Histogram) Add(d Duration) {
	i := bits.Len64(uint64(max(d, 0) / Microsecond))
	h[min(i, len(h)-1)]++
}
