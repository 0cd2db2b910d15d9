package wire

import (
	"encoding/binary"
	"sync"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// stall watches a wire of one connection at a time for windows that are closed, and probed.
type stall struct{ atUs, atKernel closing }

// closing is one side's window.
type closing struct {
	mu     sync.Mutex
	closed bool
	probes int
	done   chan struct{}
}

// probed returns a channel that is closed when the window is, and has been probed twice since.
func (c *closing) probed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.probes, c.done = false, 0, make(chan struct{})
	return c.done
}

// said takes in a window that the side has announced.
func (c *closing) said(window uint16) {
	c.mu.Lock()
	c.closed = window == 0
	c.mu.Unlock()
}

// heard takes in a segment to the side.
func (c *closing) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed || c.done == nil {
		return
	}
	if c.probes++; c.probes == 2 {
		close(c.done)
	}
}

func (s *stall) watch(d link.Device) link.Device { return stalled{d, s} }

type stalled struct {
	link.Device
	*stall
}

func (s stalled) Read(b *link.Batch) error {
	err := s.Device.Read(b)
	for i := range b.Packets {
		pass(b.Packets[i].Head, &s.atKernel, &s.atUs)
	}
	return err
}

func (s stalled) Write(p *link.Packet) error {
	pass(p.Head, &s.atUs, &s.atKernel)
	return s.Device.Write(p)
}

// pass tells both sides of a segment. Neither uses IP options.
func pass(p []byte, from, to *closing) {
	if len(p) < 40 || p[0] != 0x45 || tcp.Flags(p[33])&(tcp.SYN|tcp.RST) != 0 {
		return
	}
	from.said(binary.BigEndian.Uint16(p[34:]))
	to.heard()
}
