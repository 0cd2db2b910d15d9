package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

const bothECN = tcp.ECE | tcp.CWR

// ecn is a host with the setting.
func ecn(e tcp.ECN) HostOptions { return settings(func(s *tcp.Settings) { s.ECN = e }) }

// What a SYN and its answer say of ECN under each setting (RFC 3168 section 6.1.1), and whether text is then marked.
//
// Proves: RFC 9293 SHLD-8
func TestECNIsAgreed(t *testing.T) {
	for _, c := range []struct {
		set     tcp.ECN
		passive bool
		peer    tcp.Flags // on the peer's SYN or SYN,ACK
		ours    tcp.Flags // on ours
		agreed  bool
	}{
		{tcp.ECNOff, true, bothECN, 0, false},
		{tcp.ECNPassive, true, bothECN, tcp.ECE, true},
		{tcp.ECNOn, true, bothECN, tcp.ECE, true},
		{tcp.ECNOn, true, 0, 0, false},
		{tcp.ECNOff, false, 0, 0, false},
		{tcp.ECNOff, false, tcp.ECE, 0, false},
		{tcp.ECNPassive, false, 0, 0, false},
		{tcp.ECNPassive, false, tcp.ECE, 0, false},
		{tcp.ECNOn, false, tcp.ECE, bothECN, true},
		{tcp.ECNOn, false, 0, bothECN, false},
		{tcp.ECNOn, false, bothECN, bothECN, false}, // a host that reflects what it does not know
	} {
		p := newHand(t, ecn(c.set), allOptions)
		if c.passive {
			p.syn(tcp.SYN | c.peer)
		} else {
			p.user = p.host.Dial(p.peer, 5000, 0)
			p.Run(0)
			p.flow.RemotePort = p.got[0].SrcPort
		}
		g := p.one()
		p.take()
		if g.Flags&bothECN != c.ours || g.ECN != 0 {
			t.Errorf("%+v: %v with codepoint %d", c, g.Flags, g.ECN)
		}
		if c.passive {
			p.reply()
		} else {
			p.syn(tcp.SYN | tcp.ACK | c.peer)
			p.take()
		}
		p.write(100)
		if g := p.one(); (g.ECN == 2) != c.agreed || g.ECN&1 != 0 || g.Flags&bothECN != 0 {
			t.Errorf("%+v: text with codepoint %d, %v", c, g.ECN, g.Flags)
		}
	}
}

// The receiver echoes a mark on every ACK until it hears CWR, and then no more, until the next mark.
//
// Proves: RFC 9293 SHLD-8
func TestMarksAreEchoed(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := ecnHand(t, passive)
		at := 0
		echoed := func(tos uint8, flags tcp.Flags) bool {
			g := p.piece(at, 1000)
			g.Flags |= flags
			at += 1000
			p.high = at
			p.tos = tos
			p.send(g)
			p.Run(50e6)
			g2 := p.one()
			p.take()
			return g2.Flags&tcp.ECE != 0
		}
		for i, c := range []struct {
			tos   uint8
			flags tcp.Flags
			want  bool
		}{{2, 0, false}, {3, 0, true}, {2, 0, true}, {2, 0, true}, {2, tcp.CWR, false}, {2, 0, false}, {3, tcp.CWR, true}, {2, tcp.CWR, false}} {
			if echoed(c.tos, c.flags) != c.want {
				t.Errorf("segment %d: echoed %v", i, !c.want)
			}
		}
		if p.user.Read != uint64(at) {
			t.Errorf("read %d", p.user.Read)
		}
	})
}

// ecnHand is a host that has agreed on ECN with its peer.
func ecnHand(t *testing.T, passive bool) *byHand {
	p := newHand(t, ecn(tcp.ECNOn), allOptions)
	if passive {
		p.syn(tcp.SYN | bothECN)
		p.take()
		p.Run(rtt)
		p.reply()
	} else {
		p.user = p.host.Dial(p.peer, 5000, 0)
		p.Run(0)
		p.flow.RemotePort = p.got[0].SrcPort
		p.take()
		p.Run(rtt)
		p.syn(tcp.SYN | tcp.ACK | tcp.ECE)
	}
	p.take()
	return p
}

// The sender reduces once a window for however many echoes, sends nothing again, and says so once, by CWR on new text.
//
// Proves: RFC 9293 SHLD-8
func TestOneReductionAWindow(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := ecnHand(t, passive)
		p.write(100_000)
		p.Run(rtt)
		flight := p.take()
		if len(flight) != 10 {
			t.Fatalf("%d segments", len(flight))
		}
		echo := func(g got) {
			p.send(tcp.Segment{Seq: p.seq(0), Flags: tcp.ACK | tcp.ECE, Ack: g.End()})
			p.Run(3e6)
		}
		before := p.user.Info().Cwnd
		echo(flight[0])
		once := p.user.Info()
		for _, g := range flight[1:9] {
			echo(g)
		}
		i := p.user.Info()
		if once.Ssthresh >= before || i.Ssthresh != once.Ssthresh || i.Cwnd > before || i.Cwnd < once.Ssthresh {
			t.Errorf("cwnd %d before, %d after; ssthresh %d, then %d", before, i.Cwnd, once.Ssthresh, i.Ssthresh)
		}
		said := 0
		second := p.take()
		for _, g := range second {
			if g.Flags&tcp.CWR != 0 {
				said++
			}
		}
		if said != 1 || i.Retransmits != 0 || len(second) == 0 || second[0].Flags&tcp.CWR == 0 {
			t.Errorf("CWR on %d of %d segments, %d sent again", said, len(second), i.Retransmits)
		}
		p.send(tcp.Segment{Seq: p.seq(0), Flags: tcp.ACK, Ack: flight[9].End()})
		echo(second[len(second)-1]) // of the next window
		if p.user.Info().Ssthresh >= once.Ssthresh {
			t.Error("the next window's echo is not heeded")
		}
	})
}

// ECT stands on new text alone: not on ACKs, what is sent again, probes and RSTs (RFC 3168 section 6.1).
//
// Proves: RFC 9293 SHLD-8
func TestOnlyNewTextIsECT(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := ecnHand(t, passive)
		p.write(100)
		if g := p.one(); g.ECN != 2 {
			t.Errorf("codepoint %d on new text", g.ECN)
		}
		p.Run(700e6)
		p.text(0, 10)
		p.user.Abort()
		p.Run(0)
		for _, g := range p.got[1:] {
			if g.ECN != 0 {
				t.Errorf("codepoint %d on %v with %d bytes", g.ECN, g.Flags, len(g.Text))
			}
		}
		if len(p.got) < 4 {
			t.Errorf("%d segments", len(p.got))
		}
	})
}

// A SYN sent again does not ask for ECN: something on the way may drop those that do (RFC 3168 section 6.1.1.1).
func TestSecondSYNAsksForNoECN(t *testing.T) {
	p := newHand(t, ecn(tcp.ECNOn), allOptions)
	p.host.Dial(p.peer, 5000, 0)
	p.Run(1500e6)
	if len(p.got) != 2 || p.got[0].Flags != tcp.SYN|bothECN || p.got[1].Flags != tcp.SYN {
		t.Errorf("%d SYNs, the last %v", len(p.got), p.got[len(p.got)-1].Flags)
	}
}
