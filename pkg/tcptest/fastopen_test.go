package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// fastPair is a pair whose b listens on port 81 with Fast Open, and answers what it reads with as much again.
func fastPair(t *testing.T, most int) (*pair, *Listener) {
	p := newPair(t)
	l := p.b.ListenWith(stack.ListenConfig{Port: 81, FastOpen: most})
	l.Accept = func(u *User) {
		p.s = u
		u.want = 100
	}
	return p, l
}

// fast dials with n bytes to be sent at once.
func (p *pair) fast(n uint64) *User {
	u := p.a.DialWith(stack.DialConfig{FastOpen: true}, p.b, 81)
	u.want = n
	return u
}

// meet opens a first connection, which brings the cookie.
func (p *pair) meet() {
	p.t.Helper()
	p.c = p.fast(100)
	p.Run(second)
	p.read(100, 100)
	p.end()
	p.sent = nil
}

func syn(s *sent) bool { return s.Flags&tcp.SYN != 0 }

// RFC 7413 section 3: the first connection asks for a cookie, and is as any other.
//
//	SYN, cookie request   -->
//	                      <--  SYN,ACK, cookie
//	ACK                   -->
func TestFastOpenBringsCookie(t *testing.T) {
	p, l := fastPair(t, 10)
	p.c = p.fast(100)
	p.Run(second)
	p.read(100, 100)
	if ask, give := p.sent[0], p.sent[1]; ask.Options.Has&tcp.HasFastOpen == 0 || ask.Options.FastOpen.Len != 0 || len(ask.Text) != 0 ||
		give.Options.Has&tcp.HasFastOpen == 0 || give.Options.FastOpen.Len != 8 || give.Ack != ask.Seq+1 {
		t.Errorf("%v with %d bytes %+v, %v %+v", ask.Flags, len(ask.Text), ask.Options, give.Flags, give.Options)
	}
	if s := l.Stats(); s.FastOpen != 0 || s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
	p.end()
}

// And the second needs one round trip for question and answer.
//
//	SYN, cookie, question -->
//	                      <--  SYN,ACK of it
//	                      <--  answer
//	ACK                   -->
func TestFastOpen(t *testing.T) {
	p, l := fastPair(t, 10)
	p.meet()
	p.c = p.fast(100)
	p.Run(rtt + ms)
	p.read(100, 100)
	if s := p.sent[0]; len(s.Text) != 100 || s.Options.FastOpen.Len != 8 {
		t.Errorf("%v with %d bytes", s.Flags, len(s.Text))
	}
	if s := p.sent[1]; s.Flags&(tcp.SYN|tcp.ACK) != tcp.SYN|tcp.ACK || s.Ack != p.sent[0].Seq+101 {
		t.Errorf("%v acknowledges %d", s.Flags, s.Ack-p.sent[0].Seq)
	}
	if at := p.times(p.b, withText); len(at) != 1 || at[0] != p.times(p.b, syn)[0] {
		t.Error("the answer does not follow the SYN,ACK at once")
	}
	if c := p.b.Stack.Counters(0); c.FastOpens != 1 || p.s.Events&tcp.Opened == 0 {
		t.Errorf("%d opened early, events %b", c.FastOpens, p.s.Events)
	}
	p.Run(second)
	if s := l.Stats(); s.FastOpen != 0 || p.count(p.a, withText) != 1 {
		t.Errorf("%+v", s)
	}
	p.end()
}

// More text than a segment takes goes on after the handshake, as does more of an answer than the window of the SYN; none of
// it is sent twice.
func TestFastOpenOfMuchText(t *testing.T) {
	p, l := fastPair(t, 10)
	p.meet()
	l.Accept = func(u *User) { p.s, u.want = u, 200_000 }
	p.c = p.fast(100_000)
	p.Run(5 * second)
	p.read(200_000, 100_000)
	if i := p.c.Info(); len(p.sent[0].Text) < 1400 || i.Retransmits != 0 || p.s.Info().Retransmits != 0 {
		t.Errorf("%d bytes on the SYN, %d and %d sent again", len(p.sent[0].Text), i.Retransmits, p.s.Info().Retransmits)
	}
	p.end()
}

// A SYN with text that is lost is sent again without it and without the option: what lost it may lose it again. So is one
// whose SYN,ACK is lost, which the server knows.
func TestFastOpenWithLoss(t *testing.T) {
	for _, lost := range []string{"SYN", "SYN,ACK", "last ACK", "answer"} {
		p, l := fastPair(t, 10)
		p.meet()
		at, is := p.a, has(tcp.SYN)
		switch lost {
		case "SYN,ACK":
			at, is = p.b, has(tcp.SYN|tcp.ACK)
		case "last ACK":
			is = has(tcp.ACK)
		case "answer":
			at, is = p.b, func(s *sent) bool { return len(s.Text) > 0 }
		}
		p.loseOnce(at, is)
		p.c = p.fast(100)
		p.Run(10 * second)
		p.read(100, 100)
		if lost == "SYN" || lost == "SYN,ACK" {
			var again *sent
			for i := range p.sent {
				if s := &p.sent[i]; s.host == p.a && has(tcp.SYN)(s) {
					again = s
				}
			}
			if len(again.Text) != 0 || again.Options.Has&tcp.HasFastOpen != 0 {
				t.Errorf("%s lost: sent again with %d bytes, %+v", lost, len(again.Text), again.Options)
			}
		}
		if s := l.Stats(); s.FastOpen != 0 {
			t.Errorf("%s lost: %+v", lost, s)
		}
		p.end()
	}
}

