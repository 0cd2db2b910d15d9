package ip

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// The two hosts of these tests.
var (
	hostA = V4([4]byte{10, 7, 0, 1})
	hostB = V4([4]byte{10, 7, 0, 2})
)

// pattern returns n bytes that differ from place to place, and from seed to seed.
func pattern(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// packet returns a whole packet from A to B.
func packet(proto uint8, payload []byte) []byte {
	b := make([]byte, HeaderLen+len(payload))
	h := Header{Src: hostA, Dst: hostB, Proto: proto, TTL: 64, ID: 7, Len: len(b)}
	h.Put(b)
	copy(b[HeaderLen:], payload)
	return b
}

// withOptions inserts options, padded to 32 bits, into the header of whole packet b.
func withOptions(b []byte, options ...byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, optionEnd)
	}
	n := append(append(append([]byte(nil), b[:HeaderLen]...), options...), b[HeaderLen:]...)
	n[0] = 4<<4 | byte(HeaderLen+len(options))/4
	binary.BigEndian.PutUint16(n[2:], uint16(len(n)))
	putHeaderChecksum(n[:HeaderLen+len(options)])
	return n
}

// mustParse parses what has to be right.
func mustParse(t testing.TB, b []byte) *Packet {
	t.Helper()
	var p Packet
	if d := p.Parse(b); d != DropNone {
		t.Fatalf("Parse(% x): %v", b[:min(len(b), maxHeader)], d)
	}
	return &p
}

// icmpMessage returns an ICMP message with its checksum; rest is what follows that.
func icmpMessage(typ, code uint8, rest ...byte) []byte {
	m := append([]byte{typ, code, 0, 0}, rest...)
	putICMPChecksum(m)
	return m
}

// fragment returns the fragment of datagram id, of protocol UDP, that carries text at offset bytes.
func fragment(id uint16, offset int, more bool, text []byte) *Packet {
	return fragmentOf(ProtoUDP, id, offset, more, text)
}

func fragmentOf(proto uint8, id uint16, offset int, more bool, text []byte) *Packet {
	b := packet(proto, text)
	flags := uint16(offset / 8)
	if more {
		flags |= flagMF
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], flags)
	putHeaderChecksum(b[:HeaderLen])
	var p Packet
	if d := p.Parse(b); d != DropNone {
		panic("fragment: " + d.String())
	}
	return &p
}

// split cuts a datagram's payload into fragments of at most size bytes, which is rounded down to a multiple of 8.
func split(proto uint8, id uint16, payload []byte, size int) []*Packet {
	var ps []*Packet
	size &^= 7
	for at := 0; at < len(payload); at += size {
		end := min(at+size, len(payload))
		ps = append(ps, fragmentOf(proto, id, at, end < len(payload), payload[at:end]))
	}
	return ps
}
