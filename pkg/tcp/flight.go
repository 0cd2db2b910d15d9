package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// flight is the scoreboard: what lies between SND.UNA and SND.NXT, as spans in the order of their sequence numbers
// (RFC 6675 section 3, with the times that RFC 8985 wants). What was sent in one turn is one span until an
// acknowledgment tells its parts apart, so that the list grows with the turns and the losses in flight, and not with
// the window. Only the last segment of a span may be short: so the borders of the others are known.
type flight struct {
	spans  []span
	head   int // spans[:head] are acknowledged
	room   int // of spans, as counted in Memory.Lists
	sacked uint32
	lost   uint32
}

// spanBytes is the size of a span in memory.
const spanBytes = 56

// span is a run of the stream whose bytes have the same fate. It begins where the one before it ends.
type span struct {
	end   seq.Num
	fate  fate
	again bool      // it has been sent more than once
	probe bool      // it is a probe of the path's MTU, one segment
	at    mono.Time // of the last sending

	// For the delivery rate (rate.go), as they were at the last sending.
	delivered   uint64
	deliveredAt mono.Time
	firstAt     mono.Time
	appLimited  bool
	flight      uint32 // in flight with it; a merged span has that of its last part
	lost        uint32 // bytes found lost by then, round the ring
}

// fate is what is known of a span.
type fate uint8

const (
	flying fate = iota
	sacked      // the peer has it
	lost        // it is to be sent again
)

func (f *flight) live() []span { return f.spans[f.head:] }

// start is where span i of live begins.
func (f *flight) start(una seq.Num, i int) seq.Num {
	if i == 0 {
		return una
	}
	return f.live()[i-1].end
}

// push appends what has just been sent for the first time, in segments of mss bytes.
func (f *flight) push(una seq.Num, s span, mss uint32) {
	if n := len(f.live()); n > 0 {
		last := &f.live()[n-1]
		if last.at == s.at && last.fate == flying && !last.again && last.appLimited == s.appLimited && !last.probe && !s.probe &&
			last.end.Sub(f.start(una, n-1))%mss == 0 {
			last.end, last.flight = s.end, s.flight
			return
		}
	}
	if f.head > 32 && f.head > len(f.spans)/2 {
		f.spans = f.spans[:copy(f.spans, f.spans[f.head:])]
		f.head = 0
	}
	f.spans = append(f.spans, s)
}

// pop takes off the first span.
func (f *flight) pop() {
	f.head++
	if f.head == len(f.spans) {
		f.spans, f.head = f.spans[:0], 0
	}
}

// cut makes at a border between spans: it returns the index of the span that begins there.
func (f *flight) cut(una, at seq.Num) int {
	i := f.index(una, at)
	if i == len(f.live()) || f.start(una, i) == at {
		return i
	}
	f.spans = append(f.spans, span{})
	live := f.live()
	copy(live[i+1:], live[i:])
	live[i].end = at
	return i + 1
}

// index is the span that at lies in; the number of spans if it lies behind all.
func (f *flight) index(una, at seq.Num) int {
	live := f.live()
	from := at.Sub(una)
	i, j := 0, len(live)
	for i < j {
		if m := (i + j) / 2; live[m].end.Sub(una) <= from {
			i = m + 1
		} else {
			j = m
		}
	}
	return i
}

// join merges span i with its neighbours that share its fate and can be told apart no more.
func (f *flight) join(i int) {
	live := f.live()
	alike := func(a, b *span) bool {
		return a.fate == b.fate && (a.fate == sacked || a.fate == lost && a.again == b.again && a.at == b.at)
	}
	from, to := i, i+1
	for from > 0 && alike(&live[from-1], &live[i]) {
		from--
	}
	for to < len(live) && alike(&live[to], &live[i]) {
		to++
	}
	if to-from > 1 {
		live[i].end = live[to-1].end
		live[from] = live[i]
		f.spans = f.spans[:f.head+from+1+copy(live[from+1:], live[to:])]
	}
}

