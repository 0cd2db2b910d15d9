package tcptest

import (
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// What RFC 9293 asks of OPEN, and of the layer below, that only a whole stack can show.

// Section 3.9.1.1: "Every passive OPEN call either creates a new connection record in LISTEN state, or it returns an
// error; it MUST NOT affect any previously created connection record."
//
// Proves: RFC 9293 MUST-41
func TestListenTwice(t *testing.T) {
	p := open(t)
	again := &Listener{Host: p.b}
	at := stack.ListenConfig{Prefix: netip.PrefixFrom(p.b.Addr, 32), Port: 80}
	if _, err := p.b.Stack.Listen(at, again); err != stack.ErrAddrInUse {
		t.Errorf("a second listener: %v", err)
	}
	at.Port = 81
	if _, err := p.b.Stack.Listen(at, again); err != nil {
		t.Errorf("on another port: %v", err)
	}
	p.c.Write(100) // the connection goes on
	d := p.a.Dial(p.b, 80, 0)
	p.Run(second)
	if n := p.l.Users[0].Read; n != 100 {
		t.Errorf("read %d", n)
	}
	if len(p.l.Users) != 2 || len(again.Users) != 0 {
		t.Errorf("%d connections to the first, %d to the second", len(p.l.Users), len(again.Users))
	}
	d.Abort()
	p.c.Abort()
	p.over()
}

// Section 3.9.1.1: a TCP "MUST provide an OPEN call that will functionally allow an application to LISTEN on a port while
// a connection block with the same local port is in SYN-SENT or SYN-RECEIVED state".
//
// Proves: RFC 9293 MUST-42
func TestListenBesideAnOpening(t *testing.T) {
	p := newHand(t, HostOptions{}, allOptions)
	p.user = p.host.Dial(p.peer, 5000, 8080)
	p.Run(0)
	p.one()
	p.take()
	l := p.host.Listen(8080, 0) // in SYN-SENT
	p.syn(tcp.SYN)              // to port 80
	p.one()
	p.take()
	half := p.flow
	p.l.Listener.Close()
	p.l = p.host.Listen(80, 0) // in SYN-RECEIVED
	for _, to := range []struct {
		l    *Listener
		port uint16
	}{{l, 8080}, {p.l, 80}} {
		p.flow.LocalPort, p.flow.RemotePort = half.LocalPort+to.port, to.port
		to.l.Accept = func(u *User) { p.user = u }
		p.open(true, 0)
		if len(to.l.Users) != 1 {
			t.Errorf("port %d: %d connections", to.port, len(to.l.Users))
		}
	}
}

// Section 3.9.1.1: the local address of an OPEN "MUST be supported". Where none is given, an active OPEN "MUST ask the IP
// layer to select a local IP address before sending the (first) SYN"; a passive one takes that which the peer has called.
// "At all other times TCP implementations MUST use the same local address": every segment of a connection has it.
//
// Proves: RFC 9293 MUST-43, MUST-44, MUST-45
func TestLocalAddress(t *testing.T) {
	first, chosen := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.9.0.77")
	prefixes := []netip.Prefix{netip.PrefixFrom(first, 32), netip.MustParsePrefix("10.9.0.0/16")}
	for _, c := range []struct {
		local, want netip.Addr
	}{{netip.Addr{}, first}, {first, first}, {chosen, chosen}} {
		p := newHand(t, HostOptions{Addrs: prefixes}, allOptions)
		p.user = p.host.DialWith(stack.DialConfig{Local: netip.AddrPortFrom(c.local, 0)}, p.peer, 5000)
		p.Run(0)
		p.flow.Remote, p.flow.RemotePort = ip.FromNetip(c.want), p.one().SrcPort
		p.speaksFrom(c.want)
		p.syn(tcp.SYN | tcp.ACK)
		p.talkFrom(c.want)
	}
	p := newHand(t, HostOptions{Addrs: prefixes}, allOptions)
	p.l.Listener.Close()
	l := &Listener{Host: p.host, Accept: func(u *User) { p.user = u }}
	if _, err := p.host.Stack.Listen(stack.ListenConfig{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Port: 80}, l); err != nil {
		t.Fatal(err)
	}
	p.flow.Remote = ip.FromNetip(chosen)
	p.syn(tcp.SYN)
	p.speaksFrom(chosen)
	p.reply()
	p.talkFrom(chosen)
}

// talkFrom has the host write, answer and close, all from one address.
func (p *byHand) talkFrom(a netip.Addr) {
	p.t.Helper()
	p.write(3000)
	p.Run(second) // sent again
	p.text(0, 1000)
	p.reply()
	p.user.Close()
	p.Run(second)
	if len(p.got) < 4 {
		p.t.Fatalf("%d segments", len(p.got))
	}
	p.speaksFrom(a)
}

// speaksFrom demands that all that the host has sent is from this address, and takes it.
func (p *byHand) speaksFrom(a netip.Addr) {
	p.t.Helper()
	for _, g := range p.got {
		if from := netip.AddrFrom4([4]byte(g.packet[12:16])); from != a {
			p.t.Errorf("%v from %v, not from %v", g.Flags, from, a)
		}
	}
	p.take()
}

// Section 3.9.2.3: "An incoming SYN with an invalid source address MUST be ignored", and one "that is addressed to a
// broadcast or multicast address" silently discarded; and the same of all other segments. The host listens on every
// address that there is.
//
// Proves: RFC 9293 MUST-57, MUST-63
func TestSYNOfNobodyAndToMany(t *testing.T) {
	for _, c := range []struct {
		from, to string
		answered bool
	}{
		{"10.0.0.2", "10.0.0.1", true},
		{"10.0.0.2", "224.0.0.1", false}, {"10.0.0.2", "239.255.255.255", false}, {"10.0.0.2", "255.255.255.255", false},
		{"0.0.0.0", "10.0.0.1", false}, {"0.1.2.3", "10.0.0.1", false}, {"127.0.0.1", "10.0.0.1", false},
		{"224.0.0.1", "10.0.0.1", false}, {"240.0.0.1", "10.0.0.1", false}, {"255.255.255.255", "10.0.0.1", false},
	} {
		for _, flags := range []tcp.Flags{tcp.SYN, tcp.ACK, tcp.FIN | tcp.ACK} {
			p := newHand(t, HostOptions{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/0")}}, allOptions)
			p.l.Listener.Close()
			if _, err := p.host.Stack.Listen(stack.ListenConfig{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Port: 80}, &Listener{Host: p.host}); err != nil {
				t.Fatal(err)
			}
			p.flow.Local, p.flow.Remote = ip.FromNetip(netip.MustParseAddr(c.from)), ip.FromNetip(netip.MustParseAddr(c.to))
			g := tcp.Segment{Seq: p.iss, Flags: flags, Ack: 1, Window: 60_000}
			if c.answered {
				p.send(g)
			} else {
				p.inject(g)
			}
			p.Run(second)
			if n := p.host.Stack.Counters(0); (n.Written > 0) != c.answered || (n.HalfOpen > 0) != (c.answered && flags == tcp.SYN) {
				t.Errorf("%v from %s to %s: %d packets sent, %d half-open", flags, c.from, c.to, n.Written, n.HalfOpen)
			}
		}
	}
}

// Section 3.10.7.4: processing "MUST be implemented to aggregate ACK segments whenever possible". Over ways below 2 ms, the
// segments that lie in the queue together share one ACK (MUST-59). Over longer ones every second has its own, as section 3.8.6.3
// asks (SHLD-19), and each superframe, and it goes before the next is looked at: the peer takes its clock from them.
//
// Proves: RFC 9293 MUST-58, SHLD-19
func TestQueuedSegmentsShareACKs(t *testing.T) {
	for _, c := range []struct {
		way   mono.Duration
		parts int // segments of a frame
		acks  int // of eight frames
	}{{ms, 1, 1}, {rtt, 1, 4}, {ms, 2, 1}, {rtt, 2, 8}} {
		p := newHand(t, HostOptions{}, allOptions)
		p.path.Whole = true
		p.open(true, c.way)
		n := 0
		for range 16 { // until ACKs are delayed
			p.text(n, 10)
			n += 10
			p.Run(second)
		}
		p.take()
		for range 8 {
			g := p.piece(n, 1448*c.parts)
			p.fill(&g)
			p.World.send(p.peer, p.packet(&g), uint16(1448*(c.parts-1)))
			n += len(g.Text)
		}
		p.Run(0) // they arrive together
		if k := len(p.got); k != c.acks || p.got[k-1].Ack != p.seq(n) {
			t.Errorf("a way of %v, frames of %d: %d ACKs", c.way, c.parts, k)
		}
		p.take()
		p.Run(second)
		p.silent()
	}
}
