package ip

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// naive is RFC 1071's definition, word by word.
func naive(b []byte, initial uint32) uint16 {
	sum := uint64(initial)
	for i, c := range b {
		if i%2 == 0 {
			sum += uint64(c) << 8
		} else {
			sum += uint64(c)
		}
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// RFC 1071 3: "the sequence of bytes 00 01 f2 03 f4 f5 f6 f7" sums to ddf2.
func TestSumExampleOfRFC1071(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Fold(Sum(b, 0)); got != 0xddf2 {
		t.Errorf("got %#04x", got)
	}
}

func TestSumEveryLengthAndAlignment(t *testing.T) {
	for _, b := range [][]byte{pattern(400, 1), ones(400), make([]byte, 400)} {
		for from := range 16 {
			for n := range 300 {
				for _, initial := range []uint32{0, 1, 0xffff, 0x10000, 0xfffffffe, 0xffffffff} {
					part := b[from : from+n]
					if got, want := Fold(Sum(part, initial)), naive(part, initial); got != want {
						t.Fatalf("from %d, %d bytes, initial %#x: %#04x, want %#04x", from, n, initial, got, want)
					}
				}
			}
		}
	}
}

func ones(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

func TestSumLong(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := pattern(r.IntN(maxDatagram+1), seed)
		if seed%2 == 0 {
			b = ones(len(b)) // carries everywhere
		}
		if got, want := Fold(Sum(b, uint32(seed))), naive(b, uint32(seed)); got != want {
			t.Fatalf("seed %d, %d bytes: %#04x, want %#04x", seed, len(b), got, want)
		}
	}
}

// A sum of parts is the sum of the whole, SumOdd taking over where a part ended odd.
func TestSumChains(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := pattern(r.IntN(600), seed)
		sum, at := uint32(0), 0
		for at < len(b) {
			n := 1 + r.IntN(len(b)-at)
			if at%2 == 0 {
				sum = Sum(b[at:at+n], sum)
			} else {
				sum = SumOdd(b[at:at+n], sum)
			}
			at += n
		}
		if got, want := Fold(sum), naive(b, 0); got != want {
			t.Fatalf("seed %d: %#04x, want %#04x", seed, got, want)
		}
	}
}

// RFC 9293 3.1: the pseudo-header is source, destination, zero, protocol and length.
func TestPseudoSum(t *testing.T) {
	for _, n := range []int{0, 20, 255, 256, 65515} {
		pseudo := []byte{10, 7, 0, 1, 10, 7, 0, 2, 0, ProtoTCP, byte(n >> 8), byte(n)}
		if got, want := Fold(PseudoSum(hostA, hostB, ProtoTCP, n)), naive(pseudo, 0); got != want {
			t.Errorf("%d bytes: %#04x, want %#04x", n, got, want)
		}
	}
	high := V4([4]byte{255, 255, 255, 255})
	if got := Fold(PseudoSum(high, high, 255, 65535)); got != naive([]byte{0, 255}, 0) {
		t.Errorf("all ones: %#04x", got)
	}
}

// RFC 8200 8.1: the addresses, the length in 32 bits, and the next header in 32 bits.
func TestPseudoSumIPv6(t *testing.T) {
	src, dst := Addr(pattern(16, 1)), Addr(pattern(16, 2))
	pseudo := append(append(append([]byte(nil), src[:]...), dst[:]...), 0, 1, 0x23, 0x45, 0, 0, 0, ProtoTCP)
	if got, want := Fold(PseudoSum(src, dst, ProtoTCP, 0x12345)), naive(pseudo, 0); got != want {
		t.Errorf("%#04x, want %#04x", got, want)
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 1460, 65535} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data, sum := pattern(n, 1), uint32(0)
			b.SetBytes(int64(n))
			for b.Loop() {
				sum = Sum(data, sum)
			}
		})
	}
}

// All ones in 64 bits and a carry out of them fold to 1<<32 on the way, which is one and not nothing: text that sums so would
// be sent again and again with a wrong checksum.
func TestSumOfAllOnesAndACarry(t *testing.T) {
	b := append([]byte{0x01}, ones(16)...)
	if got, want := Fold(Sum(b, 0)), naive(b, 0); got != want {
		t.Errorf("%#04x, want %#04x", got, want)
	}
}
