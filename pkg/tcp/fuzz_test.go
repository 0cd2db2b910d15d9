package tcp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// What parses is put back and parses to the same again.
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
		if g.Parse(b) != DropNone {
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

// A connection survives any sequence of segments and calls, in every state: no panic (Env.Strict makes an impossible
// transition one), its state is what its crossings say, and in the end nothing of it is left.
func FuzzConn(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add(bytes.Repeat([]byte{0x10, 0, 0, 0, 1, 4}, 20))
	f.Add([]byte("\x00\x12\x00\x00\x00\x01\x20\x10\x00\x00\x00\x01\x30\x11\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1 {
			return
		}
		z := &fuzzed{t: t, x: newEnv(), now: 1e12}
		s := &z.x.Settings[0]
		if b[0]&2 != 0 {
			s.ECN, s.MTUProbing, s.UserTimeoutOption, s.UserTimeout = ECNAccurate, MTUProbingOn, true, minute
			z.x.Frame = 65535
		}
		early := uint16(b[0]&4) << 7
		if b[0]&1 == 0 {
			z.c.OpenActive(z.x, z.now, Open{ISS: 0xffffff00, FastOpen: b[0]&8 != 0, Early: early})
			z.c.Write(z.x, make([]byte, int(b[0])))
		} else {
			g := Segment{Flags: SYN | AE | ECE | CWR, Text: make([]byte, int(b[0])), Seq: 0xfffffff0, Window: 1000, Options: Options{Has: HasMSS | HasTimestamps | HasSACKPermitted | HasWindowScale, MSS: 536, WindowScale: 3}}
			z.c.OpenPassive(z.x, z.now, Open{ISS: 0x7fffff00, FastOpen: b[0]&8 != 0, Early: early}, &g)
			z.c.Store(z.x)
		}
		for b = b[1:]; len(b) >= 6 && !z.c.Released(); b = b[6:] {
			z.step(b[:6])
			z.drain()
			z.check()
		}
		z.finish()
	})
}

type fuzzed struct {
	t   *testing.T
	x   *Env
	c   Conn
	now mono.Time
}

// step is one call or segment: what kind, flags, and four bytes of where and how much.
func (z *fuzzed) step(b []byte) {
	switch b[0] >> 4 {
	case 0:
		if b[1]&1 != 0 {
			z.c.Urge(int(b[3]) << 6)
		}
		z.c.Write(z.x, make([]byte, int(b[2])<<6))
	case 1:
		z.c.CloseWrite(z.x, z.now)
	case 2:
		z.c.CloseRead(z.x, z.now)
	case 3:
		z.c.Close(z.x, z.now)
	case 4:
		switch b[1] {
		case 0:
			z.c.Abort(z.x, z.now)
		case 1:
			z.c.SetUserTimeout(z.x, z.now, mono.Duration(b[2])<<26)
		case 2:
			z.c.SetCork(b[2]&1 != 0)
		case 3:
			z.c.SetQuickAck(b[2]&1 != 0)
		}
	case 5:
		z.now = z.now.Add(mono.Duration(b[2]) << 24)
	case 6:
		if d := z.c.Deadline(); d != mono.Never {
			z.now = max(z.now, d)
		}
		z.c.Timeout(z.x, z.now)
	case 7:
		a, _, in := z.c.Unread(z.x)
		z.c.Consume(z.x, min(len(a)+len(in), int(b[2])<<4))
	case 8:
		z.repack()
	case 9:
		z.c.TooBig(z.x, z.now, z.near(b[2], z.c.snd.una), int(b[3])<<4)
		z.c.HardError(z.x, z.now, z.near(b[4], z.c.snd.una), ICMPError{3, 3})
		z.c.SoftError(z.x, z.now, z.near(b[5], z.c.snd.una), ICMPError{3, 1}, true)
	default:
		z.segment(b)
	}
}

// near is a number at, before or behind at.
func (z *fuzzed) near(b byte, at seq.Num) seq.Num { return at + seq.Num(int32(int8(b))) }

