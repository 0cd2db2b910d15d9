package tcp

import (
	"fmt"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Check reports the first invariant of the connection that does not hold, or nil. It is for simulations, between two
// turns: no text is waiting for Store, and nothing is left to be sent.
func (c *Conn) Check(x *Env) error {
	for _, check := range []func(*Env) error{c.checkState, c.checkSend, c.checkFlight, c.checkReceive, c.checkHoles, c.checkTimers} {
		if err := check(x); err != nil {
			return fmt.Errorf("%v: %w", c.state, err)
		}
	}
	return nil
}

// Held is the bytes of rings that the connection has attached.
func (c *Conn) Held(x *Env) int {
	return x.Memory.ring(c.snd.ring).owned() + x.Memory.ring(c.rcv.ring).owned()
}

// checkState compares the state with the facts.
func (c *Conn) checkState(*Env) error {
	if c.is(factReleased) != (c.state == fsm.Closed) {
		return fmt.Errorf("released is %v", c.is(factReleased))
	}
	if c.is(factReleased) {
		return nil
	}
	if s := fsm.Derive(c.Crossings()); s != c.state {
		return fmt.Errorf("the crossings %+v amount to %v", c.Crossings(), s)
	}
	return nil
}

// checkSend is una <= nxt <= end, one more for the FIN, and the text in the ring.
func (c *Conn) checkSend(x *Env) error {
	s := &c.snd
	last := s.end
	if c.is(factFinQueued) {
		last++
	}
	switch {
	case s.nxt.Less(s.una) || last.Less(s.nxt):
		return fmt.Errorf("una %d, nxt %d, end %d, from iss", s.una-s.iss, s.nxt-s.iss, s.end-s.iss)
	case !c.is(factSynAcked) && s.una != s.iss:
		return fmt.Errorf("SND.UNA has passed a SYN that is not acknowledged")
	case c.is(factFinAcked) != (s.end.Less(s.una)):
		return fmt.Errorf("FIN acknowledged is %v, una %d, end %d, from iss", c.is(factFinAcked), s.una-s.iss, s.end-s.iss)
	case c.is(factReleased) || s.end.LessEq(c.firstText()):
		return nil
	}
	if n := s.end.Sub(c.firstText()); s.ring == 0 || uint32(x.Memory.ring(s.ring).room()) < n {
		return fmt.Errorf("%d bytes are queued in a ring of %d", n, x.Memory.ring(s.ring).room())
	}
	return nil
}

// checkFlight compares the scoreboard with what is outstanding: spans in order, whose fates add up.
func (c *Conn) checkFlight(x *Env) error {
	if !c.is(factSynAcked) || c.is(factReleased) {
		return nil
	}
	if c.snd.flight == 0 {
		if c.outstanding() != 0 {
			return fmt.Errorf("%d bytes are outstanding, and none on the scoreboard", c.outstanding())
		}
		return nil
	}
	f := &x.Memory.flights[c.snd.flight]
	sum := [3]uint32{}
	at := c.snd.una
	for _, s := range f.live() {
		if !at.Less(s.end) || s.fate > lost {
			return fmt.Errorf("a span ends at %d and begins at %d, from una", s.end-c.snd.una, at-c.snd.una)
		}
		sum[s.fate] += s.end.Sub(at)
		at = s.end
	}
	if at != c.snd.nxt || sum[sacked] != f.sacked || sum[lost] != f.lost {
		return fmt.Errorf("spans end %d before nxt; %v by fate, but sacked %d and lost %d", c.snd.nxt.Sub(at), sum, f.sacked, f.lost)
	}
	return nil
}

// checkReceive is read <= stored <= nxt <= adv, and the text in the ring.
func (c *Conn) checkReceive(x *Env) error {
	r := &c.rcv
	if !c.is(factSynRcvd) {
		return nil
	}
	inOrder := r.nxt
	if c.is(factFinRcvd) {
		inOrder--
	}
	switch {
	case r.kept.Less(r.read) || r.stored.Less(r.kept) || r.stored != inOrder:
		return fmt.Errorf("read %d, kept %d, stored %d, nxt %d, from irs", r.read-r.irs, r.kept-r.irs, r.stored-r.irs, r.nxt-r.irs)
	case r.adv.Less(r.nxt):
		return fmt.Errorf("nxt %d is beyond the right edge %d", r.nxt-r.irs, r.adv-r.irs)
	case r.nxt.Less(r.acked):
		return fmt.Errorf("acknowledged %d, nxt %d", r.acked-r.irs, r.nxt-r.irs)
	case c.is(factFinRcvd) && r.finAt+1 != r.nxt:
		return fmt.Errorf("FIN at %d, nxt %d", r.finAt-r.irs, r.nxt-r.irs)
	}
	if n := r.stored.Sub(r.kept); n > 0 && uint32(len(x.Memory.ring(r.ring).buf)) < n {
		return fmt.Errorf("%d bytes are unread in a ring of %d", n, len(x.Memory.ring(r.ring).buf))
	}
	return nil
}

// checkHoles looks at the runs beyond a hole: in order, apart, inside the window and in the ring.
func (c *Conn) checkHoles(x *Env) error {
	if c.rcv.holes == 0 {
		return nil
	}
	list := &x.Memory.holes[c.rcv.holes]
	at := c.rcv.nxt
	for _, b := range list.run {
		if !at.Less(b.From) || !b.From.Less(b.To) {
			return fmt.Errorf("run %d..%d after %d, from irs", b.From-c.rcv.irs, b.To-c.rcv.irs, at-c.rcv.irs)
		}
		at = b.To
	}
	if c.rcv.adv.Less(at) {
		return fmt.Errorf("text out of order up to %d, beyond the right edge %d", at-c.rcv.irs, c.rcv.adv-c.rcv.irs)
	}
	if n := at.Sub(c.rcv.kept); uint32(len(x.Memory.ring(c.rcv.ring).buf)) < n {
		return fmt.Errorf("%d bytes with holes are in a ring of %d", n, len(x.Memory.ring(c.rcv.ring).buf))
	}
	return nil
}

// checkTimers sees to it that whoever waits has a timer that ends the waiting.
func (c *Conn) checkTimers(*Env) error {
	if c.is(factReleased) {
		if c.timer != [numTimers]mono.Time{} {
			return fmt.Errorf("timers %v run", c.timer)
		}
		return nil
	}
	unsent := c.is(factSynAcked) && c.snd.nxt.LessEq(c.snd.end) && (c.snd.nxt != c.snd.end || c.is(factFinQueued))
	switch {
	case (c.snd.una != c.snd.nxt || unsent && c.timer[timerPace] == 0) && c.timer[timerRetransmit] == 0:
		return fmt.Errorf("una %d, nxt %d, end %d from iss, and no retransmission timer",
			c.snd.una-c.snd.iss, c.snd.nxt-c.snd.iss, c.snd.end-c.snd.iss)
	case c.rcv.acked != c.rcv.nxt && c.rcv.acks == 0 && c.timer[timerDelayedAck] == 0:
		return fmt.Errorf("%d bytes are taken, and no ACK is owed", seq.Num(c.rcv.nxt-c.rcv.acked))
	case (c.is(factLetGo) || c.is(factFinAcked|factFinRcvd)) && c.timer[timerWait] == 0:
		return fmt.Errorf("nobody waits for the connection, and no timer ends it")
	}
	return nil
}
