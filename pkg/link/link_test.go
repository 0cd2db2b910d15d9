package link

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

func TestBatchTakesSmallPacketsToItsLimit(t *testing.T) {
	b := NewBatch()
	for range 2 { // Reset makes it as new
		b.Reset()
		n := 0
		for room := b.Room(); room != nil; room = b.Room() {
			room[16] = byte(n)
			p := b.Add(room, 16, 16+1500)
			if len(p.Head) != 1500 || cap(p.Head) != 1500 || p.NeedsChecksum {
				t.Fatalf("packet %d: %d bytes of %d, %+v", n, len(p.Head), cap(p.Head), p.NeedsChecksum)
			}
			p.NeedsChecksum = true
			n++
		}
		if n != batchPackets || len(b.Packets) != n {
			t.Errorf("%d packets", n)
		}
		for i, p := range b.Packets {
			if p.Head[0] != byte(i) {
				t.Errorf("packet %d was overwritten", i)
			}
		}
	}
}

func TestBatchTakesAtLeastThreeOfTheLargest(t *testing.T) {
	b := NewBatch()
	n := 0
	for room := b.Room(); room != nil; room = b.Room() {
		if len(room) != MaxPacket+deviceHeader {
			t.Fatalf("room for %d bytes", len(room))
		}
		b.Add(room, deviceHeader, len(room))
		n++
	}
	if n < 3 {
		t.Errorf("%d packets", n)
	}
}

func TestBatchDoesNotAllocate(t *testing.T) {
	b := NewBatch()
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		for room := b.Room(); room != nil; room = b.Room() {
			b.Add(room, 0, 1500)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUntil(t *testing.T) {
	const now = mono.Time(1000)
	for _, c := range []struct {
		t    mono.Time
		want time.Duration
	}{{0, 0}, {now, 0}, {now + 5, 5}, {now + 100, 100}, {now + 101, 100}, {mono.Never - 1, 100}, {mono.Never, 100}} {
		if got := Until(c.t, now, 100); got != c.want {
			t.Errorf("Until(%d) is %d, not %d", c.t, got, c.want)
		}
	}
}

// However a packet is cut into parts, its finished checksum is right (RFC 1071: the sum over all with the pseudo-header
// is all ones).
func TestFinishChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		proto, at := uint8(tcp), 36
		if rng.IntN(2) == 0 {
			proto, at = udp, 26
		}
		b := make([]byte, 40+rng.IntN(300))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		b[9] = proto
		pseudo := ip.Sum(b[12:20], uint32(proto)+uint32(len(b)-20))
		binary.BigEndian.PutUint16(b[at:], ip.Fold(pseudo))
		i := 40 + rng.IntN(len(b)-39)
		j := i + rng.IntN(len(b)-i+1)
		p := Packet{Head: b[:i:i], NeedsChecksum: true, ChecksumStart: 20}
		p.Body = [2][]byte{b[i:j], b[j:]}
		if p.Len() != len(b) {
			t.Fatalf("Len is %d, not %d", p.Len(), len(b))
		}
		if !p.FinishChecksum() || p.NeedsChecksum {
			t.Fatal("not finished")
		}
		if got := ip.Fold(ip.Sum(p.AppendTo(nil)[20:], pseudo)); got != 0xffff {
			t.Fatalf("parts of %d, %d, %d bytes sum to %#x", i, j-i, len(b)-j, got)
		}
	}
}

func TestChecksumOfNothing(t *testing.T) {
	whole := make([]byte, 40)
	whole[9] = tcp
	icmp := make([]byte, 40)
	icmp[9] = 1
	for name, p := range map[string]Packet{
		"finished":            {Head: whole, ChecksumStart: 20},
		"of ICMP":             {Head: icmp, ChecksumStart: 20, NeedsChecksum: true},
		"beyond Head":         {Head: whole[:37], ChecksumStart: 20, NeedsChecksum: true},
		"within the header":   {Head: whole, ChecksumStart: 4, NeedsChecksum: true},
		"shorter than IPv4":   {Head: whole[:19], NeedsChecksum: true},
		"start out of bounds": {Head: whole, ChecksumStart: 65535, NeedsChecksum: true},
	} {
		if p.FinishChecksum() {
			t.Errorf("%s: done", name)
		}
	}
}

// RFC 768: a UDP checksum that comes out as zero is sent as all ones.
func TestZeroUDPChecksum(t *testing.T) {
	b := make([]byte, 28)
	b[0], b[9] = 0x45, udp
	binary.BigEndian.PutUint16(b[26:], 0xffff) // a pseudo-header that makes it so
	p := Packet{Head: b, NeedsChecksum: true, ChecksumStart: 20}
	if at, sum, ok := p.Checksum(); at != 26 || sum != 0xffff || !ok {
		t.Errorf("%d, %#x, %v", at, sum, ok)
	}
}

// What is lent stays as it is while others are read, in eight stores at most, and those given back are used again.
func TestBatchLends(t *testing.T) {
	b := NewBatch()
	read := func(v byte) *Packet {
		b.Reset()
		room := b.Room()
		room[0] = v
		return b.Add(room, 0, 1)
	}
	type borrowed struct {
		p Packet
		l *Loan
	}
	var held []borrowed
	for range 3 {
		for v := byte(0); ; v++ {
			p := read(v)
			l := b.Lend()
			if l == nil {
				break
			}
			if v%2 == 0 { // the same bytes may be lent twice
				b.Lend().Return()
			}
			held = append(held, borrowed{*p, l})
		}
		if len(held) != maxStores-1 {
			t.Errorf("%d were lent", len(held))
		}
		for v, h := range held {
			if h.p.Head[0] != byte(v) {
				t.Errorf("%d has become %d", v, h.p.Head[0])
			}
			h.l.Return()
		}
		held = held[:0]
	}
	read(0)
	if b.Lend() == nil {
		t.Error("nothing is lent any more")
	}
}
