package tcptest

import (
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// A retransmission that is lost, too, is found by what was sent after it (RFC 8985), and no time-out is waited for.
//
// Proves: RFC 8985 6.2-5c
func TestRetransmissionIsLost(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := open(t)
		from, to, host := p.c, p.s, p.a
		if passive {
			from, to, host = p.s, p.c, p.b
		}
		from.Write(200_000)
		p.Run(second)
		p.sent = nil
		var lost *sent
		p.filter(func(s *sent) bool {
			if s.host != host || !withText(s) || p.count(host, withText) < 4 {
				return false
			}
			if lost == nil {
				c := *s
				lost = &c
			}
			return s.Seq == lost.Seq && p.count(host, func(o *sent) bool { return o.Seq == s.Seq && withText(o) }) < 2
		})
		from.Write(100_000)
		p.Run(5 * second)
		at := p.times(host, func(s *sent) bool { return s.Seq == lost.Seq && withText(s) })
		if len(at) != 3 || at[2].Sub(at[0]) > 4*rtt || at[2].Sub(at[1]) >= 200*ms {
			t.Errorf("sent at %v", at)
		}
		if to.Read != 300_000 {
			t.Errorf("read %d", to.Read)
		}
		p.end()
	})
}

// Each of the first two duplicate ACKs lets a new segment out though cwnd is full (RFC 3042), with and without SACK. The
// text is written after each, so that cwnd does not grow by them.
//
// Proves: RFC 6675 5-1
func TestLimitedTransmit(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, sack := range []bool{true, false} {
			o := allOptions
			if !sack {
				o.Has &^= tcp.HasSACKPermitted
			}
			p := burst(t, passive, 10, HostOptions{}, o)
			for k := range 2 {
				if sack {
					p.selects(0, [2]int{1000, 2000 + 1000*k})
				} else {
					p.selects(0)
				}
				p.write(1000)
				p.Run(ms)
				if at := p.sentAt(); !slices.Equal(at, []int{10_000 + 1000*k}) {
					t.Fatalf("SACK %v, duplicate ACK %d: sent %v", sack, k+1, at)
				}
				p.take()
			}
			p.write(1000)
			p.Run(ms)
			p.silent()
		}
	})
}

// F-RTO (RFC 5682) for a peer without timestamps: a time-out that the first two ACKs after it show to have been
// spurious costs one segment sent again, and its reduction is undone.
func TestFRTO(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, sack := range []bool{true, false} {
			o := tcp.Options{Has: tcp.HasMSS | tcp.HasSACKPermitted}
			if !sack {
				o.Has = tcp.HasMSS
			}
			p := burst(t, passive, 10, HostOptions{}, o)
			p.write(20_000)
			before := p.user.Info()
			p.Run(260 * ms) // a tail loss probe, and the time-out
			again := len(p.sentAt())
			if again == 0 || p.user.Info().Cwnd >= before.Cwnd {
				t.Fatalf("sent again %v, cwnd %d", p.sentAt(), p.user.Info().Cwnd)
			}
			p.take()
			p.selects(1000) // the originals: only late
			p.Run(2 * ms)
			if at := p.sentAt(); len(at) == 0 || slices.Min(at) < 10_000 {
				t.Errorf("SACK %v: the first ACK is answered with %v, and not with new text", sack, at)
			}
			p.selects(2000)
			p.selects(10_000)
			p.Run(50 * ms)
			if at := p.sentAt(); slices.Min(at) < 10_000 {
				t.Errorf("SACK %v: sent again %v", sack, at)
			}
			if i := p.user.Info(); i.Cwnd < before.Cwnd || i.Ssthresh < before.Ssthresh {
				t.Errorf("SACK %v: cwnd %d, ssthresh %d; before %d, %d", sack, i.Cwnd, i.Ssthresh, before.Cwnd, before.Ssthresh)
			}
		}
	})
}

// Eifel (RFC 3522): the ACK of a retransmission that echoes a time before it is one of the original. The reduction is
// undone at the first such ACK, after a time-out and after a fast retransmit.
func TestEifel(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, timeOut := range []bool{true, false} {
			p := burst(t, passive, 10, HostOptions{}, allOptions)
			before, echo := p.user.Info(), p.tsval
			if timeOut {
				p.Run(260 * ms) // a tail loss probe, and the time-out
			} else {
				p.selects(0, [2]int{1000, 2000})
				p.selects(0, [2]int{1000, 3000})
				p.selects(0, [2]int{1000, 4000})
				p.Run(10 * ms)
			}
			if p.sentAt()[0] != 0 && !timeOut || p.user.Info().Ssthresh >= before.Ssthresh {
				t.Fatalf("sent again %v, ssthresh %d", p.sentAt(), p.user.Info().Ssthresh)
			}
			p.take()
			p.send(tcp.Segment{Seq: p.seq(0), Flags: tcp.ACK, Ack: p.irs.Add(1 + 5000), Options: tcp.Options{TSEcr: echo}})
			if i := p.user.Info(); i.Cwnd < before.Cwnd || i.Ssthresh < before.Ssthresh {
				t.Errorf("time-out %v: cwnd %d, ssthresh %d; before %d, %d", timeOut, i.Cwnd, i.Ssthresh, before.Cwnd, before.Ssthresh)
			}
			p.Run(30 * ms)
			p.silent()
		}
	})
}

