package cc

import (
	"container/heap"
	"math/rand/v2"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Path is a sender, a bottleneck and a receiver, in virtual time:
//
//	sender --> [queue] rate --> delay --> receiver
//	   ^                                     |
//	   +-------------- delay, jitter --------+
//
// The sender obeys Cwnd and Pacing. It finds losses as RACK would on a path that keeps order (three later ones have
// arrived), repairs them, follows PRR where the algorithm does not own its window, and samples rates and rounds as
// Ack documents. Several senders may share the bottleneck.
type Path struct {
	MSS     uint32        // 1448 if 0
	Rate    uint64        // bytes a second
	RTT     mono.Duration // without a queue
	Queue   int           // bytes that the bottleneck holds beside the segment in service
	Mark    int           // bytes of queue from which on it marks what it takes; 0: never
	Loss    float64       // of segments, at random
	Jitter  mono.Duration // of ACKs, at random, keeping order
	Stretch int           // segments that one ACK covers; 1 if 0
	Gather  mono.Duration // ACKs arrive in batches, at multiples of this
	Frame   int           // segments that leave at once; 1 if 0
	Unpaced bool
	Written func(mono.Duration) uint64                 // what the application has written by then; nil: all there is
	Change  func(p *Path, t mono.Duration)             // of the path, under way
	Watch   func(t mono.Duration, w *Window, a *Ack)   // after each ACK of the first sender
	OnLoss  func(t mono.Duration, w *Window, rto bool) // after each Loss and Timeout of it
	Window  Window                                     // that it left behind
}

// Result is what a run came to.
type Result struct {
	Delivered uint64 // bytes
	Sent      int    // segments, those sent again included
	Dropped   int    // of them, by the queue
	Marked    int    // of them, by the queue
	Episodes  int    // calls of Loss
	Timeouts  int
	MaxQueue  int           // bytes
	MeanQueue float64       // bytes, as segments found it
	MaxCwnd   uint32        // bytes
	Span      mono.Duration // virtual
}

// Rate is the mean rate of delivery in bytes a second.
func (r Result) Rate() float64 { return float64(r.Delivered) / (float64(r.Span) / 1e9) }

// Run sends for so long.
func (p *Path) Run(alg Algorithm, span mono.Duration) Result { return p.Share(span, alg)[0] }

// Share lets several senders send for so long, through the same bottleneck.
func (p *Path) Share(span mono.Duration, algs ...Algorithm) (list []Result) {
	b := &bottleneck{path: p, now: simStart, rng: rand.New(rand.NewPCG(1, 2))}
	for _, alg := range algs {
		b.senders = append(b.senders, newSim(b, alg))
	}
	b.run(simStart.Add(span))
	p.Window = b.senders[0].w
	for _, s := range b.senders {
		s.result.Span = span
		s.result.Delivered = s.delivered
		s.result.MeanQueue /= float64(max(s.entered, 1))
		list = append(list, s.result)
	}
	return list
}

// bottleneck is what the senders share: the path and the time.
type bottleneck struct {
	path    *Path
	now     mono.Time
	rng     *rand.Rand
	events  events
	order   int
	freeAt  mono.Time
	senders []*sim
}

func (b *bottleneck) run(end mono.Time) {
	b.send()
	for len(b.events) > 0 && b.events[0].at <= end {
		e := heap.Pop(&b.events).(event)
		b.now = e.at
		if b.path.Change != nil {
			b.path.Change(b.path, b.now.Sub(simStart))
		}
		e.do()
		b.send()
	}
}

func (b *bottleneck) send() {
	for _, s := range b.senders {
		s.send()
	}
}

func (b *bottleneck) at(t mono.Time, do func()) {
	b.order++
	heap.Push(&b.events, event{max(t, b.now), b.order, do})
}

const simStart = mono.Time(1_000_000_000)

type event struct {
	at    mono.Time
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// sent is one transmission of one segment.
type sent struct {
	order, seq       int
	at, first, stamp mono.Time // when sent; C.first_sent_time and C.delivered_time at that time
	delivered        uint64
	flight, lost     uint32 // bytes in flight, with it, and found lost by then
	limited          bool
	again            bool
	marked           bool
	done             bool
}

type sim struct {
	*bottleneck
	alg    Algorithm
	w      Window
	result Result

	// the sender
	flight      []*sent // in the order of transmission, from the first neither delivered nor found lost
	inFlight    int     // segments
	resend      []int
	next, una   int // segment numbers
	have        map[int]bool
	orders      int
	recovering  bool
	repairing   bool // by a time-out
	reduced     bool // by a mark
	lost        uint32
	recover     int
	delivered   uint64
	deliveredAt mono.Time
	firstSent   mono.Time
	appLimited  uint64
	nextRound   uint64
	srtt        mono.Duration
	minRTT      mono.Duration
	nextSend    mono.Time
	woken       bool
	blocked     bool // by cwnd, since the last ACK
	rto         mono.Time
	prrOut      uint64
	prrIn       uint64
	recoverFrom uint32

	// the receiver
	entered int
	arrived []*sent
	lastAck mono.Time
}

func newSim(b *bottleneck, alg Algorithm) *sim {
	p := b.path
	if p.MSS == 0 {
		p.MSS = 1448
	}
	p.Stretch, p.Frame = max(p.Stretch, 1), max(p.Frame, 1)
	s := &sim{bottleneck: b, alg: alg, have: map[int]bool{}}
	s.w.MSS = p.MSS
	alg.Open(&s.w, s.now)
	return s
}

func (s *sim) flightBytes() uint32 { return uint32(s.inFlight) * s.w.MSS }

// enqueue is the bottleneck: a queue that drops its tail, and a rate.
func (s *sim) enqueue(x *sent) {
	queued := int(uint64(max(s.freeAt.Sub(s.now), 0)) * s.path.Rate / 1e9)
	s.entered++
	s.result.MeanQueue += float64(queued)
	if queued > s.path.Queue {
		s.result.Dropped++
		return
	}
	if s.path.Mark > 0 && queued > s.path.Mark {
		x.marked = true
		s.result.Marked++
	}
	s.result.MaxQueue = max(s.result.MaxQueue, queued)
	s.freeAt = max(s.freeAt, s.now).Add(mono.Duration(uint64(s.w.MSS) * 1e9 / s.path.Rate))
	if s.path.Loss > 0 && s.rng.Float64() < s.path.Loss {
		return
	}
	s.at(s.freeAt.Add(s.path.RTT/2), func() { s.arrive(x) })
}

// arrive is the receiver: an ACK for each Stretch segments, or after a millisecond.
func (s *sim) arrive(x *sent) {
	s.arrived = append(s.arrived, x)
	if len(s.arrived) >= s.path.Stretch {
		s.acknowledge()
	} else if len(s.arrived) == 1 {
		s.at(s.now.Add(mono.Millisecond), func() {
			if len(s.arrived) > 0 && s.arrived[0] == x {
				s.acknowledge()
			}
		})
	}
}

func (s *sim) acknowledge() {
	list := s.arrived
	s.arrived = nil
	at := s.now.Add(s.path.RTT - s.path.RTT/2)
	if s.path.Jitter > 0 {
		at = at.Add(mono.Duration(s.rng.Int64N(int64(s.path.Jitter))))
	}
	if g := mono.Time(s.path.Gather); g > 0 {
		at = (at + g - 1) / g * g
	}
	s.lastAck = max(at, s.lastAck)
	s.at(s.lastAck, func() { s.ack(list) })
}
