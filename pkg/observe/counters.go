package observe

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Counters are totals over all shards since the start, and what there is now. PacketsRead is always Delivered plus
// the sum of Drops.
type Counters struct {
	PacketsRead    uint64            `json:"packets_read"`
	Delivered      uint64            `json:"delivered"`
	Drops          map[string]uint64 `json:"drops"`
	PacketsWritten uint64            `json:"packets_written"`
	WriteErrors    uint64            `json:"write_errors"`
	Forwarded      uint64            `json:"forwarded"`    // packets that came to another shard than their connection's
	DeviceDrops    uint64            `json:"device_drops"` // by the kernel, before they could be read

	Opened            uint64 `json:"opened"`   // connections by us
	Accepted          uint64 `json:"accepted"` // connections by listeners
	Ended             uint64 `json:"ended"`
	ResetsSent        uint64 `json:"resets_sent"`
	TimeWaitEvicted   uint64 `json:"time_wait_evicted"`
	OrphansAborted    uint64 `json:"orphans_aborted"`
	Deferred          uint64 `json:"deferred"`           // requests that an admission hook did not decide on at once
	FastOpens         uint64 `json:"fast_opens"`         // connections that the cookie of a client opened
	CookiesSent       uint64 `json:"cookies_sent"`       // SYN,ACKs without a record
	CookiesTaken      uint64 `json:"cookies_taken"`      // connections that came of them
	Panics            uint64 `json:"panics"`             // of handlers: their connections were reset
	MemoryAborted     uint64 `json:"memory_aborted"`     // connections ended for want of memory: their peers took nothing for long
	Reneged           uint64 `json:"reneged"`            // connections whose text out of order was forgotten for want of memory
	ICMPErrors        uint64 `json:"icmp_errors"`        // sent
	ICMPLimited       uint64 `json:"icmp_limited"`       // not sent, for there were too many
	Pings             uint64 `json:"pings"`              // answered
	Challenges        uint64 `json:"challenges"`         // ACKs that no text asked for (RFC 5961)
	ChallengesLimited uint64 `json:"challenges_limited"` // those that a limit has kept back
	SACKIgnored       uint64 `json:"sack_ignored"`       // blocks without a whole segment, or for which there was no room
	Impossible        uint64 `json:"impossible"`         // events that the state machine has no cell for: bugs
	NoMemory          uint64 `json:"no_memory"`

	Connections   int    `json:"connections"`
	HalfOpen      int    `json:"half_open"`
	TimeWait      int    `json:"time_wait"`
	Orphans       int    `json:"orphans"` // connections that nobody holds any more
	RingBytes     int    `json:"ring_bytes"`
	ListBytes     int    `json:"list_bytes"` // of scoreboards and of lists of text out of order
	FragmentBytes int    `json:"fragment_bytes"`
	FragmentsHeld uint64 `json:"fragments_held"`
	Turns         uint64 `json:"turns"`
	TurnLength    Times  `json:"turn_us"`       // how many turns took less than so many microseconds, and half of that or more
	TimerLate     Times  `json:"timer_late_us"` // the same of how late connections' timers were looked at

	SegmentsRead     uint64            `json:"segments_read"` // of TCP, each of a superframe counted
	SegmentsWritten  uint64            `json:"segments_written"`
	TextReceived     uint64            `json:"text_received"`     // bytes, each once
	TextAcknowledged uint64            `json:"text_acknowledged"` // bytes and FINs that peers have
	Resent           map[string]uint64 `json:"resent"`            // segments and superframes sent again, by reason
	Incidents        map[string]uint64 `json:"incidents"`         // timers, and episodes of loss and congestion
	Transitions      []Transition      `json:"transitions"`
	RTT              Times             `json:"rtt_us"`       // round trips, as measured
	Handshake        Times             `json:"handshake_us"` // from our SYN to its acknowledgment

	DatagramsCompleted uint64 `json:"datagrams_completed"`
	DatagramsTimedOut  uint64 `json:"datagrams_timed_out"`
	DatagramsEvicted   uint64 `json:"datagrams_evicted"`
	DatagramsCondemned uint64 `json:"datagrams_condemned"`

	Listeners map[uint16]Listener `json:"listeners"` // by port
}

// Transition is how often connections have gone from one state to another, or stayed with something to do, for one reason.
type Transition struct {
	From  string `json:"from"`
	Event string `json:"event"`
	Cause string `json:"cause"` // call, segment, ICMP or timer
	To    string `json:"to"`
	Count uint64 `json:"count"`
}

// Listener is how busy the listeners of a port are, all addresses together.
type Listener struct {
	HalfOpen   int    `json:"half_open"`
	Waiting    int    `json:"waiting"`   // connections, to be taken out of the accept queue
	FastOpen   int    `json:"fast_open"` // connections opened by cookies, to be confirmed by the end of their handshake
	Deferred   int    `json:"deferred"`  // requests, to be decided on by the admission hook
	Accepted   uint64 `json:"accepted"`
	Cookies    uint64 `json:"cookies"`     // SYNs answered by cookies
	Full       uint64 `json:"full"`        // handshakes kept waiting by the backlog
	SourceFull uint64 `json:"source_full"` // and by what one source may have of it
}

// Times counts lengths of time by the power of two, in microseconds, that they are below.
type Times map[uint64]uint64

func (t Times) add(d *mono.Histogram) {
	for i, n := range d {
		if n > 0 {
			t[1<<i] += n
		}
	}
}

