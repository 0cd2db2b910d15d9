package pipe

import (
	"sync"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// inbox is a bounded queue of packets with one reader and many writers, and the reader's place to wait.
//
// Its packets lie end to end in a ring of bytes and are described in a ring of slots; both grow by doubling
// to their limits, and then nothing is allocated any more.
type inbox struct {
	mu    sync.Mutex
	slots []slot // ring
	first int    // index of the oldest slot
	count int
	bytes []byte // ring
	start int    // index of the oldest byte
	used  int

	maxSlots, maxBytes int

	woken  bool // Wake was called since the last Wait returned
	parked bool // the reader waits on ring, or is about to
	closed bool
	bell   chan struct{} // capacity one: rung when parked is cleared
	timer  *time.Timer   // the reader's alone
}

// slot describes a packet of the ring.
type slot struct {
	len           int
	checksumStart uint16
	gsoSize       uint16
	needsChecksum bool
}

func newInbox(packets, bytes int) *inbox {
	return &inbox{maxSlots: packets, maxBytes: bytes, bell: make(chan struct{}, 1)}
}

func (in *inbox) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}

// put copies p to the end of the queue and rings the reader.
func (in *inbox) put(p *link.Packet) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := p.Len()
	switch {
	case in.closed:
		return ErrPeerClosed
	case in.count == in.maxSlots || in.used+n > in.maxBytes:
		return ErrFull
	}
	in.grow(n)
	in.slots[(in.first+in.count)%len(in.slots)] = slot{n, p.ChecksumStart, p.GSOSize, p.NeedsChecksum}
	in.count++
	in.append(p.Head)
	in.append(p.Body[0])
	in.append(p.Body[1])
	in.ring()
	return nil
}

// grow makes room for a slot and n bytes.
func (in *inbox) grow(n int) {
	if in.count == len(in.slots) {
		s := make([]slot, min(max(2*len(in.slots), 16), in.maxSlots))
		k := copy(s, in.slots[in.first:])
		copy(s[k:], in.slots[:in.first])
		in.slots, in.first = s, 0
	}
	if in.used+n > len(in.bytes) {
		b := make([]byte, min(max(2*len(in.bytes), in.used+n, 4096), in.maxBytes))
		in.peek(b[:in.used])
		in.bytes, in.start = b, 0
	}
}

// append copies b behind the newest byte; there is room.
func (in *inbox) append(b []byte) {
	if len(b) == 0 {
		return
	}
	end := (in.start + in.used) % len(in.bytes)
	k := copy(in.bytes[end:], b)
	copy(in.bytes, b[k:])
	in.used += len(b)
}

// peek copies the oldest len(to) bytes.
func (in *inbox) peek(to []byte) {
	if len(to) == 0 {
		return
	}
	k := copy(to, in.bytes[in.start:])
	copy(to[k:], in.bytes)
}

// ring ends a Wait under way.
func (in *inbox) ring() {
	if in.parked {
		in.parked = false
		in.bell <- struct{}{} // room: the bell is rung once a parking, and emptied by who parked
	}
}
