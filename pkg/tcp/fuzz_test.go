package tcp

import (
	"encoding/binary"
	"testing"
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
