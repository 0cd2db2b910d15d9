package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// The sender does not fill a window that opens by small steps (section 3.8.6.2.1): it waits for a full segment, or for
// half of the largest window; the persist timer ends the wait.
//
// Proves: RFC 9293 MUST-38
func TestSenderAvoidsSillyWindows(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := allOptions
		o.WindowScale = 0
		p := newHand(t, HostOptions{}, o)
		p.window = 2896
		p.open(passive, 0)
		p.write(100_000)
		if n := len(p.take()); n != 2 {
			t.Fatalf("%d segments", n)
		}
		p.window = 300 // acknowledged, but hardly read
		p.reply()
		p.Run(100 * ms)
		p.silent()
		p.window = 1000
		p.reply()
		p.Run(50 * ms)
		p.silent()
		p.window = 1448
		p.reply()
		if g := p.one(); len(g.Text) != 1448 {
			t.Errorf("%d bytes", len(g.Text))
		}
		p.take()
		p.window = 300
		p.reply()
		p.Run(second)
		if len(p.got) == 0 || len(p.got[0].Text) != 300 {
			t.Errorf("the wait has not ended: %d segments", len(p.got))
		}
	})
}

// The receiver's edge moves by a full segment or half the buffer, or not (section 3.8.6.2.2), also when the buffer is
// smaller than two segments.
//
// Proves: RFC 9293 MUST-39
func TestReceiverAvoidsSillyWindows(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, size := range []int{2000, 20_000} {
			p := newHand(t, settings(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = size, 0 }), allOptions)
			p.open(passive, 0)
			p.user.Paused = true
			for at := 0; at < size; at += 1000 {
				p.text(at, 1000)
			}
			p.take()
			p.user.ReadAt = 10
			edge := seq.Num(0)
			step := min(size/2, 1448)
			for range size / 10 {
				p.user.Do(func(stack.Conn) { p.user.Paused = false; p.user.read(); p.user.Paused = true })
				p.Run(ms)
				p.inject(p.piece(p.high-1, 1)) // to be told the window
				for _, g := range p.take() {
					right := g.Ack.Add(uint32(g.Window))
					if d := right.Sub(edge); edge != 0 && d != 0 && int(d) < step {
						t.Errorf("buffer %d: the edge moves by %d", size, d)
					}
					edge = right
				}
			}
			if edge.Less(p.seq(size + size/2)) {
				t.Errorf("buffer %d: all read, and the window ends at %d", size, edge-p.seq(0))
			}
		}
	})
}

// Both buffers grow on a long way to a fast peer, up to their limits, and the window never shrinks: each segment is
// held against that on its path.
//
// Proves: RFC 9293 SHLD-14
func TestBuffersTuneThemselves(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		const least, most = 64 << 10, 2 << 20
		o := settings(func(s *tcp.Settings) {
			s.SendBuffer, s.SendBufferMax, s.ReceiveBuffer, s.ReceiveBufferMax = least, most, least, most
		})
		p := newPair(t, o)
		p.dial()
		from, to := p.c, p.s
		if passive {
			from, to = to, from
		}
		from.Write(20_000_000)
		flight := 0
		for range 100 {
			p.Run(20 * ms)
			flight = max(flight, from.Info().Flight)
		}
		if s, r := sizes(from, to); s < 4*least || s > most || r < 4*least || r > most || flight < 4*least {
			t.Errorf("buffers of %d and %d, %d in flight", s, r, flight)
		}
		p.Run(20 * second)
		if to.Read != 20_000_000 {
			t.Errorf("read %d", to.Read)
		}
		p.end()
	})
}

// sizes are the send buffer of one and the receive buffer of the other.
func sizes(from, to *User) (send, receive int) {
	_, _, send = from.conn.SendSpace()
	return send, to.conn.ReceiveBuffer()
}

// A buffer does not grow for a user who reads slowly, nor one whose size was set by hand.
func TestBuffersThatDoNotTune(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := open(t, settings(func(s *tcp.Settings) { s.SendBuffer, s.ReceiveBuffer = 64<<10, 64<<10 }))
		from, to := p.c, p.s
		if passive {
			from, to = to, from
		}
		from.Do(func(c stack.Conn) { c.SetBuffers(50_000, 0) })
		to.Do(func(c stack.Conn) { c.SetBuffers(0, 50_000) })
		from.Write(5_000_000)
		p.Run(20 * second)
		if s, r := sizes(from, to); s != 50_000 || r != 50_000 || to.Read != 5_000_000 {
			t.Errorf("buffers of %d and %d, read %d", s, r, to.Read)
		}
		p.end()
	})
}

// Rings never take more than limits.memory: a crowd is served from what there is.
func TestBuffersWithinMemory(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		const limit = 1 << 20
		o := HostOptions{}
		o.Limits.Memory = limit
		p := newPair(t, o)
		p.Log.Verbose = false
		var users []*User
		for range 30 {
			users = append(users, p.a.Dial(p.b, 80, 0))
		}
		p.Run(second)
		from, to := users, p.l.Users
		if passive {
			from, to = to, from
		}
		for _, u := range from {
			u.Write(500_000)
		}
		for range 3000 {
			p.Run(20 * ms)
			for _, h := range []*Host{p.a, p.b} {
				if n := h.Stack.Counters(0).Rings; n > limit {
					t.Fatalf("%d bytes of rings", n)
				}
			}
		}
		for i, u := range to {
			if u.Read != 500_000 {
				t.Errorf("connection %d: read %d", i, u.Read)
			}
		}
		for i := range users {
			users[i].Close()
			p.l.Users[i].Close()
		}
		p.over()
	})
}
