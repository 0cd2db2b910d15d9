package ip

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
)

const second = int64(1e9)

// reassembly is a Reassembler under test: it counts answers, and after each holds the Reassembler to its invariants.
type reassembly struct {
	*Reassembler
	t       testing.TB
	now     int64
	answers [NumDrops]uint64
}

func newReassembly(t testing.TB, maxBytes int) *reassembly {
	return &reassembly{Reassembler: NewReassembler(maxBytes, 30*second), t: t, now: second}
}

func (r *reassembly) add(p *Packet) ([]byte, Drop) {
	r.t.Helper()
	whole, d := r.Add(r.now, p)
	if (whole != nil) != (d == DropNone) {
		r.t.Fatalf("%v with %d bytes", d, len(whole))
	}
	r.answers[d]++
	r.check()
	return whole, d
}

// want adds p and expects answer d.
func (r *reassembly) want(d Drop, p *Packet) []byte {
	r.t.Helper()
	whole, got := r.add(p)
	if got != d {
		r.t.Fatalf("fragment %d of %d at %d: %v, want %v", p.ID, len(p.Payload), p.Offset, got, d)
	}
	return whole
}

// check compares what is counted with what is there.
func (r *reassembly) check() {
	r.t.Helper()
	s := r.Stats()
	released := s.Completed.Fragments + s.TimedOut.Fragments + s.Evicted.Fragments + s.Condemned.Fragments
	if held := r.answers[DropFragmentHeld]; held != s.Held+released {
		r.t.Fatalf("%d fragments were held, %d are accounted for: %+v", held, s.Held+released, s)
	}
	bytes, held, n := 0, 0, 0
	var last *datagram
	for g := r.oldest; g != nil; g = g.newer {
		if g.older != last || r.datagrams[g.key] != g || last != nil && last.deadline > g.deadline {
			r.t.Fatal("the list is torn")
		}
		bytes, held, n, last = bytes+g.cost(), held+len(g.pieces), n+1, g
		for i := 1; i < len(g.pieces); i++ {
			if g.pieces[i-1].end() > int(g.pieces[i].first) {
				r.t.Fatal("pieces overlap")
			}
		}
	}
	if r.newest != last || n != len(r.datagrams) || bytes != r.Bytes() || uint64(held) != s.Held || bytes > r.maxBytes {
		r.t.Fatalf("%d datagrams of %d, %d bytes of %d, %d fragments of %d", n, len(r.datagrams), bytes, r.Bytes(), held,
			s.Held)
	}
}

func payloadOf(t testing.TB, whole []byte) []byte {
	t.Helper()
	p := mustParse(t, whole)
	if p.Fragment() || len(p.Header)+len(p.Payload) != len(whole) {
		t.Fatalf("not a whole packet of %d bytes: %+v", len(whole), p)
	}
	return p.Payload
}

// RFC 791 Appendix A, Example 2: a datagram of 472 bytes in two fragments, of 256 and 196 bytes of data.
func TestReassemblyExample2OfRFC791(t *testing.T) {
	data := pattern(452, 1)
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		r := newReassembly(t, 1<<16)
		ps := []*Packet{fragment(111, 0, true, data[:256]), fragment(111, 256, false, data[256:])}
		r.want(DropFragmentHeld, ps[order[0]])
		whole := r.want(DropNone, ps[order[1]])
		if len(whole) != 472 || !bytes.Equal(payloadOf(t, whole), data) {
			t.Errorf("order %v: %d bytes", order, len(whole))
		}
		if r.Bytes() != 0 || r.Deadline() != 0 || r.Stats().Completed != (Outcome{1, 1}) {
			t.Errorf("left %d bytes, %+v", r.Bytes(), r.Stats())
		}
	}
}

