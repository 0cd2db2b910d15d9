package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Event is one thing that has happened, as a stream of events tells it.
type Event struct {
	At         int64    `json:"at"` // ns since 1970
	Kind       string   `json:"kind"`
	Connection string   `json:"connection,omitempty"` // "": the packet belongs to none
	Shard      int      `json:"shard"`
	State      string   `json:"state,omitempty"` // before it
	Open       string   `json:"open,omitempty"`  // which of the two kinds of SYN-RECEIVED that is: passive or simultaneous
	To         string   `json:"to,omitempty"`    // after it: transitions and verdicts
	Event      string   `json:"event,omitempty"` // transitions
	Cause      string   `json:"cause,omitempty"` // transitions: call, segment, ICMP or timer
	Incident   string   `json:"incident,omitempty"`
	RFC        string   `json:"rfc,omitempty"` // the paragraph of a transition or an incident
	Reason     string   `json:"reason,omitempty"`
	Again      string   `json:"again,omitempty"` // departures: why it is sent again
	Call       string   `json:"call,omitempty"`
	Bytes      int      `json:"bytes,omitempty"` // calls
	Segment    *Segment `json:"segment,omitempty"`
	Lost       uint64   `json:"lost,omitempty"` // events that the client was too slow for, before this one
}

// Segment is a segment or a superframe.
type Segment struct {
	Flags    string      `json:"flags"` // "SYN,ACK"
	Seq      uint32      `json:"seq"`
	Ack      uint32      `json:"ack"`
	Window   int         `json:"window"` // the field, not scaled
	Text     int         `json:"text"`   // bytes
	Segments int         `json:"segments,omitempty"`
	Urgent   int         `json:"urgent,omitempty"`
	MSS      int         `json:"mss,omitempty"`
	Scale    *uint8      `json:"scale,omitempty"`
	SACKOK   bool        `json:"sack_permitted,omitempty"`
	Stamps   *[2]uint32  `json:"timestamps,omitempty"` // TSval, TSecr
	SACK     [][2]uint32 `json:"sack,omitempty"`
}

// eventKinds are the names of kinds of events.
var eventKinds = map[string]stack.Kinds{
	"transition": stack.Transitions, "incident": stack.Incidents, "arrival": stack.Arrivals, "verdict": stack.Verdicts,
	"departure": stack.Departures, "drop": stack.Drops, "call": stack.Calls,
}

var kindNames = func() map[stack.Kinds]string {
	m := map[stack.Kinds]string{}
	for name, k := range eventKinds {
		m[k] = name
	}
	return m
}()

// seen is a copy of an event, which the shard goes on without.
type seen struct {
	stack.Event
	segment tcp.Segment
	lost    uint64
}

// copyOf leaves out the text.
func copyOf(e *stack.Event) *seen {
	s := &seen{Event: *e}
	s.Packet = [3][]byte{}
	if e.Segment != nil {
		s.segment = *e.Segment
		s.segment.Text = nil
		s.Segment = &s.segment
	}
	return s
}

// tap is a tracer that queues events for a client; those for which it is too slow are counted.
type tap struct {
	queue chan *seen
	lost  atomic.Uint64
}

// tapSize is how many events wait for a client at most.
const tapSize = 8192

// strangersTap is the same for a caller who sees but some connections: anybody, perhaps.
const strangersTap = 1024

// Trace implements stack.Tracer.
func (t *tap) Trace(e *stack.Event) {
	s := copyOf(e)
	s.lost = t.lost.Swap(0)
	select {
	case t.queue <- s:
	default:
		t.lost.Add(s.lost + 1)
	}
}

// clock turns the stack's time into that of the day.
type clock int64

func newClock() clock { return clock(time.Now().UnixNano() - int64(mono.Now())) }

func (c clock) at(t mono.Time) int64 { return int64(c) + int64(t) }

// viewEvent is how an event is shown.
func viewEvent(e *seen, c clock) *Event {
	v := &Event{At: c.at(e.At), Kind: kindNames[e.Kind], Shard: e.Shard, Reason: e.Reason, Lost: e.lost}
	if e.Flow != (stack.Flow{}) {
		v.Connection = ID(e.Flow)
	}
	if e.State != 0 {
		v.State, v.Open = e.State.String(), opens[e.State]
	}
	if e.To != 0 {
		v.To = e.To.String()
	}
	switch e.Kind {
	case stack.Transitions:
		v.Event, v.Cause, v.RFC = e.Event.Event.String(), e.Event.Event.Cause().String(), observe.Paragraph(e.State, e.Event.Event)
	case stack.Incidents:
		v.Incident, v.RFC = e.Incident.String(), e.Incident.Paragraph()
	case stack.Departures:
		v.Again = e.Again.String()
	case stack.Calls:
		v.Call, v.Bytes = e.Call.String(), e.Bytes
	}
	if e.Segment != nil {
		v.Segment = SegmentOf(e.Segment, e.Text, e.GSOSize)
	}
	return v
}