// A retransmission that was needed is not undone: its ACK echoes its own time.
func TestNothingIsUndoneForNothing(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := burst(t, passive, 10, HostOptions{}, allOptions)
		before := p.user.Info()
		p.selects(0, [2]int{1000, 10_000})
		p.Run(10 * ms)
		p.take()
		p.selects(10_000)
		p.Run(second)
		if i := p.user.Info(); i.Ssthresh >= before.Ssthresh || i.Cwnd >= before.Cwnd {
			t.Errorf("cwnd %d, ssthresh %d; before %d, %d", i.Cwnd, i.Ssthresh, before.Cwnd, before.Ssthresh)
		}
	})
}

// A lost tail, which no later segment can tell of, is found by a probe after two round trips (RFC 8985 section 7), and
// not by the time-out.
//
// Proves: RFC 8985 7.2-2, 7.3-1
func TestTailLossProbe(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := burst(t, passive, 10, HostOptions{}, allOptions)
		before := p.user.Info()
		p.selects(9000)
		p.Run(180 * ms)
		p.silent() // a lone segment's ACK may be delayed
		p = burst(t, passive, 10, HostOptions{}, allOptions)
		p.selects(7000)
		p.Run(2*rtt + 10*ms)
		if at := p.sentAt(); !slices.Equal(at, []int{9000}) {
			t.Fatalf("sent %v", at)
		}
		p.take()
		p.Run(rtt)
		p.selects(7000, [2]int{9000, 10_000}) // the probe has come: the two before it are lost
		p.Run(rtt)
		p.selects(8000, [2]int{9000, 10_000})
		p.Run(5 * ms)
		if at := p.sentAt(); !slices.Equal(at, []int{7000, 8000}) {
			t.Errorf("sent %v", at)
		}
		p.selects(10_000)
		p.Run(second)
		if i := p.user.Info(); i.Ssthresh >= before.Ssthresh {
			t.Errorf("ssthresh %d", i.Ssthresh)
		}
	})
}

// A loss that the probe has repaired costs a reduction, as each loss does; a probe that was not needed, as a D-SACK
// shows, costs none (RFC 8985 section 7.4.2).
//
// Proves: RFC 8985 7.4-1, 7.4-2
func TestTailLossProbeCounts(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, needed := range []bool{true, false} {
			p := burst(t, passive, 10, HostOptions{}, allOptions)
			before := p.user.Info()
			p.selects(8000)
			p.Run(2*rtt + 10*ms)
			if at := p.sentAt(); !slices.Equal(at, []int{9000}) {
				t.Fatalf("sent %v", at)
			}
			p.Run(rtt)
			p.selects(10_000)
			if !needed {
				p.selects(10_000, [2]int{9000, 10_000})
			}
			p.write(1000) // what is acknowledged beyond it decides
			p.take()
			p.reply()
			if i := p.user.Info(); (i.Ssthresh < before.Ssthresh) != needed {
				t.Errorf("needed %v: ssthresh %d", needed, i.Ssthresh)
			}
		}
	})
}

// A probe prefers new text, which is no retransmission.
//
// Proves: RFC 8985 7.3-1
func TestTailLossProbeIsNew(t *testing.T) {
	p := burst(t, true, 10, HostOptions{}, allOptions)
	p.write(5000) // cwnd is full
	p.Run(2*rtt + 10*ms)
	if at := p.sentAt(); !slices.Equal(at, []int{10_000}) {
		t.Errorf("sent %v", at)
	}
}

// The time-out is 200 ms at the least, as Linux has it, however short the way; and the first, before anything was
// measured, a second (RFC 6298).
//
// Proves: RFC 8985 4-1
func TestLeastRTO(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, tcp.Options{Has: tcp.HasMSS, MSS: 1460}) // no tail loss probe without SACK
		for range 50 {
			p.write(100)
			p.Run(50 * mono.Microsecond)
			p.take()
			p.reply()
		}
		p.write(100)
		p.take()
		p.Run(199 * ms)
		p.silent()
		p.Run(3 * ms)
		if d := p.user.Info().RTT; len(p.sentAt()) != 1 || d > ms {
			t.Errorf("RTT %v, sent again %v", d, p.sentAt())
		}
	})
}

// Proportional rate reduction (RFC 6937): recovery spreads the sending over the ACKs, never more than two segments for
// one, and ends at ssthresh.
func TestProportionalRateReduction(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := allOptions
		o.MSS = 1012
		p := newHand(t, settings(func(s *tcp.Settings) { s.Congestion = cc.NewReno{} }), o)
		p.open(passive, rtt)
		p.write(200_000)
		p.Run(rtt)
		p.selects(10_000)
		p.take()
		p.Run(rtt + 10*ms)
		n := len(p.take())
		if n < 15 {
			t.Fatalf("%d segments after a round trip of slow start", n)
		}
		out := 0
		for k := 2; k <= n; k++ { // the first is lost
			p.selects(10_000, [2]int{11_000, 10_000 + 1000*k})
			p.Run(4 * ms) // time to pace
			if k > 4 && len(p.got) > 2 {
				t.Errorf("ACK %d lets %d segments out", k, len(p.got))
			}
			out += len(p.take())
		}
		i := p.user.Info()
		half := i.Ssthresh / 1000
		if half < n/2 || half > n/2+3 || out < half-2 || out > half+3 {
			t.Errorf("one of %d segments lost: %d sent in recovery, ssthresh %d", n, out, i.Ssthresh)
		}
		p.reply()
		if c := p.user.Info().Cwnd; c < i.Ssthresh || c > i.Ssthresh+2000 {
			t.Errorf("cwnd %d after recovery, ssthresh %d", c, i.Ssthresh)
		}
	})
}
