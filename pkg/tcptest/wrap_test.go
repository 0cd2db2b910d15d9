package tcptest

import (
	"flag"
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

var gibibytes = flag.Float64("gibibytes", 1./16, "how much text goes through one connection")

// Sequence numbers and timestamps are compared modulo 2^32: nothing may happen where they pass 2^32, nor where they pass
// 2^31 and a signed number would change its sign.
var wraps = []uint32{0, 1 << 31}

// wrapPort is the port that connections are dialled from whose numbers are chosen.
const wrapPort = 5555

// wrapFlow is such a connection as a host sees it, which has dialled or was dialled.
func wrapFlow(dialled bool) stack.Flow {
	f := stack.Flow{Local: ip.V4([4]byte{10, 0, 0, 1}), Remote: ip.V4([4]byte{10, 0, 0, 2}), LocalPort: wrapPort, RemotePort: 80}
	if !dialled {
		f = reverse(f)
	}
	return f
}

const clockTick = 4 * mono.Microsecond // of sequence numbers (RFC 9293 section 3.4.1)

// setISS sets the host's clock forward to where its first sequence number will be iss if it is drawn in wait.
func (h *Host) setISS(iss uint32, wait mono.Duration) {
	f := wrapFlow(h.Name == "a")
	k := h.secrets[0]
	at := h.now().Add(wait)
	now, _ := k.ISN(&f, at)
	h.ahead += mono.Duration(iss-uint32(now)) * clockTick
}

// wrapPair is a pair whose next connection, from wrapPort, has these first sequence numbers.
func wrapPair(t *testing.T, isa, isb uint32, o ...HostOptions) *pair {
	p := newPair(t, o...)
	p.a.setISS(isa, 0)
	p.b.setISS(isb, rtt/2)
	return p
}

// dialWrap opens the connection whose numbers were chosen.
func (p *pair) dialWrap() {
	p.t.Helper()
	p.c = p.a.Dial(p.b, 80, wrapPort)
	p.Run(5 * second)
	if p.s == nil || p.c.Events&tcp.Opened == 0 {
		p.t.Fatal("not opened")
	}
}

// lossy has so many of a thousand segments be lost, and keeps no transcript from now on.
func (p *pair) lossy(perMille int) {
	p.Log.Verbose = false
	p.ab.Filter, p.ba.Filter = nil, nil
	p.ab.Loss, p.ba.Loss = perMille, perMille
}

// wrapTraffic are the kinds of traffic that go over the place where numbers wrap.
var wrapTraffic = []struct {
	name string
	set  func(s *tcp.Settings)
	do   func(p *pair)
}{
	{"both ways", nil, func(p *pair) { p.wrapBothWays(0) }},
	{"losses", nil, func(p *pair) { p.wrapBothWays(40) }},
	{"losses without SACK", func(s *tcp.Settings) { s.SACK = false }, func(p *pair) { p.wrapBothWays(20) }},
	{"losses without timestamps", func(s *tcp.Settings) { s.Timestamps = false }, func(p *pair) { p.wrapBothWays(40) }},
	{"a closed window", func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = 8192, 0 }, (*pair).wrapClosedWindow},
	{"urgent", nil, (*pair).wrapUrgent},
	{"keep-alive", nil, (*pair).wrapKeepAlive},
}

// TestWrap has each kind of traffic go over each wrap of both ends' numbers, which comes in its first 64 KiB.
func TestWrap(t *testing.T) {
	for _, k := range wrapTraffic {
		for _, isa := range wraps {
			for _, isb := range wraps {
				if testing.Short() && isa != isb {
					continue
				}
				t.Run(fmt.Sprintf("%s/%#x,%#x", k.name, isa, isb), func(t *testing.T) {
					o := HostOptions{}
					if k.set != nil {
						o = settings(k.set)
					}
					p := wrapPair(t, isa-20_000, isb-30_000, o)
					p.dialWrap()
					if i, j := p.c.Info(), p.s.Info(); uint32(i.InitialSend) != isa-20_000 || uint32(j.InitialSend) != isb-30_000 {
						t.Fatalf("the first numbers are %#x and %#x", i.InitialSend, j.InitialSend)
					}
					k.do(p)
					p.end()
				})
			}
		}
	}
}

