package fault

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// numbered is a TCP packet with an unfinished checksum and its number as payload.
func numbered(n uint32) *link.Packet {
	b := make([]byte, 44)
	b[0], b[9] = 0x45, 6
	binary.BigEndian.PutUint16(b[2:], 44)
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[10:], ^ip.Fold(ip.Sum(b[:20], 0)))
	binary.BigEndian.PutUint16(b[36:], ip.Fold(pseudo(b)))
	binary.BigEndian.PutUint32(b[40:], n)
	return &link.Packet{Head: b[:40], Body: [2][]byte{b[40:41], b[41:]}, NeedsChecksum: true, ChecksumStart: 20}
}

func pseudo(b []byte) uint32 { return ip.Sum(b[12:20], 6+uint32(len(b)-20)) }

// arrived is one packet that got through, and when.
type arrived struct {
	n     uint32
	after time.Duration
}

// carry sends packets through a pipe that has the faults on one of its ends, and tells what came of them.
func carry(t *testing.T, packets int, middleware link.Middleware, wrapReader bool) (got []arrived) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(1, pipe.Options{Packets: 1 << 16})
		from, to := a.Queues[0], b.Queues[0]
		if wrapReader {
			to = middleware(to)
		} else {
			from = middleware(from)
		}
		start := mono.Now()
		for n := range uint32(packets) {
			p := numbered(n)
			if err := from.Write(p); err != nil {
				t.Fatal(err)
			}
			if !p.NeedsChecksum || p.Body[1] == nil {
				t.Fatal("the caller's packet was changed")
			}
		}
		batch := link.NewBatch()
		for end := start.Add(time.Second); mono.Now() < end; {
			if err := to.Read(batch); err != nil {
				t.Fatal(err)
			}
			for _, p := range batch.Packets {
				got = append(got, arrived{binary.BigEndian.Uint32(p.Head[40:]), mono.Now().Sub(start)})
			}
			if len(batch.Packets) > 0 {
				continue
			}
			if wrapReader {
				_ = to.Wait(end)
				continue
			}
			// The writer's turn: its Wait sends what is due.
			_ = from.Wait(mono.Min(mono.Now().Add(100*time.Microsecond), end))
		}
	})
	return got
}

// both runs a test with the faults on Read, and with them on Write.
func both(t *testing.T, f Faults, packets int, check func(t *testing.T, got []arrived)) {
	t.Helper()
	t.Run("read", func(t *testing.T) { check(t, carry(t, packets, New(7, f, Faults{}), true)) })
	t.Run("write", func(t *testing.T) { check(t, carry(t, packets, New(7, Faults{}, f), false)) })
}

func TestNothingIsTransparent(t *testing.T) {
	both(t, Faults{}, 1000, func(t *testing.T, got []arrived) {
		for i, a := range got {
			if a != (arrived{uint32(i), 0}) {
				t.Fatalf("packet %d is %+v", i, a)
			}
		}
		if len(got) != 1000 {
			t.Errorf("%d of 1000", len(got))
		}
	})
}

func TestLoss(t *testing.T) {
	both(t, Faults{Loss: 0.1}, 10000, func(t *testing.T, got []arrived) {
		if n := len(got); n < 8900 || n > 9100 {
			t.Errorf("%d of 10000 at a loss of 10%%", n)
		}
	})
	both(t, Faults{Loss: 1}, 100, func(t *testing.T, got []arrived) {
		if len(got) != 0 {
			t.Errorf("%d came through a cut wire", len(got))
		}
	})
}

func TestDuplicate(t *testing.T) {
	both(t, Faults{Duplicate: 1}, 100, func(t *testing.T, got []arrived) {
		var count [100]int
		for _, a := range got {
			count[a.n]++
		}
		for n, c := range count {
			if c != 2 {
				t.Errorf("packet %d came %d times", n, c)
			}
		}
	})
}

