package cable

import (
	"slices"
	"sync"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Plug connects a TCP that is not ours to an end of a cable.
type Plug struct {
	device link.Device
	take   func(packet []byte)
	mu     sync.Mutex
	queue  [][]byte // to be written
	done   chan struct{}
}

// Insert makes a plug that hands each packet from the wire to take, which must not keep it, one at a time.
func Insert(end *link.Link, take func(packet []byte)) *Plug {
	p := &Plug{device: end.Queues[0], take: take, done: make(chan struct{})}
	go p.run()
	return p
}

// Send sends a packet, of which it keeps nothing. It may be called from anywhere, also from take.
func (p *Plug) Send(packet []byte) {
	p.mu.Lock()
	p.queue = append(p.queue, slices.Clone(packet))
	p.mu.Unlock()
	p.device.Wake()
}

// Pull takes the plug out: take is not called any more.
func (p *Plug) Pull() {
	p.device.Close()
	<-p.done
}

// run is the goroutine that owns the device.
func (p *Plug) run() {
	defer close(p.done)
	for b := link.NewBatch(); ; {
		if p.device.Read(b) != nil {
			return
		}
		for _, packet := range b.Packets {
			p.take(packet.Head)
		}
		full := len(b.Packets) > 0
		if p.write() != nil {
			return
		}
		if !full && p.device.Wait(mono.Never) != nil {
			return
		}
	}
}

// write puts what has been sent on the wire; that one packet is lost is no error.
func (p *Plug) write() error {
	p.mu.Lock()
	queue := p.queue
	p.queue = nil
	p.mu.Unlock()
	for _, packet := range queue {
		if err := p.device.Write(&link.Packet{Head: packet}); err == link.ErrClosed { //nolint:errorlint // the contract names the bare value
			return err
		}
	}
	return nil
}
