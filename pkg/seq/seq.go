// Package seq is the arithmetic of TCP sequence numbers, modulo 2^32 (RFC 9293 section 3.4).
package seq

// Num is a sequence number. Two numbers compare only while they lie less than 2^31 apart.
type Num uint32

// Add returns the number n octets after a.
func (a Num) Add(n uint32) Num { return a + Num(n) }

// Sub returns the octets from b forward to a; a must not lie before b.
func (a Num) Sub(b Num) uint32 { return uint32(a - b) }

// Less reports whether a lies before b.
func (a Num) Less(b Num) bool { return int32(a-b) < 0 }

// LessEq reports whether a lies before b, or is b.
func (a Num) LessEq(b Num) bool { return int32(a-b) <= 0 }

// In reports whether a lies in [from, from+n).
func (a Num) In(from Num, n uint32) bool { return uint32(a-from) < n }

// Max returns the later of a and b.
func Max(a, b Num) Num {
	if a.Less(b) {
		return b
	}
	return a
}

// Min returns the earlier of a and b.
func Min(a, b Num) Num {
	if a.Less(b) {
		return a
	}
	return b
}
