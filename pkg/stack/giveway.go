package stack

// sweep is how many connections a turn that found no memory looks at, for some that hold it for nothing.
const sweep = 256

// giveWay takes memory from connections whose peers have let them wait for long, if something has found none: so that peers
// who close their windows and go on answering probes cannot keep everybody else out (RFC 6429 section 3).
func (s *shard) giveWay() {
	if !s.env.Memory.Short {
		return
	}
	s.env.Memory.Short = false
	for range min(sweep, s.conns.next) {
		if s.hand++; s.hand >= s.conns.next {
			s.hand = 1
		}
		rec := s.conns.at(s.hand)
		if rec.flow.LocalPort == 0 || rec.tcp.Over() {
			continue
		}
		s.flow = rec.flow
		switch {
		case rec.tcp.Renege(&s.env, s.now):
			s.counters.Reneged++
		case rec.tcp.Hoards(s.now):
			s.counters.MemoryAborted++
			rec.tcp.GiveWay(&s.env, s.now)
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
		s.flow = rec.flow
		rec.tcp.SpaceAgain()
		s.settle(i)
	}
}
