package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// ErrGone is in the chain of the error of a device that was deleted, or whose queue was detached, beneath us.
var ErrGone = errors.New("the device is gone")

// ErrSuperframe: a superframe was written to a device without offload.
var ErrSuperframe = errors.New("tun: device takes no superframes")

// device is one queue of a TUN.
type device struct {
	name string
	fd   int  // the queue, nonblocking
	vnet bool // each packet is preceded by a virtio header

	header [headerLen]byte
	iov    [4]unix.Iovec // the virtio header or Head's beginning, then the rest
	head   [maxHead]byte // Head's beginning with the finished checksum

	malformed *atomic.Uint64
	parking   parking
	found     link.Batch // what Wait has read

	use    atomic.Int64 // calls that use the descriptors; plus closing once Close was called
	finish sync.Once
	ended  chan struct{} // closed when the descriptors are
}

// maxHead is the most that an IPv4 and a TCP header take, in bytes.
const maxHead = 60 + 60

// closing is added to device.use by Close.
const closing = 1 << 32

// newDevice takes fd over, which is nonblocking.
func newDevice(name string, fd int, vnet bool, malformed *atomic.Uint64) (*device, error) {
	d := &device{name: name, fd: fd, vnet: vnet, malformed: malformed, found: *link.NewBatch(), ended: make(chan struct{})}
	if err := d.parking.open(fd); err != nil {
		return nil, err
	}
	return d, nil
}

// enter announces a use of the descriptors; false after Close.
func (d *device) enter() bool {
	if d.use.Add(1) < closing {
		return true
	}
	d.leave()
	return false
}

// leave ends a use; the last one after Close closes the descriptors.
func (d *device) leave() {
	if d.use.Add(-1) == closing {
		d.finish.Do(d.release)
	}
}

func (d *device) release() {
	_ = unix.Close(d.fd)
	d.parking.close()
	close(d.ended)
}

// Close ends the device; when it returns, the queue is detached.
func (d *device) Close() error {
	for {
		n := d.use.Load()
		if n >= closing {
			break
		}
		if d.use.CompareAndSwap(n, n+closing+1) { // closing, and our own use
			d.parking.wake()
			d.leave()
			break
		}
	}
	<-d.ended
	return nil
}

// headroom is where packets begin in a Batch's room: their words are aligned, and the header fits before them.
const headroom = 16

// Read takes what Wait has found, or else fills b until the queue is empty.
func (d *device) Read(b *link.Batch) error {
	b.Reset()
	if !d.enter() {
		return link.ErrClosed
	}
	var err error
	if len(d.found.Packets) > 0 {
		*b, d.found = d.found, *b
		d.found.Reset()
	} else {
		err = d.fill(b, math.MaxInt)
	}
	d.parking.spin.crowd = len(b.Packets) > 1
	d.leave()
	return err
}

// fill adds up to most packets to b.
func (d *device) fill(b *link.Batch, most int) error {
	from := headroom
	if d.vnet {
		from -= headerLen
	}
	for room := b.Room(); room != nil && len(b.Packets) < most; room = b.Room() {
		n, errno := sysRead(d.fd, room[from:])
		switch {
		case errno == unix.EAGAIN:
			return nil
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return d.gone(errno)
		}
		d.take(b, room, from+n)
	}
	return nil
}

// take adds to b the packet that ends at room[end], unless it is malformed.
func (d *device) take(b *link.Batch, room []byte, end int) {
	if end < headroom+20 {
		d.malformed.Add(1)
		return
	}
	p := b.Add(room, headroom, end)
	if d.vnet && !parseHeader(room[headroom-headerLen:headroom], p) {
		b.Packets = b.Packets[:len(b.Packets)-1]
		d.malformed.Add(1)
	}
}

// gone is the error of a device that works no more. Nothing brings it back.
func (d *device) gone(errno unix.Errno) error {
	return withHint(fmt.Errorf("tun: %s: %w (%w)", d.name, ErrGone, errno),
		"somebody has deleted it, or its network namespace; start again to make it anew")
}

// Write sends p: the virtio header, Head and Body in one system call.
func (d *device) Write(p *link.Packet) error {
	if len(p.Head) == 0 {
		return errMalformed
	}
	if !d.enter() {
		return link.ErrClosed
	}
	defer d.leave()
	head, rest, iov := p.Head, []byte(nil), d.iov[:0]
	if d.vnet {
		if err := putHeader(&d.header, p); err != nil {
			return err
		}
		iov = appendPart(iov, d.header[:])
	} else {
		var err error
		if head, rest, err = d.plain(p); err != nil {
			return err
		}
	}
	iov = appendPart(iov, head)
	iov = appendPart(iov, rest)
	iov = appendPart(iov, p.Body[0])
	iov = appendPart(iov, p.Body[1])
	errno := sysWritev(d.fd, iov)
	for errno == unix.EINTR {
		errno = sysWritev(d.fd, iov)
	}
	clear(iov) // keep nothing of p
	if errno != 0 {
		return errno
	}
	return nil
}

// plain returns p's Head as it goes out without a virtio header: with the checksum finished in a copy of its
// beginning, and the rest of it.
func (d *device) plain(p *link.Packet) (head, rest []byte, err error) {
	if p.GSOSize != 0 {
		return nil, nil, ErrSuperframe
	}
	if !p.NeedsChecksum {
		return p.Head, nil, nil
	}
	at, sum, ok := p.Checksum()
	if !ok || at+2 > len(d.head) {
		return nil, nil, errMalformed
	}
	n := copy(d.head[:], p.Head)
	binary.BigEndian.PutUint16(d.head[at:], sum)
	return d.head[:n], p.Head[n:], nil
}
