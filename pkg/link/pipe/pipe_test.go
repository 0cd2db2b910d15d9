package pipe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// datagram is an IPv4 packet of TCP between two hosts, with its number as payload.
func datagram(src, dst byte, sport, dport uint16, number uint32) []byte {
	p := make([]byte, 44)
	p[0], p[9] = 0x45, 6
	binary.BigEndian.PutUint16(p[2:], 44)
	copy(p[12:], []byte{10, 0, 0, src, 10, 0, 0, dst})
	binary.BigEndian.PutUint16(p[20:], sport)
	binary.BigEndian.PutUint16(p[22:], dport)
	binary.BigEndian.PutUint32(p[40:], number)
	return p
}

func TestPacketsCrossInOrderWithTheirMarks(t *testing.T) {
	a, b := New(1, Options{})
	batch := link.NewBatch()
	for i := range uint32(10) {
		whole := datagram(1, 2, 7, 9, i)
		p := link.Packet{Head: whole[:40], NeedsChecksum: true, ChecksumStart: 20, GSOSize: 2}
		p.Body[0], p.Body[1] = whole[40:41], whole[41:]
		if err := a.Queues[0].Write(&p); err != nil {
			t.Fatal(err)
		}
		clear(whole) // the pipe has copied it
	}
	if err := b.Queues[0].Read(batch); err != nil {
		t.Fatal(err)
	}
	if len(batch.Packets) != 10 {
		t.Fatalf("%d packets, not 10", len(batch.Packets))
	}
	for i, p := range batch.Packets {
		if !bytes.Equal(p.Head, datagram(1, 2, 7, 9, uint32(i))) {
			t.Errorf("packet %d arrived as % x", i, p.Head)
		}
		if !p.NeedsChecksum || p.ChecksumStart != 20 || p.GSOSize != 2 || p.Verified {
			t.Errorf("packet %d lost its marks: %+v", i, p)
		}
	}
	if err := a.Queues[0].Read(batch); err != nil || len(batch.Packets) != 0 {
		t.Errorf("an end read what it wrote: %d packets, %v", len(batch.Packets), err)
	}
}

// A model: a queue of packets bounded by count and bytes.
func TestRingAgreesWithAModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const packets, size = 37, 9000
	a, b := New(1, Options{Packets: packets, Bytes: size})
	var model [][]byte
	used, lost := 0, 0
	batch := link.NewBatch()
	for range 20000 {
		if rng.IntN(60) == 0 {
			if err := b.Queues[0].Read(batch); err != nil {
				t.Fatal(err)
			}
			for i, p := range batch.Packets {
				if !bytes.Equal(p.Head, model[i]) {
					t.Fatal("a packet is not what the model holds")
				}
				used -= len(model[i])
			}
			model = model[len(batch.Packets):]
			if len(model) != 0 {
				t.Fatal("packets stayed behind")
			}
			continue
		}
		p := make([]byte, 20+rng.IntN(600))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		err := a.Queues[0].Write(&link.Packet{Head: p})
		if full := len(model) == packets || used+len(p) > size; full != errors.Is(err, ErrFull) {
			t.Fatalf("full is %v in the model: %v", full, err)
		}
		if err != nil {
			lost++
			continue
		}
		model, used = append(model, p), used+len(p)
	}
	if lost == 0 {
		t.Error("the queue was never full")
	}
}

func TestWriteRefuses(t *testing.T) {
	big := make([]byte, 1501)
	for _, c := range []struct {
		name   string
		opt    Options
		packet link.Packet
		want   error
	}{
		{"larger than the MTU", Options{}, link.Packet{Head: big}, ErrTooBig},
		{"superframe", Options{}, link.Packet{Head: big, GSOSize: 100}, nil},
		{"superframe beyond IPv4", Options{}, link.Packet{Head: make([]byte, 65536), GSOSize: 100}, ErrTooBig},
		{"plain: superframe", Options{Plain: true}, link.Packet{Head: big, GSOSize: 100}, ErrOffload},
		{"plain: checksum", Options{Plain: true}, link.Packet{Head: big[:40], NeedsChecksum: true}, ErrOffload},
		{"steered nowhere", Options{Steer: func([]byte, int) int { return 2 }}, link.Packet{Head: big[:40]}, errAny},
	} {
		a, _ := New(2, c.opt)
		err := a.Queues[0].Write(&c.packet)
		if c.want == errAny && err != nil {
			continue
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", c.name, err, c.want)
		}
	}
}

var errAny = errors.New("any")

func TestLinkSaysWhatItCan(t *testing.T) {
	a, b := New(3, Options{MTU: 9000})
	for _, l := range []*link.Link{a, b} {
		if len(l.Queues) != 3 || l.MTU != 9000 || l.Superframe != link.MaxPacket || !l.Checksum {
			t.Errorf("with offload: %+v", l)
		}
	}
	a, _ = New(0, Options{Plain: true})
	if len(a.Queues) != 1 || a.MTU != 1500 || a.Superframe != 0 || a.Checksum {
		t.Errorf("plain: %+v", a)
	}
}

