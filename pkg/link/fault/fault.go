// Package fault is a Middleware that does to packets what bad networks do: it loses, delays, duplicates, reorders
// and corrupts them, by chance from a seed. The same seed and the same packets meet the same fate.
package fault

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Faults of one direction. Probabilities are of each packet, from 0 to 1, and independent of each other. A
// superframe is one packet.
type Faults struct {
	Loss      float64
	Duplicate float64 // the second one has a delay of its own
	Corrupt   float64 // one bit is flipped; an unfinished checksum is finished first, so that it can be noticed
	Reorder   float64 // the packet comes Late after its time
	// Late is by how much a packet out of order is late; 0 is 1 ms.
	Late time.Duration
	// Delay is for every packet, and Jitter the most that is added to it by chance; so Jitter reorders too.
	Delay, Jitter time.Duration
}

// New returns a middleware with faults on what is read and on what is written. Each device that it wraps has
// chances of its own, from seed and the order of wrapping. What a fault takes from a Write is no error: the packet
// was lost on the wire, not by the device.
func New(seed uint64, read, write Faults) link.Middleware {
	var wrapped atomic.Uint64
	return func(inner link.Device) link.Device {
		n := wrapped.Add(1) * 2
		return &device{Device: inner, in: newLine(seed, n, read), out: newLine(seed, n+1, write)}
	}
}

// device is a link.Device whose packets go through two lines. Held packets move when the owner calls.
type device struct {
	link.Device
	in, out line
	closed  atomic.Bool
}

// Close drops what is held.
func (d *device) Close() error {
	d.closed.Store(true)
	return d.Device.Close()
}

// Read gives what was held and is due, or else what the inner device has, less the faults.
func (d *device) Read(b *link.Batch) error {
	now := mono.Now()
	if err := d.flush(now); err != nil {
		return err
	}
	if d.in.next() <= now && !d.closed.Load() {
		b.Reset()
		d.deliver(b, now)
		return nil
	}
	if err := d.Device.Read(b); err != nil {
		return err
	}
	kept, n := 0, len(b.Packets)
	for i := range n {
		p := b.Packets[i]
		fate := d.in.draw()
		if fate.lost {
			continue
		}
		if fate.corrupt {
			d.in.corrupt(&p)
		}
		if fate.twice {
			d.in.hold(&p, now.Add(fate.again))
		}
		if fate.delay > 0 {
			d.in.hold(&p, now.Add(fate.delay))
			continue
		}
		b.Packets[kept] = p
		kept++
	}
	clear(b.Packets[kept:])
	b.Packets = b.Packets[:kept]
	d.deliver(b, now)
	return nil
}

// deliver puts held packets that are due into b, as far as there is room.
func (d *device) deliver(b *link.Batch, now mono.Time) {
	for d.in.next() <= now {
		room := b.Room()
		if room == nil {
			return
		}
		h := d.in.take()
		const from = 16 // the packet's words are aligned
		p := b.Add(room, from, from+copy(room[from:], h.packet.Head))
		head := p.Head
		*p = h.packet
		p.Head = head
		d.in.recycle(h)
	}
}

// Write sends p to its fate.
func (d *device) Write(p *link.Packet) error {
	now := mono.Now()
	if err := d.flush(now); err != nil {
		return err
	}
	fate := d.out.draw()
	switch {
	case fate.lost:
		return nil
	case fate.delay == 0 && !fate.twice && !fate.corrupt:
		return d.Device.Write(p)
	}
	first := d.out.copy(p)
	if fate.corrupt {
		d.out.corrupt(&first.packet)
	}
	if fate.twice {
		d.out.hold(&first.packet, now.Add(fate.again))
	}
	d.out.push(first, now.Add(fate.delay))
	return d.flush(now)
}

// flush writes the held packets that are due. That one is lost then is nobody's error any more.
func (d *device) flush(now mono.Time) error {
	for d.out.next() <= now {
		h := d.out.take()
		err := d.Device.Write(&h.packet)
		d.out.recycle(h)
		if err == link.ErrClosed { //nolint:errorlint // the contract names the bare value
			return err
		}
	}
	return nil
}

// Wait returns also when a held packet is due.
func (d *device) Wait(until mono.Time) error {
	err := d.Device.Wait(mono.Min(until, mono.Min(d.in.next(), d.out.next())))
	if err != nil {
		return err
	}
	return d.flush(mono.Now())
}

// line is one direction: its faults, its chances, and the packets held back.
type line struct {
	faults Faults
	rand   *rand.Rand
	held   heap
	seq    uint64
	free   []*held
}

func newLine(seed, stream uint64, f Faults) line {
	if f.Late == 0 {
		f.Late = time.Millisecond
	}
	return line{faults: f, rand: rand.New(rand.NewPCG(seed, stream))}
}

// fate is what happens to one packet. delay and again are of the packet and of its duplicate.
type fate struct {
	lost, corrupt, twice bool
	delay, again         time.Duration
}

// draw draws a fate. The order of the draws is part of what a seed means.
func (l *line) draw() fate {
	f := &l.faults
	if l.chance(f.Loss) {
		return fate{lost: true}
	}
	x := fate{corrupt: l.chance(f.Corrupt), twice: l.chance(f.Duplicate), delay: l.delay()}
	if x.twice {
		x.again = l.delay()
	}
	return x
}

func (l *line) chance(p float64) bool { return p > 0 && l.rand.Float64() < p }

func (l *line) delay() time.Duration {
	d := l.faults.Delay
	if j := l.faults.Jitter; j > 0 {
		d += time.Duration(l.rand.Int64N(int64(j) + 1))
	}
	if l.chance(l.faults.Reorder) {
		d += l.faults.Late
	}
	return d
}

// corrupt flips a bit of p, whose bytes are ours and all in Head.
func (l *line) corrupt(p *link.Packet) {
	if p.NeedsChecksum && !p.FinishChecksum() || len(p.Head) == 0 {
		return
	}
	p.Verified = false
	bit := l.rand.IntN(len(p.Head) * 8)
	p.Head[bit/8] ^= 1 << (bit % 8)
}
