package pipe

import (
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Read moves packets from the queue to b.
func (d *device) Read(b *link.Batch) error {
	b.Reset()
	in := d.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return link.ErrClosed
	}
	for in.count > 0 {
		room := b.Room()
		if room == nil {
			break
		}
		s := in.slots[in.first]
		const from = 16 // the packet's words are aligned
		in.peek(room[from : from+s.len])
		in.drop(s.len)
		p := b.Add(room, from, from+s.len)
		p.NeedsChecksum, p.ChecksumStart, p.GSOSize = s.needsChecksum, s.checksumStart, s.gsoSize
	}
	return nil
}

// drop takes the oldest slot and its n bytes out of the queue.
func (in *inbox) drop(n int) {
	in.first = (in.first + 1) % len(in.slots)
	in.count--
	in.used -= n
	if in.used == 0 {
		in.start = 0
		return
	}
	in.start = (in.start + n) % len(in.bytes)
}

// Wait parks the reader until there is something to do.
func (d *device) Wait(until mono.Time) error {
	in := d.in
	var late <-chan time.Time
	left := link.Until(until, mono.Now(), maxWait)
	if ready, err := in.park(left == 0); ready {
		return err
	}
	if until != mono.Never {
		late = in.alarm(left)
	}
	select {
	case <-in.bell:
	case <-late:
	}
	return in.unpark()
}

// maxWait keeps a time-out within a Duration; waking early is allowed.
const maxWait = 24 * time.Hour

// alarm returns a channel on which the reader's timer fires after d.
func (in *inbox) alarm(d time.Duration) <-chan time.Time {
	if in.timer == nil {
		in.timer = time.NewTimer(d)
	} else {
		in.timer.Reset(d)
	}
	return in.timer.C
}

// park announces that the reader is going to wait, unless it is late or there is something to do.
func (in *inbox) park(late bool) (ready bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return true, link.ErrClosed
	}
	if late || in.count > 0 || in.woken {
		in.woken = false
		return true, nil
	}
	in.parked = true
	return false, nil
}

// unpark takes the announcement back, and the bell that may have rung meanwhile.
func (in *inbox) unpark() error {
	if in.timer != nil {
		in.timer.Stop()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.parked, in.woken = false, false
	select {
	case <-in.bell:
	default:
	}
	if in.closed {
		return link.ErrClosed
	}
	return nil
}

// Wake ends the Wait under way, or the next one.
func (d *device) Wake() {
	d.in.mu.Lock()
	defer d.in.mu.Unlock()
	d.in.woken = true
	d.in.ring()
}

// Close ends the device. The other end may go on writing, to no avail.
func (d *device) Close() error {
	d.in.mu.Lock()
	defer d.in.mu.Unlock()
	d.in.closed = true
	d.in.bytes, d.in.slots, d.in.count, d.in.used = nil, nil, 0, 0
	d.in.ring()
	return nil
}
