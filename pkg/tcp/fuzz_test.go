package tcp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// What parses is put back and parses to the same again, and its options are what a slow reader finds.
func FuzzSegment(f *testing.F) {
	for _, g := range []Segment{
		{SrcPort: 1, DstPort: 2, Seq: 3, Ack: 4, Flags: SYN | ACK, Window: 5},
		{SrcPort: 80, DstPort: 4000, Flags: SYN, Options: Options{Has: HasMSS | HasWindowScale | HasSACKPermitted | HasTimestamps, MSS: 1460, WindowScale: 7, TSVal: 8}},
		{SrcPort: 80, DstPort: 4000, Flags: ACK, Options: Options{Has: HasTimestamps, TSVal: 8, Blocks: 3, SACK: [4]Block{{1, 2}, {3, 4}, {5, 6}}}},
	} {
		b := make([]byte, MaxHeaderLen+10)
		n := g.Put(b, 0)
		f.Add(b[:n+10])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var g, again Segment
		d := g.Parse(b)
		if len(b) >= HeaderLen {
			sameOptions(t, b, &g, d)
		}
		if d != DropNone {
			return
		}
		if len(g.Text) > len(b)-HeaderLen {
			t.Fatal("more text than bytes")
		}
		// Not all that parses can be put: SACK with everything else does not fit.
		if g.Options.Has&HasTimestamps != 0 && g.Options.Blocks > 3 || g.Options.Has&^HasTimestamps != 0 && g.Options.Blocks > 0 {
			g.Options.Blocks, g.Options.SACK = 0, [4]Block{}
		}
		var h [MaxHeaderLen]byte
		n := g.Put(h[:], binary.BigEndian.Uint16(b[16:]))
		if d := again.Parse(append(h[:n:n], g.Text...)); d != DropNone {
			t.Fatalf("what was put does not parse: %v", d)
		}
		again.Text, g.Text = nil, nil
		if !equal(&g, &again) {
			t.Fatalf("%+v became %+v", g, again)
		}
	})
}

func equal(a, b *Segment) bool {
	return a.SrcPort == b.SrcPort && a.DstPort == b.DstPort && a.Seq == b.Seq && a.Ack == b.Ack && a.Flags == b.Flags &&
		a.Window == b.Window && a.Urgent == b.Urgent && a.Options == b.Options
}

// sameOptions reads the options again, one byte after the other: the last of a kind and of a legal length counts, but of
// SACK all blocks, up to four.
func sameOptions(t *testing.T, b []byte, g *Segment, d Drop) {
	off := int(b[12]>>4) * 4
	if off < HeaderLen || off > len(b) {
		if d != DropDataOffset {
			t.Fatalf("a data offset of %d of %d bytes: %v", off, len(b), d)
		}
		return
	}
	legal := map[byte]func(n int) bool{
		optMSS: func(n int) bool { return n == 4 }, optWindowScale: func(n int) bool { return n == 3 },
		optSACKPermitted: func(n int) bool { return n == 2 }, optTimestamps: func(n int) bool { return n == 10 },
		optUserTimeout: func(n int) bool { return n == 4 }, optSACK: func(n int) bool { return n%8 == 2 },
		optFastOpen: func(n int) bool { return n == 2 || n >= 6 && n <= 18 && n%2 == 0 },
	}
	found, blocks := map[byte][]byte{}, 0
	for o := b[HeaderLen:off]; len(o) > 0 && o[0] != optEnd; {
		if o[0] == optNop {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			if d != DropOptionLength {
				t.Fatalf("options % x: %v", o, d)
			}
			return
		}
		if ok := legal[o[0]]; ok != nil && ok(int(o[1])) {
			found[o[0]] = o[2:o[1]]
			if o[0] == optSACK {
				blocks += int(o[1]) / 8
			}
		}
		o = o[o[1]:]
	}
	if d != DropNone {
		t.Fatalf("options % x: %v", b[HeaderLen:off], d)
	}
	if g.Flags&SYN != 0 {
		blocks = 0
	} else {
		delete(found, optFastOpen)
	}
	for i, kind := range [...]byte{optMSS, optWindowScale, optSACKPermitted, optTimestamps, optFastOpen, optUserTimeout} {
		if _, ok := found[kind]; ok != (g.Options.Has&(1<<i) != 0) {
			t.Fatalf("option %d is there: %v, but %+v", kind, ok, g.Options)
		}
	}
	if v := found[optMSS]; v != nil && g.Options.MSS != binary.BigEndian.Uint16(v) || int(g.Options.Blocks) != min(blocks, 4) {
		t.Fatalf("MSS % x, %d blocks: %+v", v, blocks, g.Options)
	}
	if v := found[optFastOpen]; !bytes.Equal(v, g.Options.FastOpen.Bytes[:g.Options.FastOpen.Len]) {
		t.Fatalf("a cookie % x: %+v", v, g.Options)
	}
}

