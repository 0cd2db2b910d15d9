package link

import (
	"encoding/binary"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
)

// FuzzChecksum: whatever a packet's description says, its checksum is finished as in RFC 1071, over all parts, or left
// alone; nothing else of the packet changes.
func FuzzChecksum(f *testing.F) {
	head := make([]byte, 40)
	head[0], head[9], head[32] = 0x45, 6, 0x50
	f.Add(head, []byte("odd"), []byte("text"), uint16(20))
	head = make([]byte, 28)
	head[0], head[9] = 0x45, 17
	f.Add(head, []byte{}, []byte{0xff}, uint16(20))
	f.Add([]byte{0x45}, []byte{}, []byte{}, uint16(65535))
	f.Fuzz(func(t *testing.T, head, a, b []byte, start uint16) {
		p := Packet{Head: head, Body: [2][]byte{a, b}, NeedsChecksum: true, ChecksumStart: start}
		before := p.AppendTo(nil)
		ok := p.FinishChecksum()
		after := p.AppendTo(nil)
		at, reaches := p.ChecksumOffset()
		if ok != reaches || ok == p.NeedsChecksum {
			t.Fatalf("finished %v, reaches %v, still needed %v", ok, reaches, p.NeedsChecksum)
		}
		for i := range after {
			if after[i] != before[i] && (!ok || i != at && i != at+1) {
				t.Fatalf("byte %d has changed", i)
			}
		}
		if !ok {
			return
		}
		sum := uint32(0)
		for i := int(start); i < len(before); i++ {
			sum += uint32(before[i]) << (8 * (1 - (i-int(start))&1))
		}
		want := ^ip.Fold(sum)
		if want == 0 && head[9] == udp {
			want = 0xffff
		}
		if got := binary.BigEndian.Uint16(after[at:]); got != want {
			t.Fatalf("%#04x, not %#04x", got, want)
		}
	})
}
