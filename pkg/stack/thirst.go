package stack

// thirst is the queue of connections that found no memory for what their users wrote, first come first served.
type thirst struct {
	queue []uint32 // indices of connections; 0: one that is gone
	head  int
	live  int
}

func (t *thirst) add(i uint32, rec *record) {
	if rec.thirsty != 0 {
		return
	}
	t.queue = append(t.queue, i)
	rec.thirsty = uint32(len(t.queue))
	t.live++
}

// remove takes a connection out that is over.
func (t *thirst) remove(rec *record) {
	if rec.thirsty == 0 {
		return
	}
	t.queue[rec.thirsty-1] = 0
	rec.thirsty = 0
	t.live--
}

// next takes the first connection out; 0 if there is none.
func (t *thirst) next(at func(uint32) *record) uint32 {
	for t.head < len(t.queue) {
		i := t.queue[t.head]
		t.head++
		if i != 0 {
			at(i).thirsty = 0
			t.live--
			return i
		}
	}
	t.queue, t.head = t.queue[:0], 0
	return 0
}

// compact keeps those that are gone, or were served, from making the queue grow for ever.
func (t *thirst) compact(at func(uint32) *record) {
	if len(t.queue) < 2*t.live+64 {
		return
	}
	n := 0
	for _, i := range t.queue[t.head:] {
		if i != 0 {
			t.queue[n] = i
			n++
			at(i).thirsty = uint32(n)
		}
	}
	t.queue, t.head = t.queue[:n], 0
}
