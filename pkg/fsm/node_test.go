package fsm

import "fmt"

// One end of the model: a TCP without numbers worth the name. It decides which facts are true as section 3.10.7 does,
// from sequence numbers only, and leaves what they mean to the machine under test. A connection carries at most one
// octet of text each way; the window is always open.

const (
	flagSYN = 1 << iota
	flagFIN
	flagRST
	flagACK
	flagText // one octet
)

const window = 5

type segment struct {
	flags    uint8
	seq, ack int8
}

func (s segment) has(f uint8) bool { return s.flags&f != 0 }

func (s segment) len() int8 {
	var n int8
	for _, f := range []uint8{flagSYN, flagText, flagFIN} {
		if s.has(f) {
			n++
		}
	}
	return n
}

// node holds the facts of one end. state is the machine's answer and is only ever handed back to the machine; what
// the node does next follows the facts.
type node struct {
	state     State
	listening bool
	opens     int8 // connections this end may still begin
	texts     int8 // octets the user may still send
	used      bool // the user has had a connection here

	tcb                     // zero where there is no connection
	iss, una, nxt, end int8 // nxt is the highest ever sent; end is past the last octet queued
	irs, rcv           int8
}

type tcb struct {
	exists      bool
	passive     bool
	synReceived bool
	finQueued   bool
	finReceived bool
	peerFirst   bool
	finHeld     bool // a FIN came with a SYN, and waits
	textQueued  bool // our octet of text
	unread      bool // text that the user has not had
	dropped     bool // the user reads no more
	finWait     bool // timers
	timeWait    bool
}

func (n *node) synAcked() bool { return n.una > n.iss }
func (n *node) finAcked() bool { return n.finQueued && n.una == n.end }

func (n *node) crossings() Crossings {
	return Crossings{
		Passive: n.passive, SYNReceived: n.synReceived, SYNAcked: n.synAcked(), FINQueued: n.finQueued,
		FINReceived: n.finReceived, FINAcked: n.finAcked(), PeerFirst: n.peerFirst,
	}
}

// inWindow is the test of section 3.10.7.4 first, for a window that is never zero.
func (n *node) inWindow(s segment) bool {
	first, last := s.seq, s.seq+max(s.len(), 1)-1
	in := func(q int8) bool { return n.rcv <= q && q < n.rcv+window }
	return in(first) || in(last)
}

// end drives node i of a world.
type end struct {
	*model
	w *world
	i int
}

func (e end) node() *node { return &e.w.nodes[e.i] }

// fire is the one place that asks the machine, and the one that compares it with the facts.
func (e end) fire(ev Event, in segment) {
	if e.err != nil {
		return
	}
	n := e.node()
	from := n.state
	t, ok := e.step(from, ev)
	e.visited[from][ev]++
	if !ok {
		e.fail("%v x %v: no such cell", from, ev)
		return
	}
	n.state = t.Next
	e.obey(from, ev, t.Do, in)
	e.verify(from, ev)
}

func (e end) verify(from State, ev Event) {
	n := e.node()
	switch want := Derive(n.crossings()); {
	case n.exists && n.state != want:
		e.fail("%v x %v: the machine says %v, the facts %v: %+v", from, ev, n.state, want, *n)
	case n.exists && want == Closed:
		e.fail("%v x %v: over, but not released", from, ev)
	case !n.exists && n.state != n.rest():
		e.fail("%v x %v: %v without a connection", from, ev, n.state)
	case n.timeWait != (n.exists && want == TimeWait):
		e.fail("%v x %v: the 2 MSL timer is wrong", from, ev)
	case n.finWait != (n.exists && want == FinWait2 && n.dropped):
		e.fail("%v x %v: the FIN-WAIT-2 timer is wrong", from, ev)
	}
}

// rest is the state of an end without a connection.
func (n *node) rest() State {
	if n.listening {
		return Listen
	}
	return Closed
}

