package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

func withText(s *sent) bool { return len(s.Text) > 0 }

// paused is a pair with a connection whose user at b, with a receive buffer of n bytes, reads nothing.
func paused(t *testing.T, n int) *pair {
	p := newPair(t, HostOptions{}, settings(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = n, 0 }))
	p.l.Accept = func(u *User) { p.s = u; u.Paused = true }
	p.dial()
	return p
}

// The window stays closed for an hour while the peer answers the probes (MUST-37); then all arrives.
//
// Proves: RFC 9293 MUST-36, MUST-37, MAY-8, SHLD-30
func TestZeroWindow(t *testing.T) {
	p := paused(t, 20_000)
	p.c.Write(100_000)
	p.Run(10 * second)
	p.sent = nil
	p.Run(3600 * second)
	probes := p.times(p.a, withText)
	if len(probes) < 25 || len(probes) > 40 {
		t.Errorf("%d probes in an hour", len(probes))
	}
	for i := range len(probes) - 2 {
		if d, e := probes[i+1].Sub(probes[i]), probes[i+2].Sub(probes[i+1]); e < d-ms || e > 120*second+ms {
			t.Errorf("probes after %v, then %v", d, e)
		}
	}
	if !p.c.Held {
		t.Fatal("given up")
	}
	p.s.Resume()
	p.Run(10 * second)
	p.read(0, 100_000)
	p.end()
}

// The window update after a closed window is lost: a probe finds the window open (section 3.8.6.1).
func TestLostWindowUpdate(t *testing.T) {
	p := paused(t, 20_000)
	p.c.Write(100_000)
	p.Run(2 * second)
	p.loseOnce(p.b, func(s *sent) bool { return s.Window > 0 })
	p.s.Resume()
	p.Run(20 * second)
	p.read(0, 100_000)
	p.end()
}

// What goes into a small window and is lost goes out again, though the window is small (found by seed 117544).
func TestLossIntoSmallWindow(t *testing.T) {
	p := paused(t, 65536)
	p.c.Write(200_000)
	p.Run(2 * second)
	p.s.Do(func(stack.Conn) { p.s.Paused, p.s.ReadAt = false, 3000; p.s.read(); p.s.Paused = true })
	lose := 3
	p.filter(func(s *sent) bool { lose--; return lose >= 0 && s.host == p.a && len(s.Text) > 1 })
	p.Run(60 * second)
	if i := p.c.Info(); i.Flight > 1 {
		t.Errorf("%d bytes in flight after a minute", i.Flight)
	}
	p.s.ReadAt = 0
	p.s.Resume()
	p.Run(20 * second)
	p.read(0, 200_000)
	p.end()
}

// Who reads a byte at a time brings about neither tiny windows nor tiny segments (section 3.8.6.2).
//
// Proves: RFC 9293 MUST-38, MUST-39
func TestSillyWindow(t *testing.T) {
	p := paused(t, 20_000)
	p.c.Write(60_000)
	p.Run(2 * second)
	p.sent = nil
	p.s.ReadAt = 1
	for range 15_000 {
		p.s.Do(func(stack.Conn) { p.s.Paused = false; p.s.read(); p.s.Paused = true })
		p.Run(ms)
	}
	if p.s.Read != 15_000 {
		t.Fatalf("read %d", p.s.Read)
	}
	if n := p.count(p.a, func(s *sent) bool { return len(s.Text) > 1 && len(s.Text) < 1000 }); n > 2 {
		t.Errorf("%d tiny segments", n)
	}
	edge := seq.Num(0)
	for _, s := range p.sent {
		if right := s.Ack.Add(uint32(s.Window)); s.host == p.b { // no scale: the buffer needs none
			if step := right.Sub(edge); edge != 0 && step > 0 && step < 1000 {
				t.Errorf("the right edge moves by %d", step)
			}
			edge = right
		}
	}
	p.s.ReadAt = 0
	p.s.Resume()
	p.Run(5 * second)
	p.read(0, 60_000)
	p.end()
}

// Nagle: while something small is unacknowledged the next small pieces wait and go together (section 3.7.4).
//
// Proves: RFC 9293 SHLD-7, MUST-17
func TestNagle(t *testing.T) {
	for _, noDelay := range []bool{false, true} {
		p := open(t)
		p.c.Do(func(c stack.Conn) { c.SetNoDelay(noDelay) })
		for range 10 {
			p.c.Write(10)
			p.Run(ms)
		}
		p.Run(second)
		p.read(0, 100)
		if n, want := p.count(p.a, withText), map[bool]int{false: 2, true: 10}[noDelay]; n != want {
			t.Errorf("NoDelay %v: %d segments, not %d", noDelay, n, want)
		}
		p.end()
	}
}

