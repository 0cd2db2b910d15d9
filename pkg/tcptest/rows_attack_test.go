package tcptest

import (
	"encoding/binary"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// talked is a connection on which 1000 bytes have gone either way.
func talked(t *testing.T, passive bool) *byHand {
	p := hand(t, passive, HostOptions{}, allOptions)
	p.text(0, 1000)
	p.write(1000)
	p.take()
	p.reply()
	p.Run(second)
	p.silent()
	return p
}

// challenged demands the one challenge ACK <SEQ=SND.NXT><ACK=RCV.NXT>, and that the connection lives.
func (p *byHand) challenged(name string) {
	p.t.Helper()
	if g := p.one(); g.Flags != tcp.ACK || g.Seq != p.ack || g.Ack != p.seq(1000) || !p.user.Held {
		p.t.Errorf("%s: %v, SEQ %d, ACK %d, held %v", name, g.Flags, g.Seq-p.ack, g.Ack-p.seq(1000), p.user.Held)
	}
	p.got = nil
	p.Run(second)
	p.silent()
}

// RFC 5961 section 3: a RST counts at exactly RCV.NXT, is challenged in the window, and is nothing outside it.
//
// Proves: RFC 5961 3.2-1, 3.2-2, 3.2-3, 3.2-4
func TestBlindRST(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, flags := range []tcp.Flags{tcp.RST, tcp.RST | tcp.ACK} {
			p := talked(t, passive)
			for _, off := range []int{1, 40_000} {
				p.inject(tcp.Segment{Seq: p.seq(1000 + off), Flags: flags})
				p.challenged("in the window")
			}
			for _, off := range []int{-1, -1000, 1 << 30} {
				p.inject(tcp.Segment{Seq: p.seq(1000 + off), Flags: flags})
				p.Run(second)
				p.silent()
			}
			if n := p.drops(tcp.DropBlindRST); n != 2 || !p.user.Held {
				t.Errorf("%d blind RSTs", n)
			}
			p.inject(tcp.Segment{Seq: p.seq(1000), Flags: flags})
			p.silent()
			if p.user.Held || p.user.Events&tcp.Reset == 0 {
				t.Errorf("events %b after a true RST", p.user.Events)
			}
		}
	})
}

// Section 4: a SYN is challenged wherever it lies, and ends nothing.
//
// Proves: RFC 5961 4.2-1, 4.2-2
func TestBlindSYN(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := talked(t, passive)
		for _, off := range []int{0, 1, 40_000, -1, 1 << 30} {
			for _, flags := range []tcp.Flags{tcp.SYN, tcp.SYN | tcp.ACK} {
				p.inject(tcp.Segment{Seq: p.seq(1000 + off), Flags: flags})
				p.challenged("SYN")
			}
		}
		p.text(1000, 100)
		if p.user.Read != 1100 {
			t.Errorf("read %d", p.user.Read)
		}
	})
}

// Section 5: text whose ACK is of something never sent, or older than the largest window, is not taken, but challenged;
// with an ACK that is old, but not so old, it is taken.
//
// Proves: RFC 9293 MAY-12
// Proves: RFC 5961 5.2-1, 5.2-2
func TestBlindText(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := talked(t, passive)
		text := func(ack seq.Num) {
			g := p.piece(1000, 10)
			g.Ack = ack
			p.inject(g)
		}
		text(p.ack + 1)
		p.challenged("future ACK")
		text(p.ack + 1<<30)
		p.challenged("far future ACK")
		text(p.ack - 70_000)
		p.challenged("old ACK")
		if f, o := p.drops(tcp.DropFutureACK), p.drops(tcp.DropOldACK); f != 2 || o != 1 || p.user.Read != 1000 {
			t.Errorf("%d future and %d old ACKs, read %d", f, o, p.user.Read)
		}
		text(p.ack - 900)
		if p.user.Read != 1010 {
			t.Errorf("read %d", p.user.Read)
		}
	})
}

// What stands in the window but acknowledges nothing that was sent is a guess, and nothing of it is believed: a timestamp far
// ahead would make PAWS drop all that the true peer sends, and a sign of life keep a dead connection.
func TestBlindTimestamp(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := talked(t, passive)
		g := p.piece(1000, 10)
		g.Ack = p.ack + 1<<30
		p.fill(&g)
		g.Options.TSVal += 1 << 30
		p.inject(g)
		p.challenged("a guess with a timestamp far ahead")
		p.text(1000, 100)
		if p.user.Read != 1100 {
			t.Errorf("read %d of the true peer's", p.user.Read)
		}
	})
}

// Section 7: one connection sends one challenge ACK in 500 ms, whatever comes.
//
// Proves: RFC 5961 7-1
func TestChallengesOfAConnection(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, g := range []tcp.Segment{{Flags: tcp.RST, Seq: 5}, {Flags: tcp.SYN, Seq: 5}, {Flags: tcp.ACK, Ack: 1 << 30}} {
			p := talked(t, passive)
			g.Seq, g.Ack = g.Seq+p.seq(1000), g.Ack+p.ack
			for range 499 {
				p.inject(g)
				p.Run(ms)
			}
			p.one()
			p.Run(2 * ms)
			p.inject(g)
			if len(p.got) != 2 {
				t.Errorf("%v: %d challenges", g.Flags, len(p.got))
			}
		}
	})
}