// joinLost merges what is lost and lies together: what was sent as one may since have been cut to pieces.
func (f *flight) joinLost() {
	live := f.live()
	n := 0
	for i := range live {
		if n > 0 && live[n-1].fate == lost && live[i].fate == lost {
			live[n-1].end, live[n-1].again = live[i].end, true // which of them is acknowledged is not known (Karn)
			continue
		}
		live[n] = live[i]
		n++
	}
	f.spans = f.spans[:f.head+n]
}

// maxSpans bounds the spans of a scoreboard, into which a peer's SACKs, or his small segments acknowledged one by one, cut
// what is in flight (CVE-2019-11478); fewSpans does while all lists together take too much.
const (
	maxSpans = 4096
	fewSpans = 64
)

// mostSpans is how many spans a scoreboard may have now.
func (m *Memory) mostSpans() int {
	if m.listsFull() {
		return fewSpans
	}
	return maxSpans
}

// makeRoom keeps the scoreboard from growing beyond its bound: neighbours of the same fate become one. What is lost is when
// each of them was sent, so that no round trip is measured by them (Karn's rule).
func (m *Memory) makeRoom(f *flight) {
	live := f.live()
	if len(live) < m.mostSpans() {
		return
	}
	n := 0
	for i := 0; i < len(live); i++ {
		live[n] = live[i]
		if i+1 < len(live) && live[i].fate == live[i+1].fate && !live[i].probe && !live[i+1].probe {
			i++
			live[n].absorb(&live[i])
		}
		n++
	}
	f.spans = f.spans[:f.head+n]
}

// absorb makes s what s and its neighbour t, which lies behind it, are together: sent when the later of them was.
func (s *span) absorb(t *span) {
	again := s.again || t.again || s.at != t.at
	if s.at <= t.at {
		*s = *t
	}
	s.end, s.again = t.end, again
}

// weigh counts the room that the scoreboard has taken.
func (m *Memory) weigh(f *flight) {
	m.Lists += (cap(f.spans) - f.room) * spanBytes
	f.room = cap(f.spans)
}

// resent is how many bytes have been sent again, and are thought to be in flight.
func (f *flight) resent(una seq.Num) (n int) {
	for i, s := range f.live() {
		if s.fate == flying && s.again {
			n += int(s.end.Sub(f.start(una, i)))
		}
	}
	return n
}

// flightOf returns the connection's scoreboard, which is attached while anything is in flight.
func (m *Memory) flightOf(h *handle) *flight {
	if *h == 0 {
		if k := len(m.freeFlights); k > 0 {
			*h = m.freeFlights[k-1]
			m.freeFlights = m.freeFlights[:k-1]
		} else {
			m.flights = append(m.flights, flight{})
			*h = handle(len(m.flights) - 1)
		}
	}
	return &m.flights[*h]
}

// maxKeptSpans bounds the spans that a scoreboard given back keeps room for.
const maxKeptSpans = 8

func (m *Memory) freeFlight(h *handle) {
	if *h == 0 {
		return
	}
	f := &m.flights[*h]
	spans := f.spans[:0]
	if cap(spans) > maxKeptSpans {
		spans = nil
	}
	*f = flight{spans: spans, room: f.room}
	m.weigh(f)
	m.freeFlights = append(m.freeFlights, *h)
	*h = 0
}

// outstanding is what is sent and not acknowledged by SND.UNA, in bytes.
func (c *Conn) outstanding() uint32 { return c.snd.nxt.Sub(c.snd.una) }

// pipe is what is thought to be in the network, in bytes (RFC 6675 section 4): all that is outstanding, but what the
// peer has and what is lost. Without SACK each duplicate ACK stands for one segment that the peer has.
func (c *Conn) pipe(x *Env) uint32 {
	n := c.outstanding()
	if c.snd.flight == 0 {
		return n
	}
	f := &x.Memory.flights[c.snd.flight]
	gone := f.sacked + f.lost
	if !c.is(factSACK) {
		gone += uint32(c.snd.dupAcks) * uint32(c.snd.mss)
	}
	return n - min(n, gone)
}
