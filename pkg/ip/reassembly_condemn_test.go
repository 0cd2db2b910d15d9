package ip

import (
	"bytes"
	"testing"
)

// step is a fragment and its answer.
type step struct {
	offset int
	more   bool
	size   int
	want   Drop
}

// RFC 5722 4: "any constituent fragments, including those not yet received, MUST be silently discarded".
func TestReassemblyCondemns(t *testing.T) {
	held, overlap, end := DropFragmentHeld, DropFragmentOverlap, DropFragmentEnd
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"teardrop: the second lies within the first", []step{{0, true, 32, held}, {24, false, 4, overlap}}},
		{"teardrop, from behind", []step{{24, false, 4, held}, {0, true, 32, overlap}}},
		{"the same place, longer", []step{{8, true, 16, held}, {8, true, 24, overlap}}},
		{"the same place, shorter", []step{{8, true, 16, held}, {8, true, 8, overlap}}},
		{"one covers two", []step{{8, true, 8, held}, {24, true, 8, held}, {0, true, 48, overlap}}},
		{"one covers the gap and a bit", []step{{0, true, 8, held}, {16, true, 8, held}, {8, true, 16, overlap}}},
		{"one starts a bit early", []step{{0, true, 16, held}, {32, true, 8, held}, {8, true, 24, overlap}}},
		{"two ends", []step{{64, false, 8, held}, {80, false, 8, end}}},
		{"two ends, the second lower", []step{{64, false, 8, held}, {32, false, 8, end}}},
		{"beyond the end", []step{{16, false, 4, held}, {24, true, 8, end}}},
		{"end below what came", []step{{64, true, 8, held}, {8, false, 8, end}}},
		{"more to come at the end", []step{{24, false, 8, held}, {24, true, 8, overlap}}},
		{"more to come beyond it", []step{{16, true, 8, held}, {24, false, 8, held}, {32, true, 8, end}}},
		{"seven bytes and more to come", []step{{0, true, 8, held}, {8, true, 7, DropFragmentLength}}},
		{"empty", []step{{8, true, 0, DropFragmentLength}}},
		{"empty and last", []step{{0, true, 8, held}, {8, false, 0, DropFragmentLength}}},
		{"ping of death", []step{{0, true, 1480, held}, {65528, false, 800, DropFragmentBeyond}}},
		{"ping of death by one byte", []step{{65512, false, 4, DropFragmentBeyond}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReassembly(t, 1<<20)
			for _, s := range c.steps {
				r.want(s.want, fragment(1, s.offset, s.more, make([]byte, s.size)))
			}
			if s := r.Stats(); s.Condemned != (Outcome{1, uint64(len(c.steps) - 1)}) || r.Bytes() != datagramCost {
				t.Errorf("%+v, %d bytes", s, r.Bytes())
			}
			for _, p := range split(ProtoUDP, 1, make([]byte, 64), 24) {
				r.want(DropFragmentCondemned, p)
			}
			if n := r.Expire(r.now + 30*second); n != 0 || r.Bytes() != 0 || r.Stats().TimedOut.Datagrams != 0 {
				t.Errorf("Expire = %d, %d bytes", n, r.Bytes())
			}
			r.check()
			r.want(held, fragment(1, 0, true, make([]byte, 8))) // its time is over: a new one
		})
	}
}

// The header of the first fragment counts too, whenever it comes.
func TestReassemblyBeyondWithOptions(t *testing.T) {
	first := withOptions(packet(ProtoUDP, make([]byte, 8)), 148, 4, 0, 0)
	first[6] = flagMF >> 8
	putHeaderChecksum(first[:24])
	last := fragment(7, 65504, false, make([]byte, 8)) // 65,512 bytes and a header of 20 would do
	for _, order := range [][2]*Packet{{mustParse(t, first), last}, {last, mustParse(t, first)}} {
		r := newReassembly(t, 1<<20)
		r.want(DropFragmentHeld, order[0])
		r.want(DropFragmentBeyond, order[1])
	}
}