func (z *fuzzed) segment(b []byte) {
	g := Segment{Flags: Flags(b[1]), Window: uint16(b[4]) << 4, Urgent: uint16(b[3]), Text: make([]byte, int(b[5])<<2)}
	g.Flags |= Flags(b[3]&1) << 8
	g.ECN = b[4] & 3
	g.Seq = z.near(b[2], z.c.rcv.nxt)
	switch b[0] & 3 {
	case 0:
		g.Ack = z.near(b[3], z.c.snd.una)
	case 1:
		g.Ack = z.c.snd.nxt
	case 2:
		g.Ack, g.Seq = z.near(b[3], z.c.snd.nxt), z.c.rcv.adv-seq.Num(b[2])
	case 3:
		g.Ack, g.Seq = z.c.snd.nxt, z.c.rcv.nxt
	}
	if b[0]&4 != 0 {
		g.Options = Options{Has: HasTimestamps | Has(b[5]&1)*HasUserTimeout, UserTimeout: uint16(b[2]) << 8, TSVal: uint32(b[3]), TSEcr: uint32(b[4])}
	}
	if b[0]&8 != 0 {
		g.Parts = 3
		g.Options.Blocks = 2
		from := z.c.snd.una.Add(uint32(b[4]) << 4)
		g.Options.SACK = [4]Block{{from, from.Add(uint32(b[5]) << 3)}, {z.near(b[2], from), z.near(b[5], from)}}
	}
	z.c.Input(z.x, z.now, &g)
	z.x.ReplyDue = false
	z.c.Store(z.x)
}

// repack packs and unpacks a connection that may be.
func (z *fuzzed) repack() {
	var h HalfOpen
	var w TimeWait
	if z.c.PackHalfOpen(&h) {
		h.Unpack(z.x, &z.c)
	} else if z.c.PackTimeWait(&w) {
		w.Unpack(z.x, z.now, &z.c)
	}
}

func (z *fuzzed) drain() {
	var o Out
	for n := 0; z.c.Output(z.x, z.now, &o); n++ {
		if n > 5000 {
			z.t.Fatal("output never ends")
		}
	}
	z.c.TakeEvents()
}

func (z *fuzzed) check() {
	c := &z.c
	if c.is(factReleased) {
		return
	}
	if !c.snd.una.LessEq(c.snd.nxt) || !c.snd.nxt.LessEq(c.snd.nxt) {
		z.t.Fatalf("una %d, nxt %d, max %d", c.snd.una, c.snd.nxt, c.snd.nxt)
	}
	if c.is(factSynRcvd) && (!c.rcv.read.LessEq(c.rcv.stored) || !c.rcv.stored.LessEq(c.rcv.nxt) || !c.rcv.nxt.LessEq(c.rcv.adv)) {
		z.t.Fatalf("read %d, stored %d, nxt %d, adv %d", c.rcv.read, c.rcv.stored, c.rcv.nxt, c.rcv.adv)
	}
	if err := c.checkFlight(z.x); err != nil {
		z.t.Fatal(err)
	}
	if s := fsm.Derive(c.Crossings()); s != c.State() && c.State() != fsm.TimeWait {
		z.t.Fatalf("in %v, but the crossings %+v say %v", c.State(), c.Crossings(), s)
	}
}

// finish aborts what is left and looks for what should be gone.
func (z *fuzzed) finish() {
	if !z.c.Released() {
		z.c.Abort(z.x, z.now)
		z.drain()
	}
	if !z.c.Released() {
		z.t.Fatalf("aborted, and yet %v", z.c.State())
	}
	z.c.Free(z.x)
	if len(z.x.Memory.freeFlights) != len(z.x.Memory.flights)-1 {
		z.t.Fatalf("%d of %d scoreboards are free", len(z.x.Memory.freeFlights), len(z.x.Memory.flights)-1)
	}
	if z.x.Memory.InUse != 0 || len(z.x.Memory.freeRings) != len(z.x.Memory.rings)-1 || len(z.x.Memory.freeHoleLists) != len(z.x.Memory.holes)-1 {
		z.t.Fatalf("%d bytes in use, %d of %d rings and %d of %d lists free", z.x.Memory.InUse,
			len(z.x.Memory.freeRings), len(z.x.Memory.rings)-1, len(z.x.Memory.freeHoleLists), len(z.x.Memory.holes)-1)
	}
}
