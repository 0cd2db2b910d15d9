package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// One loss in a large window is mended by three duplicate ACKs, not by the time-out (RFC 5681 section 3.2).
func TestFastRetransmit(t *testing.T) {
	p := open(t)
	p.c.Write(200_000)
	p.Run(200 * ms)
	p.c.Write(100_000)
	var lost seq.Num
	var when mono.Time
	k := 0
	p.filter(func(s *sent) bool {
		if s.host != p.a || !withText(s) {
			return false
		}
		if k++; k == 10 {
			lost, when = s.Seq, p.now
		}
		return k == 10
	})
	p.Run(5 * second)
	again := p.times(p.a, func(s *sent) bool { return s.Seq == lost && withText(s) && !s.lost })
	if len(again) != 1 || again[0].Sub(when) > 2*rtt {
		t.Errorf("sent again %d times, after %v", len(again), again[0].Sub(when))
	}
	p.read(0, 300_000)
	if n := p.c.Info().Retransmits; n != 1 {
		t.Errorf("%d retransmissions", n)
	}
	p.end()
}

// Three losses in a window are mended one a round trip by partial ACKs (RFC 6582).
func TestNewReno(t *testing.T) {
	p := open(t)
	p.c.Write(200_000)
	p.Run(200 * ms)
	p.c.Write(100_000)
	k := 0
	p.filter(func(s *sent) bool {
		if s.host != p.a || !withText(s) {
			return false
		}
		k++
		return k == 10 || k == 13 || k == 20
	})
	p.Run(500 * ms)
	p.read(0, 300_000)
	p.end()
}

// The time-out doubles up to its limit, and ends in TimedOut after R2 (RFC 6298, section 3.8.3). Before the first goes a
// tail loss probe, where the time-out would have been (RFC 8985 section 7.2).
//
// Proves: RFC 9293 MUST-19, SHLD-11
// Proves: RFC 6298 5.5
func TestBackOff(t *testing.T) {
	p := open(t)
	p.filter(func(*sent) bool { return true })
	p.c.Write(100)
	p.Run(3600 * second)
	at := p.times(p.a, withText)
	if len(at) != 17 {
		t.Fatalf("sent %d times", len(at))
	}
	at = at[1:]
	for i := range 15 {
		want := min(200*ms<<i, 120*second)
		if d := at[i+1].Sub(at[i]); d < want || d > want+want/4 {
			t.Errorf("time-out %d after %v, not %v", i+1, d, want)
		}
	}
	if p.c.Held || p.c.Events&tcp.TimedOut == 0 {
		t.Errorf("events %b", p.c.Events)
	}
	p.filter(nil)
	p.s.Close()
	p.over()
}

// A peer without a way back for ten minutes is found again.
func TestOutage(t *testing.T) {
	p := open(t)
	p.c.Write(1_000_000)
	p.Run(50 * ms)
	p.filter(func(*sent) bool { return true })
	p.Run(600 * second)
	p.filter(nil)
	p.Run(300 * second)
	p.read(0, 1_000_000)
	p.end()
}

// A router on the way takes less than the link: RFC 1191.
func TestFragmentationNeeded(t *testing.T) {
	p := open(t)
	p.ab.MTU = 900
	p.c.Write(100_000)
	p.Run(5 * second)
	p.read(0, 100_000)
	if n := p.count(p.a, func(s *sent) bool { return len(s.Text) > 860 }); n > 12 {
		t.Errorf("%d segments were too big", n)
	}
	if m := p.c.Info().SendMSS; m != 900-40-12 {
		t.Errorf("MSS %d", m)
	}
	p.end()
}

// Sequence numbers pass 2^32 in the handshake, in the text, and at the FIN.
func TestSequenceWrap(t *testing.T) {
	for _, before := range []uint32{0, 1, 2, 1000, 1001, 50_000} {
		p := newPair(t)
		p.c = dialAt(p, seq.Num(-before))
		p.Run(second)
		p.c.Write(100_000)
		p.s.Write(100_000)
		p.Run(5 * second)
		p.read(100_000, 100_000)
		p.end()
	}
	p := newPair(t)
	p.c = dialAt(p, seq.Num(0).Add(1<<32-1001))
	p.Run(second)
	p.c.Do(func(c stack.Conn) { p.c.want = 1000; p.c.write(); c.CloseWrite() })
	p.Run(second)
	if !p.s.EOF || p.s.Read != 1000 {
		t.Errorf("read %d, EOF %v", p.s.Read, p.s.EOF)
	}
	p.end()
}

