package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// RFC 9293 Figure 12.
func TestClose(t *testing.T) {
	p := open(t)
	p.c.Close()
	p.Run(second)
	p.s.Close()
	p.Run(second)
	p.saw("ESTABLISHED --Close--> FIN-WAIT-1", "b:80  ESTABLISHED --RcvFIN--> CLOSE-WAIT", "FIN-WAIT-1 --FINAcked--> FIN-WAIT-2",
		"b:80  CLOSE-WAIT --Close--> LAST-ACK", "FIN-WAIT-2 --RcvFIN--> TIME-WAIT", "b:80  LAST-ACK --FINAcked--> CLOSED")
	if n := len(p.sent); n != 4 {
		t.Errorf("%d segments", n)
	}
	p.over()
}

// RFC 9293 Figure 13.
func TestSimultaneousClose(t *testing.T) {
	p := open(t)
	p.c.Close()
	p.s.Close()
	p.Run(second)
	p.saw("FIN-WAIT-1 --RcvFIN--> CLOSING", "CLOSING --FINAcked--> TIME-WAIT", "CLOSING --FINAcked--> TIME-WAIT")
	p.over()
}

// Each FIN and the last ACK lost once, in every role.
func TestLostInClose(t *testing.T) {
	for _, simultaneous := range []bool{false, true} {
		for n := range 5 {
			p := open(t)
			k := 0
			p.filter(func(*sent) bool { k++; return k == n+1 })
			p.c.Close()
			if !simultaneous {
				p.Run(5 * second)
			}
			p.s.Close()
			p.Run(5 * second)
			for _, h := range p.hosts {
				if c := h.Stack.Counters(0); c.Conns != 0 {
					t.Errorf("%s, simultaneous %v, segment %d lost: %d connections are left", h.Name, simultaneous, n+1, c.Conns)
				}
			}
			p.over()
			p.never("RST")
		}
	}
}

// One side closes its half early; long after, megabytes still come the other way. Then the roles change.
func TestHalfClose(t *testing.T) {
	p := open(t)
	p.c.Write(100)
	p.c.CloseWrite()
	p.Run(3600 * second)
	if p.s.EOF == false || !p.c.Held {
		t.Fatal("no EOF, or the connection is gone")
	}
	if s := p.c.Info().State; s != fsm.FinWait2 {
		t.Errorf("%v", s)
	}
	p.s.Write(3_000_000)
	p.Run(60 * second)
	p.read(3_000_000, 100)
	p.s.CloseWrite()
	p.Run(second)
	if !p.c.EOF {
		t.Error("no EOF")
	}
	p.end()
}

// FIN-WAIT-2 ends by itself only when the user has let go (DESIGN section 3, rule 6).
func TestFinWait2(t *testing.T) {
	p := open(t)
	p.c.Close()
	p.Run(59 * second)
	if n := p.a.Stack.Counters(0).Conns; n != 1 {
		t.Errorf("%d connections after 59 s", n)
	}
	p.Run(3 * second)
	if n := p.a.Stack.Counters(0).Conns; n != 0 {
		t.Errorf("%d connections after 62 s", n)
	}
	p.saw("FIN-WAIT-2 --FinWaitTimeout--> CLOSED")
	p.s.Close()
	p.over()
}

// The FIN comes with the last text.
func TestFINWithText(t *testing.T) {
	p := open(t)
	p.c.Do(func(c stack.Conn) { p.c.want = 1000; p.c.write(); c.CloseWrite() })
	p.Run(second)
	p.read(0, 1000)
	if n := p.count(p.a, func(s *sent) bool { return s.Flags&tcp.FIN != 0 && len(s.Text) == 1000 }); n != 1 || !p.s.EOF {
		t.Errorf("%d segments with text and FIN, EOF %v", n, p.s.EOF)
	}
	p.end()
}

// TIME-WAIT lasts 2 MSL: at most the millisecond of its record and the tick of the wheel more.
//
// Proves: RFC 9293 MUST-13
func TestTimeWait(t *testing.T) {
	for _, held := range []bool{false, true} {
		p := open(t)
		var from mono.Time
		if held {
			p.c.CloseWrite()
		} else {
			p.c.Close()
		}
		p.Run(second)
		p.s.Close()
		p.Run(rtt / 2)
		if from = p.now; !held && p.a.Stack.Counters(0).TimeWait != 1 {
			t.Error("not in TIME-WAIT")
		}
		left := func() int { c := p.a.Stack.Counters(0); return c.Conns + c.TimeWait }
		for left() > 0 && p.Step() {
		}
		if d := p.now.Sub(from); d < 60*second || d > 60*second+2*ms {
			t.Errorf("held %v: %v", held, d)
		}
		p.saw("TIME-WAIT --TwoMSL--> CLOSED")
		p.over()
	}
}

// A repeated FIN restarts 2 MSL.
func TestTimeWaitRestarts(t *testing.T) {
	p := open(t)
	p.c.Close()
	p.Run(second)
	lose := true
	p.filter(func(s *sent) bool { return s.host == p.a && lose })
	p.s.Close()
	p.Run(5 * second)
	lose = false
	p.Run(5 * second)
	fins := p.times(p.b, func(s *sent) bool { return s.Flags&tcp.FIN != 0 })
	if len(fins) < 3 {
		t.Fatalf("%d FINs", len(fins))
	}
	last := fins[len(fins)-1].Add(rtt / 2)
	for p.a.Stack.Counters(0).TimeWait > 0 && p.Step() {
	}
	if d := p.now.Sub(last); d < 60*second || d > 60*second+2*ms {
		t.Errorf("%v after the last FIN", d)
	}
	p.over()
}

