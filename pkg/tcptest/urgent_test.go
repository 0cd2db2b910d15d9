package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// urge writes n bytes of u's text as urgent.
func (u *User) urge(n int) {
	u.Do(func(c stack.Conn) {
		b := make([]byte, n)
		p := u.out
		p.fill(b)
		c.Urge(n)
		k := c.Write(b)
		u.Wrote += uint64(k)
		u.want += uint64(k)
		u.out.at += uint64(k)
	})
}

func urgent(s *sent) bool { return s.Flags&tcp.URG != 0 }

// Urgent text stays in line; the pointer says where it ends, and the reader is told before he comes to it (RFC 6093).
//
// Proves: RFC 9293 MUST-30, MUST-33, MUST-62
func TestUrgent(t *testing.T) {
	p := open(t)
	p.s.Paused = true
	p.c.Write(10_000)
	p.Run(second)
	p.sent = nil
	p.c.urge(100)
	p.Run(second)
	if p.s.Events&tcp.Urgent == 0 {
		t.Error("the reader is not told")
	}
	if n := p.s.Info().UrgentLeft; n != 10_100 {
		t.Errorf("%d bytes are urgent", n)
	}
	if p.count(p.a, urgent) != 1 || p.sent[0].Urgent != 100 {
		t.Errorf("%d segments are urgent, the pointer is %d", p.count(p.a, urgent), p.sent[0].Urgent)
	}
	p.c.Write(5000) // not urgent
	p.s.Resume()
	p.Run(second)
	p.read(0, 15_100)
	if n := p.s.Info().UrgentLeft; n != 0 || p.count(p.a, urgent) != 1 {
		t.Errorf("%d bytes left, %d segments", n, p.count(p.a, urgent))
	}
	p.end()
}

// Every segment up to the urgent text's end says so (section 3.10.2), a superframe none for many; what is sent again, too.
//
// Proves: RFC 9293 MUST-31, MUST-62
func TestUrgentInManySegments(t *testing.T) {
	p := open(t, HostOptions{Superframe: true, Checksum: true})
	p.ab.Whole = true
	p.loseOnce(p.a, withText)
	p.c.urge(50_000)
	p.Run(second)
	p.read(0, 50_000)
	end := p.sent[0].Seq.Add(50_000)
	for _, s := range p.sent {
		if s.host == p.a && len(s.Text) > 0 && (!urgent(&s) || s.Seq.Add(uint32(s.Urgent)) != end || len(s.Text) > 1448) {
			t.Fatalf("%v of %d bytes, pointer %d", s.Flags, len(s.Text), s.Urgent)
		}
	}
	p.end()
}

// A closed window does not keep the news back (MUST-32).
func TestUrgentIntoClosedWindow(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.ReceiveBufferMax = 0 }))
	p.s.Paused = true
	p.c.Write(250_000)
	p.Run(second)
	for p.c.Info().SendWindow > 0 {
		p.c.Write(1000)
		p.Run(second)
	}
	p.Run(second)
	p.c.urge(10)
	p.Run(100 * ms)
	if p.s.Events&tcp.Urgent == 0 {
		t.Error("the reader is not told")
	}
	p.s.Resume()
	p.Run(10 * second)
	if p.s.Read != p.c.Wrote {
		t.Errorf("read %d of %d", p.s.Read, p.c.Wrote)
	}
	p.end()
}

// A pointer that goes back says nothing new, and one beyond the FIN ends nothing.
//
// Proves: RFC 9293 MUST-32, MUST-33
func TestUrgentPointerMovesOn(t *testing.T) {
	p := open(t)
	p.s.Paused = true
	p.c.urge(100)
	p.Run(second)
	p.s.Events = 0
	f := p.c.flow
	i := p.c.Info()
	at := tcp.Segment{Seq: 0, Flags: tcp.ACK | tcp.URG, Window: 1000}
	at.Seq, at.Ack = p.nextSeq(p.c), p.nextSeq(p.s)
	_ = i
	forge(p.World, p.a, p.b, f, withUrgent(at, 0))
	p.Run(ms)
	if p.s.Events&tcp.Urgent != 0 {
		t.Error("told of a pointer of 0")
	}
	forge(p.World, p.a, p.b, f, withUrgent(at, 500))
	p.Run(ms)
	if p.s.Events&tcp.Urgent == 0 || p.s.Info().UrgentLeft != 600 {
		t.Errorf("events %b, %d left", p.s.Events, p.s.Info().UrgentLeft)
	}
	p.s.Resume()
	p.Run(second)
	p.end()
}

func withUrgent(g tcp.Segment, pointer uint16) tcp.Segment {
	g.Urgent = pointer
	return g
}