// And all connections of a shard together send 1000 a second; half as many more or fewer, so that nobody can count them
// out (CVE-2016-5696).
//
// Proves: RFC 5961 7-1
func TestChallengesOfAll(t *testing.T) {
	p := newPair(t)
	p.Log.Verbose = false
	const n = 1600
	for range n {
		p.a.Dial(p.b, 80, 0)
	}
	p.Run(second)
	if len(p.l.Users) != n {
		t.Fatalf("%d connections", len(p.l.Users))
	}
	blind := func() int {
		p.sent = nil
		for _, u := range p.l.Users {
			f := reverse(u.flow)
			forge(p.World, p.a, p.b, f, tcp.Segment{Seq: p.watch.ends[f].max + 5, Flags: tcp.RST})
		}
		p.Run(ms)
		return p.count(p.b, nil)
	}
	for range 3 {
		if k := blind(); k < 500 || k > 1500 {
			t.Errorf("%d challenge ACKs", k)
		}
		if k := blind(); k != 0 {
			t.Errorf("%d more in the same second", k)
		}
		p.Run(second)
	}
}

// icmpAbout is an ICMP error from a router about a packet of the host's, whose sequence number is changed by off.
func (p *byHand) icmpAbout(g got, off uint32, code uint8, mtu int) {
	packet := append([]byte(nil), g.packet...)
	binary.BigEndian.PutUint32(packet[24:], uint32(g.Seq)+off)
	var q ip.Packet
	q.Parse(packet)
	b := make([]byte, 600)
	b = b[:ip.Unreachable(b, &q, code, ip.V4([4]byte{10, 0, 0, 254}))]
	m := b[ip.HeaderLen:]
	binary.BigEndian.PutUint16(m[6:], uint16(mtu))
	m[2], m[3] = 0, 0
	binary.BigEndian.PutUint16(m[2:], ^ip.Fold(ip.Sum(m, 0)))
	p.arrive(b)
}

// RFC 5927: an ICMP error that quotes a sequence number not in flight is not believed. One that quotes another ends a
// connection while it opens, and never after that.
//
// Proves: RFC 9293 MUST-54, SHLD-26
// Proves: RFC 5927 4.1-1, 5.2-1
func TestHardErrors(t *testing.T) {
	for _, code := range []uint8{ip.CodePort, ip.CodeProtocol} {
		p := newHand(t, HostOptions{}, allOptions)
		u := p.host.Dial(p.peer, 5000, 0)
		p.Run(0)
		for _, off := range []uint32{1, 1000, 1 << 31, ^uint32(0)} {
			p.icmpAbout(p.got[0], off, code, 0)
		}
		if !u.Held || u.Events != 0 {
			t.Fatalf("code %d: a guess has ended the connection", code)
		}
		p.icmpAbout(p.got[0], 0, code, 0)
		if u.Held || u.Events&tcp.Unreachable == 0 {
			t.Errorf("code %d: events %b", code, u.Events)
		}
	}
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, allOptions)
		p.write(1000)
		for code := range uint8(4) {
			p.icmpAbout(p.got[0], 0, code, 0)
		}
		if !p.user.Held {
			t.Error("ICMP has ended an open connection")
		}
	})
}

// "Fragmentation needed" is believed for what is in flight alone, and then the text goes again, smaller (RFC 1191); not
// smaller than Linux's least MTU of 552.
//
// Proves: RFC 9293 MUST-54
// Proves: RFC 5927 4.1-1, 7.2-1, 7.2-2, 7.2-3
func TestTooBig(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, c := range []struct{ mtu, mss int }{{1400, 1348}, {700, 648}, {68, 500}, {0, 500}, {1500, 1448}, {9000, 1448}} {
			p := hand(t, passive, HostOptions{}, allOptions)
			p.write(10_000)
			all := p.take()
			for _, off := range []uint32{^uint32(0), 20_000, 1 << 31} {
				p.icmpAbout(all[0], off, ip.CodeFragNeeded, c.mtu)
			}
			p.silent()
			if n := p.user.Info().SendMSS; n != 1448 {
				t.Errorf("MTU %d: a guess has made the MSS %d", c.mtu, n)
			}
			p.icmpAbout(all[0], 0, ip.CodeFragNeeded, c.mtu)
			if n := p.user.Info().SendMSS; n != c.mss {
				t.Errorf("MTU %d: MSS %d, not %d", c.mtu, n, c.mss)
			}
			if c.mss == 1448 {
				p.silent()
			} else if len(p.got) == 0 || p.got[0].Seq != all[0].Seq || len(p.got[0].Text) != c.mss {
				t.Errorf("MTU %d: nothing was sent again", c.mtu)
			}
		}
	})
}
