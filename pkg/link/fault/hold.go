package fault

import (
	stdheap "container/heap"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// held is a copy of a packet, all of it in Head, that waits for its time.
type held struct {
	at     mono.Time
	seq    uint64 // of packets with one time the first to come is the first to go
	packet link.Packet
}

// heap orders held packets by time for container/heap.
type heap []*held

func (h heap) Len() int { return len(h) }
func (h heap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h heap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heap) Push(x any)   { *h = append(*h, x.(*held)) }
func (h *heap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}

// copy makes a packet to hold of p.
func (l *line) copy(p *link.Packet) *held {
	h := &held{}
	if n := len(l.free); n > 0 {
		h, l.free = l.free[n-1], l.free[:n-1]
	}
	bytes := p.AppendTo(h.packet.Head[:0])
	h.packet = *p
	h.packet.Head, h.packet.Body = bytes, [2][]byte{}
	return h
}

// hold keeps a copy of p until at.
func (l *line) hold(p *link.Packet, at mono.Time) { l.push(l.copy(p), at) }

func (l *line) push(h *held, at mono.Time) {
	l.seq++
	h.at, h.seq = at, l.seq
	stdheap.Push(&l.held, h)
}

// next is when a held packet is due first; Never when none is held.
func (l *line) next() mono.Time {
	if len(l.held) == 0 {
		return mono.Never
	}
	return l.held[0].at
}

// take removes the packet that is due first.
func (l *line) take() *held { return stdheap.Pop(&l.held).(*held) }

// recycle gives h's memory back, once its packet is gone.
func (l *line) recycle(h *held) { l.free = append(l.free, h) }
