package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// A corked connection sends full segments only; what is left goes when the cork is drawn, at the FIN, or when it has
// waited for as long as Linux lets it: 200 ms.
//
// Proves: RFC 9293 MUST-60, MAY-16
func TestCork(t *testing.T) {
	for _, end := range []string{"uncork", "close", "wait"} {
		p := open(t)
		p.c.Do(func(c stack.Conn) { c.SetNoDelay(true); c.SetCork(true) })
		for range 20 {
			p.c.Write(100)
		}
		p.Run(150 * ms)
		if n := p.count(p.a, withText); n != 1 || len(p.sent[0].Text) != 1448 {
			t.Errorf("%d segments, the first of %d bytes", n, len(p.sent[0].Text))
		}
		switch end {
		case "uncork":
			p.c.Do(func(c stack.Conn) { c.SetCork(false) })
		case "close":
			p.c.CloseWrite()
		}
		p.Run(100 * ms)
		p.read(0, 2000)
		p.end()
	}
}

// SetQuickAck has the next segments acknowledged at once, and the one that waits; turned off, they are delayed.
func TestQuickAck(t *testing.T) {
	p := open(t)
	ackAfter := func() (delayed bool) {
		p.sent = nil
		p.c.Write(1)
		p.Run(second)
		return p.times(p.b, has(tcp.ACK))[0].Sub(p.times(p.a, withText)[0]) > rtt
	}
	ackAfter() // and the window of the handshake, which was not scaled, is replaced
	p.s.Do(func(c stack.Conn) { c.SetQuickAck(false) })
	p.Run(ms)
	if !ackAfter() {
		t.Error("not delayed")
	}
	p.c.Write(1)
	p.Run(rtt)
	p.sent = nil
	p.s.Do(func(c stack.Conn) { c.SetQuickAck(true) })
	p.Run(ms)
	if p.count(p.b, nil) != 1 || ackAfter() {
		t.Error("delayed")
	}
	p.end()
}

// After disorder acknowledgments go at once for a while: the peer's window is small then.
func TestQuickAckAfterDisorder(t *testing.T) {
	p := open(t)
	p.c.Do(func(c stack.Conn) { c.SetNoDelay(true) })
	p.s.Do(func(c stack.Conn) { c.SetQuickAck(false) })
	p.loseOnce(p.a, withText)
	p.c.Write(20_000)
	p.Run(second)
	for i := range 30 {
		p.sent = nil
		p.c.Write(1)
		p.Run(second)
		delayed := p.times(p.b, has(tcp.ACK))[0].Sub(p.times(p.a, withText)[0]) > rtt
		if i < 5 && delayed || i == 29 && !delayed {
			t.Errorf("segment %d: delayed %v", i, delayed)
		}
	}
	p.end()
}

// Info tells how long there was something to send, and what held it back.
func TestInfoTimes(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.ReceiveBufferMax, s.SendBufferMax = 0, 0 }))
	p.Run(10 * second) // at rest
	if i := p.c.Info(); i.Busy != 0 {
		t.Errorf("at rest it was busy for %v", i.Busy)
	}
	p.s.Paused = true
	p.c.Write(400_000) // 256 KiB are kept, the rest waits
	p.Run(4 * second)
	i := p.c.Info()
	if i.WindowLimited < 3*second || i.WindowLimited > 4*second || i.Busy < i.WindowLimited || i.Busy > 4*second {
		t.Errorf("busy for %v, held back by the window for %v", i.Busy, i.WindowLimited)
	}
	p.s.Resume()
	p.Run(10 * second)
	p.read(0, 400_000)
	j := p.c.Info()
	if d := j.Busy - i.Busy; d < rtt || d > second {
		t.Errorf("the rest took %v", d)
	}
	if j.DeliveryRate == 0 || j.PacingRate == 0 || j.PathMTU != 1500 || j.TimeOuts != 0 || j.BufferLimited != 0 {
		t.Errorf("%+v", j)
	}
	p.end()
}

// Settings of a listener are those of its connections; a dialler may bring his own.
func TestSettingsOfListener(t *testing.T) {
	p := newPair(t)
	s := tcp.Defaults()
	s.SACK, s.Timestamps, s.UserTimeout = false, false, 7*second
	s.Congestion = cc.NewReno{}
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, TCP: &s})
	c80, c81 := p.a.Dial(p.b, 80, 0), p.a.Dial(p.b, 81, 0)
	p.Run(second)
	own, plain := l.Users[0].Info(), p.s.Info()
	if own.SACK || own.Timestamps || own.UserTimeout != 7*second || own.Congestion != "reno" {
		t.Errorf("%+v", own)
	}
	if !plain.SACK || !plain.Timestamps || plain.UserTimeout != 0 || plain.Congestion != "cubic" {
		t.Errorf("%+v", plain)
	}
	if i := c80.Info(); !i.SACK {
		t.Errorf("%+v", i)
	}
	d := p.a.DialWith(stack.DialConfig{TCP: &s}, p.b, 80)
	p.Run(second)
	if i := d.Info(); i.SACK || i.Congestion != "reno" {
		t.Errorf("%+v", i)
	}
	s.MSL *= 2
	if _, err := p.b.Stack.Listen(stack.ListenConfig{Prefix: mustPrefix("10.0.0.2/32"), Port: 82, TCP: &s}, l); err == nil {
		t.Error("another MSL is taken")
	}
	for _, u := range append(append(l.Users, p.l.Users...), c80, c81, d) {
		u.Abort()
	}
	p.over()
}
