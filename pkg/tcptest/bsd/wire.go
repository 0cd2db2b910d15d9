package bsd

import (
	"errors"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Wire is a link.Device in memory: what is delivered to it is read by the next turn, and what the stack sends is handed
// to Out at once.
type Wire struct {
	Out func(at mono.Time, packet []byte) // the packet is Out's to keep
	Now func() mono.Time

	arrived [][]byte
	closed  bool
}

// Link is a link of this device alone. With superframes, packets larger than the MTU stand for several, in both
// directions, as on a device with segmentation offload.
func (w *Wire) Link(mtu int, superframes bool) *link.Link {
	l := &link.Link{Queues: []link.Device{w}, MTU: mtu}
	if superframes {
		l.Superframe = link.MaxPacket
	}
	return l
}

// Deliver has a packet arrive: the next turn takes it in.
func (w *Wire) Deliver(packet []byte) { w.arrived = append(w.arrived, packet) }

// Read is link.Device's.
func (w *Wire) Read(b *link.Batch) error {
	b.Reset()
	if w.closed {
		return link.ErrClosed
	}
	n := 0
	for ; n < len(w.arrived); n++ {
		room := b.Room()
		if room == nil {
			break
		}
		b.Add(room, 0, copy(room, w.arrived[n]))
	}
	w.arrived = append(w.arrived[:0], w.arrived[n:]...)
	return nil
}

// Write is link.Device's.
func (w *Wire) Write(p *link.Packet) error {
	if w.closed {
		return link.ErrClosed
	}
	p.FinishChecksum()
	w.Out(w.Now(), p.AppendTo(nil))
	return nil
}

// Wait is never called: the stack is turned by hand.
func (w *Wire) Wait(mono.Time) error { return errors.New("bsd: nobody waits here") }

// Wake is link.Device's: whoever turns the stack by hand is awake.
func (w *Wire) Wake() {}

// Close is link.Device's.
func (w *Wire) Close() error { w.closed = true; return nil }