// A port is used again during TIME-WAIT: section 3.6.1, and RFC 6191 with timestamps.
func TestPortReuse(t *testing.T) {
	for _, timestamps := range []bool{false, true} {
		p := newPair(t, settings(func(s *tcp.Settings) { s.Timestamps = timestamps }))
		for round := range 5 {
			p.s = nil
			p.c = p.a.Dial(p.b, 80, 5555)
			p.c.want = 1000
			p.Run(second)
			if p.s == nil {
				t.Fatalf("round %d: not opened", round)
			}
			p.read(0, 1000)
			p.s.Close() // the listener's side waits
			p.Run(second)
			p.c.Close()
			p.Run(second)
		}
		p.saw("TIME-WAIT --NewSYN--> CLOSED")
		p.over()
	}
}

// Close with text unread tells the peer so (RFC 1122 section 4.2.2.13).
//
// Proves: RFC 9293 SHLD-3
func TestCloseUnread(t *testing.T) {
	p := open(t)
	p.s.Paused = true
	p.c.Write(1000)
	p.Run(second)
	p.s.Close()
	p.Run(second)
	if p.c.Events&tcp.Reset == 0 {
		t.Errorf("events %b", p.c.Events)
	}
	p.over()
}

func TestAbort(t *testing.T) {
	p := open(t)
	p.c.Write(100_000)
	p.Run(25 * ms)
	p.s.Abort()
	p.Run(second)
	if p.c.Events&tcp.Reset == 0 || p.c.Held {
		t.Errorf("events %b", p.c.Events)
	}
	p.over()
}

// A RST is taken at exactly RCV.NXT; one inside the window is challenged (RFC 5961 section 3), one outside is nothing.
func TestRST(t *testing.T) {
	for _, c := range []struct {
		off   uint32
		sees  string
		reset bool
	}{
		{0, "ESTABLISHED --RcvRST--> CLOSED", true},
		{1, "ESTABLISHED --BadRST--> ESTABLISHED", false},
		{1 << 30, "", false},
	} {
		p := open(t)
		p.c.Write(1000)
		p.Run(second)
		forge(p.World, p.a, p.b, p.c.flow, tcp.Segment{Seq: p.sent[0].Seq.Add(1000 + c.off), Flags: tcp.RST})
		p.Run(second)
		if c.sees != "" {
			p.saw("b:80  " + c.sees)
		}
		if p.s.Held == c.reset {
			t.Errorf("offset %d: held %v", c.off, p.s.Held)
		}
		p.end()
	}
}

// Close with text unsent and a window closed for ever ends by the orphan time-out; the peer hears of it.
func TestCloseIntoClosedWindow(t *testing.T) {
	p := newPair(t, HostOptions{}, settings(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = 8192, 0 }))
	p.l.Accept = func(u *User) { p.s = u; u.Paused = true }
	p.dial()
	p.c.Write(100_000)
	p.Run(10 * second)
	p.c.Close()
	p.Run(61 * second)
	if n := p.a.Stack.Counters(0).Conns; n != 0 {
		t.Errorf("%d connections are left", n)
	}
	p.Run(second)
	if p.s.Held || p.s.Events&tcp.Reset == 0 {
		t.Errorf("the peer heard %b", p.s.Events)
	}
	p.over()
}

// The peer is gone: OrphanRetries after a Close.
func TestCloseToNobody(t *testing.T) {
	p := open(t)
	p.filter(func(*sent) bool { return true })
	p.c.Write(1000)
	p.c.Close()
	p.s.Close()
	p.over()
}

// A user who holds a connection into TIME-WAIT and lets go of it late has its record end when it should: before those
// of connections that came later.
func TestTimeWaitsEndInOrder(t *testing.T) {
	p := open(t)
	first, at := p.c, p.now
	first.CloseWrite()
	p.s.Close()
	p.Run(20 * second)
	p.c = p.a.Dial(p.b, 80, 0)
	p.Run(second)
	p.c.Close()
	p.s.Close()
	p.Run(second)
	first.Close()
	p.Run(second)
	if n := p.a.Stack.Counters(0).TimeWait; n != 2 {
		t.Fatalf("%d in TIME-WAIT", n)
	}
	for p.a.Stack.Counters(0).TimeWait == 2 && p.Step() {
	}
	if d := p.now.Sub(at); d < 60*second || d > 61*second {
		t.Errorf("the first ended after %v", d)
	}
	p.over()
}

// Text for a user who has closed both halves is answered by a RST that the peer takes whether or not he has our FIN, and the
// user, who holds the connection still, is told (RFC 1122 section 4.2.2.13).
func TestTextAfterBothHalves(t *testing.T) {
	for _, lost := range []bool{false, true} {
		p := open(t)
		p.filter(func(s *sent) bool { return lost && s.Flags&tcp.FIN != 0 })
		p.c.Do(func(c stack.Conn) { c.CloseRead(); c.CloseWrite() })
		p.Run(rtt)
		p.s.Write(100)
		p.Run(rtt)
		if p.s.Held || p.s.Events&tcp.Reset == 0 {
			t.Errorf("FIN lost %v: the peer heard %b", lost, p.s.Events)
		}
		if p.c.Held || p.c.Events&(tcp.Reset|tcp.Ended) != tcp.Reset|tcp.Ended {
			t.Errorf("FIN lost %v: the user heard %b", lost, p.c.Events)
		}
		p.over()
	}
}
