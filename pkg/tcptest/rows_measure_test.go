package tcptest

import (
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// One mark costs one reduction: the receiver echoes it up to the end of the window, since CWR comes behind that.
func TestOneMarkOneReduction(t *testing.T) {
	p := ecnHand(t, true)
	p.write(100_000)
	p.Run(rtt)
	var least []int
	for _, g := range p.take() {
		p.send(tcp.Segment{Seq: p.seq(0), Flags: tcp.ACK | tcp.ECE, Ack: g.End()})
		p.Run(3e6)
		if s := p.user.Info().Ssthresh; len(least) == 0 || s != least[len(least)-1] {
			least = append(least, s)
		}
	}
	if len(least) != 1 {
		t.Errorf("ssthresh %v", least)
	}
}

// The same with two hosts: one packet of a window is marked.
func TestOneMarkOneReductionPair(t *testing.T) {
	p := open(t, ecn(tcp.ECNOn))
	p.c.Write(1_000_000)
	p.Run(150 * ms)
	for p.c.Info().Flight > 0 {
		p.Run(ms)
	}
	k := 0
	tap(p.ab, func(f *Frame) {
		if len(f.Seg.Text) > 0 {
			if k++; k == 10 {
				mangle(f, func(_ *tcp.Segment, tos *uint8) { *tos = 3 })
			}
		}
	})
	p.c.Write(500_000)
	last := p.c.Info().Ssthresh
	reductions := 0
	for range 2000 {
		p.Run(ms / 10)
		if s := p.c.Info().Ssthresh; s < last {
			reductions++
			t.Logf("ssthresh %d, cwnd %d", s, p.c.Info().Cwnd)
		}
		last = p.c.Info().Ssthresh
	}
	if reductions != 1 {
		t.Errorf("%d reductions for one mark", reductions)
	}
}

// The receive buffer grows by what is read in a round trip: for little text it does not.
func TestReceiveBufferStaysSmallForLittleText(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := open(t, settings(func(s *tcp.Settings) { s.ReceiveBuffer = 64 << 10 }))
		from, to := p.c, p.s
		if passive {
			from, to = to, from
		}
		for range 100 {
			from.Write(100)
			p.Run(rtt)
		}
		if n := to.conn.ReceiveBuffer(); n != 64<<10 {
			t.Errorf("a buffer of %d for 100 bytes a round trip", n)
		}
		p.end()
	})
}

// RFC 5681 section 3.2 step 1: the first two duplicate ACKs let a segment out each, and MUST NOT change cwnd.
func TestDuplicateACKsDoNotGrowCwnd(t *testing.T) {
	for _, sack := range []bool{true, false} {
		o := allOptions
		if !sack {
			o.Has &^= tcp.HasSACKPermitted
		}
		p := burst(t, true, 10, HostOptions{}, o)
		p.write(10_000) // cwnd is full
		p.silent()
		before := p.user.Info().Cwnd
		for k := range 2 {
			if sack {
				p.selects(0, [2]int{1000, 2000 + 1000*k})
			} else {
				p.selects(0)
			}
			p.Run(ms)
			if at, c := p.sentAt(), p.user.Info().Cwnd; !slices.Equal(at, []int{10_000 + 1000*k}) || c != before {
				t.Errorf("SACK %v, duplicate ACK %d: sent %v, cwnd %d, was %d", sack, k+1, at, c, before)
			}
			p.take()
		}
	}
}

// A way that has become longer than the time-out is learned, and not everything sent twice for ever: an ACK of what was sent
// again tells the round trip by its timestamp (RFC 7323 section 4.1); without timestamps the time-out stays backed off until
// something was sent once and acknowledged (Karn; RFC 6298 section 5).
func TestWayThatGrowsLonger(t *testing.T) {
	for _, timestamps := range []bool{true, false} {
		p := open(t, settings(func(s *tcp.Settings) { s.Timestamps = timestamps }))
		p.c.Write(1000)
		p.Run(second)
		p.ab.Delay, p.ba.Delay = 500*ms, 500*ms
		for range 20 {
			p.c.Write(100)
			p.Run(3 * second)
		}
		p.read(0, 3000)
		if i := p.c.Info(); i.RTO < mono.Second || i.Retransmits > 20 {
			t.Errorf("timestamps %v: after 20 segments over a way of 1 s: RTT %v, RTO %v, %d sent again", timestamps, i.RTT, i.RTO, i.Retransmits)
		}
		p.end()
	}
}

// After a SYN, or a SYN,ACK, that was lost twice the initial window is one segment (RFC 5681 section 3.1); once is excused
// (RFC 6928 section 2).
func TestInitialWindowAfterALostSYN(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for after, want := range map[mono.Duration]int{1500 * ms: 10, 3500 * ms: 1} {
			p := newHand(t, HostOptions{}, tcp.Options{Has: tcp.HasMSS, MSS: 1000})
			p.open(passive, after)
			p.write(20_000)
			p.Run(ms)
			if n := len(p.got); n != want {
				t.Errorf("opened after %v: %d segments", after, n)
			}
		}
	})
}
