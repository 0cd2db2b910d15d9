package ip

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
)

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

// A cap that is lowered takes the oldest at once, and a higher one has room again.
func TestReassemblyCapChanges(t *testing.T) {
	const one = datagramCost + 1024 + pieceCost
	r := newReassembly(t, 4*one)
	for id := range uint16(4) {
		r.want(DropFragmentHeld, fragment(id, 0, true, make([]byte, 1024)))
	}
	r.SetMost(2 * one)
	if s := r.Stats(); s.Held != 2 || s.Evicted != (Outcome{2, 2}) || r.Bytes() != 2*one {
		t.Errorf("%+v, %d bytes", s, r.Bytes())
	}
	r.want(DropNone, fragment(3, 1024, false, make([]byte, 8)))
	r.SetMost(3 * one)
	for id := uint16(10); id < 12; id++ {
		r.want(DropFragmentHeld, fragment(id, 0, true, make([]byte, 1024)))
	}
	if s := r.Stats(); s.Held != 3 || s.Evicted.Datagrams != 2 {
		t.Errorf("%+v, %d bytes", s, r.Bytes())
	}
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
