package tcptest

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// With and without superframes and checksums by the device, at either end, the same bytes arrive, on paths that lose
// and reorder. The users compare every byte, the paths every checksum.
//
// Proves: RFC 9293 MUST-2
func TestOffloads(t *testing.T) {
	for i := range 16 {
		a := HostOptions{Superframe: i&1 != 0, Checksum: i&2 != 0}
		b := HostOptions{Superframe: i&4 != 0, Checksum: i&8 != 0}
		t.Run(fmt.Sprintf("TSO %v, %v, checksum %v, %v", a.Superframe, b.Superframe, a.Checksum, b.Checksum), func(t *testing.T) {
			p := newPair(t, a, b)
			frames := map[*Host]int{}
			for _, path := range []*Path{p.ab, p.ba} {
				path.Loss, path.Jitter, path.Delay = 10, ms, ms/2
				tap(path, func(f *Frame) {
					if f.GSO != 0 {
						frames[f.Src]++
					}
				})
			}
			p.ab.Whole = true
			p.dial()
			p.c.Write(1_000_001)
			p.s.Write(777_777)
			p.Run(100 * second)
			p.read(777_777, 1_000_001)
			if (frames[p.a] > 0) != a.Superframe || frames[p.b] > 0 && !b.Superframe {
				t.Errorf("%d and %d superframes", frames[p.a], frames[p.b])
			}
			if n := p.a.Stack.Counters(0).TCP[tcp.DropChecksum] + p.b.Stack.Counters(0).TCP[tcp.DropChecksum]; n != 0 {
				t.Errorf("%d wrong checksums", n)
			}
			p.end()
		})
	}
}

// Without offload the host itself tells a wrong checksum, whatever the device says nothing of.
//
// Proves: RFC 9293 MUST-3
func TestWrongChecksum(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, allOptions)
		g := p.piece(0, 100)
		p.fill(&g)
		b := p.packet(&g)
		b[len(b)-1] ^= 1
		p.arrive(b)
		p.silent()
		if n := p.drops(tcp.DropChecksum); n != 1 || p.user.Read != 0 {
			t.Errorf("%d dropped, read %d", n, p.user.Read)
		}
	})
}