// dropMalformed is the reason of packets that the device described in a way that made no sense.
const dropMalformed = "device_malformed"

func newCounters() Counters {
	return Counters{
		Drops: map[string]uint64{}, Resent: map[string]uint64{}, Incidents: map[string]uint64{}, Transitions: []Transition{},
		Listeners: map[uint16]Listener{}, TurnLength: Times{}, TimerLate: Times{}, RTT: Times{}, Handshake: Times{},
	}
}

// Collect adds the shards of s up, and its listeners by port. malformed are packets that were read and never reached a shard, deviceDrops those
// that the kernel had no room for.
func Collect(s *stack.Stack, listeners []*stack.Listener, malformed, deviceDrops uint64) Counters {
	t := newCounters()
	t.DeviceDrops = deviceDrops
	t.malformed(malformed)
	for i := range s.Shards() {
		c := s.Counters(i)
		t.add(&c)
	}
	for _, l := range listeners {
		t.listener(l.Port, l.Stats())
	}
	return t
}

func (t *Counters) listener(port uint16, s stack.ListenerStats) {
	l := t.Listeners[port]
	l.HalfOpen += s.HalfOpen
	l.Waiting += s.Waiting
	l.FastOpen += s.FastOpen
	l.Deferred += s.Deferred
	l.Accepted += s.Accepted
	l.Cookies += s.Cookies
	l.Full += s.Full
	l.SourceFull += s.SourceFull
	t.Listeners[port] = l
}

// ListenerOf is how busy one listener is.
func ListenerOf(s stack.ListenerStats) Listener {
	t := newCounters()
	t.listener(0, s)
	return t.Listeners[0]
}

func (t *Counters) malformed(n uint64) {
	t.PacketsRead += n
	if n > 0 {
		t.Drops[dropMalformed] += n
	}
}

func (t *Counters) add(c *stack.Counters) {
	t.PacketsRead += c.Read
	t.Delivered += c.Delivered
	for reason, n := range c.Drops() {
		t.Drops[reason] += n
	}
	t.PacketsWritten += c.Written
	t.WriteErrors += c.WriteErrors
	t.Forwarded += c.Forwarded
	t.Opened += c.Opened
	t.Accepted += c.Accepted
	t.Ended += c.Ended
	t.ResetsSent += c.Resets
	t.TimeWaitEvicted += c.TimeWaitEvicted
	t.OrphansAborted += c.OrphansAborted
	t.Deferred += c.Deferred
	t.FastOpens += c.FastOpens
	t.CookiesSent += c.CookiesSent
	t.CookiesTaken += c.CookiesTaken
	t.Panics += c.Panics
	t.MemoryAborted += c.MemoryAborted
	t.Reneged += c.Reneged
	t.ICMPErrors += c.ICMPErrors
	t.ICMPLimited += c.ICMPLimited
	t.Pings += c.Pings
	t.Challenges += c.Challenges
	t.ChallengesLimited += c.ChallengesLimited
	t.SACKIgnored += c.SACKIgnored
	t.Impossible += c.Impossible
	t.NoMemory += c.NoMemory
	t.Connections += c.Conns
	t.HalfOpen += c.HalfOpen
	t.TimeWait += c.TimeWait
	t.Orphans += c.Orphans
	t.RingBytes += c.Rings
	t.ListBytes += c.Lists
	t.FragmentBytes += c.FragmentBytes
	t.Turns += c.Turns
	t.TurnLength.add(&c.TurnLength)
	t.TimerLate.add(&c.TimerLate)
	t.SegmentsRead += c.SegmentsRead
	t.SegmentsWritten += c.SegmentsWritten
	t.addTotals(&c.Totals)
	t.FragmentsHeld += c.Fragments.Held
	t.DatagramsCompleted += c.Fragments.Completed.Datagrams
	t.DatagramsTimedOut += c.Fragments.TimedOut.Datagrams
	t.DatagramsEvicted += c.Fragments.Evicted.Datagrams
	t.DatagramsCondemned += c.Fragments.Condemned.Datagrams
}

func (t *Counters) addTotals(c *tcp.Totals) {
	t.TextReceived += c.BytesIn
	t.TextAcknowledged += c.BytesOut
	t.RTT.add(&c.RTT)
	t.Handshake.add(&c.Handshake)
	for r, n := range c.Resent {
		if n > 0 {
			t.Resent[tcp.Resend(r).String()] += n
		}
	}
	for i, n := range c.Incidents {
		if n > 0 {
			t.Incidents[tcp.Incident(i).String()] += n
		}
	}
	for s := range c.Transitions {
		for e, n := range c.Transitions[s] {
			if n > 0 {
				t.transition(fsm.State(s), fsm.Event(e), n)
			}
		}
	}
}

// transition adds to the one of the same names: both kinds of SYN-RECEIVED have one.
func (t *Counters) transition(from fsm.State, e fsm.Event, n uint64) {
	cell, _ := fsm.Step(from, e)
	m := Transition{From: from.String(), Event: e.String(), Cause: e.Cause().String(), To: cell.Next.String()}
	for i := range t.Transitions {
		if o := &t.Transitions[i]; o.From == m.From && o.Event == m.Event && o.To == m.To {
			o.Count += n
			return
		}
	}
	m.Count = n
	t.Transitions = append(t.Transitions, m)
}
