package stack

import (
	"cmp"
	"context"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// The flight recorder keeps what was remarkable in a connection's life: transitions, incidents and segments that were not
// taken, not the text that came and went as it should. A connection has a record from the end of its handshake on, or from
// its first trouble before. Records lie in a pool of a fixed size; when that is used up, whoever has something to note takes
// the record that was taken longest ago. So what costs memory is what happens, not what is there.

// Note is one entry of a flight record.
type Note struct {
	At       mono.Time
	Kind     Kinds // Transitions, Incidents or Drops
	State    fsm.State
	To       fsm.State    // Transitions
	Event    fsm.Event    // Transitions
	Incident tcp.Incident // Incidents
	Drop     tcp.Drop     // Drops
	Flags    tcp.Flags    // Drops: of the segment
	Seq      seq.Num      // Drops
	Text     uint32       // Drops: bytes; Incidents: so often in a row beyond the first time
}

// How many notes a record has, of which the first are never overwritten: they tell how it began.
const (
	maxNotes   = 12
	firstNotes = 4
)

// flight is a record.
type flight struct {
	owner uint32 // the connection's index; endings.mark and the place in the list; 0: nobody's
	count uint32 // of notes ever
	notes [maxNotes]Note
}

// What marks owners that are no connections any more.
const (
	markEnded  uint32 = 1 << 31
	markFailed uint32 = 1<<31 | 1<<30
)

// flightSize is that of a flight in bytes (TestFlightSize).
const flightSize = 296

func (f *flight) add(n Note) {
	if f.count > 0 {
		last := &f.notes[notePlace(f.count-1)]
		if n.Kind == Incidents && last.Kind == Incidents && last.Incident == n.Incident && last.State == n.State {
			last.Text++
			return
		}
	}
	f.notes[notePlace(f.count)] = n
	f.count++
}

// notePlace is where the note with a number lies, from 0 on.
func notePlace(i uint32) uint32 {
	if i < maxNotes {
		return i
	}
	return firstNotes + (i-firstNotes)%(maxNotes-firstNotes)
}

// list is the notes in order.
func (f *flight) list() []Note {
	if f.count <= maxNotes {
		return slices.Clone(f.notes[:f.count])
	}
	at := firstNotes + (f.count-firstNotes)%(maxNotes-firstNotes)
	return slices.Concat(f.notes[:firstNotes], f.notes[at:], f.notes[firstNotes:at])
}

// ending is a connection that is over, or that has become a TIME-WAIT.
type ending struct {
	key
	flight uint32 // 0: it had no record
	at     mono.Time
	state  fsm.State // TIME-WAIT or CLOSED
	tally  tcp.Tally
}

// endings are the last connections of a kind that are over.
type endings struct {
	list []ending
	next int // place in list
	most int
	mark uint32 // of the owner of a record, with the place
}

// How many connections that are over a shard remembers: of those that were open, and of those that were half-open to their
// end, of which a flood must not wash out the others.
const (
	maxEndings = 256
	maxFailed  = 64
)

// recorder is a shard's flight recorder.
type recorder struct {
	most    int // records
	blocks  [][]flight
	had     uint32 // the last record that was ever taken
	free    []uint32
	hand    uint32 // the record taken last, once there is none that is nobody's
	ended   endings
	failed  endings
	passing flight // of what is worked on and has no place for a record: it may come to be one of those that have failed
}

func newRecorder(bytes int) recorder {
	return recorder{
		most: max(bytes, 0) / flightSize, ended: endings{most: maxEndings, mark: markEnded}, failed: endings{most: maxFailed, mark: markFailed},
	}
}

func (r *recorder) on() bool { return r.most > maxEndings+maxFailed }

// flightsLog is how many records a block has, as a power of two.
const flightsLog = 8

func (r *recorder) at(i uint32) *flight { return &r.blocks[i>>flightsLog][i&(1<<flightsLog-1)] }

// take gives owner a record, for which no memory of anybody's own is needed.
func (r *recorder) take(owner uint32) uint32 {
	var i uint32
	switch k := len(r.free); {
	case k > 0:
		i, r.free = r.free[k-1], r.free[:k-1]
	case int(r.had)+1 < r.most:
		r.had++ // 0 is none
		if i = r.had; int(i>>flightsLog) == len(r.blocks) {
			r.blocks = append(r.blocks, make([]flight, 1<<flightsLog))
		}
	default:
		if r.hand++; r.hand > r.had {
			r.hand = 1
		}
		i = r.hand
	}
	f := r.at(i)
	f.owner, f.count = owner, 0
	return i
}

// of is the record that a connection or an ending has, if it has not been taken from it.
func (r *recorder) of(owner, flight uint32) *flight {
	if flight == 0 {
		return nil
	}
	if f := r.at(flight); f.owner == owner {
		return f
	}
	return nil
}

// record notes something about the connection that is worked on.
func (s *shard) record(n Note) {
	if !s.recorder.on() {
		return
	}
	rec := s.conns.at(s.current)
	f := s.recorder.of(s.current, rec.flight)
	if f == nil {
		rec.flight = s.recorder.take(s.current)
		f = s.recorder.at(rec.flight)
	}
	n.At = s.now
	f.add(n)
}

// recordDrop notes a segment that the connection worked on has not taken.
func (s *shard) recordDrop(d tcp.Drop, g *tcp.Segment) {
	s.record(Note{
		Kind: Drops, State: s.conns.at(s.current).tcp.State(), Drop: d, Flags: g.Flags, Seq: g.Seq, Text: uint32(len(g.Text)),
	})
}

// remember puts e where the one was that has been over for longest; owner is whose its record is to be.
func (r *recorder) remember(list *endings, e ending) (kept *ending, owner uint32) {
	if len(list.list) < list.most {
		list.next = len(list.list)
		list.list = append(list.list, ending{})
	}
	kept, owner = &list.list[list.next], list.mark|uint32(list.next)
	if r.of(owner, kept.flight) != nil {
		r.at(kept.flight).owner = 0
		r.free = append(r.free, kept.flight)
	}
	*kept = e
	list.next = (list.next + 1) % list.most
	return kept, owner
}

// conclude keeps what there is to tell of a connection that is over.
func (s *shard) conclude(i uint32) {
	r, rec := &s.recorder, s.conns.at(i)
	if !r.on() {
		return
	}
	e, owner := r.remember(&r.ended, ending{key: rec.key, at: s.now, state: rec.tcp.State(), tally: rec.tcp.Tally()})
	if f := r.of(i, rec.flight); f != nil {
		f.owner, e.flight = owner, rec.flight
	}
}

// fail keeps what there is to tell of a half-open connection, in s.temp, that is over.
func (s *shard) fail(f *Flow) {
	r := &s.recorder
	if !r.on() {
		return
	}
	e, owner := r.remember(&r.failed, ending{key: keyOf(f), at: s.now, state: s.temp.State(), tally: s.temp.Tally()})
	e.flight = r.take(owner)
	kept := r.at(e.flight)
	kept.add(Note{At: s.temp.SYNSent(), Kind: Transitions, State: fsm.Listen, Event: fsm.RcvSYN, To: fsm.SynRcvd})
	for _, n := range r.passing.list() {
		kept.add(n)
	}
}

// pass notes something about what has no place for a record.
func (r *recorder) pass(n Note, now mono.Time) {
	n.At = now
	r.passing.add(n)
}

// Ending is a connection that is over, or that has only TIME-WAIT before it. One that came no further than SYN-RECEIVED tells
// of its beginning and of its end.
type Ending struct {
	Flow  Flow
	Shard int
	At    mono.Time
	State fsm.State // CLOSED or TIME-WAIT
	tcp.Tally
	Notes   []Note
	Missing int // of these notes, from the middle
}

// Endings are the connections that ended last, the latest first. The error is the context's, or ErrClosed.
func (s *Stack) Endings(ctx context.Context) (list []Ending, err error) {
	for _, sh := range s.shards {
		if err := s.ask(ctx, sh, func() { list = sh.ended(list) }); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(a, b Ending) int { return cmp.Compare(b.At, a.At) })
	return list, nil
}

func (s *shard) ended(list []Ending) []Ending {
	for _, of := range []*endings{&s.recorder.ended, &s.recorder.failed} {
		for k := range of.list {
			i := (of.next + of.most - 1 - k) % of.most % len(of.list)
			e := &of.list[i]
			n := Ending{Flow: e.key.flow(), Shard: s.id, At: e.at, State: e.state, Tally: e.tally}
			n.Notes, n.Missing = s.recorder.notes(of.mark|uint32(i), e.flight)
			list = append(list, n)
		}
	}
	return list
}

// notes are those of a record, and how many of them are lost.
func (r *recorder) notes(owner, at uint32) ([]Note, int) {
	f := r.of(owner, at)
	if f == nil {
		return nil, 0
	}
	return f.list(), int(max(f.count, maxNotes) - maxNotes)
}
