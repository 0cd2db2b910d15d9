package stack

import (
	"context"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Kinds are kinds of events, as a set.
type Kinds uint8

// The kinds.
const (
	Transitions Kinds = 1 << iota // the machine has moved, or ordered something where it stands
	Incidents                     // timers, episodes of loss and congestion (tcp.Incident)
	Arrivals                      // a segment has come, and nothing is made of it yet
	Verdicts                      // it has been dealt with
	Departures                    // a segment or superframe is sent
	Drops                         // a packet, or a segment, is not taken
	Calls                         // the user has called
	AllKinds    = Calls<<1 - 1
)

// Call is what a user has called.
type Call uint8

// The calls.
const (
	CallOpen Call = iota
	CallWrite
	CallRead
	CallCloseWrite
	CallCloseRead
	CallClose
	CallAbort
)

// String is the call's name in events.
func (c Call) String() string {
	return [...]string{"open", "write", "read", "close_write", "close_read", "close", "abort"}[c]
}

// Event is one thing that has happened. What it points to is valid until Tracer.Trace returns.
type Event struct {
	Kind  Kinds // one
	At    mono.Time
	Shard int
	Flow  Flow      // the zero Flow: of a packet that belongs to none
	State fsm.State // Transitions and Verdicts: before it; LISTEN and CLOSED of what has no connection
	To    fsm.State // Transitions and Verdicts: after it

	Event    fsm.Event    // Transitions: what has moved the machine
	Incident tcp.Incident // Incidents

	Segment *tcp.Segment // Arrivals, Verdicts and Departures; Drops of a segment, whose verdict follows
	Text    int          // of it, in bytes
	GSOSize int          // and of each segment, if it is a superframe; else 0
	Again   tcp.Resend   // Departures
	Packet  [3][]byte    // the IP packet, in up to three pieces; checksums of Departures may be left to the device

	Reason string // Drops and Verdicts: the name that counters have for why it was not taken; "": it was

	Call  Call // Calls
	Bytes int  // of a write or a read
}

// Tracer is told of events, on the goroutine of a shard. It must not block, keep what the event points to, or call the stack.
type Tracer interface{ Trace(e *Event) }

// Watch is what a tracer is to be told of.
type Watch struct {
	Kinds  Kinds
	Keep   func(*Flow) bool // whether a flow is of interest, asked on the shards; nil: all are
	Tracer Tracer
}

// Watch has w's tracer told of events from now on until stop is called; after that it is told of nothing. Without watches an
// event costs one branch. The error is the context's, or ErrClosed; it may not be called on a shard.
func (s *Stack) Watch(ctx context.Context, w Watch) (stop func(), err error) {
	id := &w // Watch is no key: it holds a func
	for i, sh := range s.shards {
		if err := s.ask(ctx, sh, func() { sh.watch(id) }); err != nil {
			s.unwatch(s.shards[:i], id)
			return nil, err
		}
	}
	return func() { s.unwatch(s.shards, id) }, nil
}

func (s *Stack) unwatch(shards []*shard, w *Watch) {
	for _, sh := range shards {
		if s.ask(context.Background(), sh, func() { sh.unwatch(w) }) != nil {
			<-sh.over // it tells nobody any more
		}
	}
}

func (s *shard) watch(w *Watch) {
	s.watches = append(s.watches, w)
	s.listen()
}

func (s *shard) unwatch(w *Watch) {
	s.watches = slices.DeleteFunc(s.watches, func(o *Watch) bool { return o == w })
	s.listen()
}

// listen hears what the watches and the recorder want to know, and no more.
func (s *shard) listen() {
	s.heard = 0
	for _, w := range s.watches {
		s.heard |= w.Kinds
	}
	s.env.Trace = nil
	if s.heard&(Transitions|Incidents) != 0 || s.recorder.on() {
		s.env.Trace = s
	}
}

// wanted reports that somebody wants to hear of such events of a flow. It is asked before anything is looked up for them: a
// trace of one connection costs the others a comparison.
func (s *shard) wanted(k Kinds, f *Flow) bool {
	if s.heard&k == 0 {
		return false
	}
	s.event.Flow = *f // so that f itself is not allocated
	for _, w := range s.watches {
		if w.Kinds&k != 0 && (w.Keep == nil || w.Keep(&s.event.Flow)) {
			return true
		}
	}
	return false
}

// tell fills in the event at hand and passes it to those who want it.
func (s *shard) tell(e Event) {
	s.event = e // so that it is not allocated
	s.event.At, s.event.Shard = s.stack.cfg.Now(), s.id
	for _, w := range s.watches {
		if w.Kinds&e.Kind != 0 && (w.Keep == nil || w.Keep(&s.event.Flow)) {
			w.Tracer.Trace(&s.event)
		}
	}
}

// Transition implements tcp.Tracer.
func (s *shard) Transition(_ *tcp.Conn, from fsm.State, e fsm.Event, to fsm.State) {
	if n := (Note{Kind: Transitions, State: from, Event: e, To: to}); s.current == 0 {
		s.recorder.pass(n, s.now)
	} else if from != fsm.Closed {
		s.record(n)
	}
	if s.heard&Transitions != 0 {
		s.tell(Event{Kind: Transitions, Flow: s.flow, State: from, Event: e, To: to})
	}
}

// Incident implements tcp.Tracer.
func (s *shard) Incident(c *tcp.Conn, i tcp.Incident) {
	if n := (Note{Kind: Incidents, State: c.State(), Incident: i}); s.current == 0 {
		s.recorder.pass(n, s.now)
	} else if i != tcp.IncidentDelayedACK {
		s.record(n)
	}
	if s.heard&Incidents != 0 {
		s.tell(Event{Kind: Incidents, Flow: s.flow, State: c.State(), Incident: i})
	}
}

// stateOf is the state of a flow as an outsider sees it: LISTEN where a SYN would be heard, CLOSED where it would not.
func (s *shard) stateOf(h uint64, f *Flow) fsm.State {
	switch r := s.table.find(h, keyOf(f)); r.kind() {
	case kindConn:
		return s.conns.at(r.index()).tcp.State()
	case kindHalf:
		return fsm.SynRcvd
	case kindWait:
		return fsm.TimeWait
	}
	if s.stack.listeners.Load().find(f.Local, f.LocalPort) != nil {
		return fsm.Listen
	}
	return fsm.Closed
}

// demuxWatched is demux with somebody listening.
func (s *shard) demuxWatched(h uint64, r ref, a *arrival, f *Flow, g *tcp.Segment) {
	s.came = *g // g itself is changed on the way
	e := Event{
		Kind: Arrivals, Flow: *f, State: s.stateOf(h, f), Segment: &s.came, Text: len(g.Text), GSOSize: int(a.gso), Packet: [3][]byte{a.raw},
	}
	s.tell(e)
	s.reason = ""
	s.demux(h, r, f, g)
	e.Kind, e.To, e.Reason = Verdicts, s.stateOf(h, f), s.reason
	s.tell(e)
	s.came = tcp.Segment{}
}

// dropped tells why the packet at hand is not taken.
func (s *shard) dropped(reason string) {
	s.reason = reason
	if s.heard&Drops == 0 {
		return
	}
	e := Event{Kind: Drops, Flow: s.flow, Reason: reason, Packet: [3][]byte{s.raw}}
	if s.came.SrcPort != 0 {
		e.Segment = &s.came
	}
	s.tell(e)
}

func (s *shard) dropTCP(d tcp.Drop) {
	s.counters.TCP[d]++
	if s.heard != 0 {
		s.dropped(d.String())
	}
}

func (s *shard) dropIP(d ip.Drop) {
	s.counters.IP[d]++
	if s.heard != 0 {
		s.dropped(d.String())
	}
}

func (s *shard) drop(d Drop) {
	s.counters.Stack[d]++
	if s.heard != 0 {
		s.dropped(d.String())
	}
}

// departed tells of the packet that is about to be written.
func (s *shard) departed(f *Flow, o *tcp.Out, text int) {
	s.tell(Event{
		Kind: Departures, Flow: *f, State: s.stateOf(s.hash(f), f), Segment: &o.Segment, Text: text, GSOSize: int(o.GSOSize), Again: o.Again,
		Packet: [3][]byte{s.packet.Head, s.packet.Body[0], s.packet.Body[1]},
	})
}

// called tells of a call of the user's.
func (c Conn) called(call Call, n int) {
	if c.shard.heard&Calls == 0 {
		return
	}
	rec := c.record()
	if f := rec.flow(); c.shard.wanted(Calls, &f) {
		c.shard.tell(Event{Kind: Calls, Flow: f, State: rec.tcp.State(), Call: call, Bytes: n})
	}
}
