package lib

import (
	"encoding/binary"
	"sync"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// steer returns l with queues between which packets are exchanged: whatever queue the kernel put a packet on, it is
// read from queue to(packet), or where it came if that is below zero. The kernel does so by chance; this, surely.
func steer(l *link.Link, to func(packet []byte) int) *link.Link {
	x := &exchange{to: to}
	steered := *l
	steered.Queues = nil
	for _, q := range l.Queues {
		steered.Queues = append(steered.Queues, link.Middleware(x.wrap)(q))
	}
	return &steered
}

type exchange struct {
	to     func(packet []byte) int
	queues []*crossing
}

func (x *exchange) wrap(d link.Device) link.Device {
	c := &crossing{Device: d, exchange: x}
	x.queues = append(x.queues, c)
	return c
}

// crossing is a queue that takes packets from the others.
type crossing struct {
	link.Device
	*exchange
	mu    sync.Mutex
	taken []link.Packet // with bytes of their own
}

// Read implements link.Device.
func (c *crossing) Read(b *link.Batch) error {
	if err := c.Device.Read(b); err != nil {
		return err
	}
	kept := b.Packets[:0]
	for _, p := range b.Packets {
		if to := c.to(p.Head); to < 0 || c.queues[to] == c {
			kept = append(kept, p)
		} else {
			c.queues[to].take(p)
		}
	}
	b.Packets = kept
	c.give(b)
	return nil
}

func (c *crossing) take(p link.Packet) {
	p.Head = append([]byte(nil), p.Head...)
	c.mu.Lock()
	c.taken = append(c.taken, p)
	c.mu.Unlock()
	c.Wake()
}

// give adds what was taken to b, as far as there is room; a reader of a full batch comes again at once.
func (c *crossing) give(b *link.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.taken) > 0 {
		room := b.Room()
		if room == nil {
			return
		}
		p := c.taken[0]
		head := b.Add(room, 0, copy(room, p.Head))
		p.Head = head.Head
		*head = p
		c.taken = c.taken[1:]
	}
}

// What packets are chosen by.

func isFragment(p []byte) bool { return binary.BigEndian.Uint16(p[6:])&0x3fff != 0 }

func isICMP(p []byte) bool { return p[9] == 1 }
