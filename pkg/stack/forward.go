package stack

import "github.com/tcpd-project/tcpd/pkg/ip"

// forward is a packet on its way to another shard.
type forward struct {
	task Task
	a    arrival
	to   *shard
	buf  []byte
}

// maxForwards and maxForwardBytes bound the packets that may be on their way to one shard.
const (
	maxForwards     = 4096
	maxForwardBytes = 8 << 20
)

// sendOn hands a packet whose connection is not here to a shard that may have it and has not been asked. It reports
// false when there is none: then the packet is this shard's to answer.
func (s *shard) sendOn(h uint64, a *arrival) bool {
	a.asked |= 1 << s.id
	for i, other := range s.stack.shards {
		if a.asked&(1<<i) != 0 || !other.present.maybe(h) {
			continue
		}
		packets, bytes := other.forwards.Add(1), other.forwardBytes.Add(int64(len(a.raw)))
		if packets > maxForwards || bytes > maxForwardBytes || other.inbox.closed.Load() {
			other.forwards.Add(-1)
			other.forwardBytes.Add(-int64(len(a.raw)))
			s.drop(DropForward)
			return true
		}
		f := s.stack.forwards.Get().(*forward)
		f.a, f.to, f.buf = *a, other, append(f.buf[:0], a.raw...)
		f.a.raw, f.a.Packet = nil, ip.Packet{} // they point into a batch that others read
		s.counters.Read--                      // it is counted where it ends
		s.counters.Forwarded++
		other.post(&f.task)
		return true
	}
	return false
}

// arrive takes the packet in on the shard that it was sent to, which now counts it as read.
func (f *forward) arrive() {
	f.to.forwards.Add(-1)
	f.to.forwardBytes.Add(-int64(len(f.buf)))
	f.to.counters.Read++
	f.a.raw = f.buf
	f.to.dispatch(&f.a)
	f.to.raw = nil
	f.a = arrival{}
	f.to.stack.forwards.Put(f)
}

func newForward() any {
	f := &forward{}
	f.task.run = f.arrive
	return f
}
