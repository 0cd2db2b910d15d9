package tcptest

import "testing"

// RFC 8985 section 3.3: segments that come late by less than a quarter of the round trip, however many have overtaken
// them, are not sent again once reordering is known; the first ones may be, and teach it.
func TestReorderingIsNoLoss(t *testing.T) {
	p := open(t)
	p.c.Write(200_000)
	p.Run(500 * ms)
	k := 0
	p.ab.Filter = func(f *Frame) Verdict {
		if f.TCP && len(f.Seg.Text) > 0 {
			if k++; k%20 == 0 {
				p.After(rtt/2+4*ms, func() { f.Dst.receive(f) })
				return Lose
			}
		}
		return Pass
	}
	p.c.Write(300_000)
	p.Run(2 * second)
	before := p.c.Info().Retransmits
	p.c.Write(1_000_000)
	p.Run(5 * second)
	p.read(0, 1_500_000)
	if n := p.c.Info().Retransmits; n != before || before > 2 {
		t.Errorf("%d retransmissions, then %d", before, n-before)
	}
	p.end()
}
