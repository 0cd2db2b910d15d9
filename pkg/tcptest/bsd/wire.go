package bsd

import (
	"encoding/binary"
	"errors"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Wire is a link.Device in memory: what is delivered to it is read by the next turn, and what the stack sends is handed
// to Out at once.
type Wire struct {
	Out func(at mono.Time, packet []byte) // the packet is Out's to keep
	Now func() mono.Time
	// Split has superframes leave as the segments that they stand for, as on a device without segmentation offload in Linux.
	Split bool

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
	packet := p.AppendTo(nil)
	if !w.Split || p.GSOSize == 0 {
		w.Out(w.Now(), packet)
		return nil
	}
	for text, at := packet[len(p.Head):], 0; at < len(text); at += int(p.GSOSize) {
		w.Out(w.Now(), segmentOf(packet[:len(p.Head)], text, at, int(p.GSOSize)))
	}
	return nil
}

// segmentOf is the segment of at most n bytes at the offset at of a superframe's text; only the last has PSH and FIN.
func segmentOf(head, text []byte, at, n int) []byte {
	b := append(append([]byte(nil), head...), text[at:min(at+n, len(text))]...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^ip.Fold(ip.Sum(b[:ip.HeaderLen], 0)))
	g := b[ip.HeaderLen:]
	binary.BigEndian.PutUint32(g[4:], binary.BigEndian.Uint32(g[4:])+uint32(at))
	if at+n < len(text) {
		g[13] &^= byte(tcp.PSH | tcp.FIN)
	}
	g[16], g[17] = 0, 0
	src, dst := ip.V4([4]byte(b[12:16])), ip.V4([4]byte(b[16:20]))
	binary.BigEndian.PutUint16(g[16:], ^ip.Fold(ip.Sum(g, ip.PseudoSum(src, dst, ip.ProtoTCP, len(g)))))
	return b
}

// Wait is never called: the stack is turned by hand.
func (w *Wire) Wait(mono.Time) error { return errors.New("bsd: nobody waits here") }

// Wake is link.Device's: whoever turns the stack by hand is awake.
func (w *Wire) Wake() {}

// Close is link.Device's.
func (w *Wire) Close() error { w.closed = true; return nil }
