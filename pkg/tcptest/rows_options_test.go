package tcptest

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// The options of a SYN and of a SYN,ACK stand in Linux's order, byte for byte (but for the two clocks).
func TestOptionOrder(t *testing.T) {
	with := []string{"020405b4", "0402080a", "********", "********", "01030309"}
	without := []string{"020405b4", "01010402", "01030309"}
	roles(t, func(t *testing.T, passive bool) {
		for _, timestamps := range []bool{true, false} {
			p := newHand(t, settings(func(s *tcp.Settings) { s.Timestamps = timestamps }), allOptions)
			if passive {
				p.syn(tcp.SYN)
			} else {
				p.host.Dial(p.peer, 5000, 0)
				p.Run(0)
			}
			want := without
			if timestamps {
				want = with
			}
			b := p.one().packet[40:]
			if len(b) != 4*len(want) {
				t.Fatalf("timestamps %v: %d bytes of options: %x", timestamps, len(b), b)
			}
			for i, w := range want {
				if have := hex.EncodeToString(b[4*i : 4*i+4]); have != w && w != "********" {
					t.Errorf("timestamps %v: word %d is %s, not %s", timestamps, i, have, w)
				}
			}
		}
	})
}

// What the peer's SYN has not, the SYN,ACK has not.
//
// Proves: RFC 7323 2.2-1, 3.2-1
// Proves: RFC 2018 2-1
func TestOptionsAreAnsweredInKind(t *testing.T) {
	for has := tcp.Has(0); has < 16; has++ {
		p := newHand(t, HostOptions{}, tcp.Options{Has: has | tcp.HasMSS, MSS: 1000, WindowScale: 3})
		p.syn(tcp.SYN)
		if g := p.one(); g.Options.Has != has|tcp.HasMSS {
			t.Errorf("offered %04b, answered %04b", has, g.Options.Has)
		}
	}
}

// Nothing is taken off the MSS for options that were not agreed, 12 bytes for timestamps; without an MSS option the
// peer takes 536 (MUST-15).
//
// Proves: RFC 9293 MUST-15, MUST-16
func TestMSS(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, c := range []struct{ mss, want int }{{1460, 1460}, {1000, 1000}, {9000, 1460}, {0, 536}} {
			for _, timestamps := range []bool{false, true} {
				o, want := tcp.Options{Has: tcp.HasMSS, MSS: uint16(c.mss)}, c.want
				if c.mss == 0 {
					o = tcp.Options{}
				}
				if timestamps {
					o.Has |= tcp.HasTimestamps
					want -= 12
				}
				p := hand(t, passive, HostOptions{}, o)
				p.write(20_000)
				if n := len(p.got[0].Text); n != want {
					t.Errorf("MSS %d, timestamps %v: %d bytes in a segment, not %d", c.mss, timestamps, n, want)
				}
			}
		}
	})
}

// Every IPv4 header has DF and, being atomic, id 0 (RFC 6864 section 4.1), with and without a connection.
//
// Proves: RFC 9293 MAY-4
func TestIdentification(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := newHand(t, HostOptions{}, allOptions)
		var all []got
		tap(p.host.paths[p.peer.number()], func(f *Frame) { all = append(all, got{packet: f.Packet}) })
		p.open(passive, 0)
		p.write(10_000)
		p.user.Abort()
		p.Run(0)
		p.inject(tcp.Segment{Seq: 1, Flags: tcp.SYN | tcp.FIN | tcp.ACK}) // of no connection any more
		if len(all) < 6 {
			t.Fatalf("%d packets", len(all))
		}
		for _, g := range all {
			if b := g.packet; b[4] != 0 || b[5] != 0 || b[6] != 0x40 || b[7] != 0 {
				t.Errorf("id %x, flags and offset %x", b[4:6], b[6:8])
			}
		}
	})
}

