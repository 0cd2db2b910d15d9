package tcptest

import (
	"encoding/binary"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// pattern is what a user writes: pseudorandom bytes that follow from the flow and the place in the stream.
type pattern struct {
	key uint64
	at  uint64
}

func newPattern(f stack.Flow, at uint64) pattern {
	key := uint64(binary.BigEndian.Uint32(f.Local[12:]))<<32 ^ uint64(binary.BigEndian.Uint32(f.Remote[12:])) ^
		uint64(f.LocalPort)<<48 ^ uint64(f.RemotePort)<<16
	return pattern{key * 0x9e3779b97f4a7c15, at}
}

// word is the eight bytes from 8*i on.
func (p *pattern) word(i uint64) uint64 {
	z := p.key + i*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// fill writes the next bytes into b.
func (p *pattern) fill(b []byte) {
	for len(b) > 0 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], p.word(p.at/8))
		n := copy(b, w[p.at%8:])
		b = b[n:]
		p.at += uint64(n)
	}
}

// compare returns the index of the first byte of b that is not the next, or -1.
func (p *pattern) compare(b []byte) int {
	for k := 0; k < len(b); {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], p.word(p.at/8))
		if p.at%8 == 0 && len(b)-k >= 8 && [8]byte(b[k:]) == w {
			k, p.at = k+8, p.at+8
			continue
		}
		if b[k] != w[p.at%8] {
			return k
		}
		k, p.at = k+1, p.at+1
	}
	return -1
}