// obey carries the orders out, lowest bit first.
func (e end) obey(from State, ev Event, do Action, in segment) {
	n := e.node()
	for bit := Action(1); bit != 0 && do >= bit; bit <<= 1 {
		if do&bit == 0 {
			continue
		}
		switch bit {
		case SendSYN:
			e.send(segment{flagSYN, n.iss, 0})
			n.nxt = max(n.nxt, n.iss+1)
		case SendSYNACK:
			e.send(segment{flagSYN | flagACK, n.iss, n.rcv})
			n.nxt = max(n.nxt, n.iss+1)
		case SendACK, ChallengeACK:
			e.send(segment{flagACK, n.nxt, n.rcv})
		case SendRST:
			seq := n.nxt
			if ev == BadAck || ev == BadAckEarly {
				seq = in.ack
			}
			e.send(segment{flagRST, seq, 0})
		case QueueFIN:
			if n.finQueued {
				e.fail("%v x %v: a second FIN", from, ev)
			}
			n.finQueued = true
			n.end++
		case StartTimeWait:
			n.timeWait, n.finWait = true, false
		case StartFinWait:
			n.finWait = n.dropped
		case Release:
			e.release(from, ev)
		case Redeliver:
			if from == Listen || do&Release == 0 {
				e.fail("%v x %v: redelivered to itself", from, ev)
				return
			}
			e.arrive(in)
		}
	}
}

func (e end) release(from State, ev Event) {
	n := e.node()
	if !n.exists && from != Listen || n.state != Closed {
		e.fail("%v x %v: released in %v", from, ev, n.state)
		return
	}
	n.tcb, n.una, n.nxt, n.end, n.irs, n.rcv = tcb{}, 0, 0, 0, 0, 0
	n.state = n.rest()
}

// begin makes a connection. A later one starts beyond anything the one before has used (section 3.6.1).
func (e end) begin() {
	n := e.node()
	n.opens--
	n.iss += 10
	n.tcb = tcb{exists: true}
	n.una, n.nxt, n.end = n.iss, n.iss, n.iss+1
	n.used = true
}

// arrive is SEGMENT ARRIVES (section 3.10.7).
func (e end) arrive(s segment) {
	n := e.node()
	switch {
	case !n.exists && n.listening:
		e.arriveListen(s)
	case !n.exists:
		e.refuse(s)
	case !n.synReceived:
		e.arriveSynSent(s)
	default:
		e.arriveOther(s)
	}
}

// refuse is 3.10.7.1: it needs no state.
func (e end) refuse(s segment) {
	switch {
	case s.has(flagRST):
	case s.has(flagACK):
		e.send(segment{flagRST, s.ack, 0})
	default:
		e.send(segment{flagRST | flagACK, 0, s.seq + s.len()})
	}
}

// arriveListen is 3.10.7.2.
func (e end) arriveListen(s segment) {
	n := e.node()
	switch {
	case s.has(flagRST):
		e.fire(RcvRST, s)
	case s.has(flagACK):
		e.fire(BadAck, s)
	case s.has(flagSYN) && n.opens > 0:
		e.begin()
		n.passive = true
		e.synchronize(s)
		e.fire(RcvSYN, s)
	}
}

// synchronize takes the peer's SYN. What came with it is either held or left to be sent again.
func (e end) synchronize(s segment) {
	n := e.node()
	n.synReceived, n.irs, n.rcv = true, s.seq, s.seq+1
	n.finHeld = s.has(flagFIN) && !s.has(flagText)
}

// arriveSynSent is 3.10.7.3.
func (e end) arriveSynSent(s segment) {
	n := e.node()
	acks := s.has(flagACK) && n.una < s.ack && s.ack <= n.nxt
	switch {
	case s.has(flagACK) && !acks && !s.has(flagRST):
		e.fire(BadAck, s)
	case s.has(flagRST) && acks:
		e.fire(RcvRST, s)
	case s.has(flagRST), !s.has(flagSYN):
	case acks:
		e.synchronize(s)
		n.una = s.ack
		e.fire(RcvSYNACK, s)
		e.receive(s)
	default:
		e.synchronize(s)
		e.fire(RcvSYN, s)
	}
}

