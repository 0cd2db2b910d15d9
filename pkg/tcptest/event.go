package tcptest

import "github.com/tcpd-project/tcpd/pkg/mono"

// event is something that happens at a time: a frame arrives, or run is called. Those of the same time happen in the order
// in which they were made.
type event struct {
	at    mono.Time
	seq   uint64
	frame *Frame
	run   func()
}

func (e *event) happen() {
	if e.frame != nil {
		e.frame.Dst.receive(e.frame)
		return
	}
	e.run()
}

// events is a heap, the next event at the top. It is container/heap's, without a box for each event.
type events struct {
	list  []event
	count uint64
}

// next is when the next event happens, or mono.Never.
func (h *events) next() mono.Time {
	if len(h.list) == 0 {
		return mono.Never
	}
	return h.list[0].at
}

func (h *events) before(i, j int) bool {
	a, b := &h.list[i], &h.list[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (h *events) push(e event) {
	h.count++
	e.seq = h.count
	h.list = append(h.list, e)
	for i := len(h.list) - 1; i > 0; {
		above := (i - 1) / 2
		if !h.before(i, above) {
			return
		}
		h.list[i], h.list[above] = h.list[above], h.list[i]
		i = above
	}
}

func (h *events) pop() event {
	top, last := h.list[0], len(h.list)-1
	h.list[0] = h.list[last]
	h.list[last] = event{}
	h.list = h.list[:last]
	for i := 0; ; {
		below := 2*i + 1
		if below >= last {
			return top
		}
		if below+1 < last && h.before(below+1, below) {
			below++
		}
		if !h.before(below, i) {
			return top
		}
		h.list[i], h.list[below] = h.list[below], h.list[i]
		i = below
	}
}
