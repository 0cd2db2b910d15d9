package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// RFC 9293 Figure 6.
func TestOpen(t *testing.T) {
	p := open(t)
	p.saw("a:"+port(p.c)+"  CLOSED --OpenActive--> SYN-SENT", "b:80  LISTEN --RcvSYN--> SYN-RECEIVED",
		"SYN-SENT --RcvSYNACK--> ESTABLISHED", "b:80  SYN-RECEIVED --SYNAcked--> ESTABLISHED")
	p.end()
}

// RFC 9293 Figure 7: both dial each other from the ports that they dial.
//
// Proves: RFC 9293 MUST-10
func TestSimultaneousOpen(t *testing.T) {
	p := newPair(t)
	p.c, p.s = p.a.Dial(p.b, 7000, 6000), p.b.Dial(p.a, 6000, 7000)
	p.Run(second)
	p.saw("SYN-SENT --RcvSYN--> SYN-RECEIVED", "SYN-RECEIVED --SYNAcked--> ESTABLISHED", "SYN-RECEIVED --SYNAcked--> ESTABLISHED")
	p.c.Write(10_000)
	p.s.Write(20_000)
	p.Run(second)
	p.read(20_000, 10_000)
	p.end()
}

// The same with each of the four first segments lost.
func TestSimultaneousOpenWithLoss(t *testing.T) {
	for n := range 4 {
		p := newPair(t)
		k := 0
		p.filter(func(*sent) bool { k++; return k == n+1 })
		p.c, p.s = p.a.Dial(p.b, 7000, 6000), p.b.Dial(p.a, 6000, 7000)
		p.c.want, p.s.want = 1000, 2000
		p.Run(10 * second)
		p.read(2000, 1000)
		p.end()
	}
}

// Text queued in SYN-SENT and a Close withheld in SYN-RECEIVED (section 3.10.4) still go out.
func TestCloseInSynReceived(t *testing.T) {
	p := newPair(t)
	p.filter(func(s *sent) bool { return s.host == p.b && s.Flags&tcp.ACK != 0 && p.now < mono.Time(3605*second) })
	p.c, p.s = p.a.Dial(p.b, 7000, 6000), p.b.Dial(p.a, 6000, 7000)
	p.Run(ms)
	p.c.Do(func(c stack.Conn) { p.c.want = 500; p.c.write() })
	p.Run(100 * ms)
	p.saw("a:6000  SYN-SENT --RcvSYN--> SYN-RECEIVED")
	p.c.CloseWrite()
	p.Run(20 * second)
	p.read(0, 500)
	if !p.s.EOF {
		t.Error("no EOF")
	}
	p.end()
}

func TestLostSYN(t *testing.T) {
	p := newPair(t)
	p.loseOnce(p.a, has(tcp.SYN))
	p.dial()
	if at := p.times(p.a, has(tcp.SYN)); len(at) != 2 || at[1].Sub(at[0]) < second || at[1].Sub(at[0]) > second+ms {
		t.Errorf("SYNs at %v", at)
	}
	p.end()
}

func TestLostSYNACK(t *testing.T) {
	p := newPair(t)
	p.loseOnce(p.b, has(tcp.SYN|tcp.ACK))
	p.dial()
	p.end()
}

// Both sides wait after a lost third ACK: the SYN,ACK comes again.
func TestLostThirdACK(t *testing.T) {
	p := newPair(t)
	p.loseOnce(p.a, has(tcp.ACK))
	p.dial()
	if n := p.count(p.b, has(tcp.SYN|tcp.ACK)); n != 2 {
		t.Errorf("%d SYN,ACKs", n)
	}
	p.end()
}

// The third ACK carries text, and the one without is lost.
func TestDataOnThirdACK(t *testing.T) {
	p := newPair(t)
	p.loseOnce(p.a, func(s *sent) bool { return has(tcp.ACK)(s) && len(s.Text) == 0 })
	p.c = p.a.Dial(p.b, 80, 0)
	p.c.want = 1000
	p.Run(second)
	p.read(0, 1000)
	if n := p.count(p.b, has(tcp.SYN|tcp.ACK)); n != 1 {
		t.Errorf("%d SYN,ACKs", n)
	}
	p.end()
}

// A SYN again while in SYN-RECEIVED is answered by the SYN,ACK again, under the limit.
func TestRepeatedSYN(t *testing.T) {
	p := newPair(t)
	lose := 3
	p.filter(func(s *sent) bool {
		if has(tcp.SYN|tcp.ACK)(s) && lose > 0 {
			lose--
			return true
		}
		return false
	})
	p.dial()
	p.saw("SYN-RECEIVED --RcvOldSYN--> SYN-RECEIVED")
	p.end()
}

// Nobody answers: SynRetries SYNs more, for three minutes at least (MUST-23), then TimedOut; 1 s doubled each time
// (RFC 6298).
//
// Proves: RFC 9293 MUST-22, MUST-23
func TestNoAnswer(t *testing.T) {
	p := newPair(t)
	p.filter(func(s *sent) bool { return true })
	p.c = p.a.Dial(p.b, 80, 0)
	p.Run(300 * second)
	at := p.times(p.a, has(tcp.SYN))
	if len(at) != 8 {
		t.Fatalf("%d SYNs", len(at))
	}
	for i := range 7 {
		if d := at[i+1].Sub(at[i]); d < second<<i || d > second<<i+ms {
			t.Errorf("SYN %d after %v", i+2, d)
		}
	}
	if p.c.Held || p.c.Events&tcp.TimedOut == 0 {
		t.Errorf("events %b", p.c.Events)
	}
	p.over()
}

func TestRefused(t *testing.T) {
	p := newPair(t)
	p.c = p.a.Dial(p.b, 81, 0)
	p.Run(second)
	if p.c.Held || p.c.Events&tcp.Refused == 0 {
		t.Errorf("events %b", p.c.Events)
	}
	p.over()
}

// A full backlog withholds the last ACKs; the clients do not know, and all are served as it drains.
func TestBacklog(t *testing.T) {
	p := newPair(t)
	p.l.Listener.Close()
	l := p.b.Listen(80, 2)
	var clients []*User
	for range 6 {
		c := p.a.Dial(p.b, 80, 0)
		c.want = 100
		clients = append(clients, c)
	}
	p.Run(second)
	if len(l.Users) != 2 || l.Waiting() != 2 {
		t.Errorf("%d accepted, %d waiting", len(l.Users), l.Waiting())
	}
	for range 6 {
		for l.Waiting() > 0 {
			l.Taken(p.a.Addr)
		}
		p.Run(8 * second)
	}
	if len(l.Users) != 6 {
		t.Errorf("%d accepted", len(l.Users))
	}
	for _, u := range append(clients, l.Users...) {
		if u.Read+u.Wrote != 100 {
			t.Errorf("read %d, wrote %d", u.Read, u.Wrote)
		}
		u.Close()
	}
	p.over()
}
