package tcp

import "github.com/tcpd-project/tcpd/pkg/seq"

// Urgent text stays in line and in order (RFC 6093 section 3.1): the urgent mechanism only tells how far it reaches. The
// urgent pointer points to the octet after the last urgent one (section 3.1), as everybody sends it.

// Urge announces that the next n bytes to be written are urgent: the peer's user is told before he comes to them.
func (c *Conn) Urge(n int) {
	if !c.state.CanSend() || c.any(factFinQueued|factCloseDue|factReleased) {
		return
	}
	c.snd.up = c.snd.end.Add(uint32(min(n, 1<<30)))
	c.set(factUrgentOut)
	if c.snd.wnd == 0 && c.is(factSynAcked) {
		c.ackNow() // the window is closed to text, and not to the news of it (MUST-32)
	}
}

// urgentOut says in a segment at the sequence number at that there is urgent text (section 3.10.2).
func (c *Conn) urgentOut(o *Out, at seq.Num) {
	if !c.is(factUrgentOut) {
		return
	}
	if c.snd.up.LessEq(c.snd.una) {
		c.unset(factUrgentOut)
		return
	}
	if at.Less(c.snd.up) {
		o.Flags |= URG
		o.Urgent = uint16(min(c.snd.up.Sub(at), 65535))
	}
}

// urgentIn is the sixth step of section 3.10.7.4: RCV.UP moves on, and the user is told when it is ahead of what he has
// read.
func (c *Conn) urgentIn(g *Segment) {
	if g.Flags&URG == 0 || g.Urgent == 0 || c.any(factFinRcvd|factDeaf) {
		return
	}
	up := g.Seq.Add(uint32(g.Urgent))
	if c.is(factUrgentIn) && up.LessEq(c.rcv.up) || up.LessEq(c.rcv.read) {
		return
	}
	c.rcv.up = up
	c.set(factUrgentIn)
	c.signal(Urgent)
}

// UrgentLeft is how many bytes, of those unread or still to come, the peer has called urgent (MUST-33).
func (c *Conn) UrgentLeft() int {
	if !c.is(factUrgentIn) || c.rcv.up.LessEq(c.rcv.read) {
		return 0
	}
	return int(c.rcv.up.Sub(c.rcv.read))
}
