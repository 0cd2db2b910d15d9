package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Cookies begin when the budget of half-open connections is spent, keep nothing, and end when there is room again.
func TestCookiesBeginWithTheBudgetSpent(t *testing.T) {
	o := HostOptions{}
	o.Limits.HalfOpen = 2
	p := newHand(t, o, allOptions)
	first := p.flow
	for k := range 4 {
		p.flow.LocalPort = first.LocalPort + uint16(k)
		p.stamps = false
		p.syn(tcp.SYN)
		if c := p.host.Stack.Counters(0); c.HalfOpen != min(k+1, 2) || int(c.CookiesSent) != max(0, k-1) {
			t.Errorf("SYN %d: %d half-open, %d cookies", k+1, c.HalfOpen, c.CookiesSent)
		}
	}
	p.got = p.got[3:]
	p.take()
	p.Run(20 * ms)
	p.reply() // of the last, which nothing is known of
	if c := p.host.Stack.Counters(0); p.user == nil || c.CookiesTaken != 1 || c.HalfOpen != 2 {
		t.Fatalf("%d cookies taken, %d half-open", c.CookiesTaken, c.HalfOpen)
	}
	p.Run(100 * second) // the two are given up
	p.flow.LocalPort++
	p.iss += 1000
	p.got, p.user = nil, nil
	p.open(true, 0)
	if c := p.host.Stack.Counters(0); c.CookiesSent != 2 {
		t.Errorf("%d cookies", c.CookiesSent)
	}
}

// What was agreed survives in the cookie and in the timestamp: MSS, rounded down, window scale, SACK, ECN, timestamps.
// Without timestamps only the MSS does, and the SYN,ACK does not offer more.
func TestCookiesKeepOptions(t *testing.T) {
	const full = tcp.HasMSS | tcp.HasTimestamps | tcp.HasSACKPermitted | tcp.HasWindowScale
	for _, c := range []struct {
		has      tcp.Has
		mss, use int
		scale    uint8
		ecn      bool
		want     tcp.Has
	}{
		{full, 1460, 1460, 7, true, full},
		{full, 1460, 1460, 7, false, full},
		{full, 1200, 940, 14, true, full},
		{full, 9000, 1460, 0, true, full},
		{full &^ tcp.HasSACKPermitted, 600, 536, 3, false, full &^ tcp.HasSACKPermitted},
		{full &^ tcp.HasWindowScale, 1460, 1460, 0, false, full &^ tcp.HasWindowScale},
		{full &^ tcp.HasTimestamps, 1460, 1460, 7, true, tcp.HasMSS},
		{0, 0, 536, 0, false, tcp.HasMSS},
	} {
		o := ecn(tcp.ECNOn)
		o.Limits.HalfOpen = -1
		p := newHand(t, o, tcp.Options{Has: c.has, MSS: uint16(c.mss), WindowScale: c.scale})
		flags, agreed := tcp.SYN, c.ecn && c.want&tcp.HasTimestamps != 0
		if c.ecn {
			flags |= bothECN
		}
		p.syn(flags)
		if g := p.one(); g.Options.Has != c.want || (g.Flags&tcp.ECE != 0) != agreed {
			t.Errorf("%+v: the SYN,ACK is %v with %04b", c, g.Flags, g.Options.Has)
		}
		p.take()
		p.Run(20 * ms)
		if c.want&tcp.HasWindowScale == 0 {
			p.window <<= c.scale
		}
		p.reply()
		if p.user == nil {
			t.Errorf("%+v: not opened", c)
			continue
		}
		i := p.user.Info()
		var has tcp.Has = tcp.HasMSS
		for _, o := range []struct {
			is  bool
			has tcp.Has
		}{{i.Timestamps, tcp.HasTimestamps}, {i.SACK, tcp.HasSACKPermitted}, {i.WindowScale, tcp.HasWindowScale}} {
			if o.is {
				has |= o.has
			}
		}
		use := c.use
		if i.Timestamps {
			use -= 12
		}
		if has != c.want || i.SendMSS != use || i.WindowScale && i.SendScale != c.scale {
			t.Errorf("%+v: opened with %04b, MSS %d, shift %d", c, has, i.SendMSS, i.SendScale)
		}
		p.write(100)
		if g := p.one(); (g.ECN == 2) != agreed {
			t.Errorf("%+v: text with codepoint %d", c, g.ECN)
		}
	}
}

// A cookie is for one flow and a while: a guess, another's and an old one are answered by a RST.
func TestCookiesAreChecked(t *testing.T) {
	for _, c := range []struct {
		name  string
		off   uint32
		ports uint16
		wait  mono.Duration
		taken bool
	}{
		{"right", 0, 0, 20 * ms, true},
		{"slow", 0, 0, 60 * second, true},
		{"guess", 1, 0, 20 * ms, false},
		{"another's", 0, 1, 20 * ms, false},
		{"old", 0, 0, 129 * second, false},
	} {
		o := HostOptions{}
		o.Limits.HalfOpen = -1
		p := newHand(t, o, allOptions)
		p.syn(tcp.SYN)
		p.take()
		p.Run(c.wait)
		p.flow.LocalPort += c.ports
		p.inject(tcp.Segment{Seq: p.seq(0), Ack: p.irs.Add(1 + c.off), Flags: tcp.ACK})
		if (p.user != nil) != c.taken || !c.taken && p.one().Flags != tcp.RST {
			t.Errorf("%s: taken %v", c.name, p.user != nil)
		}
	}
}