// A network may deliver twice; it does not alter.
func TestReassemblyIgnoresExactDuplicates(t *testing.T) {
	r := newReassembly(t, 1<<16)
	text := pattern(48, 1)
	ps := split(ProtoUDP, 1, text, 16)
	for _, i := range []int{2, 0} {
		r.want(DropFragmentHeld, ps[i])
		r.want(DropFragmentDuplicate, ps[i])
	}
	if got := payloadOf(t, r.want(DropNone, ps[1])); !bytes.Equal(got, text) {
		t.Errorf("got % x", got)
	}

	altered := bytes.Clone(text[:16])
	altered[15] ^= 1
	r.want(DropFragmentHeld, ps[0])
	r.want(DropFragmentOverlap, fragment(1, 0, true, altered))
}

// RFC 1858 3: "the tiny fragment attack"; 3.2.1: "if FO=1 and PROTOCOL=TCP then drop packet"; RFC 3128: the second
// fragment may come at any offset that writes over the header.
func TestReassemblyOfTinyFragments(t *testing.T) {
	header := func(words byte, size int) []byte {
		b := make([]byte, size)
		if size > 12 {
			b[12] = words << 4
		}
		return b
	}
	for _, c := range []struct {
		name   string
		proto  uint8
		offset int
		text   []byte
		want   Drop
	}{
		{"8 bytes of TCP", ProtoTCP, 0, header(5, 8), DropFragmentTiny},
		{"16 bytes of TCP: flags, but no header", ProtoTCP, 0, header(5, 16), DropFragmentTiny},
		{"24 bytes of TCP", ProtoTCP, 0, header(5, 24), DropFragmentHeld},
		{"24 bytes, all of them header", ProtoTCP, 0, header(6, 24), DropFragmentHeld},
		{"24 bytes, options beyond", ProtoTCP, 0, header(7, 24), DropFragmentTiny},
		{"64 bytes, options within", ProtoTCP, 0, header(15, 64), DropFragmentHeld},
		{"offset 8", ProtoTCP, 8, header(0, 64), DropFragmentTiny},
		{"offset 16", ProtoTCP, 16, header(0, 64), DropFragmentTiny},
		{"offset 24", ProtoTCP, 24, header(0, 64), DropFragmentHeld},
		{"8 bytes of UDP", ProtoUDP, 0, header(0, 8), DropFragmentHeld},
		{"UDP at offset 8", ProtoUDP, 8, header(0, 8), DropFragmentHeld},
	} {
		r := newReassembly(t, 1<<16)
		if _, d := r.add(fragmentOf(c.proto, 1, c.offset, true, c.text)); d != c.want {
			t.Errorf("%s: %v, want %v", c.name, d, c.want)
		}
	}
}

// RFC 3168 5.3: "reassembled packet must have the CE codepoint set" if one fragment has; never a mix with not-ECT.
func TestReassemblyOfECN(t *testing.T) {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	for _, c := range []struct {
		first, last uint8
		want        int // ECN field of the whole; -1: dropped
	}{
		{notECT, notECT, notECT}, {notECT, ect1, -1}, {notECT, ect0, -1}, {notECT, ce, -1},
		{ect1, notECT, -1}, {ect1, ect1, ect1}, {ect1, ect0, ect1}, {ect1, ce, ce},
		{ect0, notECT, -1}, {ect0, ect1, ect0}, {ect0, ect0, ect0}, {ect0, ce, ce},
		{ce, notECT, -1}, {ce, ect1, ce}, {ce, ect0, ce}, {ce, ce, ce},
	} {
		r := newReassembly(t, 1<<16)
		first, last := fragment(1, 0, true, make([]byte, 8)), fragment(1, 8, false, make([]byte, 8))
		first.TOS, first.Header[1] = 0xb8|c.first, 0xb8|c.first
		last.TOS = c.last
		r.want(DropFragmentHeld, first)
		if c.want < 0 {
			r.want(DropFragmentECN, last)
		} else if p := mustParse(t, r.want(DropNone, last)); int(p.TOS) != 0xb8|c.want {
			t.Errorf("%d and %d make TOS %#x", c.first, c.last, p.TOS)
		}
	}
}

func TestReassemblyOfTooMany(t *testing.T) {
	r := newReassembly(t, 1<<20)
	for i := range maxFragments {
		r.want(DropFragmentHeld, fragment(1, 16*i, true, make([]byte, 8)))
	}
	r.want(DropFragmentMany, fragment(1, 8, true, make([]byte, 8)))
	r.want(DropFragmentCondemned, fragment(1, 24, true, make([]byte, 8)))
	if s := r.Stats(); s.Condemned != (Outcome{1, maxFragments}) {
		t.Errorf("%+v", s)
	}
}
