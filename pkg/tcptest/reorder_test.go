package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// Two segments of a hundred overtake all that are on their way, by half a round trip: each makes a hundred seem lost. The
// sender learns how late segments may be, takes back what it did for nothing, and uses the path all the same. BBR, which
// measures the path in its first moments, begins that again when what held it back has proved spurious.
func TestOvertaking(t *testing.T) {
	const rate = 25_000_000 // bytes a second
	for _, algorithm := range []cc.Algorithm{cc.Cubic{}, cc.BBR{}} {
		for seed := range uint64(5) {
			if testing.Short() && seed > 0 {
				break // 6 s with all
			}
			w := NewWorld(seed + 1)
			w.Blind = true
			s := tcp.Defaults()
			s.Congestion = algorithm
			a, b := w.Host("a", HostOptions{TCP: &s, Superframe: true, Checksum: true}), w.Host("b", HostOptions{})
			ab, _ := w.Join(a, b, Path{Rate: rate, Delay: 10 * ms, Queue: 600_000, MTU: 1500})
			ab.Filter = func(f *Frame) Verdict {
				if !f.TCP || len(f.Seg.Text) == 0 || w.Rand.IntN(100) >= 2 {
					return Pass
				}
				w.After(max(0, ab.free.Sub(w.now)), func() { f.Dst.receive(f) })
				return Lose // on the ordinary way
			}
			var reader *User
			b.Listen(80, 0).Accept = func(u *User) { reader = u }
			u := a.Dial(b, 80, 0)
			w.Run(second)
			u.Write(1 << 30)
			w.Run(3 * second)
			i := u.Info()
			if reader.Read < 3*rate/2 || i.TimeOuts != 0 {
				t.Errorf("%s, seed %d: %d bytes in 3 s, %d time-outs", algorithm.Name(), seed, reader.Read, i.TimeOuts)
			}
			t.Logf("%s, seed %d: %d Mbit/s, %d segments sent again, reordering window %v", algorithm.Name(), seed, reader.Read*8/3e6, i.Retransmits, i.ReorderWindow)
			if w.err != nil {
				t.Error(w.err)
			}
		}
	}
}