func (p *pair) wrapBothWays(loss int) {
	p.lossy(loss)
	p.c.Write(150_000)
	p.s.Write(150_000)
	p.Run(120 * second)
	p.read(150_000, 150_000)
	p.lossy(0)
}

// wrapClosedWindow reads in small pieces: the window closes and opens, and is probed, all the way over the wrap.
func (p *pair) wrapClosedWindow() {
	p.s.Paused = true
	p.c.Write(40_000)
	for range 20 {
		p.s.Do(func(stack.Conn) {
			p.s.Paused, p.s.ReadAt = false, 2500
			p.s.read()
			p.s.Paused = true
		})
		p.Run(3 * second)
	}
	p.s.ReadAt = 0
	p.s.Resume()
	p.Run(300 * second)
	p.read(0, 40_000)
}

// wrapUrgent sends urgent text on both sides of the wrap, and over it.
func (p *pair) wrapUrgent() {
	p.t.Helper()
	p.s.Paused = true
	for range 15 {
		before := p.s.Info().UrgentLeft
		p.c.urge(2000)
		p.Run(second)
		if n := p.s.Info().UrgentLeft; n != before+2000 {
			p.t.Fatalf("%d bytes are urgent, and %d were before", n, before)
		}
	}
	p.s.Resume()
	p.Run(second)
	p.read(0, 30_000)
	if n := p.s.Info().UrgentLeft; n != 0 {
		p.t.Errorf("%d bytes are urgent at the end", n)
	}
}

// wrapKeepAlive probes around the wrap: a probe is of the octet before SND.NXT.
func (p *pair) wrapKeepAlive() {
	for _, u := range []*User{p.c, p.s} {
		u.Do(func(c stack.Conn) { c.SetKeepAlive(10*second, second, 3) })
	}
	for range 6 {
		p.c.Write(6000)
		p.s.Write(6000)
		p.Run(60 * second)
	}
	p.read(36_000, 36_000)
	if !p.c.Held || !p.s.Held {
		p.t.Error("given up")
	}
}

// TestWrapInHandshakeAndClose has SYN, text and FIN lie on the wrap itself, with each of the first segments of either end
// lost once.
func TestWrapInHandshakeAndClose(t *testing.T) {
	kinds := []func(s *sent) bool{nil, has(tcp.SYN), has(tcp.SYN | tcp.ACK), has(tcp.FIN | tcp.ACK), withText}
	for _, at := range wraps {
		for from := uint32(0); from < 5; from++ { // the wrap is that far behind the SYN
			for _, k := range kinds {
				for _, host := range []string{"a", "b"} {
					p := wrapPair(t, at-from, at-from)
					lost := k == nil
					p.filter(func(s *sent) bool {
						if lost || s.host.Name != host || !k(s) {
							return false
						}
						lost = true
						return true
					})
					p.dialWrap()
					p.c.Write(2)
					p.s.Write(2)
					p.Run(5 * second)
					p.read(2, 2)
					p.end()
					if t.Failed() || p.err != nil {
						t.Fatalf("the SYN %d before %#x", from, at)
					}
				}
			}
		}
	}
}

// setStamp sets a host's secret and clock: its first sequence number is at most 256 KiB before iss, and its timestamps at
// that time are ts.
func (h *Host) setStamp(iss, ts uint32, wait mono.Duration) {
	f := wrapFlow(h.Name == "a")
	for n := uint64(1); ; n++ {
		k := tcp.Secret{n, 1}
		_, offset := k.ISN(&f, 0)
		at := mono.Time(ts-offset) * mono.Time(ms)
		if isn, _ := k.ISN(&f, at); at > h.world.now && uint32(seq.Num(iss).Sub(isn)) < 1<<18 {
			h.opt.Secrets = &[2]tcp.Secret{k, k}
			h.ahead = at.Sub(h.world.now.Add(wait))
			h.boot()
			return
		}
	}
}

