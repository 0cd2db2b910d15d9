package tcptest

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Nobody waits for a closed connection: it is given up after OrphanRetries time-outs, or after OrphanTimeout without
// progress, whichever is first. Until then its user's text is sent.
func TestOrphans(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, c := range []struct {
			retries uint8
			timeout mono.Duration
			sent    int
			least   mono.Duration
		}{
			{3, 3600 * second, 4, 3 * second}, // 0.2 + 0.4 + 0.8 + 1.6 s
			{100, 10 * second, 6, 10 * second},
		} {
			o := settings(func(s *tcp.Settings) { s.OrphanRetries, s.OrphanTimeout = c.retries, c.timeout })
			p := hand(t, passive, o, tcp.Options{Has: tcp.HasMSS, MSS: 1460})
			p.user.Write(100)
			p.user.Close()
			from := p.now
			for p.Run(0); p.err == nil && p.host.Stack.Counters(0).Conns > 0 && p.now.Sub(from) < 100*second; {
				p.Run(ms)
			}
			text := len(p.sentAt())
			if d := p.now.Sub(from); text != c.sent || d < c.least || d > c.least+100*ms {
				t.Errorf("%+v: %d times sent, over after %v", c, text, d)
			}
			if last := p.got[len(p.got)-1].Flags; (last&tcp.RST != 0) != (c.retries == 100) {
				t.Errorf("%+v: the last was %v", c, last)
			}
		}
	})
}

// A peer that takes text slowly, but takes it, does not lose a connection that was closed.
func TestOrphanWithProgress(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := tcp.Options{Has: tcp.HasMSS, MSS: 1000}
		p := newHand(t, settings(func(s *tcp.Settings) { s.OrphanTimeout = 10 * second }), o)
		p.window = 1000
		p.open(passive, 0)
		p.user.Write(20_000)
		p.user.Close()
		for range 60 {
			p.Run(8 * second)
			p.take()
			p.reply()
		}
		if n := p.place(p.ack); n != 20_001 || p.user.Events&tcp.Reset != 0 {
			t.Errorf("%d of 20,000 bytes and the FIN have come", n)
		}
	})
}

// FIN-WAIT-2 lasts FinTimeout, TIME-WAIT twice MSL: both are settings.
func TestTimesOfTheEnd(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, wait := range []mono.Duration{5 * second, 100 * second} {
			o := settings(func(s *tcp.Settings) { s.MSL, s.FinTimeout = wait/2, wait })
			for _, fin := range []bool{false, true} {
				p := hand(t, passive, o, allOptions)
				p.user.Close()
				p.Run(0)
				p.take()
				p.reply()
				if fin {
					p.send(tcp.Segment{Seq: p.seq(0), Flags: tcp.ACK | tcp.FIN})
				}
				left := func() int { c := p.host.Stack.Counters(0); return c.Conns + c.TimeWait }
				p.Run(wait - ms)
				if left() != 1 {
					t.Errorf("FIN %v: over before %v", fin, wait)
				}
				if p.Run(3 * ms); left() != 0 {
					t.Errorf("FIN %v: not over after %v", fin, wait)
				}
			}
		}
	})
}

// timeWait is a host in TIME-WAIT, of whose connection the user has let go, or not.
func timeWait(t *testing.T, passive, held bool, opt tcp.Options) *byHand {
	p := hand(t, passive, HostOptions{}, opt)
	p.text(0, 1000)
	p.Run(second)
	if held {
		p.user.CloseWrite()
	} else {
		p.user.Close()
	}
	p.Run(0)
	p.take()
	p.Run(second)
	p.high = 1001
	p.send(tcp.Segment{Seq: p.seq(1000), Flags: tcp.ACK | tcp.FIN})
	p.take()
	if c := p.host.Stack.Counters(0); c.TimeWait+c.Conns != 1 || (c.TimeWait == 0) != held {
		t.Fatalf("held %v: %d in TIME-WAIT, %d whole", held, c.TimeWait, c.Conns)
	}
	return p
}

