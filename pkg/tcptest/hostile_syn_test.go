package tcptest

import (
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// served opens a connection with n bytes on the SYN and after, and demands that all of them arrive.
func (p *pair) served(n uint64) {
	p.t.Helper()
	p.c = p.fast(n)
	p.Run(5 * second)
	if p.s == nil {
		p.t.Fatal("not opened")
	}
	p.read(100, n)
	if len(p.sent[0].Text) == 0 {
		p.t.Error("no text on the SYN")
	}
}

// A router may find a SYN with text too big: the text goes on, smaller, when the SYN has come through by itself.
func TestSYNWithTextTooBig(t *testing.T) {
	p, _ := fastPair(t, 10)
	p.meet()
	p.ab.MTU = 1400
	p.served(3000)
	if p.c.Info().SendMSS > 1360 {
		t.Errorf("MSS %d", p.c.Info().SendMSS)
	}
	p.end()
}

// A SYN's text leaves room for its options in what the peer takes: its MSS counts the text of a segment without any
// (RFC 6691).
func TestSYNTextLeavesRoomForOptions(t *testing.T) {
	const mtu = 1440
	p := newPair(t, HostOptions{}, HostOptions{MTU: mtu})
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, FastOpen: 10})
	l.Accept = func(u *User) { p.s, u.want = u, 100 }
	p.meet()
	tap(p.ab, func(f *Frame) {
		if f.Seg.Flags&tcp.SYN != 0 && len(f.Packet) > mtu {
			t.Errorf("a SYN of %d bytes, and the peer's MTU is %d", len(f.Packet), mtu)
		}
	})
	p.served(3000)
	p.end()
}

// Text that was refused with the SYN goes out again within the window of the SYN,ACK, however much smaller that is; the
// watcher looks.
func TestRefusedSYNTextKeepsToTheWindow(t *testing.T) {
	p := newPair(t, HostOptions{}, settings(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = 500, 500 }))
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, FastOpen: 10})
	l.Accept = func(u *User) { p.s, u.want = u, 100 }
	p.meet()
	p.Run(2 * 3600 * second) // the cookie is too old
	p.served(1400)
	for _, s := range p.sent[1:] {
		if s.host == p.a && len(s.Text) > 500 {
			t.Errorf("%d bytes into a window of 500", len(s.Text))
		}
	}
	p.end()
}

// Two that open to each other at once, both with text on their SYNs: neither takes it, for each has asked, and none was
// asked. It goes again with the handshake, and not after a time-out.
func TestSimultaneousOpenWithText(t *testing.T) {
	p, _ := fastPair(t, 10)
	p.meet()
	back := p.a.ListenWith(stack.ListenConfig{Port: 81, FastOpen: 10}) // which gives b a cookie of a's
	back.Accept = func(u *User) { p.s, u.want = u, 100 }
	p.c = p.b.DialWith(stack.DialConfig{FastOpen: true}, p.a, 81)
	p.c.want = 100
	p.Run(second)
	p.read(100, 100)
	p.end()
	p.sent = nil

	dial := func(from *Host, port uint16, to *Host, at uint16) *User {
		local := netip.AddrPortFrom(from.Addr, port)
		u := from.DialWith(stack.DialConfig{Local: local, FastOpen: true}, to, at)
		u.want = 1000
		return u
	}
	p.c, p.s = dial(p.a, 5000, p.b, 6000), dial(p.b, 6000, p.a, 5000)
	p.Run(5 * rtt)
	p.read(1000, 1000)
	if len(p.sent[0].Text) == 0 || len(p.sent[1].Text) == 0 || p.count(p.a, has(tcp.SYN)) != 1 || p.count(p.b, has(tcp.SYN)) != 1 {
		t.Error("the SYNs carry no text, or there are more than two")
	}
	for _, u := range []*User{p.c, p.s} {
		if i := u.Info(); i.TimeOuts != 0 || i.Retransmits > 2 {
			t.Errorf("%s: %d time-outs, %d sent again", u.Host.Name, i.TimeOuts, i.Retransmits)
		}
	}
	p.end()
}

// A SYN inside a connection that a cookie has opened is challenged, as in any other that has a user (RFC 5961 section 4):
// a stranger does not end it, and the client goes on.
func TestSYNInsideAnEarlyConnection(t *testing.T) {
	for _, off := range []uint32{101, 102, 5000} {
		h := newHostile(t, 10, HostOptions{})
		h.strike(evil{window: 60_000, options: fastOpen(h.cookie()), text: 100})
		h.Run(ms)
		h.take()
		h.inject(tcp.Segment{Seq: h.iss.Add(off), Flags: tcp.SYN})
		if g := h.one(); g.Flags != tcp.ACK || g.Ack != h.iss.Add(101) || !h.user.Held {
			t.Errorf("SYN at %d: %v, events %b", off, g.Flags, h.user.Events)
		}
		h.high = 100
		h.take()
		h.reply()
		h.text(100, 50)
		if s := h.l.Stats(); !h.user.Held || h.user.Read != 150 || s.FastOpen != 0 {
			t.Errorf("SYN at %d: read %d, %+v", off, h.user.Read, s)
		}
		h.inject(tcp.Segment{Seq: h.seq(150), Flags: tcp.RST})
		h.gone()
	}
}

// SYNs out of the window are answered under the limit of RFC 5961 section 7, too: a stranger who sends many must not make
// two hosts talk.
func TestSYNsOutOfTheWindow(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, off := range []int{-1001, -1_000_000, 1 << 30} {
			for _, text := range []int{0, 10} {
				p := talked(t, passive)
				for range 499 {
					p.inject(tcp.Segment{Seq: p.seq(1000 + off), Flags: tcp.SYN, Text: make([]byte, text)})
					p.Run(ms)
				}
				if g := p.one(); g.Flags != tcp.ACK || g.Ack != p.seq(1000) || !p.user.Held {
					t.Errorf("SYN at %d: %v, held %v", off, g.Flags, p.user.Held)
				}
			}
		}
	})
}
