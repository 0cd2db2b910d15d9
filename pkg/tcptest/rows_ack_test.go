package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// settled is a host whose quick ACKs at the start are over; nothing is owed. It has read n bytes.
func settled(t *testing.T, passive bool) (p *byHand, n int) {
	p = hand(t, passive, HostOptions{}, allOptions)
	for range 16 {
		p.text(n, 10)
		n += 10
		p.Run(second)
	}
	p.take()
	return p, n
}

// While a connection is young, nothing of the peer's waits for its ACK: slow start needs them. After that it may.
func TestQuickACKsAtFirst(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, allOptions)
		for k := range 16 {
			p.text(10*k, 10)
			p.acked(10 * (k + 1))
		}
		p.text(160, 10)
		p.silent()
	})
}

// One small segment's ACK waits 40 ms for company, to the tick; text of ours takes it along at once.
//
// Proves: RFC 9293 SHLD-18, MUST-40
func TestDelayedACKIs40ms(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p, n := settled(t, passive)
		p.text(n, 10)
		from := p.now
		p.Run(40*ms - 1)
		p.silent()
		p.Run(2 * ms)
		if d := p.one().at.Sub(from); d < 40*ms || d > 41*ms {
			t.Errorf("ACK after %v", d)
		}
		p.take()
		p.text(n+10, 10)
		p.write(1)
		p.acked(n + 20)
		p.Run(100 * ms)
		p.silent()
	})
}

// Every second full segment is acknowledged at once.
//
// Proves: RFC 9293 SHLD-19
func TestEverySecondSegment(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p, n := settled(t, passive)
		for k := range 10 {
			p.text(n+1448*k, 1448)
			if k%2 == 0 {
				p.silent()
			} else {
				p.acked(n + 1448*(k+1))
			}
		}
	})
}

// A gap is told of at once, by each segment beyond it, and so is its filling, in part and in whole (RFC 5681 section
// 4.2).
//
// Proves: RFC 9293 SHLD-31, MAY-13
// Proves: RFC 2018 4-2
func TestGapsAreToldAtOnce(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p, n := settled(t, passive)
		p.text(n+20, 10)
		p.acked(n, [2]int{n + 20, n + 30})
		p.text(n+40, 10)
		p.acked(n, [2]int{n + 40, n + 50}, [2]int{n + 20, n + 30})
		p.text(n, 10)
		p.acked(n+10, [2]int{n + 40, n + 50}, [2]int{n + 20, n + 30})
		p.text(n+10, 10)
		p.acked(n+30, [2]int{n + 40, n + 50})
		p.text(n+30, 10)
		p.acked(n + 50)
		p.text(n+50, 10) // and for a while after it nothing is delayed
		p.acked(n + 60)
		p.silent()
	})
}

// A superframe has one ACK, at once, as from Linux: also one of two small segments.
//
// Proves: RFC 9293 MUST-58
func TestOneACKForASuperframe(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, size := range []int{1448, 100} {
			for _, segments := range []int{2, 20} {
				p, n := settled(t, passive)
				g := p.piece(n, segments*size)
				p.fill(&g)
				p.high = n + segments*size
				p.path.Whole = true
				p.World.send(p.peer, p.packet(&g), uint16(size))
				p.Run(0)
				p.acked(p.high)
				p.Run(second)
				p.silent()
			}
		}
	})
}

// A reader who empties the buffer opens the window, and the peer hears of it without asking; of one who reads little it
// hears nothing.
func TestWindowUpdate(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := newHand(t, settings(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = 20_000, 0 }), allOptions)
		p.open(passive, 0)
		p.user.Paused = true
		for at := 0; at < 20_000; at += 1000 {
			p.text(at, 1000)
			p.Run(50 * ms)
		}
		if g := p.got[len(p.got)-1]; g.Window != 0 || g.Ack != p.seq(20_000) {
			t.Fatalf("window %d", g.Window)
		}
		p.take()
		p.user.Paused, p.user.ReadAt = false, 500
		p.user.Resume()
		p.Run(second)
		p.silent()
		p.user.ReadAt = 0
		p.user.Resume()
		p.Run(0)
		if g := p.one(); int(g.Window) < 19_000 || g.Flags != tcp.ACK {
			t.Errorf("%v, window %d", g.Flags, g.Window)
		}
	})
}

// PSH is on the last segment of what was written, and on no other.
//
// Proves: RFC 9293 MUST-61
func TestPSH(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, settings(func(s *tcp.Settings) { s.NoDelay = true }), allOptions)
		for _, n := range []int{1, 1448, 1449, 5000} {
			p.write(n)
			p.Run(2 * ms)
			for i, g := range p.got {
				if last := i == len(p.got)-1; (g.Flags&tcp.PSH != 0) != last {
					t.Errorf("%d bytes: %v on segment %d of %d", n, g.Flags, i+1, len(p.got))
				}
			}
			p.take()
			p.reply()
		}
	})
}
