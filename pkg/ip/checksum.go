package ip

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds the 16-bit big-endian words of b to initial, in one's complement with the carries kept (RFC 1071). Fold
// makes 16 bits of it; the complement of those is the checksum. Over data that includes a right checksum, the fold
// is 0xffff.
//
// Parts chain: the result of one is the initial of the next. A last odd byte counts as if a zero followed (RFC 1071
// 1), so a part of odd length ends a chain of Sum; what follows it is for SumOdd.
//
// The words are added eight bytes at a time and in little-endian order: RFC 1071 2 (B) shows that the bytes of the
// result are swapped by that and nothing else, so they are swapped back once, at the end.
func Sum(b []byte, initial uint32) uint32 {
	return add(initial, bits.ReverseBytes16(sumLittle(b)))
}

// SumOdd is Sum for a part that begins at an odd offset of the data: its bytes are the other halves of their words.
func SumOdd(b []byte, initial uint32) uint32 { return add(initial, sumLittle(b)) }

// add adds with an end-around carry, so that no number of parts overflows.
func add(sum uint32, word uint16) uint32 {
	s, carry := bits.Add32(sum, uint32(word), 0)
	return s + carry
}

// sumLittle is the folded sum of b in little-endian words. Each round of 64 bytes is a chain of carries of its own,
// so that the processor works at several rounds at once; what they carry out is counted and added at the end.
func sumLittle(b []byte) uint16 {
	var s, c, carries uint64
	for len(b) >= 64 {
		w := (*[64]byte)(b)
		t := binary.LittleEndian.Uint64(w[0:])
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[8:]), 0)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[16:]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[24:]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[32:]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[40:]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[48:]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[56:]), c)
		carries += c
		s, c = bits.Add64(s, t, 0)
		carries += c
		b = b[64:]
	}
	if len(b) >= 32 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[0:]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:]), c)
		carries += c
		b = b[32:]
	}
	if len(b) >= 16 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[0:]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), c)
		carries += c
		b = b[16:]
	}
	if len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		carries += c
		b = b[8:]
	}
	s, c = bits.Add64(s, tail(b), 0)
	return fold64(s, carries+c)
}

// tail returns the up to seven bytes of b as a little-endian number.
func tail(b []byte) (v uint64) {
	shift := 0
	if len(b) >= 4 {
		v, b, shift = uint64(binary.LittleEndian.Uint32(b)), b[4:], 32
	}
	if len(b) >= 2 {
		v, b, shift = v|uint64(binary.LittleEndian.Uint16(b))<<shift, b[2:], shift+16
	}
	if len(b) == 1 {
		v |= uint64(b[0]) << shift
	}
	return v
}

// fold64 folds s, and the carries out of it, into 16 bits. The second folding may yield 1<<32, of all ones and a carry.
func fold64(s, carries uint64) uint16 {
	s = s>>32 + s&0xffffffff + carries
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return Fold(uint32(s))
}

// Fold folds a sum into 16 bits. It is not complemented.
func Fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// PseudoSum is the sum, to be chained, of the pseudo-header of a transport segment of length bytes (RFC 9293 3.1;
// for other than IPv4 addresses RFC 8200 8.1).
func PseudoSum(src, dst Addr, proto uint8, length int) uint32 {
	n := uint32(length)
	sum := uint32(proto) + n>>16 + n&0xffff
	if src.Is4() && dst.Is4() {
		s, d := binary.BigEndian.Uint32(src[12:]), binary.BigEndian.Uint32(dst[12:])
		return sum + s>>16 + s&0xffff + d>>16 + d&0xffff
	}
	return Sum(dst[:], Sum(src[:], sum))
}