// A SYN cookie is taken in its time from who has got it, with what it says of his SYN; nothing else is taken for one.
func FuzzCookie(f *testing.F) {
	f.Add(uint32(1), uint32(1000), uint16(1460), uint8(0xff), uint32(64), uint32(0), uint32(0), uint16(0))
	f.Add(uint32(2), uint32(1<<32-1), uint16(536), uint8(0), uint32(127), uint32(0), uint32(0), uint16(0))
	f.Add(uint32(3), uint32(0), uint16(0), uint8(0x31), uint32(0), uint32(1), uint32(0), uint16(0))
	f.Add(uint32(4), uint32(0), uint16(0), uint8(0x31), uint32(0), uint32(0), uint32(1<<27), uint16(0))
	f.Add(uint32(5), uint32(7), uint16(1400), uint8(0x7f), uint32(200), uint32(0), uint32(0), uint16(1))
	f.Fuzz(func(t *testing.T, secret, irs uint32, mss uint16, bits uint8, after, seqOff, ackOff uint32, portOff uint16) {
		x, key := newEnv(), &Secret{uint64(secret), 9}
		flow := Flow{LocalPort: 80, RemotePort: 4000}
		made := mono.Time(secret) * mono.Time(mono.Millisecond)
		syn := Segment{Seq: seq.Num(irs), Flags: SYN, Window: 1000, Options: Options{Has: Has(bits) & 15, MSS: mss, WindowScale: bits >> 4 % 15, TSVal: irs}}
		if bits&0x40 != 0 {
			syn.Flags |= ECE | CWR
		}
		var c, d Conn
		o := Open{ISS: 5, TSOffset: secret}
		c.OpenPassive(x, made, o, &syn)
		c.MakeCookie(key, &flow, made)
		var out Out
		if !c.Output(x, made, &out) || out.Flags&(SYN|ACK) != SYN|ACK {
			t.Fatalf("%v is the answer", out.Flags)
		}
		now := made.Add(mono.Duration(after) * mono.Second)
		g := Segment{Seq: syn.Seq + 1 + seq.Num(seqOff), Ack: out.Seq + 1 + seq.Num(ackOff), Flags: ACK, Window: 1000}
		if out.Options.Has&HasTimestamps != 0 {
			g.Options = Options{Has: HasTimestamps, TSVal: irs + 1, TSEcr: out.Options.TSVal}
		}
		flow.RemotePort += portOff
		took := d.OpenCookie(x, key, &flow, now, Open{TSOffset: secret}, &g)
		if want := seqOff == 0 && ackOff == 0 && portOff == 0 && period(now)-period(made) < cookieLife; took != want {
			t.Fatalf("taken %v, %d s later", took, after)
		}
		if !took {
			return
		}
		const agreed = factTimestamps | factSACK | factScale | factECN
		if c.facts&agreed != d.facts&agreed || c.snd.scale != d.snd.scale || d.snd.mss > c.snd.mss {
			t.Fatalf("agreed %b, scale %d, MSS %d; remembered %b, %d, %d", c.facts&agreed, c.snd.scale, c.snd.mss, d.facts&agreed, d.snd.scale, d.snd.mss)
		}
		if e := d.Input(x, now, &g); e != DropNone || !d.Opened() {
			t.Fatalf("%v, in %v", e, d.State())
		}
	})
}

// A Fast Open cookie is valid for the address that it was given to, in its period and the next, and no other is.
func FuzzFastOpenCookie(f *testing.F) {
	f.Add(uint64(1), uint32(3599), []byte{})
	f.Add(uint64(2), uint32(7200), []byte{})
	f.Add(uint64(3), uint32(0), []byte{1, 0x80})
	f.Fuzz(func(t *testing.T, secret uint64, after uint32, alter []byte) {
		key := &Secret{secret, 9}
		flow := Flow{LocalPort: 80, RemotePort: 4000}
		made := mono.Time(1e13)
		c := key.FastOpenCookie(&flow, made)
		now := made.Add(mono.Duration(after) * mono.Second)
		was := c
		for ; len(alter) >= 2; alter = alter[2:] {
			if i := int(alter[0]) % 18; i < 16 {
				c.Bytes[i] ^= alter[1]
			} else if i == 16 {
				c.Len = alter[1]
			} else {
				flow.Remote[int(alter[1])%len(flow.Remote)] ^= 1
			}
		}
		want := c == was && flow.Remote == (Flow{}).Remote && uint64(now)/uint64(fastOpenPeriod)-uint64(made)/uint64(fastOpenPeriod) < 2
		if got := key.FastOpenValid(&flow, now, &c); got != want {
			t.Fatalf("%+v is valid %d s later: %v", c, after, got)
		}
	})
}

// What a connection in any state was encoded as is decoded, and damaged it is decoded or refused; either way nothing panics,
// and nothing is kept.
func FuzzSnapshot(f *testing.F) {
	for i, b := range connSeeds() {
		if i%16 == 0 {
			f.Add(b, []byte{byte(i), 0, byte(i >> 4)}, uint16(i%7))
		}
	}
	f.Fuzz(func(t *testing.T, ops, damage []byte, cut uint16) {
		b := snapshotAfter(ops)
		for ; len(damage) >= 3 && len(b) > 0; damage = damage[3:] {
			b[int(binary.BigEndian.Uint16(damage))%len(b)] = damage[2]
		}
		b = append(b[:len(b)-min(len(b), int(cut))], damage...)
		x := newEnv()
		x.Memory.Limit = 1 << 22
		var c Conn
		if c.Decode(x, b) == nil {
			again := c.Encode(x, nil)
			c.Free(x)
			if err := c.Decode(x, again); err != nil || !bytes.Equal(c.Encode(x, nil), again) {
				t.Fatalf("what was decoded and encoded is another: %v", err)
			}
			c.Free(x)
		}
		if left := x.Memory.left(); left != "" {
			t.Fatal(left)
		}
	})
}

// snapshotAfter is the connection after a sequence of operations, as FuzzConn has them, encoded; nothing if it is over.
func snapshotAfter(ops []byte) (b []byte) {
	z := &fuzzed{draw: draw{ops}, x: newEnv(), now: 1e12}
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(fault); !ok {
				panic(v)
			}
		}
	}()
	z.setUp()
	for n := 0; len(z.b) > 0 && n < mostSteps; n++ {
		z.step()
	}
	if z.settle(); z.open {
		b = z.c.Encode(z.x, nil)
	}
	return b
}
