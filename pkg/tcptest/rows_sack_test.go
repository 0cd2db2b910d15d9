package tcptest

import (
	"reflect"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// blocks is what a segment's SACK option says, as places in the peer's stream.
func (p *byHand) blocks(g got) (b [][2]int) {
	for _, s := range g.Options.SACK[:g.Options.Blocks] {
		b = append(b, [2]int{int(s.From - p.seq(0)), int(s.To - p.seq(0))})
	}
	return b
}

// acked demands the one ACK that the host has sent: up to where, and with which blocks.
func (p *byHand) acked(up int, blocks ...[2]int) {
	p.t.Helper()
	g := p.one()
	if g.Ack != p.seq(up) || !slices.Equal(p.blocks(g), blocks) {
		p.t.Errorf("ACK of %d with %v, not of %d with %v", g.Ack-p.seq(0), p.blocks(g), up, blocks)
	}
	p.take()
}

// The receiver reports what lies beyond holes, the newest first, then those before it: four runs, three beside
// timestamps (RFC 2018 section 4).
//
// Proves: RFC 2018 3-3, 4-3, 4-5
func TestSACKBlocks(t *testing.T) {
	for _, timestamps := range []bool{true, false} {
		roles(t, func(t *testing.T, passive bool) {
			o, most := allOptions, 3
			if !timestamps {
				o.Has, most = o.Has&^tcp.HasTimestamps, 4
			}
			p := hand(t, passive, HostOptions{}, o)
			var want [][2]int
			for _, at := range []int{300, 700, 500, 100, 900} {
				want = append([][2]int{{at, at + 100}}, want...)
				p.text(at, 100)
				p.acked(0, want[:min(len(want), most)]...)
			}
			p.text(400, 100) // joins two
			p.acked(0, append([][2]int{{300, 600}}, []([2]int){{900, 1000}, {100, 200}, {700, 800}}[:most-1]...)...)
			p.text(0, 100)
			g := p.one()
			if g.Ack != p.seq(200) || p.blocks(g)[0] == [2]int{100, 200} {
				t.Errorf("ACK of %d with %v", g.Ack-p.seq(0), p.blocks(g))
			}
			p.take()
			p.text(200, 100)
			p.text(600, 100)
			p.text(800, 100)
			if p.user.Read != 1000 {
				t.Errorf("read %d", p.user.Read)
			}
		})
	}
}

// Not agreed, SACK is not sent.
//
// Proves: RFC 2018 3-1
func TestSACKRefused(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := allOptions
		o.Has &^= tcp.HasSACKPermitted
		p := hand(t, passive, HostOptions{}, o)
		p.text(300, 100)
		p.acked(0)
		p.text(300, 100)
		p.acked(0)
	})
}

// The receiver reports text that came twice, in the first block of one ACK (RFC 2883 section 4).
//
// Proves: RFC 2018 D4-1, D4-2, D4-3
func TestDSACKBlocks(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, allOptions)
		p.text(0, 300)
		p.take()
		p.text(100, 100) // whole, below the ACK: 4.1.1
		p.acked(300, [2]int{100, 200})
		p.text(500, 200)
		p.acked(300, [2]int{500, 700})
		p.text(500, 100) // whole, beyond a hole: 4.2.1
		p.acked(300, [2]int{500, 600}, [2]int{500, 700})
		p.text(900, 100)
		p.acked(300, [2]int{900, 1000}, [2]int{500, 700}) // told once
		p.text(200, 200)                                  // in part: 4.2.2
		p.acked(400, [2]int{200, 300}, [2]int{900, 1000}, [2]int{500, 700})
	})
}

// burst opens a connection whose host has sent n full segments, of 1000 bytes, that the peer has not answered.
func burst(t *testing.T, passive bool, n int, o HostOptions, opt tcp.Options) *byHand {
	t.Helper()
	opt.MSS = 1000
	if opt.Has&tcp.HasTimestamps != 0 {
		opt.MSS += 12
	}
	p := newHand(t, o, opt)
	p.open(passive, rtt)
	p.write(n * 1000)
	p.Run(12 * ms) // pacing
	if g := p.take(); len(g) != n {
		t.Fatalf("%d segments sent, not %d", len(g), n)
	}
	p.Run(rtt - 12*ms)
	return p
}

// sentAt are the places of the text that the host has sent since take.
func (p *byHand) sentAt() (at []int) {
	for _, g := range p.got {
		if len(g.Text) > 0 {
			at = append(at, p.place(g.Seq))
		}
	}
	return at
}

// The sender sends again what the blocks leave out, and nothing else.
//
// Proves: RFC 2018 5-1, 5-2
// Proves: RFC 6675 3-1, 4-Update
func TestSACKIsUsed(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := burst(t, passive, 10, HostOptions{}, allOptions)
		p.selects(1000, [2]int{2000, 3000})
		p.selects(1000, [2]int{4000, 6000}, [2]int{2000, 3000})
		p.selects(1000, [2]int{7000, 10000}, [2]int{4000, 6000}, [2]int{2000, 3000})
		p.Run(15 * ms)
		if at := p.sentAt(); !slices.Equal(at, []int{1000, 3000, 6000}) {
			t.Errorf("sent again %v", at)
		}
		p.take()
		p.selects(10000)
		p.Run(3600 * second)
		p.silent()
	})
}

