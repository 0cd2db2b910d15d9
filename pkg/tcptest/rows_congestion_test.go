package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// The initial window is ten segments (RFC 6928), whatever is queued.
func TestInitialWindow(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := newHand(t, HostOptions{}, allOptions)
		p.open(passive, rtt)
		p.write(100_000)
		p.Run(30 * ms)
		n := 0
		for _, g := range p.got {
			n += len(g.Text)
		}
		if n != 10*1448 {
			t.Errorf("%d bytes before the first acknowledgment", n)
		}
	})
}

// grown is a pair whose sender has grown its cwnd well beyond the initial window, and has nothing to send.
func grown(t *testing.T, passive bool, o HostOptions) (p *pair, from *User, host *Host) {
	p = open(t, o)
	from, host = p.c, p.a
	if passive {
		from, host = p.s, p.b
	}
	from.Write(1_000_000)
	p.Run(150 * ms) // less than the time-out after the end
	for p.err == nil && from.Info().Flight > 0 {
		p.Run(ms)
	}
	if c := from.Info().Cwnd; c < 30*1448 {
		t.Fatalf("cwnd %d", c)
	}
	p.sent = nil
	return p, from, host
}

// After a silence longer than the time-out cwnd is the initial one (RFC 5681 section 4.1). A shorter one costs nothing.
func TestRestartAfterIdle(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		atOnce := settings(func(s *tcp.Settings) { s.Unpaced = true })
		atOnce.Superframe, atOnce.Checksum = true, true
		for k := range 4 {
			idle, o := k%2 == 0, HostOptions{}
			if k >= 2 {
				o = atOnce
			}
			p, from, host := grown(t, passive, o)
			before := from.Info()
			if p.Run(100 * ms); idle {
				p.Run(150 * ms)
			}
			from.Write(190_000)
			p.Run(rtt - ms)
			n := 0
			for _, s := range p.sent {
				if s.host == host {
					n += len(s.Text)
				}
			}
			if idle && n != 10*1448 || !idle && n < min(before.Cwnd/2, 190_000)-1448 {
				t.Errorf("idle %v: %d bytes in the first round trip, cwnd was %d", idle, n, before.Cwnd)
			}
			p.end()
		}
	})
}

// What is not used is not proved: cwnd does not grow for an application that sends less (RFC 7661 section 4.1, RFC 9438
// section 5.8), in slow start and after it, under each algorithm.
func TestApplicationLimited(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, algorithm := range []cc.Algorithm{cc.NewReno{}, cc.Cubic{}} {
			for _, slowStart := range []bool{true, false} {
				o := settings(func(s *tcp.Settings) { s.Congestion = algorithm })
				p, from, host := grown(t, passive, o)
				if !slowStart {
					p.loseOnce(host, withText)
					from.Write(50_000)
					p.Run(150 * ms)
				}
				before := from.Info()
				for range 200 {
					from.Write(3000)
					p.Run(rtt + 5*ms)
				}
				if c := from.Info().Cwnd; c > before.Cwnd {
					t.Errorf("%s, slow start %v: cwnd has grown from %d to %d", algorithm.Name(), slowStart, before.Cwnd, c)
				}
				p.end()
			}
		}
	})
}

// An application that does use its window gets more: the counterpart.
func TestCwndGrowsWhenUsed(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p, from, _ := grown(t, passive, HostOptions{})
		before := from.Info().Cwnd
		from.Write(3_000_000)
		p.Run(300 * ms)
		if c := from.Info().Cwnd; c < before*3/2 {
			t.Errorf("cwnd has grown from %d to %d", before, c)
		}
		p.Run(second)
		p.end()
	})
}

// A window is spread over the round trip: no millisecond has more than its share of the pacing rate (2 cwnd a round
// trip in slow start), and the millisecond of catching up.
func TestPacing(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p, from, host := grown(t, passive, HostOptions{})
		cwnd := from.Info().Cwnd
		from.Write(cwnd)
		p.Run(100 * ms)
		var bytes, most int
		var first, last mono.Time
		for i, s := range p.sent {
			if s.host != host || len(s.Text) == 0 {
				continue
			}
			if bytes += len(s.Text); first == 0 {
				first = s.at
			}
			last = s.at
			n := 0
			for _, o := range p.sent[i:] {
				if o.host == host && o.at.Sub(s.at) < ms {
					n += len(o.Text)
				}
			}
			most = max(most, n)
		}
		share := 2 * cwnd / int(rtt/ms)
		if bytes != cwnd || last.Sub(first) < rtt/4 || most > 2*share+1448 {
			t.Errorf("%d bytes in %v, %d of them in one ms, of which the share is %d", bytes, last.Sub(first), most, share)
		}
		p.end()
	})
}

// Below a round trip of 2 ms a window goes out at once; above it, not, unless the settings say so.
func TestNoPacing(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, c := range []struct {
			way     mono.Duration
			unpaced bool
			atOnce  bool
		}{{1900 * mono.Microsecond, false, true}, {2200 * mono.Microsecond, false, false}, {2200 * mono.Microsecond, true, true}} {
			set := tcp.Defaults()
			set.Unpaced = c.unpaced
			p := newPair(t, HostOptions{TCP: &set})
			p.ab.Delay, p.ba.Delay = c.way/2, c.way/2
			p.dial()
			from, host := p.c, p.a
			if passive {
				from, host = p.s, p.b
			}
			p.loseOnce(host, withText) // the end of slow start
			from.Write(300_000)
			for p.Run(10 * ms); p.err == nil && from.Info().Flight > 0; {
				p.Run(ms)
			}
			for range 60 { // acknowledged at once: the round trip is measured without the delay of an ACK
				from.Write(2 * 1448)
				p.Run(10 * ms)
			}
			p.sent = nil
			n := min(from.Info().Cwnd, 200_000) / 1448
			from.Write(n * 1448)
			p.Run(0)
			if sent := p.count(host, nil); (sent == n) != c.atOnce {
				t.Errorf("round trip %v: %d of %d segments at once", c.way, sent, n)
			}
			p.Run(second)
			p.end()
		}
	})
}

// A superframe is what the pacing rate sends in a millisecond, and no less than two segments (Linux's TSO autosizing), and
// half of cwnd at most; where nothing is paced, as large as the device takes.
func TestSuperframeSize(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, c := range []struct {
			way   mono.Duration
			least int
			most  int
		}{
			{100 * mono.Microsecond, 7240, 7240}, // half the initial window
			{5 * ms, 2 * 1448, 2 * 14_480 / 5},   // twice cwnd a round trip
			{50 * ms, 2 * 1448, 2 * 1448},
		} {
			p := newHand(t, HostOptions{Superframe: true, Checksum: true}, allOptions)
			p.open(passive, c.way)
			p.write(100_000)
			p.Run(200 * mono.Microsecond)
			n := len(p.got[0].Text)
			if n < c.least || n > c.most || n > 1448 && p.got[0].gso != 1448 {
				t.Errorf("round trip %v: a superframe of %d bytes, not of %d to %d", c.way, n, c.least, c.most)
			}
		}
	})
}
