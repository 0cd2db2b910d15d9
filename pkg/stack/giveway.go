package stack

import "github.com/tcpd-project/tcpd/pkg/mono"

const (
	// sweep is how many connections giveWay looks at, and sweepEvery how often it does while memory is scarce, whether or
	// not anything has found none: when an honest peer does, it should not be too late.
	sweep      = 256
	sweepEvery = 100 * mono.Millisecond
)

// giveWay takes memory from connections whose peers have let them wait for long, if there is little: so that peers who close
// their windows and go on answering probes cannot keep everybody else out (RFC 6429 section 3).
func (s *shard) giveWay() {
	m := s.env.Memory
	if !m.Short && (!m.Scarce() || s.now < s.sweepAt) {
		return
	}
	m.Short, s.sweepAt = false, s.now.Add(sweepEvery)
	for range min(sweep, s.conns.next) {
		if s.hand++; s.hand >= s.conns.next {
			s.hand = 1
		}
		rec := s.conns.at(s.hand)
		if rec.localPort == 0 || rec.tcp.Over() {
			continue
		}
		s.work(s.hand)
		switch reneged, ended := rec.tcp.GiveWay(&s.env, s.now); {
		case reneged:
			s.counters.Reneged++
		case ended:
			s.counters.MemoryAborted++
			s.settle(s.hand)
		}
	}
}

// quench tells those who found no memory to write to that there is some again, as long as there is.
func (s *shard) quench() {
	s.thirst.compact(s.conns.at)
	for s.thirst.live > 0 && s.env.Memory.Free() {
		i := s.thirst.next(s.conns.at)
		rec := s.conns.at(i)
		s.work(i)
		rec.tcp.SpaceAgain()
		s.settle(i)
	}
}
