package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// again counts the segments sent since the last call of out, and forgets them.
func (s *sender) again() int {
	defer s.out()
	return len(s.sent)
}

// ICMP "fragmentation needed" needs no more than a number in flight, and may come a byte smaller each time. Within a round
// trip one of them counts, and over many the flight stays as many pieces as there are segments of it: a stranger must not
// have us send everything again for each of his packets, in ever smaller ones.
func TestTooBigByAByteEachTime(t *testing.T) {
	const flight = 40
	s := newSender(t, ms, flight, flight)
	s.out()
	errors, believed := 200, 0
	for i := range errors {
		if s.c.TooBig(s.x, s.now, s.c.snd.una, 1490-i) {
			believed++
		}
		s.collect()
	}
	if n := s.again(); believed != 1 || n > flight+2 {
		t.Errorf("of %d errors at once %d are believed, %d segments sent again", errors, believed, n)
	}
	for i := range 20 {
		s.pass(s.rtt)
		s.out()
		s.c.TooBig(s.x, s.now, s.c.snd.una, 1290-i)
		s.collect()
		live := len(s.x.Memory.flights[s.c.snd.flight].live())
		if n := s.again(); n > flight+10 || live > flight+10 {
			t.Fatalf("error %d: %d segments sent again, %d spans", i+1, n, live)
		}
	}
}

// ICMP "fragmentation needed" about a SYN with text (RFC 7413) makes the segments smaller, and sends no text again before
// the SYN is acknowledged: until then SND.UNA is the SYN, which is no text. So it is for who dials and for who has answered a
// cookie.
func TestTooBigOfASYNWithText(t *testing.T) {
	text := randomText(3000, 1)
	for _, passive := range []bool{false, true} {
		p := &pair{t: t, now: mono.Time(1e12), a: end{x: newEnv()}, b: end{x: newEnv()}}
		a := &p.a
		if passive {
			syn := Segment{Flags: SYN, Seq: 5, Window: 60_000, Text: []byte("?"), Options: Options{Has: HasMSS, MSS: 1460}}
			a.c.OpenPassive(a.x, p.now, Open{ISS: 1000, FastOpen: true, Early: 1}, &syn)
			a.settle()
		} else {
			a.c.OpenActive(a.x, p.now, Open{ISS: 1000, FastOpen: true, Early: 1400})
		}
		a.c.SetNoDelay(true)
		a.c.Write(a.x, text)
		early := 0
		for _, g := range p.drain(a) {
			early += len(g.Text)
		}
		if early == 0 || !a.c.TooBig(a.x, p.now, 1000, 1000) {
			t.Fatalf("passive %v: %d bytes are out early, and the error is not believed", passive, early)
		}
		if list := p.drain(a); len(list) != 0 {
			t.Errorf("passive %v: %v at %d with %d bytes", passive, list[0].Flags, list[0].Seq, len(list[0].Text))
		}
		if passive {
			continue
		}
		// The SYN,ACK takes the SYN only: all the text goes, smaller.
		p.deliver(a, &Segment{Seq: 100, Ack: 1001, Flags: SYN | ACK, Window: 60_000, Options: Options{Has: HasMSS, MSS: 1460}})
		at := 0
		for _, g := range p.drain(a) {
			if n := len(g.Text); n > 1000-40 || int(g.Seq)-1001 != at {
				t.Errorf("%d bytes at %d, and %d is next", n, int(g.Seq)-1001, at)
			}
			at += len(g.Text)
		}
		if at != len(text) {
			t.Errorf("%d bytes go", at)
		}
	}
}

