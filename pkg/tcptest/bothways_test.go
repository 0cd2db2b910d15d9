package tcptest

import "testing"

// Two ends fill each other's windows, which are rounded down to their scale, and only then read: each ACK that opens a
// window must be taken, or both wait for ever.
func TestBothWindowsFull(t *testing.T) {
	p := open(t)
	p.c.Paused, p.s.Paused = true, true
	const n = 1_000_000
	p.c.Write(n)
	p.s.Write(n)
	p.Run(5 * second)
	if p.c.Wrote == n || p.s.Wrote == n || p.c.Info().Unread == 0 || p.s.Info().Unread == 0 {
		t.Fatalf("wrote %d and %d", p.c.Wrote, p.s.Wrote)
	}
	p.c.Resume()
	p.s.Resume()
	p.Run(60 * second)
	p.read(n, n)
	if a, b := p.c.Info().TimeOuts, p.s.Info().TimeOuts; a != 0 || b != 0 {
		t.Errorf("%d and %d time-outs", a, b)
	}
	p.end()
}
