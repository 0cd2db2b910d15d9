package stack

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// What an operator asks of a running stack. Each question is put to a shard as a task that takes a fraction of a millisecond at
// most; a million flows are many tasks, with packets between them. None of these calls may be made on a shard.

// Sight is a flow as it was at one moment.
type Sight struct {
	Flow     Flow
	Shard    int
	Orphan   bool          // its user has closed it, and it is not over
	Deadline mono.Duration // until the next of its timers is due, whichever that is; below 0: none runs
	Notes    []Note        // Find's: what was remarkable in its life
	Missing  int           // of these notes, from the middle
	tcp.Info               // of SYN-RECEIVED and of TIME-WAIT, which are kept as a few words, what is left to know
}

// The most records that one task looks at: through and through, or for their state alone.
const (
	sightsPerTask = 256
	statesPerTask = 1024
)

// The kinds of records in the order of a connection's life: one that goes on to the next during a walk is seen twice, perhaps,
// but not missed.
const (
	walkHalves = iota
	walkConns
	walkWaits
	walkKinds
)

// Cursor is a place in a walk over a stack's flows. The zero Cursor is its beginning.
type Cursor struct {
	shard, kind int
	index       uint32
}

// String is what ParseCursor reads.
func (c Cursor) String() string { return fmt.Sprintf("%d.%d.%d", c.shard, c.kind, c.index) }

// ParseCursor reads a cursor again that String has written.
func ParseCursor(s string) (c Cursor, err error) {
	if _, err := fmt.Sscanf(s, "%d.%d.%d", &c.shard, &c.kind, &c.index); err != nil || c.shard < 0 || c.kind < 0 || c.String() != s {
		return Cursor{}, fmt.Errorf("stack: %q is no cursor", s)
	}
	return c, nil
}

// Walk adds the flows that keep wants, from a place on, to list until its capacity is used up, and returns the place where the
// walk is to go on; more is false when there are no more flows. Flows that come and go meanwhile are seen or not; those that
// stay are seen. keep is called on the shards. The error is the context's, or ErrClosed.
func (s *Stack) Walk(ctx context.Context, from Cursor, keep func(*Flow, fsm.State) bool, list []Sight) (_ []Sight, at Cursor, more bool, err error) {
	for at = from; at.shard < len(s.shards); {
		if len(list) == cap(list) {
			return list, at, true, nil
		}
		sh := s.shards[at.shard]
		err := s.ask(ctx, sh, func() { list, at = sh.look(at, keep, list) })
		if err != nil {
			return nil, at, false, err
		}
	}
	return list, at, false, nil
}

// look is one task of a walk.
func (s *shard) look(at Cursor, keep func(*Flow, fsm.State) bool, list []Sight) ([]Sight, Cursor) {
	var see func(uint32, func(*Flow, fsm.State) bool, *Sight) bool
	var end uint32
	switch at.kind {
	case walkHalves:
		see, end = s.seeHalf, s.halves.next
	case walkConns:
		see, end = s.seeConn, s.conns.next
	case walkWaits:
		see, end = s.seeWait, s.waits.next
	}
	i := max(1, at.index)
	for range sightsPerTask {
		if i >= end || len(list) == cap(list) {
			break
		}
		list = list[:len(list)+1]
		if !see(i, keep, &list[len(list)-1]) {
			list = list[:len(list)-1]
		}
		i++
	}
	switch {
	case i < end:
		return list, Cursor{at.shard, at.kind, i}
	case at.kind+1 < walkKinds:
		return list, Cursor{at.shard, at.kind + 1, 0}
	}
	return list, Cursor{at.shard + 1, 0, 0}
}

func (s *shard) seeHalf(i uint32, keep func(*Flow, fsm.State) bool, to *Sight) bool {
	rec := s.halves.at(i)
	f := rec.flow()
	if rec.localPort == 0 || !keep(&f, fsm.SynRcvd) {
		return false
	}
	rec.tcp.Unpack(&s.env, &s.temp)
	s.describe(f, &s.temp, rec.tcp.Deadline(), to)
	return true
}

func (s *shard) seeConn(i uint32, keep func(*Flow, fsm.State) bool, to *Sight) bool {
	rec := s.conns.at(i)
	f := rec.flow()
	if rec.localPort == 0 || !keep(&f, rec.tcp.State()) {
		return false
	}
	s.describe(f, &rec.tcp, rec.tcp.Deadline(), to)
	to.Orphan = rec.orphan
	return true
}

func (s *shard) seeWait(i uint32, keep func(*Flow, fsm.State) bool, to *Sight) bool {
	rec := s.waits.at(i)
	f := rec.flow()
	if rec.localPort == 0 || !keep(&f, fsm.TimeWait) {
		return false
	}
	rec.tcp.Unpack(&s.env, s.now, &s.temp)
	s.describe(f, &s.temp, rec.tcp.Deadline(s.now), to)
	return true
}

