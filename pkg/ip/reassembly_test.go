package ip

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
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