// Windows are scaled both ways, from not at all up to the largest shift: all that the receiver keeps can be sent, and
// not more.
//
// Proves: RFC 9293 REC-1
// Proves: RFC 7323 2.3-3
func TestWindowScale(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		for _, c := range []struct {
			max   int
			shift uint8
		}{{0, 0}, {1 << 17, 2}, {16 << 20, 9}, {1 << 29, 14}, {1<<30 - 1, 14}} {
			o := settings(func(s *tcp.Settings) {
				s.SendBuffer, s.ReceiveBuffer, s.ReceiveBufferMax = 4<<20, min(2<<20, max(c.max, 60_000)), c.max
			})
			p := newPair(t, o)
			p.dial()
			from, to := p.c, p.s
			if passive {
				from, to = to, from
			}
			to.Do(func(cn stack.Conn) { cn.SetBuffers(0, cn.ReceiveBuffer()) }) // it is not to grow meanwhile
			to.Paused = true
			from.Write(4 << 20)
			p.Run(20 * second)
			i, room := to.Info(), o.TCP.ReceiveBuffer
			if i.ReceiveScale != c.shift || from.Info().SendScale != c.shift {
				t.Errorf("max %d: shifts %d and %d, not %d", c.max, i.ReceiveScale, from.Info().SendScale, c.shift)
			}
			if i.Unread > room || i.Unread < room-2<<c.shift {
				t.Errorf("shift %d: %d bytes came into a buffer of %d", c.shift, i.Unread, room)
			}
			to.Resume()
			p.Run(20 * second)
			if to.Read != 4<<20 {
				t.Errorf("shift %d: read %d", c.shift, to.Read)
			}
			p.end()
		}
	})
}

// A shift beyond 14 counts as 14 (RFC 7323 section 2.3).
//
// Proves: RFC 7323 2.3-1
func TestWindowScaleIsBounded(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := allOptions
		o.WindowScale = 200
		p := newHand(t, HostOptions{}, o)
		p.window = 3
		p.open(passive, 0)
		p.reply()
		if i := p.user.Info(); i.SendScale != 14 || i.SendWindow != 3<<14 {
			t.Errorf("shift %d, window %d", i.SendScale, i.SendWindow)
		}
	})
}

// Where one side has no window scale, neither scales: no more than 65,535 bytes are ever unread.
//
// Proves: RFC 7323 2.2-4
func TestWindowScaleRefused(t *testing.T) {
	for n := range 4 {
		no, dialler := settings(func(s *tcp.Settings) { s.WindowScale = false }), n%2 == 0
		p := newPair(t, HostOptions{}, no)
		if dialler {
			p = newPair(t, no, HostOptions{})
		}
		p.dial()
		from, to := p.c, p.s
		if n/2 == 1 {
			from, to = to, from
		}
		to.Paused = true
		from.Write(300_000)
		p.Run(10 * second)
		i := to.Info()
		if i.WindowScale || from.Info().WindowScale || i.Unread < 64_000 || i.Unread > 65_535 {
			t.Errorf("%d: scaled %v, %d unread", n, i.WindowScale, i.Unread)
		}
		to.Resume()
		p.Run(10 * second)
		if to.Read != 300_000 {
			t.Errorf("%d: read %d", n, to.Read)
		}
		p.end()
	}
}

// Once agreed, timestamps are on every segment but a RST, echo the peer's, and follow a clock of milliseconds.
//
// Proves: RFC 7323 3.2-2, 5.4-1
func TestTimestamps(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, allOptions)
		p.write(5000)
		first := p.got[0]
		p.Run(100 * ms)
		p.text(0, 10)
		p.user.Close()
		p.Run(0)
		for _, g := range p.got {
			if g.Options.Has&tcp.HasTimestamps == 0 || g.Options.TSEcr == 0 {
				t.Errorf("%v: %+v", g.Flags, g.Options)
			}
		}
		last := p.got[len(p.got)-1]
		if d := last.Options.TSVal - first.Options.TSVal; d != uint32(last.at.Sub(first.at)/ms) {
			t.Errorf("the clock has gone %d ms in %v", d, last.at.Sub(first.at))
		}
		if last.Options.TSEcr != uint32(int64(p.now)/int64(ms)) {
			t.Error("not the last timestamp is echoed")
		}
	})
}

