package tcp

import (
	"encoding/binary"
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Flow names a connection: our end and the peer's.
type Flow struct {
	Local, Remote         ip.Addr
	LocalPort, RemotePort uint16
}

// Secret is a key that nobody outside may learn.
type Secret [2]uint64

// Hash is SipHash-2-4 of the flow under the key: a function that an outsider can neither compute nor, by choosing
// flows, make collide (MUST-9).
func (k *Secret) Hash(f *Flow) uint64 { return k.mac(f) }

// mac is SipHash-2-4 of the flow, with its IPv4 addresses in 4 bytes each, and further words.
func (k *Secret) mac(f *Flow, more ...uint64) uint64 {
	h := sip{k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573}
	h = h.word(uint64(binary.LittleEndian.Uint32(f.Local[12:])) | uint64(binary.LittleEndian.Uint32(f.Remote[12:]))<<32)
	for _, w := range more {
		h = h.word(w)
	}
	h = h.word(uint64(f.LocalPort) | uint64(f.RemotePort)<<16 | uint64(12+8*len(more))<<56)
	h.v2 ^= 0xff
	h = h.round().round().round().round()
	return h.v0 ^ h.v1 ^ h.v2 ^ h.v3
}

// sip is SipHash's state, in values, which the compiler keeps in registers.
type sip struct{ v0, v1, v2, v3 uint64 }

func (h sip) word(m uint64) sip {
	h.v3 ^= m
	h = h.round().round()
	h.v0 ^= m
	return h
}

func (h sip) round() sip {
	h.v0 += h.v1
	h.v1 = bits.RotateLeft64(h.v1, 13) ^ h.v0
	h.v0 = bits.RotateLeft64(h.v0, 32)
	h.v2 += h.v3
	h.v3 = bits.RotateLeft64(h.v3, 16) ^ h.v2
	h.v0 += h.v3
	h.v3 = bits.RotateLeft64(h.v3, 21) ^ h.v0
	h.v2 += h.v1
	h.v1 = bits.RotateLeft64(h.v1, 17) ^ h.v2
	h.v2 = bits.RotateLeft64(h.v2, 32)
	return h
}

// ISN is the initial sequence number of RFC 6528: a clock of 4 us (MUST-8), and a keyed function of the flow so that
// the numbers of one flow tell nothing of another's. The upper half of the function starts the timestamp clock
// (RFC 7323 section 5.4).
func (k *Secret) ISN(f *Flow, now mono.Time) (iss seq.Num, tsOffset uint32) {
	h := k.Hash(f)
	return seq.Num(uint32(h) + uint32(uint64(now)/uint64(4*mono.Microsecond))), uint32(h >> 32)
}