// A sender without SACK on the other side goes by duplicate ACKs, and by partial ones (RFC 6582).
func TestWithoutSACK(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := allOptions
		o.Has &^= tcp.HasSACKPermitted
		p := burst(t, passive, 10, HostOptions{}, o)
		p.selects(1000)
		p.selects(1000)
		p.selects(1000)
		p.silent()
		p.selects(1000)
		p.Run(2 * ms)
		p.selects(4000)
		p.Run(2 * ms)
		if at := p.sentAt(); !slices.Equal(at, []int{1000, 4000}) {
			t.Errorf("sent again %v", at)
		}
		p.selects(10000)
	})
}

// A peer may forget what it has reported by SACK alone (RFC 2018 section 8): after a time-out it is sent again, too.
//
// Proves: RFC 2018 8-2, 8-4
func TestReneging(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := burst(t, passive, 10, HostOptions{}, allOptions)
		p.selects(0, [2]int{1000, 10000})
		p.Run(ms)
		if at := p.sentAt(); !slices.Equal(at, []int{0}) {
			t.Fatalf("sent again %v", at)
		}
		p.take()
		p.selects(1000) // and not to 10000: all is forgotten
		have := 1000
		for range 40 { // the peer takes what comes in order
			p.Run(100 * ms)
			for _, g := range p.take() {
				if at := p.place(g.Seq); at <= have {
					have = max(have, at+len(g.Text))
				}
			}
			p.selects(have)
		}
		if have != 10000 {
			t.Errorf("%d of 10000 bytes have come after 4 s", have)
		}
	})
}

// late is a pair that has sent for a while from one side, one of whose segments then comes 30 ms late, so that it is
// sent again for nothing. It returns what the sender had at the time, and has in the end.
func late(t *testing.T, passive bool, o HostOptions) (before, after tcp.Info) {
	p := open(t, o)
	from, to, path := p.c, p.s, p.ab
	if passive {
		from, to, path = p.s, p.c, p.ba
	}
	from.Write(400_000)
	p.Run(2 * second)
	from.Write(60_000)
	k := 0
	next := path.Filter
	path.Filter = func(f *Frame) Verdict {
		if len(f.Seg.Text) > 0 {
			if k++; k == 5 {
				before = from.Info()
				p.After(30*ms, func() { path.Filter = next; path.carry(p.World, f) })
				return Lose
			}
		}
		return next(f)
	}
	least := 1 << 31
	for range 200 {
		p.Run(ms)
		least = min(least, from.Info().Ssthresh)
	}
	after = from.Info()
	if to.Read != 460_000 || after.Retransmits != 1 || least >= before.Cwnd {
		t.Errorf("read %d, %d sent again, ssthresh %d meanwhile", to.Read, after.Retransmits, least)
	}
	p.end()
	return before, after
}

// A D-SACK for all that was sent again shows that nothing was lost: the reduction is undone (RFC 3708). Timestamps
// are off, so that nothing else shows it.
func TestDSACKUndoes(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		before, after := late(t, passive, settings(func(s *tcp.Settings) { s.Timestamps, s.Congestion = false, cc.NewReno{} }))
		if after.Cwnd < before.Cwnd || after.Ssthresh < before.Ssthresh {
			t.Errorf("cwnd %d, ssthresh %d; before it %d, %d", after.Cwnd, after.Ssthresh, before.Cwnd, before.Ssthresh)
		}
	})
}

// spans is the length of the scoreboards of a host's first shard.
func spans(h *Host) (n int) {
	shard := reflect.ValueOf(h.Stack).Elem().FieldByName("shards").Index(0).Elem()
	flights := shard.FieldByName("env").FieldByName("Memory").Elem().FieldByName("flights")
	for i := range flights.Len() {
		n += flights.Index(i).FieldByName("spans").Len() - int(flights.Index(i).FieldByName("head").Int())
	}
	return n
}

// What the scoreboard costs follows the number of turns in flight, not the bytes: ten times the window has no more
// spans.
func TestScoreboardDoesNotGrowWithTheWindow(t *testing.T) {
	at := func(n int) int {
		o := settings(func(s *tcp.Settings) { s.SendBuffer, s.ReceiveBuffer = 16<<20, 16<<20 })
		o.Superframe, o.Checksum = true, true
		p := newPair(t, o)
		p.Log.Verbose, p.Blind = false, true
		p.ab.Delay, p.ba.Delay = ms/2, ms/2 // not paced: a window is sent in a turn
		p.ab.Filter, p.ba.Filter = nil, nil
		p.l.Accept = func(u *User) { p.s = u; u.conn.SetBuffers(0, n) }
		p.c = p.a.Dial(p.b, 80, 0)
		p.c.want = 60 << 20
		for range 200 {
			if p.Run(ms); p.c.Held && p.c.Info().Cwnd > n {
				break
			}
		}
		p.ba.Delay = second // the ACKs take their time
		p.Run(2 * ms)
		if i := p.c.Info(); i.Flight < n*3/4 || i.Flight > n {
			t.Fatalf("%d in flight, not %d", i.Flight, n)
		}
		return spans(p.a)
	}
	small, large := at(100<<10), at(1<<20)
	if small == 0 || large > small+2 || large > 8 {
		t.Errorf("%d spans for 100 kB, %d for 1 MB", small, large)
	}
}