// A cookie that is too old, or of another address, opens nothing: the text is not taken, and sent again after the handshake;
// and there is a new cookie.
func TestFastOpenCookieExpires(t *testing.T) {
	p, _ := fastPair(t, 10)
	p.meet()
	p.Run(2 * 3600 * second)
	for early, want := range []int{0, 100} {
		p.sent = nil
		p.c = p.fast(100)
		p.Run(rtt + ms)
		if n := p.sent[1].Ack - p.sent[0].Seq - 1; int(n) != want {
			t.Errorf("connection %d: %d bytes acknowledged by the SYN,ACK", early+1, n)
		}
		p.Run(second)
		p.read(100, 100)
		if i := p.c.Info(); i.TimeOuts != 0 || i.Retransmits > 1 {
			t.Errorf("%d time-outs, %d sent again", i.TimeOuts, i.Retransmits)
		}
		p.end()
	}
}

// Connections whose handshakes are not over are bounded (RFC 7413 section 5.1); beyond, the handshake comes first. Without
// the setting, nothing is given and nothing taken.
func TestFastOpenIsBounded(t *testing.T) {
	p, l := fastPair(t, 1)
	p.meet()
	p.filter(func(s *sent) bool { return s.host == p.a && has(tcp.ACK)(s) }) // no handshake ends
	a, b := p.fast(100), p.fast(100)
	p.Run(100 * ms)
	if s := l.Stats(); s.FastOpen != 1 || s.HalfOpen != 1 {
		t.Errorf("%+v", s)
	}
	p.filter(nil)
	p.Run(10 * second)
	if a.Read != 100 || b.Read != 100 || l.Stats().FastOpen != 0 {
		t.Errorf("read %d and %d, %+v", a.Read, b.Read, l.Stats())
	}
	for _, u := range append(l.Users, a, b) {
		u.Close()
	}
	p.over()

	p, _ = fastPair(t, 0)
	p.c = p.fast(100)
	p.Run(second)
	if p.sent[1].Options.Has&tcp.HasFastOpen != 0 {
		t.Error("a cookie is given though it is off")
	}
	p.end()
}

// A client that was never there, or has gone, costs what a connection does until the SYN,ACKs are spent; the user, who has
// had the text, is told of the end.
func TestFastOpenOfNobody(t *testing.T) {
	for _, resets := range []bool{false, true} {
		p, l := fastPair(t, 10)
		p.meet()
		p.filter(func(s *sent) bool { return s.host == p.a && !has(tcp.SYN)(s) && !resets || s.host == p.b })
		p.c = p.fast(100)
		p.Run(50 * ms)
		if s := l.Stats(); s.FastOpen != 1 || p.s.Read != 100 {
			t.Fatalf("%+v, read %d", s, p.s.Read)
		}
		p.c.Abort()
		if resets {
			forge(p.World, p.a, p.b, p.c.flow, tcp.Segment{Seq: p.sent[0].Seq + 101, Flags: tcp.RST})
		}
		p.Run(map[bool]mono.Duration{true: second, false: 200 * second}[resets])
		if p.s.Held || p.s.Events&tcp.Reset == 0 || l.Stats().FastOpen != 0 {
			t.Errorf("resets %v: events %b, %+v", resets, p.s.Events, l.Stats())
		}
		p.filter(nil)
		p.over()
	}
}

// The user closes before the handshake is over: what he wrote is sent, then the FIN.
func TestFastOpenClosedEarly(t *testing.T) {
	for _, how := range []string{"close", "close write", "abort", "close unread"} {
		p, l := fastPair(t, 10)
		p.meet()
		l.Accept = func(u *User) {
			p.s, u.want = u, 100
			u.Paused = how == "close unread"
			switch how {
			case "close", "close unread":
				u.Close()
			case "close write":
				u.CloseWrite()
			case "abort":
				u.Abort()
			}
		}
		p.c = p.fast(100)
		p.Run(second)
		switch how {
		case "close", "close write":
			if p.c.Read != 100 || !p.c.EOF {
				t.Errorf("%s: read %d, EOF %v", how, p.c.Read, p.c.EOF)
			}
		default:
			if p.c.Held {
				t.Errorf("%s: the client has not heard of it", how)
			}
		}
		if p.c.Held {
			p.c.Close()
		}
		if p.s.Held {
			p.s.Close()
		}
		p.over()
	}
}
