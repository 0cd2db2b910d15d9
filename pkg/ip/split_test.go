package ip

import (
	"bytes"
	"testing"
)

func TestSplitReassembles(t *testing.T) {
	for _, n := range []int{0, 1, 548, 549, 1480, 1481, 9000, 65515} {
		text := pattern(n, uint64(n))
		b := make([]byte, HeaderLen+n)
		h := Header{Src: V4([4]byte{10, 7, 0, 2}), Dst: V4([4]byte{10, 7, 0, 1}), Proto: ProtoICMP, TTL: 64, Len: len(b), DF: true}
		h.Put(b)
		copy(b[HeaderLen:], text)
		r := NewReassembler(1<<20, 30*second)
		var got []byte
		Split(b, 576, 77, func(f []byte) {
			if len(f) > 576 {
				t.Fatalf("a fragment of %d bytes for an MTU of 576", len(f))
			}
			var p Packet
			if d := p.Parse(f); d != DropNone {
				t.Fatalf("fragment: %v", d)
			}
			if !p.Fragment() {
				got = bytes.Clone(p.Payload)
			} else if whole, _ := r.Add(1, &p); whole != nil {
				got = bytes.Clone(whole[HeaderLen:])
			}
		})
		if !bytes.Equal(got, text) {
			t.Errorf("%d bytes came back as %d, or other ones", n, len(got))
		}
	}
}