// An ACK waits for company, less than 0.5 s (MUST-40), and not for more than two full segments (SHLD-19).
func TestDelayedACK(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.ReceiveBufferMax = 0 })) // no word of a larger window
	p.c.Do(func(c stack.Conn) { c.SetNoDelay(true) })
	for range 16 { // while the connection is young ACKs are not delayed
		p.c.Write(1)
		p.Run(second)
	}
	p.sent = nil
	p.c.Write(1)
	p.Run(second)
	if n := len(p.sent); n != 2 {
		t.Fatalf("%d segments", n)
	}
	if d := p.sent[1].at.Sub(p.sent[0].at); d < 40*ms+rtt/2 || d > 41*ms+rtt/2 {
		t.Errorf("ACK after %v", d)
	}
	p.sent = nil
	for _, p.ab.Rate = range []int64{0, 1e6} { // whether they arrive in one turn or in eight
		p.sent = nil
		p.c.Write(1448 * 8)
		p.Run(second)
		if n := p.count(p.b, nil); n != 4 {
			t.Errorf("%d ACKs of 8 full segments", n)
		}
	}
	p.end()
}

// Nobody has anything to say, and the peer is asked whether it is there (section 3.8.4).
func TestKeepAlive(t *testing.T) {
	p := open(t)
	p.c.Do(func(c stack.Conn) { c.SetKeepAlive(60*second, 10*second, 3) })
	p.Run(3600 * second)
	if n := p.count(p.a, nil); n < 58 || n > 61 || p.count(p.b, nil) != n {
		t.Errorf("%d probes, %d answers", n, p.count(p.b, nil))
	}
	p.filter(func(s *sent) bool { return true }) // the peer vanishes
	p.sent = nil
	p.Run(100 * second)
	if p.c.Held || p.c.Events&tcp.TimedOut == 0 || p.count(p.a, func(s *sent) bool { return s.Flags&tcp.RST == 0 }) != 3 {
		t.Errorf("events %b after %d probes", p.c.Events, p.count(p.a, nil))
	}
	p.filter(nil)
	p.s.Write(1) // it learns of the end when it says something
	p.Run(second)
	if p.s.Events&tcp.Reset == 0 {
		t.Errorf("the peer hears %b", p.s.Events)
	}
	p.over()
}

// A user who lets the receive side go is not in the way of a sender.
func TestCloseRead(t *testing.T) {
	p := open(t)
	p.s.Do(func(c stack.Conn) { p.s.deaf = true; c.CloseRead() })
	p.c.Write(3_000_000)
	p.Run(60 * second)
	if i := p.c.Info(); i.Flight != 0 || i.Unsent != 0 {
		t.Errorf("%d in flight, %d unsent", i.Flight, i.Unsent)
	}
	p.end()
}

// A bounded memory loses segments, and is never wrong.
func TestLittleMemory(t *testing.T) {
	o := HostOptions{}
	o.Limits.Memory = 8192
	p := newPair(t, HostOptions{}, o)
	p.l.Accept = func(u *User) { p.s = u; u.Paused = true }
	p.dial()
	p.c.Do(func(c stack.Conn) { p.c.want = 50_000; p.c.write(); c.CloseWrite() })
	p.Run(10 * second)
	p.s.Resume()
	p.Run(200 * second)
	p.read(0, 50_000)
	if !p.s.EOF {
		t.Error("no EOF")
	}
	p.end()
}

// Writable comes though there was no memory for a ring when the user wanted to write.
func TestWritableAfterMemory(t *testing.T) {
	o := HostOptions{}
	o.Limits.Memory = 4096
	p := newPair(t, o, HostOptions{})
	p.dial()
	first := p.c
	second := p.a.Dial(p.b, 80, 0)
	p.Run(mono.Second)
	p.filter(func(s *sent) bool { return s.Flags&tcp.ACK != 0 && s.DstPort == first.flow.LocalPort })
	first.Write(4096)
	p.Run(ms)
	second.Write(100)
	p.Run(mono.Second)
	p.filter(nil)
	p.Run(20 * mono.Second)
	if second.Wrote != 100 {
		t.Errorf("wrote %d", second.Wrote)
	}
	second.Close()
	for _, u := range p.l.Users {
		u.Close()
	}
	p.end()
}

// Text sent again carries an old SEQ, a new ACK, and the window that belongs to it (found by seed 348).
func TestWindowOfRetransmission(t *testing.T) {
	p := paused(t, 6000)
	p.loseOnce(p.b, withText)
	p.s.Write(500)
	p.Run(20 * ms)
	p.c.Write(1000) // acknowledged from beyond the lost text
	p.Run(165 * ms)
	p.c.Write(1000) // acknowledged by the lost text when it comes again
	p.Run(30 * ms)
	if at := p.times(p.b, withText); len(at) != 2 {
		t.Fatalf("text at %v", at)
	}
	p.c.Write(100_000) // up to the right edge, and the path sees to it that not beyond
	p.Run(second)
	p.s.Resume()
	p.Run(5 * second)
	p.read(500, 102_000)
	p.end()
}