// TestTimestampWrap has the clocks of the timestamps wrap in the middle of a transfer with losses, at both ends at about
// the same time as the sequence numbers: no segment is taken for an old one (RFC 7323 section 5), no round trip is
// measured wrong.
func TestTimestampWrap(t *testing.T) {
	for _, at := range wraps {
		for _, other := range wraps {
			for _, loss := range []int{0, 30} {
				p := newPair(t)
				p.a.setStamp(at, at-6000, 0)
				p.b.setStamp(other, other-6500, rtt/2)
				p.l = p.b.Listen(80, 0)
				p.l.Accept = func(u *User) { p.s = u }
				p.dialWrap() // takes 5 s
				if a, b := p.sent[0].Options.TSVal, p.sent[1].Options.TSVal; a-(at-6000) > 2 || b-(other-6500) > 2 {
					t.Fatalf("the clocks stand at %#x and %#x", a, b)
				}
				p.lossy(loss)
				for range 30 {
					p.c.Write(10_000)
					p.s.Write(10_000)
					p.Run(100 * ms)
				}
				p.Run(60 * second)
				p.read(300_000, 300_000)
				for _, u := range []*User{p.c, p.s} {
					if i := u.Info(); i.RTT > second || loss == 0 && i.Retransmits > 0 {
						t.Errorf("%#x, %#x: the round trip is %v, %d were sent again", at, other, i.RTT, i.Retransmits)
					}
				}
				p.neverOld(loss > 0)
				p.lossy(0)
				p.end()
			}
		}
	}
}

// neverOld demands that PAWS has dropped nothing, except perhaps what overtook.
func (p *pair) neverOld(some bool) {
	p.t.Helper()
	for _, h := range []*Host{p.a, p.b} {
		c := h.Stack.Counters(0)
		if n := c.TCP[tcp.DropPAWS]; n > 0 && !some {
			p.t.Errorf("%s has taken %d segments for old ones", h.Name, n)
		}
	}
}

// TestIdleBeyondTimestamps has connections be idle for so long that the other end's timestamp, when it is heard again,
// seems to be old: after 24 days TS.Recent says nothing (RFC 7323 section 5.5).
func TestIdleBeyondTimestamps(t *testing.T) {
	const day = 24 * 3600 * second
	for _, idle := range []mono.Duration{20 * day, 24 * day, 24*day + 20*3600*second, 25 * day, 37 * day, 49*day + 17*3600*second, 51 * day, 100 * day} {
		for _, first := range []string{"a", "b"} {
			p := open(t)
			p.Strict = idle < 24*day // the watcher compares timestamps as hosts do, and knows no end of it
			p.c.Write(3000)
			p.s.Write(3000)
			p.Run(second)
			p.Run(idle)
			speaks, other := p.c, p.s
			if first == "b" {
				speaks, other = p.s, p.c
			}
			for range 3 {
				speaks.Write(20_000)
				p.Run(second)
				other.Write(20_000)
				p.Run(second)
			}
			p.read(63_000, 63_000)
			for _, u := range []*User{p.c, p.s} {
				if i := u.Info(); i.Retransmits > 0 || i.RTT > 100*ms {
					t.Errorf("%v, %s speaks first: %d sent again, the round trip is %v", idle, first, i.Retransmits, i.RTT)
				}
			}
			p.neverOld(false)
			p.end()
		}
	}
}