// arriveOther is 3.10.7.4.
func (e end) arriveOther(s segment) {
	n := e.node()
	if s.has(flagRST) {
		switch {
		case s.seq == n.rcv:
			e.fire(RcvRST, s)
		case n.inWindow(s):
			e.fire(BadRST, s)
		}
		return
	}
	if s.has(flagSYN) && !n.synAcked() && s.seq == n.irs {
		if !s.has(flagACK) {
			e.fire(RcvOldSYN, s)
			return
		}
		s.flags &^= flagSYN // Figure 7, line 6
		s.seq++
	}
	over := n.finReceived && n.finAcked()
	switch {
	case s.has(flagSYN) && over && !s.has(flagACK) && s.seq > n.rcv && n.listening && n.opens > 0:
		e.fire(NewSYN, s)
	case s.has(flagSYN) && (n.synAcked() || n.inWindow(s)):
		e.fire(BadSYN, s)
	case s.has(flagFIN) && n.finReceived && s.seq+s.len() == n.rcv:
		e.fire(RcvOldFIN, s)
	case !n.inWindow(s):
		e.fire(BadSeq, s)
	case !s.has(flagACK):
	case n.unacceptable(s.ack) && n.finQueued && !n.synAcked():
		e.fire(BadAckEarly, s)
	case n.unacceptable(s.ack):
		e.fire(BadAck, s)
	default:
		e.acknowledge(s)
		e.receive(s)
	}
}

// unacceptable is the test of 3.10.7.4 fifth. An ACK that does not cover our SYN is one in every state.
func (n *node) unacceptable(ack int8) bool {
	if !n.synAcked() {
		return ack <= n.iss || ack > n.nxt
	}
	return ack < n.una-window || ack > n.nxt
}

// acknowledge reports the crossings of SND.UNA, one at a time.
func (e end) acknowledge(s segment) {
	n := e.node()
	if !n.synAcked() {
		n.una = n.iss + 1
		e.fire(SYNAcked, s)
	}
	if n.exists && s.ack > n.una {
		n.una = s.ack
		if n.finAcked() {
			e.fire(FINAcked, s)
		}
	}
}

// receive is 3.10.7.4 seventh and eighth. What is out of order is left to be sent again.
func (e end) receive(s segment) {
	n := e.node()
	if !n.exists {
		return
	}
	if s.has(flagSYN) {
		s.seq++
	}
	if n.finHeld {
		e.receiveFIN(s)
	}
	if s.has(flagText) {
		if s.seq == n.rcv && !n.finReceived {
			if n.finQueued && n.dropped {
				e.fire(RcvLateData, s)
				return
			}
			n.rcv++
			n.unread = true
			e.send(segment{flagACK, n.nxt, n.rcv})
		}
		s.seq++
	}
	if s.has(flagFIN) && s.seq == n.rcv && !n.finReceived {
		e.receiveFIN(s)
	}
}

func (e end) receiveFIN(s segment) {
	n := e.node()
	n.rcv++
	n.finHeld, n.finReceived, n.peerFirst = false, true, !n.finQueued
	e.fire(RcvFIN, s)
}

// output sends from SND.UNA on: one octet of the sequence space, or all that is queued. The state has no say.
func (e end) output(all bool) {
	n := e.node()
	s := segment{seq: n.una, ack: n.rcv}
	if n.synReceived {
		s.flags |= flagACK
	}
	last := n.una + 1
	if all && n.synReceived {
		last = n.end
	}
	for q := n.una; q < last; q++ {
		switch {
		case q == n.iss:
			s.flags |= flagSYN
		case q == n.iss+1 && n.textQueued:
			s.flags |= flagText
		default:
			s.flags |= flagFIN
		}
	}
	n.nxt = max(n.nxt, last)
	e.send(s)
}

func (e end) send(s segment) { e.w.wires[e.i].put(s, e.capacity) }

func (e end) fail(format string, a ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, a...)
	}
}