// SegmentOf shows a segment with so many bytes of text, or a superframe of segments with size bytes each; 0: it is none.
func SegmentOf(g *tcp.Segment, text, size int) *Segment {
	v := &Segment{
		Flags: g.Flags.String(), Seq: uint32(g.Seq), Ack: uint32(g.Ack), Window: int(g.Window), Text: text, Urgent: int(g.Urgent),
		SACKOK: g.Options.Has&tcp.HasSACKPermitted != 0,
	}
	if size != 0 {
		v.Segments = (text + size - 1) / size
	}
	if g.Options.Has&tcp.HasMSS != 0 {
		v.MSS = int(g.Options.MSS)
	}
	if g.Options.Has&tcp.HasWindowScale != 0 {
		scale := g.Options.WindowScale
		v.Scale = &scale
	}
	if g.Options.Has&tcp.HasTimestamps != 0 {
		v.Stamps = &[2]uint32{g.Options.TSVal, g.Options.TSEcr}
	}
	for _, b := range g.Options.SACK[:g.Options.Blocks] {
		v.SACK = append(v.SACK, [2]uint32{uint32(b.From), uint32(b.To)})
	}
	return v
}

// eventQuery is which events a client wants to hear of.
type eventQuery struct {
	query
	kinds stack.Kinds
}

func parseEventQuery(v url.Values) (q eventQuery, err error) {
	for key, values := range v {
		for _, s := range values {
			switch key {
			case "kind":
				err = q.kind(s)
			case "connection":
				err = q.connection(s)
			case "local", "remote", "local_port", "remote_port":
				err = q.parameter(key, s)
			default:
				err = fmt.Errorf("there is no such parameter")
			}
			if err != nil {
				return q, fmt.Errorf("%s=%s: %w", key, s, err)
			}
		}
	}
	if q.kinds == 0 {
		q.kinds = stack.AllKinds
	}
	return q, nil
}

// kind takes names of kinds between commas.
func (q *eventQuery) kind(names string) error {
	for name := range strings.SplitSeq(names, ",") {
		k := eventKinds[name]
		if k == 0 {
			return fmt.Errorf("%q is no kind of event", name)
		}
		q.kinds |= k
	}
	return nil
}

func (q *eventQuery) connection(id string) error {
	f, err := parseID(id)
	if err != nil {
		return err
	}
	q.local, err = f.Local.Netip().Prefix(32)
	if err != nil {
		return err
	}
	q.remote, err = f.Remote.Netip().Prefix(32)
	q.localPort, q.remotePort = f.LocalPort, f.RemotePort
	return err
}

func (q *eventQuery) keepFlow(f *stack.Flow) bool { return q.keep(f, 0) }

// watch tells tracer of what a client asks for; stop ends it. Whoever can't be served is told why.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, kinds stack.Kinds, keep func(*stack.Flow) bool, tracer stack.Tracer) (stop func(), ok bool) {
	ok = ask(w, r, func(ctx context.Context) (err error) {
		stop, err = s.opt.Stack.Watch(ctx, stack.Watch{Kinds: kinds, Keep: keep, Tracer: tracer})
		return err
	})
	return stop, ok
}

// heartbeat is how often a silent stream says that it is there.
const heartbeat = 15 * time.Second

// events is a stream of server-sent events, until the client goes or the daemon ends.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	size := tapSize
	if s.keep != nil {
		size = strangersTap
	}
	t := &tap{queue: make(chan *seen, size)}
	stop, ok := s.watch(w, r, q.kinds, s.told(r, &q), t)
	if !ok {
		return
	}
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	clock := newClock()
	_, err = io.WriteString(w, ": listening\n\n")
	for err == nil && out.Flush() == nil {
		select {
		case e := <-t.queue:
			err = t.write(w, e, clock)
		case <-beat.C:
			_, err = io.WriteString(w, ":\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

// write writes an event, and those that wait behind it.
func (t *tap) write(w io.Writer, e *seen, c clock) error {
	for n := len(t.queue); ; n-- {
		v := viewEvent(e, c)
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", v.Kind, text); err != nil || n == 0 {
			return err
		}
		e = <-t.queue
	}
}
