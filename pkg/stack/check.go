package stack

import (
	"fmt"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Check reports the first invariant that does not hold, or nil. It is for simulations: the stack was not started, and
// no shard is in a turn.
func (s *Stack) Check() error {
	halves, conns := 0, 0
	for _, sh := range s.shards {
		if err := sh.check(); err != nil {
			return fmt.Errorf("shard %d: %w", sh.id, err)
		}
		halves += sh.halves.live + len(sh.requests)
		conns += sh.conns.live
	}
	if n := s.conns.Load(); n != int64(conns) {
		return fmt.Errorf("%d connections are counted as %d", conns, n)
	}
	if n := s.halfOpen.Load(); n != int64(halves) {
		return fmt.Errorf("%d half-open connections are counted as %d", halves, n)
	}
	return nil
}

// Idle reports what is left of connections in a stack that should have none, or nil.
func (s *Stack) Idle() error {
	for _, sh := range s.shards {
		switch {
		case sh.conns.live+sh.halves.live+sh.waits.live != 0:
			return fmt.Errorf("shard %d has %d connections, %d half-open, %d in TIME-WAIT", sh.id, sh.conns.live, sh.halves.live, sh.waits.live)
		case sh.env.Memory.InUse != 0:
			return fmt.Errorf("shard %d has %d bytes of rings", sh.id, sh.env.Memory.InUse)
		case sh.wheel.deadline() != mono.Never:
			return fmt.Errorf("shard %d: the timing wheel is not empty", sh.id)
		case len(sh.owners)-len(sh.freeOwners) != 1:
			return fmt.Errorf("shard %d: %d handlers are left", sh.id, len(sh.owners)-len(sh.freeOwners)-1)
		case sh.thirst.live != 0:
			return fmt.Errorf("shard %d: %d connections are thirsty", sh.id, sh.thirst.live)
		case len(sh.byListener) != 0:
			return fmt.Errorf("shard %d: %d listeners have a place", sh.id, len(sh.byListener))
		case len(sh.requests)+len(sh.patience) != 0:
			return fmt.Errorf("shard %d: %d requests wait", sh.id, len(sh.requests))
		}
		for i := range sh.present.words {
			if v := sh.present.words[i].Load(); v != 0 {
				return fmt.Errorf("shard %d: presence %x at %d", sh.id, v, i)
			}
		}
	}
	for i := range s.sources.open {
		if n := s.sources.open[i].Load(); n != 0 {
			return fmt.Errorf("%d connections of one source are counted at %d", n, i)
		}
	}
	return nil
}

func (s *shard) check() error {
	c := &s.counters
	sum := c.Delivered
	for _, list := range [][]uint64{c.IP[:], c.TCP[:], c.Stack[:]} {
		for _, n := range list {
			sum += n
		}
	}
	switch {
	case c.Read != sum:
		return fmt.Errorf("%d packets were read, and %d have an end: %v", c.Read, sum, c.Drops())
	case s.table.count != s.conns.live+s.halves.live+s.waits.live:
		return fmt.Errorf("%d flows in the table", s.table.count)
	case s.env.Errors.Impossible != 0:
		return fmt.Errorf("the machine was asked the impossible")
	case s.env.ReplyDue:
		return fmt.Errorf("a reply was forgotten: %+v", s.env.Reply)
	}
	if err := s.checkConns(); err != nil {
		return err
	}
	return s.checkWaits()
}

func (s *shard) checkConns() error {
	held, owned, orphans, listened := 0, 0, 0, 0
	for i := uint32(1); i < s.conns.next; i++ {
		rec := s.conns.at(i)
		if rec.localPort == 0 {
			continue
		}
		held += rec.tcp.Held(&s.env)
		if rec.orphan {
			orphans++
		}
		if rec.listener != 0 {
			listened++
		}
		d := rec.tcp.Deadline()
		f := rec.flow()
		h := s.hash(&f)
		switch {
		case s.table.find(h, rec.key) != ref(kindConn|i):
			return fmt.Errorf("%v is not in the table", f)
		case !s.present.maybe(h):
			return fmt.Errorf("%v is not present", f)
		case rec.dirty || rec.late:
			continue // it has more to send than one turn takes, or it waits
		case rec.tcp.Released():
			return fmt.Errorf("%v is over, and still here", f)
		case d != mono.Never && (rec.node.tick == 0 || rec.node.tick > uint64(d)>>tickLog+1):
			return fmt.Errorf("%v: deadline %d, wheel %d", f, d, rec.node.tick<<tickLog)
		}
		if err := rec.tcp.Check(&s.env); err != nil {
			return fmt.Errorf("%v: %w", f, err)
		}
	}
	for _, o := range s.owners {
		owned += o.conns
	}
	if n := s.conns.live + s.halves.live + listened; owned != n {
		return fmt.Errorf("%d connections have %d handlers", n, owned)
	}
	if orphans != s.orphans {
		return fmt.Errorf("%d orphans are counted as %d", orphans, s.orphans)
	}
	if held != s.env.Memory.InUse {
		return fmt.Errorf("connections hold %d bytes of rings, and %d are in use", held, s.env.Memory.InUse)
	}
	return nil
}

// checkWaits walks the TIME-WAITs: in the order in which they end.
func (s *shard) checkWaits() error {
	n, before := 0, ref(0)
	for r := s.first; r != 0; r = s.waits.at(r.index()).after {
		w := s.waits.at(r.index())
		f := w.flow()
		if before != 0 && w.tcp.Deadline(s.now) < s.waits.at(before.index()).tcp.Deadline(s.now) {
			return fmt.Errorf("%v: TIME-WAIT ends before the one before it in the list", f)
		}
		if w.before != before || s.table.find(s.hash(&f), w.key) != r {
			return fmt.Errorf("%v: TIME-WAIT is not where it should be", f)
		}
		n, before = n+1, r
	}
	if n != s.waits.live || before != s.last {
		return fmt.Errorf("%d in TIME-WAIT, %d in the list", s.waits.live, n)
	}
	return nil
}
