package lib

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// TestBlackHole: a router on the way to the kernel drops what is larger than its next hop takes and tells nobody (RFC
// 4821). The largest size that passes is found, whether it is looked for from the start or only when nothing gets through.
func TestBlackHole(t *testing.T) {
	need(t)
	const narrow, near, text = 1400, 8, 8 << 20
	for _, probing := range []struct {
		name string
		mode tcp.MTUProbing
	}{{"from the start", tcp.MTUProbingOn}, {"in need", tcp.MTUProbingBlackHole}} {
		for _, single := range []bool{false, true} {
			for _, o := range openings {
				t.Run(fmt.Sprintf("%s, single segments %v, %s", probing.name, single, o.name), func(t *testing.T) {
					s := newSpace(t)
					var lost, wide atomic.Uint64
					r := road{out: func(p *link.Packet) bool {
						size := p.Len()
						if p.GSOSize != 0 {
							size = headers(p) + int(p.GSOSize)
							wide.Add(1)
						}
						if size > narrow {
							lost.Add(1)
						}
						return size <= narrow
					}}
					h := startHost(t, s, plan{wrap: r.wrap(single)})
					ours, theirs := h.pair(t, s, kernelIP, o.weDial, settings(func(s *tcp.Settings) {
						s.MTUProbing, s.RTOMin = probing.mode, 50*time.Millisecond
					}))
					if err := carry(ours, theirs, random(1, text)); err != nil {
						t.Fatal(err)
					}
					i := info(t, ours)
					t.Logf("PathMTU %d, %d packets lost, %d superframes, %d time-outs", i.PathMTU, lost.Load(), wide.Load(), i.TimeOuts)
					if i.PathMTU > narrow || i.PathMTU < narrow-near {
						t.Errorf("PathMTU is %d, want %d or a little less", i.PathMTU, narrow)
					}
					if lost.Load() == 0 || single != (wide.Load() == 0) {
						t.Errorf("%d packets lost, %d superframes", lost.Load(), wide.Load())
					}
				})
			}
		}
	}
}
