// Package pipe is a link in memory: what one end writes the other reads. It waits on channels and timers of
// package time alone, so that it works inside a testing/synctest bubble.
package pipe

import (
	"errors"
	"fmt"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// What Write answers when a packet is lost on the way.
var (
	// ErrFull: the queue at the other end has no room, as when a reader is slower than a writer.
	ErrFull = errors.New("pipe: queue is full")
	// ErrTooBig: the packet is larger than the MTU, or a superframe larger than link.MaxPacket.
	ErrTooBig = errors.New("pipe: packet is larger than the link carries")
	// ErrOffload: a plain pipe takes no superframes and finishes no checksums.
	ErrOffload = errors.New("pipe: a plain link has no offload")
	// ErrPeerClosed: nobody reads the other end any more.
	ErrPeerClosed = errors.New("pipe: the other end is closed")
)

// Options describe a pipe. The zero value is a pipe of MTU 1500 with offload.
type Options struct {
	MTU     int // bytes; 0 is 1500
	Packets int // how many a queue holds; 0 is 1024
	Bytes   int // how many bytes a queue holds; 0 is 4 MiB
	// Plain: no superframes, no unfinished checksums.
	Plain bool
	// Steer chooses the queue, below queues, for a packet beginning with head (IP and transport headers).
	// It is called by several goroutines at a time. nil is Flow.
	Steer func(head []byte, queues int) int
}

// New returns the two ends of a link; each has the given number of queues, at least one.
func New(queues int, opt Options) (a, b *link.Link) {
	queues = max(queues, 1)
	opt.fill()
	atA, atB := newInboxes(queues, &opt), newInboxes(queues, &opt)
	return newEnd(atA, atB, &opt), newEnd(atB, atA, &opt)
}

func (o *Options) fill() {
	if o.MTU == 0 {
		o.MTU = 1500
	}
	if o.Packets == 0 {
		o.Packets = 1024
	}
	if o.Bytes == 0 {
		o.Bytes = 4 << 20
	}
	if o.Steer == nil {
		o.Steer = Flow
	}
}

func newInboxes(n int, opt *Options) []*inbox {
	boxes := make([]*inbox, n)
	for i := range boxes {
		boxes[i] = newInbox(opt.Packets, opt.Bytes)
	}
	return boxes
}

func newEnd(own, peer []*inbox, opt *Options) *link.Link {
	l := &link.Link{MTU: opt.MTU}
	if !opt.Plain {
		l.Superframe, l.Checksum = link.MaxPacket, true
	}
	for _, in := range own {
		l.Queues = append(l.Queues, &device{in: in, peer: peer, opt: opt})
	}
	return l
}

// device is one queue of one end: it reads its own inbox and writes to those of the other end.
type device struct {
	in   *inbox
	peer []*inbox
	opt  *Options
}

// Write copies p to the queue of the other end that Options.Steer names.
func (d *device) Write(p *link.Packet) error {
	if d.in.isClosed() {
		return link.ErrClosed
	}
	if err := d.opt.admit(p); err != nil {
		return err
	}
	n := len(d.peer)
	q := 0
	if n > 1 {
		if q = d.opt.Steer(p.Head, n); q < 0 || q >= n {
			return fmt.Errorf("pipe: steered to queue %d of %d", q, n)
		}
	}
	return d.peer[q].put(p)
}

// admit says whether a link of these options carries p.
func (o *Options) admit(p *link.Packet) error {
	switch n := p.Len(); {
	case o.Plain && (p.NeedsChecksum || p.GSOSize != 0):
		return ErrOffload
	case n > link.MaxPacket, n > o.MTU && p.GSOSize == 0:
		return ErrTooBig
	}
	return nil
}
