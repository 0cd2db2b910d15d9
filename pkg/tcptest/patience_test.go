package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

func lostAll(*sent) bool { return true }

// The user time-out ends a connection whose peer falls silent, exactly then and whatever R2 is; a connection that makes
// progress outlives it (section 3.8.3).
//
// Proves: RFC 9293 MUST-21
func TestUserTimeout(t *testing.T) {
	for _, byCall := range []bool{true, false} {
		p := open(t, settings(func(s *tcp.Settings) {
			s.Retries2 = 1 // the user time-out goes before it
			if !byCall {
				s.UserTimeout = 3 * second
			}
		}))
		if byCall {
			p.c.Do(func(c stack.Conn) { c.SetUserTimeout(3 * second) })
		}
		for range 10 { // progress
			p.c.Write(1000)
			p.Run(second)
		}
		p.filter(lostAll)
		p.sent = nil
		p.c.Write(1000)
		start := p.now
		p.Run(3*second - ms)
		if !p.c.Held {
			t.Fatalf("by call %v: given up too early", byCall)
		}
		p.Run(2 * ms)
		if p.c.Held || p.c.Events&tcp.TimedOut == 0 || p.c.Events&tcp.Unreachable != 0 {
			t.Errorf("by call %v: events %b at %v", byCall, p.c.Events, p.now.Sub(start))
		}
		if n := p.count(p.a, withText); n < 4 {
			t.Errorf("%d segments", n)
		}
		p.s.Abort()
		p.filter(nil)
		p.over()
	}
}

// A window that stays closed to text that waits is no progress, although the peer answers each probe.
func TestUserTimeoutOfClosedWindow(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.ReceiveBufferMax = 0 }))
	p.c.Do(func(c stack.Conn) { c.SetUserTimeout(20 * second) })
	p.s.Paused = true
	p.c.Write(1 << 20)
	p.Run(19 * second)
	if !p.c.Held {
		t.Fatal("given up too early")
	}
	p.Run(10 * second)
	if p.c.Held || p.c.Events&tcp.TimedOut == 0 {
		t.Errorf("events %b", p.c.Events)
	}
	p.s.Abort()
	p.over()
}

// The user time-out decides on keep-alive, too, in place of the number of probes, as in Linux.
func TestUserTimeoutOfKeepAlive(t *testing.T) {
	p := open(t)
	p.c.Do(func(c stack.Conn) {
		c.SetKeepAlive(10*second, second, 2)
		c.SetUserTimeout(30 * second)
	})
	p.filter(lostAll)
	p.sent = nil
	p.Run(24 * second) // it was last heard of 5 s ago
	if !p.c.Held {
		t.Fatal("given up too early")
	}
	p.Run(7 * second)
	if p.c.Held || p.c.Events&tcp.TimedOut == 0 {
		t.Errorf("events %b after %d probes", p.c.Events, p.count(p.a, nil))
	}
	p.s.Abort()
	p.filter(nil)
	p.over()
}

// unreachable has a router tell a that b cannot be reached, quoting the sequence number at of the connection of u.
func unreachable(p *pair, u *User, at seq.Num, typ, code uint8) {
	f := u.flow
	g := tcp.Segment{SrcPort: f.LocalPort, DstPort: f.RemotePort, Seq: at, Flags: tcp.ACK}
	var quoted [ip.HeaderLen + tcp.MaxHeaderLen]byte
	n := ip.HeaderLen + g.Put(quoted[ip.HeaderLen:], 0)
	h := ip.Header{Src: f.Local, Dst: f.Remote, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: n}
	h.Put(quoted[:])
	var q ip.Packet
	q.Parse(quoted[:n])
	b := make([]byte, 576)
	b = b[:ip.Unreachable(b, &q, code, ip.V4([4]byte{10, 0, 0, 254}))]
	icmp := b[ip.HeaderLen:]
	icmp[0], icmp[2], icmp[3] = typ, 0, 0
	sum := ^ip.Fold(ip.Sum(icmp, 0))
	icmp[2], icmp[3] = byte(sum>>8), byte(sum)
	p.Log.note("ICMP %d code %d to %s", typ, code, u.Host.Name)
	p.After(0, func() { u.Host.receive(&Frame{Src: p.b, Dst: u.Host, Packet: b}) })
}

