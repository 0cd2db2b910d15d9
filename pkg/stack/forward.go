package stack

// forward is a packet on its way to another shard.
type forward struct {
	task Task
	a    arrival
	to   *shard
	buf  []byte
}

// maxForwards bounds the packets that may be on their way to one shard.
const maxForwards = 4096

// sendOn hands a packet whose connection is not here to a shard that may have it and has not been asked. It reports
// false when there is none: then the packet is this shard's to answer.
func (s *shard) sendOn(h uint64, a *arrival) bool {
	a.asked |= 1 << s.id
	for i, other := range s.stack.shards {
		if a.asked&(1<<i) != 0 || !other.present.maybe(h) {
			continue
		}
		s.counters.Read--
		if other.forwards.Add(1) > maxForwards {
			other.forwards.Add(-1)
			s.counters.Read++
			s.counters.Stack[DropForward]++
			return true
		}
		f := &forward{a: *a, to: other, buf: append([]byte(nil), a.raw...)}
		f.task.run = f.arrive
		s.counters.Forwarded++
		other.post(&f.task)
		return true
	}
	return false
}

// arrive takes the packet in on the shard that it was sent to, which now counts it as read.
func (f *forward) arrive() {
	f.to.forwards.Add(-1)
	f.to.counters.Read++
	f.a.raw = f.buf
	f.to.dispatch(&f.a)
}