func TestReassemblyInAnyOrder(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		r := newReassembly(t, 1<<20)
		var all []*Packet
		texts := map[uint16][]byte{}
		for id := range uint16(1 + rnd.IntN(5)) {
			size := 8 + 8*rnd.IntN(180)
			texts[id] = pattern(size+1+rnd.IntN(min(maxDatagram-HeaderLen-size, size*40)), seed)
			all = append(all, split(ProtoUDP, id, texts[id], size)...)
		}
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for i, p := range all {
			if rnd.IntN(4) == 0 && i > 0 { // a duplicate, of a datagram not yet whole
				if again := all[rnd.IntN(i)]; texts[again.ID] != nil {
					r.want(DropFragmentDuplicate, again)
				}
			}
			whole, d := r.add(p)
			if d == DropNone {
				if !bytes.Equal(payloadOf(t, whole), texts[p.ID]) {
					t.Fatalf("seed %d: datagram %d is altered", seed, p.ID)
				}
				texts[p.ID] = nil
			} else if d != DropFragmentHeld {
				t.Fatalf("seed %d: %v", seed, d)
			}
		}
		for id, text := range texts {
			if text != nil {
				t.Errorf("seed %d: datagram %d is not whole", seed, id)
			}
		}
		if r.Bytes() != 0 {
			t.Errorf("seed %d: %d bytes left", seed, r.Bytes())
		}
	}
}

// RFC 791 3.2: a datagram is known by "source, destination, protocol, and identification".
func TestReassemblyKeepsDatagramsApart(t *testing.T) {
	r := newReassembly(t, 1<<16)
	a, b := pattern(48, 1), pattern(48, 2)
	one, other := split(ProtoUDP, 5, a, 24), [][]*Packet{
		split(ProtoUDP, 6, b, 24), split(200, 5, b, 24), split(ProtoUDP, 5, b, 24), split(ProtoUDP, 5, b, 24),
	}
	for i := range 2 {
		other[2][i].Src, other[3][i].Dst = hostB, hostA
	}
	r.want(DropFragmentHeld, one[0])
	for _, ps := range other {
		r.want(DropFragmentHeld, ps[0])
	}
	for _, ps := range other {
		if got := payloadOf(t, r.want(DropNone, ps[1])); !bytes.Equal(got, b) {
			t.Errorf("got % x", got)
		}
	}
	if got := payloadOf(t, r.want(DropNone, one[1])); !bytes.Equal(got, a) {
		t.Errorf("got % x", got)
	}
}

// RFC 791 3.2: "place the data ... if FO = 0 put header in header buffer": options of the first count, and only those.
func TestReassemblyTakesTheFirstHeader(t *testing.T) {
	r := newReassembly(t, 1<<16)
	text := pattern(30, 1)
	first := withOptions(packet(ProtoUDP, text[:16]), 148, 4, 0, 0)
	first[1], first[6], first[8] = 0x20, 0x60, 33 // TOS; DF, MF; TTL
	putHeaderChecksum(first[:24])
	r.want(DropFragmentHeld, fragment(7, 16, false, text[16:]))
	whole := r.want(DropNone, mustParse(t, first))
	p := mustParse(t, whole)
	if !bytes.Equal(p.Header[20:], []byte{148, 4, 0, 0}) || p.TOS != 0x20 || p.TTL != 33 || p.ID != 7 || p.DF {
		t.Errorf("%+v", p)
	}
	if !bytes.Equal(payloadOf(t, whole), text) {
		t.Errorf("payload % x", p.Payload)
	}
}

func TestReassemblyOfAWholePacket(t *testing.T) {
	r := newReassembly(t, 0)
	b := withOptions(packet(ProtoUDP, []byte("whole")), 1, 1, 1, 0)
	if whole := r.want(DropNone, mustParse(t, b)); !bytes.Equal(whole, b) {
		t.Errorf("% x", whole)
	}
	long := withOptions(packet(ProtoUDP, nil), make([]byte, 40)...)
	if whole := r.want(DropNone, mustParse(t, long)); !bytes.Equal(whole, long) {
		t.Errorf("% x", whole)
	}
	r.want(DropHeaderLength, &Packet{})
	r.want(DropHeaderLength, &Packet{MF: true, Header: make([]byte, 64), Payload: make([]byte, 8)})
}

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

