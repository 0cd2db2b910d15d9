package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// fire reports an event to the machine and obeys it. Nothing else assigns the state.
func (c *Conn) fire(x *Env, now mono.Time, e fsm.Event) {
	t, ok := fsm.Step(c.state, e)
	if !ok {
		c.impossible(x, e)
		return
	}
	from := c.state
	c.state = t.Next
	if from != t.Next || t.Do != 0 {
		x.Totals.Transitions[from][e]++
		if x.Trace != nil {
			x.Trace.Transition(c, from, e, t.Next)
		}
	}
	if from != t.Next {
		c.unset(factPredict)
		if c.state.CanSend() && c.state.CanReceive() && !c.is(factDeaf) {
			c.set(factPredict)
		}
	}
	c.obey(x, now, t.Do)
}

// impossible answers an event that the machine has no cell for: a bug here, which must not take the daemon with it.
func (c *Conn) impossible(x *Env, e fsm.Event) {
	if x.Strict {
		panic("tcp: no transition for " + e.String() + " in " + c.state.String())
	}
	x.Errors.Impossible++
	c.set(factSendRST)
	c.signal(Reset)
	c.release(x)
}

// obey carries out the orders of a transition, lowest bit first.
func (c *Conn) obey(x *Env, now mono.Time, do fsm.Action) {
	if do == 0 {
		return
	}
	if do&(fsm.SendSYN|fsm.SendSYNACK) != 0 {
		c.set(factSYNDue)
	}
	if do&fsm.SendACK != 0 {
		c.ackNow()
	}
	if do&fsm.ChallengeACK != 0 {
		c.challengeACK(x, now)
	}
	if do&fsm.SendRST != 0 {
		c.set(factSendRST)
	}
	if do&fsm.QueueFIN != 0 {
		c.set(factFinQueued)
	}
	if do&fsm.StartTimeWait != 0 {
		c.timer = [numTimers]mono.Time{}
		c.timer[timerWait] = now.Add(2 * c.Settings(x).MSL)
	}
	if do&fsm.StartFinWait != 0 && c.is(factDeaf) {
		c.timer[timerWait] = now.Add(mono.Duration(c.finTimeout) * mono.Millisecond)
	}
	c.signals(do)
	if do&fsm.Release != 0 {
		c.release(x)
	}
}

func (c *Conn) signals(do fsm.Action) {
	const all = fsm.SignalOpen | fsm.SignalEOF | fsm.SignalReset | fsm.SignalRefused | fsm.SignalUnreachable | fsm.SignalTimeout
	if do&all == 0 {
		return
	}
	for _, s := range [...]struct {
		do fsm.Action
		e  Events
	}{
		{fsm.SignalOpen, Opened | Writable}, {fsm.SignalEOF, EOF}, {fsm.SignalReset, Reset},
		{fsm.SignalRefused, Refused}, {fsm.SignalUnreachable, Unreachable}, {fsm.SignalTimeout, TimedOut},
	} {
		if do&s.do == 0 {
			continue
		}
		if s.e == TimedOut && c.icmp != (ICMPError{}) {
			s.e = Unreachable // a router has said why the peer is silent
		}
		if s.do == fsm.SignalOpen && c.is(factEarly) {
			continue // the user has known for long
		}
		c.signal(s.e)
	}
}

// release ends the connection: timers and the send ring go at once, unread text when the user has seen Ended.
func (c *Conn) release(x *Env) {
	c.timer = [numTimers]mono.Time{}
	if c.is(factEarly) && !c.is(factSynAcked) {
		c.signal(Reset) // the peer has never been there, or is gone
	}
	c.set(factReleased)
	c.unset(factPredict)
	c.signal(Ended)
	x.Memory.freeHoles(&c.rcv.holes)
	x.Memory.freeFlight(&c.snd.flight)
	x.Memory.freeMarks(&c.snd.marks)
	x.Memory.detach(&c.snd.ring)
}

// Free gives back what the connection still holds. It must not be used again.
func (c *Conn) Free(x *Env) {
	x.Memory.freeHoles(&c.rcv.holes)
	x.Memory.freeFlight(&c.snd.flight)
	x.Memory.freeMarks(&c.snd.marks)
	x.Memory.detach(&c.snd.ring)
	x.Memory.detach(&c.rcv.ring)
}
