package cc

import (
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

const (
	// maxWindow is the largest cwnd in bytes: sequence numbers must tell its two ends apart.
	maxWindow = 1 << 30
	// unknown is the Ssthresh of a connection that has met no congestion (RFC 5681 section 3.1: arbitrarily high).
	unknown = 1<<31 - 1
)

// pair and halves keep two 32-bit numbers in one word of Priv.
func pair(hi, lo uint32) uint64          { return uint64(hi)<<32 | uint64(lo) }
func halves(word uint64) (hi, lo uint32) { return uint32(word >> 32), uint32(word) }

// mulDiv is a*b/c, or the largest number where that does not fit. c is not 0.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return 1<<64 - 1
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// micros is d in microseconds; time that went backwards is none.
func micros(d mono.Duration) uint64 { return uint64(max(d, 0) / mono.Microsecond) }
