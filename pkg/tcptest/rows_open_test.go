package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// A SYN,ACK that nobody answers is sent SynAckRetries times more, 1 s doubled each time; then nothing is left of the
// connection, nobody has heard of it, and the listener goes on.
func TestSYNACKIsNotAnswered(t *testing.T) {
	for _, retries := range []uint8{5, 2} {
		p := newHand(t, settings(func(s *tcp.Settings) { s.SynAckRetries = retries }), allOptions)
		p.syn(tcp.SYN)
		p.Run(300 * second)
		if len(p.got) != 1+int(retries) {
			t.Fatalf("%d SYN,ACKs", len(p.got))
		}
		for i := range p.got[1:] {
			if d := p.got[i+1].at.Sub(p.got[i].at); d < second<<i || d > second<<i+ms || p.got[i].Flags != tcp.SYN|tcp.ACK {
				t.Errorf("%v again after %v", p.got[i+1].Flags, d)
			}
		}
		if n := p.host.Stack.Counters(0).HalfOpen; n != 0 || p.user != nil {
			t.Errorf("%d half-open", n)
		}
		p.take()
		p.flow.LocalPort++
		p.open(true, 0)
	}
}

// SynRetries bounds the SYNs, too.
func TestSYNIsNotAnswered(t *testing.T) {
	p := newHand(t, settings(func(s *tcp.Settings) { s.SynRetries = 2 }), allOptions)
	u := p.host.Dial(p.peer, 5000, 0)
	p.Run(300 * second)
	if len(p.got) != 3 || u.Held || u.Events&tcp.TimedOut == 0 {
		t.Errorf("%d SYNs, events %b", len(p.got), u.Events)
	}
}

// R2 (section 3.8.3) is a setting: Retries time-outs, and the user hears of it.
//
// Proves: RFC 9293 MUST-20
func TestRetriesAreASetting(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, settings(func(s *tcp.Settings) { s.Retries2 = 3 }), tcp.Options{Has: tcp.HasMSS, MSS: 1460})
		p.write(100)
		p.Run(300 * second)
		if len(p.got) != 4 || p.user.Held || p.user.Events&tcp.TimedOut == 0 {
			t.Errorf("sent %d times, events %b", len(p.got), p.user.Events)
		}
	})
}

// A RST in SYN-RECEIVED returns a passive open to LISTEN (section 3.10.7.4 second): nobody is told, and the next SYN is
// answered. One that is not at RCV.NXT is challenged.
//
// Proves: RFC 9293 MUST-11
func TestRSTInSynReceived(t *testing.T) {
	p := newHand(t, HostOptions{}, allOptions)
	p.syn(tcp.SYN)
	p.take()
	p.send(tcp.Segment{Seq: p.seq(100), Flags: tcp.RST})
	if g := p.one(); g.Flags != tcp.ACK || p.host.Stack.Counters(0).HalfOpen != 1 {
		t.Errorf("a blind RST is answered by %v", g.Flags)
	}
	p.got = nil
	p.send(tcp.Segment{Seq: p.seq(0), Flags: tcp.RST})
	p.silent()
	if n := p.host.Stack.Counters(0).HalfOpen; n != 0 || p.user != nil {
		t.Errorf("%d half-open", n)
	}
	p.iss += 77_000
	p.open(true, 0)
	p.write(100)
	p.one()
}

// After a simultaneous open the user hears that he was refused.
//
// Proves: RFC 9293 MUST-11
func TestRSTInSynReceivedOfASimultaneousOpen(t *testing.T) {
	p := newHand(t, HostOptions{}, allOptions)
	p.user = p.host.Dial(p.peer, 5000, 0)
	p.Run(0)
	p.flow.RemotePort = p.one().SrcPort
	p.take()
	p.syn(tcp.SYN)
	if g := p.one(); g.Flags != tcp.SYN|tcp.ACK {
		t.Fatalf("%v", g.Flags)
	}
	p.got = nil
	p.send(tcp.Segment{Seq: p.seq(0), Flags: tcp.RST})
	p.silent()
	if p.user.Held || p.user.Events&tcp.Refused == 0 {
		t.Errorf("events %b", p.user.Events)
	}
}

// Initial sequence numbers (RFC 6528): for the same ends a clock of 4 microseconds, for others another place, for
// another secret as well.
//
// Proves: RFC 9293 MUST-8, MUST-9, SHLD-1
// Proves: RFC 7323 7-1
func TestInitialSequenceNumbers(t *testing.T) {
	secrets := [2]tcp.Secret{{1, 2}, {3, 4}}
	roles(t, func(t *testing.T, passive bool) {
		iss := func(k [2]tcp.Secret, port uint16, after mono.Duration) uint32 {
			p := newHand(t, HostOptions{Secrets: &k}, allOptions)
			p.Run(after)
			if p.flow.LocalPort = port; passive {
				p.syn(tcp.SYN)
			} else {
				p.host.Dial(p.peer, port, 7000)
				p.Run(0)
			}
			return uint32(p.one().Seq)
		}
		a := iss(secrets, 5000, 0)
		if d := iss(secrets, 5000, second) - a; d != 250_000 {
			t.Errorf("%d in a second", d)
		}
		for _, b := range []uint32{iss(secrets, 5001, 0), iss([2]tcp.Secret{{1, 3}, {3, 4}}, 5000, 0)} {
			if d := int32(b - a); d > -1000 && d < 1000 {
				t.Errorf("%d and %d", a, b)
			}
		}
	})
}