// Soft errors end nothing (MUST-56), in no state; they are told when the connection is given up after all.
//
// Proves: RFC 9293 MUST-47, MUST-54, MUST-56, SHLD-25
// Proves: RFC 5927 5.2-2
func TestSoftErrors(t *testing.T) {
	for _, e := range []struct{ typ, code uint8 }{{3, ip.CodeNet}, {3, ip.CodeHost}, {3, ip.CodeSourceRoute}, {11, 0}, {11, 1}, {12, 0}, {12, 1}} {
		p := open(t, settings(func(s *tcp.Settings) { s.Retries2 = 4 }))
		p.filter(lostAll)
		p.c.Write(1000)
		p.Run(100 * ms)
		unreachable(p, p.c, seq.Num(p.c.Info().InitialSend)+1, e.typ, e.code)
		before := p.c.Events & tcp.Troubled
		p.Run(100 * ms)
		if before != 0 || p.c.Events&tcp.Troubled == 0 {
			t.Errorf("the user heard %b", p.c.Events)
		}
		if i := p.c.Info(); !p.c.Held || i.ICMP != (tcp.ICMPError{Type: e.typ, Code: e.code}) {
			t.Fatalf("held %v, ICMP %v", p.c.Held, i.ICMP)
		}
		p.Run(100 * second)
		if p.c.Held || p.c.Events&tcp.Unreachable == 0 || p.c.Events&tcp.TimedOut != 0 {
			t.Errorf("%v: events %b", e, p.c.Events)
		}
		p.s.Abort()
		p.filter(nil)
		p.over()
	}
}

// A soft error while opening does not end it either; the SYN goes on, and the connection opens when the path is back.
//
// Proves: RFC 9293 MUST-56
func TestSoftErrorWhileOpening(t *testing.T) {
	p := newPair(t)
	p.filter(lostAll)
	p.c = p.a.Dial(p.b, 80, 0)
	p.Run(ms)
	unreachable(p, p.c, seq.Num(p.c.Info().InitialSend), 3, ip.CodeHost)
	p.Run(100 * ms)
	p.filter(nil)
	p.Run(5 * second)
	if p.c.Events&tcp.Opened == 0 || p.c.Info().ICMP != (tcp.ICMPError{}) {
		t.Errorf("events %b", p.c.Events)
	}
	p.end()
}

// An error that quotes nothing in flight, or is a source quench (MUST-55), is not heeded.
//
// Proves: RFC 9293 MUST-55
// Proves: RFC 5927 4.1-1
func TestErrorsNotHeeded(t *testing.T) {
	p := open(t)
	unreachable(p, p.c, seq.Num(p.c.Info().InitialSend)+1, 3, ip.CodeHost) // nothing is in flight
	p.Run(second)
	p.filter(lostAll)
	p.c.Write(1000)
	p.Run(100 * ms)
	before := p.c.Info()
	unreachable(p, p.c, seq.Num(before.InitialSend)+1001, 3, ip.CodeHost)
	unreachable(p, p.c, seq.Num(before.InitialSend), 3, ip.CodePort)
	unreachable(p, p.c, seq.Num(before.InitialSend)+1, ip.ICMPSourceQuench, 0)
	p.Run(ms)
	if after := p.c.Info(); after.ICMP != before.ICMP || after.Cwnd != before.Cwnd {
		t.Errorf("ICMP %v, cwnd %d", after.ICMP, after.Cwnd)
	}
	if c := p.a.Stack.Counters(0); c.Stack[stack.DropICMPOther] != 4 {
		t.Errorf("%v", c.Drops())
	}
	p.filter(nil)
	p.Run(5 * second)
	p.end()
}

// A router that has no way to the peer: the time-out need not have been doubled for it (RFC 6069), so that the connection
// goes on soon after the path is back.
func TestTimeOutNotDoubled(t *testing.T) {
	longest := map[bool]mono.Duration{}
	for _, told := range []bool{false, true} {
		p := open(t)
		p.Strict = false // the watcher does not know of routers
		p.filter(func(s *sent) bool {
			if told && s.host == p.a && withText(s) {
				unreachable(p, p.c, s.Seq, 3, ip.CodeNet)
			}
			return true
		})
		p.c.Write(1000)
		p.Run(20 * second)
		at := p.times(p.a, func(s *sent) bool { return withText(s) && s.Seq == p.sent[0].Seq })
		longest[told] = at[len(at)-1].Sub(at[len(at)-2])
		p.filter(nil)
		p.Run(30 * second)
		p.read(0, 1000)
		p.end()
	}
	if longest[false] < 5*second || longest[true] > second {
		t.Errorf("the last time-out was %v, and %v with ICMP", longest[false], longest[true])
	}
}
