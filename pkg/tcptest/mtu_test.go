package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// blackHole loses what is larger than mtu bytes, and tells nobody.
func (p *pair) blackHole(mtu int) {
	p.filter(func(s *sent) bool { return 20+20+12+len(s.Text) > mtu && len(s.Text) > 0 })
}

// RFC 4821: a path that swallows large segments is found out after R1 time-outs, and then searched for what it takes.
//
// Proves: RFC 9293 MUST-20
func TestBlackHole(t *testing.T) {
	for _, mtu := range []int{1500, 1499, 1400, 1280, 1100, 1000, 600} {
		p := open(t)
		p.Log.Verbose = false
		p.blackHole(mtu)
		p.c.Write(2_000_000)
		p.Run(60 * second)
		p.read(0, 2_000_000)
		i := p.c.Info()
		if i.PathMTU > mtu || i.PathMTU < min(mtu-16, 1500) {
			t.Errorf("MTU %d: found %d", mtu, i.PathMTU)
		}
		if mtu == 1500 && i.TimeOuts != 0 || i.TimeOuts > 8 {
			t.Errorf("MTU %d: %d time-outs", mtu, i.TimeOuts)
		}
		p.end()
	}
}

// Without the search a black hole is the end.
func TestBlackHoleNotSearched(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.MTUProbing, s.Retries2 = tcp.MTUProbingOff, 6 }))
	p.blackHole(1400)
	p.c.Write(100_000)
	p.Run(100 * second)
	if p.c.Held || p.c.Events&tcp.TimedOut == 0 {
		t.Errorf("events %b", p.c.Events)
	}
	p.s.Abort()
	p.over()
}

// The loss of a probe is not taken for congestion (RFC 4821 section 7.5): cwnd does not fall, there is no time-out, and
// what the probe carried is sent again at once.
func TestProbeLossIsNoCongestion(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.MTUProbing = tcp.MTUProbingOn }))
	p.Log.Verbose = false
	p.blackHole(1300)
	least := 0
	for range 40 {
		p.c.Write(100_000)
		p.Run(40 * ms)
		if cwnd := p.c.Info().Cwnd; cwnd < least {
			t.Fatalf("cwnd fell from %d to %d", least, cwnd)
		} else {
			least = cwnd
		}
	}
	p.Run(10 * second)
	i := p.c.Info()
	if i.PathMTU > 1300 || i.PathMTU < 1284 || i.TimeOuts != 0 {
		t.Errorf("MTU %d, %d time-outs", i.PathMTU, i.TimeOuts)
	}
	large := p.count(p.a, func(s *sent) bool { return s.lost })
	if large == 0 || large > 8 || int(i.Retransmits) > 2*large {
		t.Errorf("%d probes lost, %d segments sent again", large, i.Retransmits)
	}
	p.end()
}

// After ten minutes a path is tried again, and a larger MTU found (RFC 1191 section 6.3, RFC 4821 section 7.6).
func TestPathGrows(t *testing.T) {
	p := open(t)
	p.Log.Verbose = false
	p.ab.MTU = 900
	p.c.Write(100_000)
	p.Run(5 * second)
	if m := p.c.Info().PathMTU; m != 900 {
		t.Fatalf("MTU %d", m)
	}
	p.ab.MTU = 0
	for range 20 {
		p.c.Write(300_000)
		p.Run(60 * second)
	}
	if m := p.c.Info().PathMTU; m != 1500 {
		t.Errorf("MTU %d after ten minutes", m)
	}
	p.end()
}

// A route may take less than the device: that is offered, and sent, and only to those behind it.
//
// Proves: RFC 9293 MUST-16
func TestRouteMSS(t *testing.T) {
	for _, dials := range []bool{true, false} {
		opt := HostOptions{Routes: []stack.Route{{Prefix: mustPrefix("10.0.0.0/30"), MSS: 1000}, {Prefix: mustPrefix("10.0.0.3/32"), MSS: 1300}}}
		p := newPair(t)
		other := p.Host("c", opt)
		other.Listen(80, 0)
		p.Join(p.a, other, Path{Delay: ms})
		var u *User
		if dials {
			u = other.Dial(p.b, 80, 0)
			p.Join(other, p.b, Path{Delay: ms})
		} else {
			u = p.a.Dial(other, 80, 0)
		}
		p.Run(second)
		if m := u.Info(); m.SendMSS != 1000-12 {
			t.Errorf("dials %v: MSS %d", dials, m.SendMSS)
		}
		u.Abort()
		p.over()
	}
}
