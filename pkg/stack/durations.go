package stack

import (
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Durations counts lengths of time by powers of two: those below 2^i us and not below half of that at i, all longer ones at
// the last.
type Durations [24]uint64

func (d *Durations) add(t mono.Duration) {
	i := bits.Len64(uint64(max(t, 0) / mono.Microsecond))
	d[min(i, len(d)-1)]++
}