// TestWrapInTimeWait has a port used again during TIME-WAIT when the new connection's first number, and its timestamps,
// are beyond the wrap and the old one's before it (section 3.6.1, RFC 6191).
func TestWrapInTimeWait(t *testing.T) {
	for _, at := range wraps {
		for _, timestamps := range []bool{false, true} {
			p := wrapPair(t, at-100_000, at-100_000, settings(func(s *tcp.Settings) { s.Timestamps = timestamps }))
			if timestamps {
				p.a.setStamp(at, at-3000, 0)
			}
			for round := range 8 { // the first number moves on by 250,000 a second
				p.s = nil
				p.c = p.a.Dial(p.b, 80, wrapPort)
				p.c.want = 1000
				p.Run(500 * ms)
				if p.s == nil {
					t.Fatalf("%#x, round %d: not opened", at, round)
				}
				p.read(0, 1000)
				p.s.Close() // the listener's side waits
				p.Run(100 * ms)
				p.c.Close()
				p.Run(100 * ms)
			}
			p.saw("TIME-WAIT --NewSYN--> CLOSED")
			p.over()
		}
	}
}

// TestMuchText has much text go through one connection, one way and then the other, and then all that depends on what
// was noted long ago: losses, urgent text, a closed window. With more than 4 GiB (-gibibytes) the numbers come round.
func TestMuchText(t *testing.T) {
	o := settings(func(s *tcp.Settings) {
		s.ReceiveBuffer, s.ReceiveBufferMax, s.SendBuffer, s.SendBufferMax = 1<<20, 0, 1<<20, 0
	})
	o.Superframe, o.Checksum = true, true
	p := wrapPair(t, 1<<31-5_000_000, 1<<32-5_000_000, o)
	p.Log.Verbose, p.Blind = false, true
	p.ab.Filter, p.ba.Filter = nil, nil
	p.ab.Whole, p.ba.Whole = true, true
	p.ab.Delay, p.ba.Delay = ms, ms
	p.dialWrap()
	n := int(*gibibytes * (1 << 30))
	if testing.Short() {
		n /= 8
	}
	p.wrapMuch(p.c, n)
	p.wrapAfterMuch(p.s, p.c)
	p.wrapMuch(p.s, n)
	p.wrapAfterMuch(p.c, p.s)
	p.wrapAfterMuch(p.s, p.c)
	p.end()
}

// wrapMuch has u write n bytes, and the other read them.
func (p *pair) wrapMuch(u *User, n int) {
	p.t.Helper()
	before := p.now
	for left := n; left > 0 && p.err == nil; left -= 64 << 20 {
		k := min(left, 64<<20)
		u.Write(k)
		for u.Wrote < u.want && p.Step() {
		}
	}
	p.Run(second)
	p.t.Logf("%d MiB in %v, %d turns", n>>20, p.now.Sub(before), p.Turns)
	p.read(p.s.Wrote, p.c.Wrote)
}

// wrapAfterMuch is one loss that duplicates show, one that only a time-out does, urgent text, and a closed window.
func (p *pair) wrapAfterMuch(u, to *User) {
	p.t.Helper()
	before := u.Info()
	path := u.Host.paths[to.Host.number()]
	lose := func(which func(n int) bool) {
		n := 0
		path.Filter = func(f *Frame) Verdict {
			if len(f.Seg.Text) == 0 {
				return Pass
			}
			if n++; which(n) {
				return Lose
			}
			return Pass
		}
	}
	lose(func(n int) bool { return n == 3 })
	u.Write(2 << 20)
	p.Run(2 * second)
	if i := u.Info(); i.TimeOuts != before.TimeOuts || i.Retransmits == before.Retransmits {
		p.t.Errorf("one loss: %d time-outs, %d sent again", i.TimeOuts-before.TimeOuts, i.Retransmits-before.Retransmits)
	}
	lose(func(n int) bool { return n <= 2 })
	u.Write(1000)
	p.Run(5 * second)
	path.Filter = nil
	to.Paused = true
	u.urge(5000)
	p.Run(second)
	if n := to.Info().UrgentLeft; n != 5000 {
		p.t.Errorf("%d bytes are urgent", n)
	}
	u.Write(2 << 20)
	p.Run(10 * second)
	to.Resume()
	p.Run(60 * second)
	p.read(p.s.Wrote, p.c.Wrote)
	if n := to.Info().UrgentLeft; n != 0 {
		p.t.Errorf("%d bytes are still urgent", n)
	}
}