func (s *shard) describe(f Flow, c *tcp.Conn, deadline mono.Time, to *Sight) {
	*to = Sight{Flow: f, Shard: s.id, Deadline: -1, Info: c.Info(&s.env, s.now)}
	if deadline != mono.Never {
		to.Deadline = max(0, deadline.Sub(s.now))
	}
}

// Find is the flow f, if there is one. The error is the context's, or ErrClosed.
func (s *Stack) Find(ctx context.Context, f Flow) (to Sight, found bool, err error) {
	k, all := keyOf(&f), func(*Flow, fsm.State) bool { return true }
	for _, sh := range s.shards {
		err := s.ask(ctx, sh, func() {
			switch r := sh.table.find(sh.hash(&f), k); r.kind() {
			case kindHalf:
				found = sh.seeHalf(r.index(), all, &to)
			case kindConn:
				found = sh.seeConn(r.index(), all, &to)
				to.Notes, to.Missing = sh.recorder.notes(r.index(), sh.conns.at(r.index()).flight)
			case kindWait:
				found = sh.seeWait(r.index(), all, &to)
			}
		})
		if err != nil || found {
			return to, found, err
		}
	}
	return Sight{}, false, nil
}

// Abort ends the flow f with a RST, as its user's Abort would; one in TIME-WAIT is forgotten. It reports false if there is none. The
// error is the context's, or ErrClosed.
func (s *Stack) Abort(ctx context.Context, f Flow) (found bool, err error) {
	for _, sh := range s.shards {
		err := s.ask(ctx, sh, func() { found = sh.abort(f) })
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

func (s *shard) abort(f Flow) bool {
	h := s.hash(&f)
	switch r := s.table.find(h, keyOf(&f)); r.kind() {
	case kindConn:
		c := Conn{s, r.index()}
		c.enter().tcp.Evict(&s.env, s.now)
		c.Flush()
	case kindHalf:
		s.workApart(&f)
		s.unpack(&s.halves.at(r.index()).tcp)
		s.temp.Evict(&s.env, s.now)
		s.sendHalf(r, h, &f, nil)
	case kindWait:
		s.dropWait(r, h)
	default:
		return false
	}
	return true
}

// States counts the flows in each state; no state that has none is in it. The error is the context's, or ErrClosed.
func (s *Stack) States(ctx context.Context) (map[fsm.State]int, error) {
	count := map[fsm.State]int{}
	for _, sh := range s.shards {
		n, err := s.countStates(ctx, sh)
		if err != nil {
			return nil, err
		}
		for state, n := range n {
			if n > 0 {
				count[fsm.State(state)] += n
			}
		}
	}
	return count, nil
}

func (s *Stack) countStates(ctx context.Context, sh *shard) (count [1 << 8]int, err error) {
	for i, more := uint32(1), true; more; {
		err := s.ask(ctx, sh, func() {
			if i == 1 {
				count[fsm.SynRcvd], count[fsm.TimeWait] = sh.halves.live, sh.waits.live
			}
			for end := min(i+statesPerTask, sh.conns.next); i < end; i++ {
				if rec := sh.conns.at(i); rec.localPort != 0 {
					count[rec.tcp.State()]++
				}
			}
			more = i < sh.conns.next
		})
		if err != nil {
			return count, err
		}
	}
	return count, nil
}

// Progress returns once every shard has come to the part of a turn in which it hears other goroutines: it has read packets, and
// its timers have been looked at. The error is the context's, when it ends first, or ErrClosed.
func (s *Stack) Progress(ctx context.Context) error {
	for _, sh := range s.shards {
		if err := s.ask(ctx, sh, func() {}); err != nil {
			return fmt.Errorf("shard %d: %w", sh.id, err)
		}
	}
	return nil
}

// ask runs f on the shard, as Do does, but not if the context ends first. Once it has returned, f has run or never will.
func (s *Stack) ask(ctx context.Context, sh *shard, f func()) error {
	if !s.started.Load() {
		f()
		return nil
	}
	var taken atomic.Bool
	done := make(chan struct{})
	if !sh.post(NewTask(func() {
		if !taken.Swap(true) {
			f()
			close(done)
		}
	})) {
		return ErrClosed
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	case <-sh.over:
	}
	if taken.Swap(true) { // it is running, or has run
		<-done
		return nil
	}
	return errors.Join(ctx.Err(), closedIf(sh))
}

// closedIf is ErrClosed when the shard has ended.
func closedIf(s *shard) error {
	select {
	case <-s.over:
		return ErrClosed
	default:
		return nil
	}
}