func TestFlowIsSymmetricAndSpreads(t *testing.T) {
	var seen [4]int
	for port := range uint16(4000) {
		there := Flow(datagram(1, 2, 10000+port, 80, 0), 4)
		if back := Flow(datagram(2, 1, 80, 10000+port, 0), 4); back != there {
			t.Fatalf("port %d: queue %d there, %d back", port, there, back)
		}
		seen[there]++
	}
	for q, n := range seen {
		if n < 800 {
			t.Errorf("queue %d got %d of 4000 flows", q, n)
		}
	}
	first, later := datagram(1, 2, 5, 6, 0), datagram(1, 2, 77, 78, 0)
	first[6], later[7] = 0x20, 3
	if Flow(first, 64) != Flow(later, 64) {
		t.Error("fragments of a packet take different queues")
	}
	for n := range 45 { // no length is too short
		Flow(first[:n], 4)
	}
}

func TestWait(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(a, b link.Device)
		want error
	}{
		{"a packet", func(a, b link.Device) { _ = a.Write(&link.Packet{Head: make([]byte, 40)}) }, nil},
		{"a wake", func(a, b link.Device) { b.Wake() }, nil},
		{"a close", func(a, b link.Device) { _ = b.Close() }, link.ErrClosed},
	} {
		for _, before := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					x, y := New(1, Options{})
					a, b := x.Queues[0], y.Queues[0]
					from := mono.Now()
					var delay time.Duration
					if before {
						c.end(a, b)
					} else {
						delay = 3 * time.Second
						go func() { time.Sleep(delay); c.end(a, b) }()
					}
					if err := b.Wait(mono.Never); !errors.Is(err, c.want) {
						t.Errorf("Wait: %v", err)
					}
					if d := mono.Now().Sub(from); d != delay {
						t.Errorf("Wait took %v, not %v", d, delay)
					}
				})
			})
		}
	}
}

func TestWaitEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := New(1, Options{})
		for _, d := range []time.Duration{time.Hour, 0, -time.Second, time.Nanosecond} {
			from := mono.Now()
			if err := a.Queues[0].Wait(from.Add(d)); err != nil {
				t.Error(err)
			}
			if got := mono.Now().Sub(from); got != max(d, 0) {
				t.Errorf("waited %v, not %v", got, d)
			}
		}
		from := mono.Now()
		a.Queues[0].Wake() // one wake ends one Wait
		_ = a.Queues[0].Wait(mono.Never)
		_ = a.Queues[0].Wait(from.Add(time.Minute))
		if d := mono.Now().Sub(from); d != time.Minute {
			t.Errorf("the wake was taken twice: %v", d)
		}
	})
}

func TestClosed(t *testing.T) {
	a, b := New(1, Options{})
	p := link.Packet{Head: make([]byte, 40)}
	if err := b.Queues[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Queues[0].Write(&p); !errors.Is(err, ErrPeerClosed) {
		t.Errorf("Write to a closed end: %v", err)
	}
	if err := b.Queues[0].Write(&p); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := b.Queues[0].Read(link.NewBatch()); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

// Every packet and every wake is noticed, whatever the interleaving: a lost one would leave the test hanging.
func TestNothingIsLostBetweenGoroutines(t *testing.T) {
	x, y := New(2, Options{Packets: 1 << 20, Bytes: 1 << 26})
	const writers, each = 2, 20000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range uint32(each) {
				_ = x.Queues[w].Write(&link.Packet{Head: datagram(1, 2, uint16(i), 80, i)})
				y.Queues[i&1].Wake()
			}
		})
	}
	var got [2]int
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for q := range got {
		readers.Go(func() {
			for batch := link.NewBatch(); ; {
				_ = y.Queues[q].Read(batch)
				got[q] += len(batch.Packets)
				select {
				case <-stop:
					if len(batch.Packets) == 0 {
						return
					}
				default:
					_ = y.Queues[q].Wait(mono.Never)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	y.Queues[0].Wake()
	y.Queues[1].Wake()
	readers.Wait()
	if n := got[0] + got[1]; n != writers*each {
		t.Errorf("%d packets of %d arrived", n, writers*each)
	}
}

func TestNoAllocation(t *testing.T) {
	a, b := New(1, Options{})
	batch := link.NewBatch()
	p := link.Packet{Head: make([]byte, 40), Body: [2][]byte{make([]byte, 1000)}}
	turn := func() {
		_ = a.Queues[0].Write(&p)
		_ = b.Queues[0].Wait(mono.Now().Add(time.Second))
		_ = b.Queues[0].Read(batch)
		_ = b.Queues[0].Wait(mono.Now().Add(time.Microsecond))
	}
	if n := testing.AllocsPerRun(200, turn); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkPipe(b *testing.B) {
	x, y := New(1, Options{})
	batch := link.NewBatch()
	p := link.Packet{Head: make([]byte, 40), Body: [2][]byte{make([]byte, 1000)}}
	b.ReportAllocs()
	for b.Loop() {
		for range 32 {
			_ = x.Queues[0].Write(&p)
		}
		_ = y.Queues[0].Read(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/packet")
}