func TestReassemblyOfTheLongest(t *testing.T) {
	r := newReassembly(t, 1<<18)
	text := pattern(maxDatagram-HeaderLen, 1)
	ps := split(ProtoUDP, 1, text, 1480)
	for _, p := range ps[:len(ps)-1] {
		r.want(DropFragmentHeld, p)
	}
	if whole := r.want(DropNone, ps[len(ps)-1]); len(whole) != maxDatagram || !bytes.Equal(payloadOf(t, whole), text) {
		t.Errorf("%d bytes", len(whole))
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

// RFC 1122 3.3.2: the time-out is fixed, and when the first fragment had come, the source is told.
func TestReassemblyTimeout(t *testing.T) {
	r := newReassembly(t, 1<<16)
	text := pattern(24, 1)
	first := packet(ProtoUDP, text[:8])
	copy(first[4:], []byte{0, 1, (flagDF | flagMF) >> 8}) // identification 1
	putHeaderChecksum(first[:HeaderLen])
	r.want(DropFragmentHeld, mustParse(t, first))
	r.now += 10 * second
	r.want(DropFragmentHeld, fragment(2, 16, false, text[16:]))
	r.want(DropFragmentHeld, fragment(1, 8, true, text[8:16])) // extends nothing
	if want := 31 * second; r.Deadline() != want {
		t.Fatalf("Deadline = %d, want %d", r.Deadline(), want)
	}
	if n := r.Expire(31*second - 1); n != 0 {
		t.Errorf("%d expire a nanosecond early", n)
	}

	var told []Packet
	tell := func(p *Packet) {
		b := make([]byte, 576)
		n := TimeExceeded(b, p, CodeReassembly, p.Dst)
		_, m := verified(t, b[:n])
		if e, ok, d := m.Error(); !ok || e.Type != ICMPTimeExceeded || !bytes.Equal(e.Transport, text[:8]) {
			t.Errorf("%+v %v %v", e, ok, d)
		}
		quoted := mustParse(t, bytes.Clone(append(bytes.Clone(p.Header), p.Payload...)))
		if quoted.Src != p.Src || quoted.Dst != p.Dst || quoted.Proto != p.Proto || quoted.ID != p.ID ||
			quoted.TTL != p.TTL || quoted.TOS != p.TOS || quoted.DF != p.DF || quoted.MF != p.MF {
			t.Errorf("told of %+v, which came as %+v", p, quoted)
		}
		told = append(told, *p)
	}
	if n := r.ExpireFunc(31*second, tell); n != 1 || len(told) != 1 || told[0].ID != 1 {
		t.Errorf("%d expire, %d are told", n, len(told))
	}
	if n := r.ExpireFunc(41*second, tell); n != 1 || len(told) != 1 {
		t.Errorf("%d expire, %d are told: the first fragment of 2 never came", n, len(told))
	}
	if s := r.Stats(); s.TimedOut != (Outcome{2, 3}) || r.Bytes() != 0 || r.Deadline() != 0 {
		t.Errorf("%+v, %d bytes, deadline %d", s, r.Bytes(), r.Deadline())
	}
	r.check()
	r.want(DropFragmentHeld, fragment(1, 16, false, text[16:])) // too late: it begins another
}

func TestReassemblyCapDropsTheOldest(t *testing.T) {
	const room = 4
	one := datagramCost + 1024 + pieceCost
	r := newReassembly(t, room*one+one/2)
	for id := range uint16(10) {
		r.want(DropFragmentHeld, fragment(id, 0, true, make([]byte, 1024)))
		if want := min(int(id)+1, room) * one; r.Bytes() != want {
			t.Fatalf("%d bytes, want %d", r.Bytes(), want)
		}
	}
	s := r.Stats()
	if s.Held != room || s.Evicted != (Outcome{10 - room, 10 - room}) {
		t.Errorf("%+v, %d bytes", s, r.Bytes())
	}
	r.want(DropNone, fragment(9, 1024, false, make([]byte, 8)))
	r.want(DropFragmentHeld, fragment(0, 1024, false, make([]byte, 8))) // 0 was dropped
}

// The oldest is dropped even when it is the one that grows; completing needs no room.
func TestReassemblyCapAndTheOldestItself(t *testing.T) {
	r := newReassembly(t, 3*datagramCost+4096)
	r.want(DropFragmentHeld, fragment(1, 0, true, make([]byte, 2048)))
	r.want(DropFragmentHeld, fragment(2, 0, true, make([]byte, 1024)))
	r.want(DropFragmentSpace, fragment(1, 2048, true, make([]byte, 8192)))
	if s := r.Stats(); s.Evicted != (Outcome{1, 1}) || s.Held != 1 {
		t.Errorf("%+v", s)
	}
	r.want(DropNone, fragment(2, 1024, false, make([]byte, 16384)))

	exact := newReassembly(t, 2*(datagramCost+1024+pieceCost))
	for id := range uint16(2) {
		exact.want(DropFragmentHeld, fragment(id, 0, true, make([]byte, 1024)))
	}
	if s := exact.Stats(); s.Held != 2 {
		t.Errorf("%+v, though %d bytes fit into %d", s, exact.Bytes(), exact.maxBytes)
	}

	none := newReassembly(t, 0)
	none.want(DropFragmentSpace, fragment(1, 0, true, make([]byte, 8)))
	none.want(DropFragmentLength, fragment(1, 0, true, make([]byte, 7)))
}

// Fragments of eight bytes, each of a datagram of its own or all of a few, and condemned ones, stay below the cap.
func TestReassemblyFloods(t *testing.T) {
	for name, make1 := range map[string]func(i int) *Packet{
		"a datagram each":   func(i int) *Packet { return fragment(uint16(i), 8, true, make([]byte, 8)) },
		"a few datagrams":   func(i int) *Packet { return fragment(uint16(i%3), i/3*16%65000, true, make([]byte, 8)) },
		"nothing but wrong": func(i int) *Packet { return fragment(uint16(i), 0, true, make([]byte, 9)) },
		"high offsets":      func(i int) *Packet { return fragment(uint16(i), 65000, true, make([]byte, 8)) },
	} {
		r := newReassembly(t, 1<<15)
		for i := range 2000 {
			r.now += second / 1000
			r.add(make1(i))
		}
		if r.Bytes() > 1<<15 {
			t.Errorf("%s: %d bytes", name, r.Bytes())
		}
	}
}

// A hundred datagrams live at random and are counted to the last fragment.
func TestReassemblyConserves(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		r := newReassembly(t, 1<<14)
		for range 1000 {
			r.now += rnd.Int64N(second)
			proto := []uint8{ProtoUDP, ProtoTCP}[rnd.IntN(2)]
			size := 8 * rnd.IntN(6)
			p := fragmentOf(proto, uint16(rnd.IntN(40)), 8*rnd.IntN(8), rnd.IntN(3) > 0, make([]byte, size))
			r.add(p)
			if rnd.IntN(8) == 0 {
				r.Expire(r.now)
				r.check()
			}
		}
		r.Expire(r.now + 31*second)
		r.check()
		if s := r.Stats(); s.Held != 0 || r.Bytes() != 0 || r.Deadline() != 0 {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}

func TestReassemblyKeepsCopies(t *testing.T) {
	r := newReassembly(t, 1<<16)
	text := pattern(24, 1)
	p := fragment(1, 0, true, text[:8])
	r.want(DropFragmentHeld, p)
	clear(p.Header)
	clear(p.Payload)
	if got := payloadOf(t, r.want(DropNone, fragment(1, 8, false, text[8:]))); !bytes.Equal(got, text) {
		t.Errorf("got % x", got)
	}
}

// What Bytes says is what the heap holds, or more: many datagrams of eight bytes are the worst case.
func TestReassemblyBytesAreHonest(t *testing.T) {
	const n = 20000
	p := fragment(0, 8, true, make([]byte, 8))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := NewReassembler(1<<30, 30*second)
	for i := range n {
		p.ID, p.Proto = uint16(i), uint8(200+i>>16)
		if _, d := r.Add(1, p); d != DropFragmentHeld {
			t.Fatal(d)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := int(after.HeapAlloc) - int(before.HeapAlloc)
	t.Logf("%d bytes a datagram, counted as %d", heap/n, r.Bytes()/n)
	if heap > r.Bytes() {
		t.Errorf("%d bytes on the heap, %d counted", heap, r.Bytes())
	}
	runtime.KeepAlive(r)
}

func BenchmarkReassembly(b *testing.B) {
	ps := split(ProtoUDP, 1, pattern(4096, 1), 1480)
	r := NewReassembler(1<<20, 30*second)
	b.SetBytes(4096)
	b.ReportAllocs()
	id := uint16(0)
	for b.Loop() {
		id++
		for _, p := range ps {
			p.ID = id
			binary.BigEndian.PutUint16(p.Header[4:], id)
			r.Add(1, p)
		}
	}
	if r.Bytes() != 0 {
		b.Fatal("not whole")
	}
}