// dialAt dials when the clock of RFC 6528 gives the flow this ISS.
func dialAt(p *pair, iss seq.Num) *User {
	f := stack.Flow{Local: p.a.addr, Remote: p.b.addr, LocalPort: 6000, RemotePort: 80}
	at, _ := p.a.secrets[0].ISN(&f, p.now)
	p.Run(mono.Duration(uint32(iss-at)) * 4 * mono.Microsecond)
	return p.a.Dial(p.b, 80, 6000)
}

// More than 2^31 bytes in one direction: the numbers of the beginning are ahead again.
func TestLongTransfer(t *testing.T) {
	if testing.Short() {
		t.Skip("4 s")
	}
	o := settings(func(s *tcp.Settings) { s.SendBuffer, s.ReceiveBuffer = 8<<20, 8<<20 })
	o.Superframe, o.Checksum = true, true
	p := newPair(t, o)
	p.Log.Verbose, p.Blind = false, true
	p.ab.Whole, p.ab.Filter, p.ba.Filter = true, nil, nil
	p.dial()
	const n = 1<<31 + 1<<26
	p.c.Write(n)
	p.Run(100 * second)
	p.read(0, n)
	p.end()
}

// Two queues, and every packet in one of them by chance: each finds its connection.
func TestTwoQueues(t *testing.T) {
	p := newPair(t, HostOptions{Queues: 2})
	var users []*User
	for range 40 {
		c := p.a.Dial(p.b, 80, 0)
		c.want = 20_000
		users = append(users, c)
	}
	p.Run(5 * second)
	for _, s := range p.l.Users {
		s.Write(10_000)
	}
	p.Run(5 * second)
	for i, c := range users {
		if c.Read != 10_000 || p.l.Users[i].Read != 20_000 {
			t.Errorf("connection %d: read %d and %d", i, c.Read, p.l.Users[i].Read)
		}
		c.Close()
	}
	p.Run(second)
	for _, s := range p.l.Users {
		s.Close()
	}
	p.over()
	p.never("RST")
	if p.b.Stack.Counters(0).Forwarded+p.b.Stack.Counters(1).Forwarded == 0 {
		t.Error("nothing was passed on")
	}
}

// Without SACK and timestamps, the ACK of what a time-out sent again covers text that has waited beyond the hole. That
// says neither how long the way is (Karn) nor that the time-out was spurious (found by seed 348294).
func TestTimeOutWithHoles(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.SACK, s.Timestamps = false, false }))
	p.c.Write(200_000)
	p.Run(500 * ms)
	p.c.Write(60_000)
	k := 0
	p.filter(func(s *sent) bool {
		if s.host != p.a || !withText(s) {
			return false
		}
		k++
		return k == 10 || k == 14 || k == 18 || k > 22 && p.now.Sub(p.sent[0].at) < 900*ms // the fast retransmit, too
	})
	p.sent = nil
	p.Run(8 * second)
	p.read(0, 260_000)
	if rto := p.c.Info().RTO; rto > 500*ms {
		t.Errorf("RTO %v after a way of %v", rto, rtt)
	}
	p.end()
}

// What was sent in small pieces goes together when it is sent again.
func TestSmallSegmentsGoTogether(t *testing.T) {
	p := open(t)
	p.c.Do(func(c stack.Conn) { c.SetNoDelay(true) })
	silent := true
	p.filter(func(s *sent) bool { return silent && s.host == p.a })
	for range 8 {
		p.c.Write(10)
		p.Run(ms)
	}
	p.sent, silent = nil, false
	p.Run(second)
	p.read(0, 80)
	if n := len(p.lengths(p.a)); n > 2 { // the tail loss probe, and the rest
		t.Errorf("%d segments for 80 bytes sent again", n)
	}
	p.end()
}
