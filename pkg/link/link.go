// Package link is what a stack asks of the device beneath it: whole IP packets, in and out, with what the
// device's offloads say of them; and one place to wait.
package link

import (
	"errors"
	"time"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Device is one queue of a link. One goroutine owns it: Read, Write and Wait are that goroutine's alone.
// Wake and Close may be called from anywhere.
type Device interface {
	// Read resets b and fills it with the packets that are there, without waiting; b stays empty when there
	// are none. ErrClosed after Close; any other error means that the device is gone.
	Read(b *Batch) error

	// Write sends p and keeps nothing of it. An error other than ErrClosed says that this packet is lost,
	// as a wire would lose it.
	Write(p *Packet) error

	// Wait returns when a packet can be read, at the time until, after a Wake (also one that came before),
	// or after Close; perhaps earlier for no reason. A time that has passed makes it return at once.
	Wait(until mono.Time) error

	// Wake makes the Wait under way, or else the next one, return.
	Wake()

	// Close ends the device: a Wait under way returns.
	Close() error
}

// Link is a device with all its queues, and what they can do.
type Link struct {
	Queues []Device
	MTU    int // bytes of the largest IP packet a wire of this link carries
	// Superframe is the largest IP packet in bytes that Write takes as a superframe (TCP segmentation
	// offload: Packet.GSOSize); 0 when every packet must fit the MTU.
	Superframe int
	// Checksum says that Write finishes TCP checksums (Packet.NeedsChecksum).
	Checksum bool
}

// Middleware wraps a device in another: to record, to delay, to lose.
type Middleware func(Device) Device

// ErrClosed is returned by a device after its Close.
var ErrClosed = errors.New("link: device is closed")

// Packet is one IP packet, or one superframe: a packet larger than the MTU that stands for several.
type Packet struct {
	// Head is the packet, or its beginning up to the end of the transport header.
	Head []byte
	// Body follows Head on the wire; both parts are nil in packets that were read.
	Body [2][]byte

	// NeedsChecksum: the transport checksum field holds only the folded pseudo-header sum, not complemented,
	// and is to be finished over the bytes from ChecksumStart (offset in the packet) on. In a packet that was
	// read it means that no wire was crossed: there is nothing to verify.
	NeedsChecksum bool
	// Verified: the device has checked the transport checksum (virtio's DATA_VALID).
	Verified      bool
	ChecksumStart uint16 // bytes from the packet's start to the transport header
	// GSOSize is the payload of each segment of a superframe in bytes; 0: not a superframe.
	GSOSize uint16
}

// Len is the packet's length in bytes.
func (p *Packet) Len() int { return len(p.Head) + len(p.Body[0]) + len(p.Body[1]) }

// AppendTo appends the whole packet to b.
func (p *Packet) AppendTo(b []byte) []byte {
	return append(append(append(b, p.Head...), p.Body[0]...), p.Body[1]...)
}

// Until turns a time of the monotonic clock into the time left, not below zero; max for Never.
func Until(t, now mono.Time, max time.Duration) time.Duration {
	switch {
	case t <= now:
		return 0
	case t == mono.Never || t.Sub(now) > max:
		return max
	}
	return t.Sub(now)
}