// A probe's loss says nothing of congestion (RFC 4821 section 7.5), and without SACK the duplicate ACKs that still come
// after it say nothing new: the window stays as it is, and the probe's text goes again at once.
func TestMTUProbeLostWithoutSACK(t *testing.T) {
	s := newSender(t, ms, 20, 0, func(o *Settings) { o.SACK, o.MTUProbing = false, MTUProbingOn })
	s.write(15)
	if s.c.mtu.size == 0 {
		t.Fatal("no probe")
	}
	s.out()
	before := s.c.cw
	for range 12 {
		s.ack(0)
	}
	if s.c.is(factRecovery) || s.c.cw.Ssthresh < before.Ssthresh || s.c.cw.Cwnd < before.Cwnd || s.c.count.timeouts != 0 {
		t.Errorf("recovery %v, cwnd %d of %d", s.c.is(factRecovery), s.c.cw.Cwnd, before.Cwnd)
	}
	if len(s.sent) == 0 || s.sent[0] != "r0" {
		t.Errorf("sent %q", s.sent)
	}
}

// A probe in flight when the peer closes its window and opens it again is forgotten with all that was sent into the old one:
// whoever waits for news of it looks for no larger segments any more.
func TestMTUProbeWhenTheWindowReopens(t *testing.T) {
	s := newSender(t, ms, 20, 0, func(o *Settings) { o.MTUProbing = MTUProbingOn })
	s.write(15)
	if s.c.mtu.size == 0 {
		t.Fatal("no probe")
	}
	una := s.c.snd.una
	s.c.Input(s.x, s.now, &Segment{Seq: s.c.rcv.nxt, Ack: una, Flags: ACK, Window: 0})
	s.pass(ms)
	s.c.Input(s.x, s.now, &Segment{Seq: s.c.rcv.nxt, Ack: una, Flags: ACK, Window: 60000})
	s.collect()
	for range 200 {
		s.c.Write(s.x, make([]byte, 100_000))
		s.collect()
		s.pass(ms)
		s.c.Input(s.x, s.now, &Segment{Seq: s.c.rcv.nxt, Ack: s.c.snd.nxt, Flags: ACK, Window: 60000})
		s.collect()
	}
	if s.c.snd.mss != s.c.mtu.most {
		t.Errorf("MSS %d of %d, probe %d", s.c.snd.mss, s.c.mtu.most, s.c.mtu.size)
	}
}

// After a silence cwnd says nothing of the path any more (RFC 5681 section 4.1), also when the first segment after it is an
// MTU probe.
func TestIdleRestartBeforeAProbe(t *testing.T) {
	for _, probing := range []MTUProbing{MTUProbingOff, MTUProbingOn} {
		s := newSender(t, ms, 40, 0, func(o *Settings) { o.MTUProbing = probing })
		s.c.rate.deliveredAt = s.now
		s.pass(minute)
		s.write(40)
		if n := s.segments(s.c.outstanding()); n == 0 || n > 11 {
			t.Errorf("probing %d: %g segments at once after a minute's silence", probing, n)
		}
	}
}

// A cookie says what the two ends have agreed on, not how far the search for the path's MTU has come, which begins low: that
// would hold for the connection's whole life.
func TestCookieMSSWhileProbing(t *testing.T) {
	for _, probing := range []MTUProbing{MTUProbingBlackHole, MTUProbingOn} {
		x := newEnv()
		x.Settings[0].MTUProbing = probing
		k, f, now := &Secret{1, 2}, &Flow{}, mono.Time(1e12)
		const offers = HasMSS | HasTimestamps | HasSACKPermitted | HasWindowScale
		syn := Segment{Flags: SYN, Seq: 5, Window: 65535, Options: Options{Has: offers, MSS: 1460, WindowScale: 7}}
		var c, back Conn
		c.OpenPassive(x, now, Open{}, &syn)
		c.MakeCookie(k, f, now)
		var o Out
		c.Output(x, now, &o)
		ack := Segment{Flags: ACK, Seq: 6, Ack: o.Seq + 1, Window: 1000, Options: Options{Has: HasTimestamps, TSVal: 1, TSEcr: o.Options.TSVal}}
		if !back.OpenCookie(x, k, f, now, Open{}, &ack) {
			t.Fatal("no cookie")
		}
		if back.mtu.most != 1448 {
			t.Errorf("probing %d: the largest segment ever is %d", probing, back.mtu.most)
		}
	}
}