func TestDelayKeepsOrderAndJitterDoesNot(t *testing.T) {
	both(t, Faults{Delay: 50 * time.Millisecond}, 300, func(t *testing.T, got []arrived) {
		if len(got) != 300 || !slices.IsSortedFunc(got, func(a, b arrived) int { return int(a.n) - int(b.n) }) {
			t.Errorf("%d of 300, or out of order", len(got))
		}
		for _, a := range got {
			if a.after < 50*time.Millisecond || a.after > 51*time.Millisecond {
				t.Fatalf("packet %d came after %v", a.n, a.after)
			}
		}
	})
	both(t, Faults{Delay: time.Millisecond, Jitter: time.Millisecond}, 300, func(t *testing.T, got []arrived) {
		if len(got) != 300 || slices.IsSortedFunc(got, func(a, b arrived) int { return int(a.n) - int(b.n) }) {
			t.Errorf("%d of 300, or in order", len(got))
		}
	})
}

func TestReorder(t *testing.T) {
	both(t, Faults{Reorder: 0.1, Late: 5 * time.Millisecond}, 1000, func(t *testing.T, got []arrived) {
		late := 0
		for _, a := range got {
			if a.after >= 5*time.Millisecond {
				late++
			}
		}
		if len(got) != 1000 || late < 60 || late > 140 {
			t.Errorf("%d of 1000 came, %d late", len(got), late)
		}
	})
}

func TestCorruptionCanBeNoticed(t *testing.T) {
	for _, wrapReader := range []bool{true, false} {
		a, b := pipe.New(1, pipe.Options{})
		from, to := a.Queues[0], b.Queues[0]
		if wrapReader {
			to = New(3, Faults{Corrupt: 1}, Faults{})(to)
		} else {
			from = New(3, Faults{}, Faults{Corrupt: 1})(from)
		}
		batch := link.NewBatch()
		for n := range uint32(500) {
			if err := from.Write(numbered(n)); err != nil {
				t.Fatal(err)
			}
			if err := to.Read(batch); err != nil || len(batch.Packets) != 1 {
				t.Fatalf("%d packets, %v", len(batch.Packets), err)
			}
			p := batch.Packets[0]
			header := ip.Fold(ip.Sum(p.Head[:20], 0)) == 0xffff
			text := ip.Fold(ip.Sum(p.Head[20:], pseudo(p.Head))) == 0xffff
			if p.NeedsChecksum || p.Verified || header && text {
				t.Fatalf("packet %d is corrupt and nobody can tell: %+v", n, p)
			}
		}
	}
}

func TestSameSeedSameFate(t *testing.T) {
	f := Faults{Loss: 0.2, Duplicate: 0.2, Corrupt: 0, Reorder: 0.2, Jitter: time.Millisecond}
	one, two := carry(t, 500, New(1, f, f), true), carry(t, 500, New(1, f, f), true)
	if !slices.Equal(one, two) {
		t.Error("one seed, two fates")
	}
	if slices.Equal(one, carry(t, 500, New(2, f, f), true)) {
		t.Error("two seeds, one fate")
	}
}

func TestCloseAndWakePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(1, pipe.Options{})
		d := New(1, Faults{Delay: time.Hour}, Faults{Delay: time.Hour})(a.Queues[0])
		_ = d.Write(numbered(1))
		_ = b.Queues[0].Write(numbered(2))
		_ = d.Read(link.NewBatch())
		from := mono.Now()
		d.Wake()
		if err := d.Wait(mono.Never); err != nil || mono.Now() != from {
			t.Errorf("Wait after Wake: %v after %v", err, mono.Now().Sub(from))
		}
		if err := d.Wait(mono.Never); err != nil || mono.Now().Sub(from) != time.Hour {
			t.Errorf("Wait for a held packet: %v after %v", err, mono.Now().Sub(from))
		}
		_ = d.Close()
		if err := d.Wait(mono.Never); !errors.Is(err, link.ErrClosed) {
			t.Errorf("Wait after Close: %v", err)
		}
	})
}