// Each connection has a clock of its own (RFC 7323 section 5.4): it does not tell how long the host has been up.
//
// Proves: RFC 7323 5.4-2, 7-1
func TestTimestampOffsets(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		seen := map[uint32]bool{}
		for n := range 8 {
			p := newHand(t, HostOptions{Secrets: &[2]tcp.Secret{{1, 2}, {3, 4}}}, allOptions)
			if passive {
				p.flow.LocalPort += uint16(n)
				p.syn(tcp.SYN)
			} else {
				p.host.Dial(p.peer, uint16(5000+n), 7000)
				p.Run(0)
			}
			seen[p.one().Options.TSVal] = true
		}
		if len(seen) != 8 || seen[uint32(3600*second/ms)] {
			t.Errorf("%d clocks in 8 connections", len(seen))
		}
	})
}

// PAWS (RFC 7323 section 5): text of a time before the sequence numbers came round again is known by its timestamp. It
// is acknowledged, not taken; the same with a new timestamp is.
//
// Proves: RFC 7323 5.3-R1, 5.2-1
func TestPAWS(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, allOptions)
		p.text(0, 1000)
		p.Run(second)
		p.take()
		old := p.piece(1000, 500)
		for i := range old.Text {
			old.Text[i] ^= 0xff // what stood there 2^32 bytes ago
		}
		old.Options.TSVal = uint32(int64(p.now)/int64(ms)) - 5000
		p.inject(old)
		if g := p.one(); p.user.Read != 1000 || p.drops(tcp.DropPAWS) != 1 || g.Ack != p.seq(1000) {
			t.Errorf("read %d, dropped %d, acknowledged %d", p.user.Read, p.drops(tcp.DropPAWS), g.Ack-p.iss)
		}
		p.text(1000, 500)
		if p.user.Read != 1500 {
			t.Errorf("read %d", p.user.Read)
		}
		p.inject(tcp.Segment{Seq: p.seq(1500), Flags: tcp.RST, Options: tcp.Options{Has: tcp.HasTimestamps, TSVal: 1}})
		if p.user.Held { // section 5.2: PAWS is not for RSTs
			t.Error("a RST was held against its timestamp")
		}
	})
}

// A connection silent for 25 days goes on: by then the peer's clock seems to have gone back, and TS.Recent counts no
// longer (RFC 7323 section 5.5).
//
// Proves: RFC 7323 5.5-1
func TestPAWSAfterWeeks(t *testing.T) {
	p := open(t)
	p.Strict = false // to the watcher the clock seems to have gone back
	p.c.Write(100)
	p.s.Write(100)
	p.Run(25 * 86400 * second)
	p.c.Write(100)
	p.s.Write(100)
	p.Run(second)
	p.read(200, 200)
	p.end()
}

// A peer that sends timestamps in the handshake alone is served all the same, and nothing waits for a time-out.
//
// Proves: RFC 7323 3.2-5
func TestTimestampsStop(t *testing.T) {
	for _, who := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(who), func(t *testing.T) {
			p := newPair(t)
			strip := func(f *Frame) {
				if f.TCP && f.Seg.Flags&tcp.SYN == 0 {
					mangle(f, func(g *tcp.Segment, _ *uint8) {
						g.Options.Has &^= tcp.HasTimestamps
						g.Options.TSVal, g.Options.TSEcr = 0, 0
					})
				}
			}
			if who&1 != 0 {
				tap(p.ab, strip)
			}
			if who&2 != 0 {
				tap(p.ba, strip)
			}
			p.dial()
			if !p.c.Info().Timestamps || !p.s.Info().Timestamps {
				t.Fatal("timestamps were not agreed")
			}
			p.sent = nil
			p.c.Write(500_000)
			p.s.Write(500_000)
			p.Run(400 * ms)
			p.read(500_000, 500_000)
			if a, b := p.c.Info().Retransmits, p.s.Info().Retransmits; a+b != 0 {
				t.Errorf("%d and %d sent again", a, b)
			}
			p.end()
		})
	}
}

// The round trip is learned both in the handshake and from text, to the tick of the clock, by either side.
//
// Proves: RFC 6298 3-2
func TestRoundTripTime(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := newHand(t, HostOptions{}, allOptions)
		p.open(passive, 80*ms)
		if d := p.user.Info().RTT; d != 80*ms {
			t.Errorf("%v after the handshake", d)
		}
		for range 60 {
			p.write(100)
			p.Run(30 * ms)
			p.take()
			p.reply()
		}
		if d := p.user.Info().RTT; d < 30*ms || d > 31*ms {
			t.Errorf("%v after the text", d)
		}
	})
}