// A SYN ends TIME-WAIT if it is newer than the connection: by its timestamp (RFC 6191), or by its sequence number where
// it has none (section 3.6.1). Otherwise it is acknowledged, and TIME-WAIT goes on.
//
// Proves: RFC 9293 MAY-2, SHLD-4
func TestTimeWaitReuse(t *testing.T) {
	for _, c := range []struct {
		name   string
		stamps bool // agreed by the old connection
		seq    int  // beyond RCV.NXT
		stamp  int  // ms beyond the last timestamp; 0: none
		reused bool
	}{
		{"newer sequence number", false, 1, 0, true},
		{"the same sequence number", false, 0, 0, false},
		{"older sequence number", false, -5000, 0, false},
		{"newer timestamp, older sequence number", true, -5000, 1, true},
		{"newer timestamp and sequence number", true, 1, 1, true},
		{"older timestamp, newer sequence number", true, 1, -1, false},
		{"both older", true, -5000, -1, false},
		{"newer sequence number, and no timestamp any more", true, 1, 0, true},
		{"older sequence number, and no timestamp any more", true, -5000, 0, false},
	} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, held %v", c.name, held), func(t *testing.T) {
				o := allOptions
				if !c.stamps {
					o.Has &^= tcp.HasTimestamps
				}
				p := timeWait(t, true, held, o)
				old, at := p.ack, uint32(int64(p.now)/int64(ms))
				p.user = nil
				p.Run(100 * ms)
				g := tcp.Segment{Seq: p.seq(1001 + c.seq), Flags: tcp.SYN, Options: allOptions}
				if c.stamp == 0 {
					p.stamps = false
					g.Options.Has &^= tcp.HasTimestamps
				}
				g.Options.TSVal = at + uint32(c.stamp)
				p.iss = g.Seq
				p.inject(g)
				a := p.one()
				if reused := a.Flags == tcp.SYN|tcp.ACK; reused != c.reused || !reused && a.Flags != tcp.ACK {
					t.Fatalf("answered by %v", a.Flags)
				}
				if c.reused && (a.Seq-old > 1<<31 || a.Ack != g.Seq+1 || p.host.Stack.Counters(0).HalfOpen != 1) {
					t.Errorf("the new connection begins at %d after the old one's end, ACK %d", a.Seq-old, a.Ack-g.Seq)
				}
				if n := p.host.Stack.Counters(0); !c.reused && n.TimeWait+n.Conns != 1 {
					t.Error("TIME-WAIT is over")
				}
			})
		}
	}
}

// Who has dialled waits, too, but nobody listens on his port: a SYN is only acknowledged.
func TestTimeWaitOfADialler(t *testing.T) {
	p := timeWait(t, false, false, allOptions)
	p.Run(100 * ms)
	p.inject(tcp.Segment{Seq: p.seq(5000), Flags: tcp.SYN})
	if g := p.one(); g.Flags != tcp.ACK || p.host.Stack.Counters(0).TimeWait != 1 {
		t.Errorf("answered by %v", g.Flags)
	}
}

// RFC 1337: neither a RST ends TIME-WAIT nor old text, wherever it lies.
func TestTimeWaitAssassination(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, held := range []bool{false, true} {
			for _, at := range []int{1001, 1000, 0, 5000} {
				p := timeWait(t, passive, held, allOptions)
				p.inject(tcp.Segment{Seq: p.seq(at), Flags: tcp.RST})
				p.inject(tcp.Segment{Seq: p.seq(at), Flags: tcp.RST | tcp.ACK})
				if len(p.got) > 0 && p.got[0].Flags != tcp.ACK {
					t.Errorf("answered by %v", p.got[0].Flags)
				}
				p.inject(tcp.Segment{Seq: p.seq(at), Flags: tcp.ACK, Text: make([]byte, 10)})
				p.Run(57 * second)
				if c := p.host.Stack.Counters(0); c.TimeWait+c.Conns != 1 {
					t.Errorf("held %v, RST at %d: TIME-WAIT is over", held, at)
				}
				for _, g := range p.got {
					if g.Flags != tcp.ACK {
						t.Errorf("held %v, at %d: answered by %v", held, at, g.Flags)
					}
				}
			}
		}
	})
}
