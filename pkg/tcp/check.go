package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// acceptable is the sequence number test (section 3.4, Table 6): some of the segment lies in the window, or, where
// it is empty, it stands in it or at its left edge.
func (c *Conn) acceptable(g *Segment) bool {
	wnd := c.rcv.adv.Sub(c.rcv.nxt)
	n := g.Len()
	switch {
	case n == 0 && wnd == 0:
		return g.Seq == c.rcv.nxt
	case n == 0:
		return g.Seq.In(c.rcv.nxt, wnd)
	case wnd == 0:
		// A FIN alone takes no memory, so it is taken: a peer that has closed must not probe for ever.
		return g.Seq == c.rcv.nxt && len(g.Text) == 0 && g.Flags&FIN != 0
	}
	return g.Seq.In(c.rcv.nxt, wnd) || (g.End()-1).In(c.rcv.nxt, wnd) ||
		g.Seq.Less(c.rcv.nxt) && c.rcv.adv.Less(g.End()) // covers the whole window
}

// freshTimestamp is the PAWS test (RFC 7323 section 5.3): the segment is not older than the last. A segment without
// the option is let through: some hosts drop it after the handshake, and they are served all the same.
func (c *Conn) freshTimestamp(now mono.Time, g *Segment) bool {
	return g.Options.Has&HasTimestamps == 0 || int32(g.Options.TSVal-c.ts.recent) >= -pawsWindow || now.Sub(c.ts.at) > staleAfter
}

// pawsWindow is how many ticks older a segment may be, as in Linux: of two sent within a tick one may overtake the other.
const pawsWindow = 1

// staleAfter is when TS.Recent says nothing any more (RFC 7323 section 5.5): 24 days.
const staleAfter = 24 * 86400 * mono.Second

// noteTimestamp keeps TS.Recent (RFC 7323 section 4.3): from the segment that our next ACK answers.
func (c *Conn) noteTimestamp(now mono.Time, g *Segment) {
	if c.is(factTimestamps) && g.Options.Has&HasTimestamps != 0 && g.Seq.LessEq(c.rcv.acked) && (int32(g.Options.TSVal-c.ts.recent) >= 0 || now.Sub(c.ts.at) > staleAfter) {
		c.ts.recent, c.ts.at = g.Options.TSVal, now
	}
}

// challengeInterval is the least time between two ACKs of one connection that no text asked for; Linux's
// tcp_invalid_ratelimit.
const challengeInterval = 500 * mono.Millisecond

func (c *Conn) mayChallenge(x *Env, now mono.Time) bool {
	if now < c.challenge || !x.Limit.allow(now) {
		x.Count.ChallengesLimited++
		return false
	}
	x.Count.Challenges++
	c.challenge = now.Add(challengeInterval)
	return true
}

// challengeACK owes an ACK under the limits of RFC 5961 section 7.
func (c *Conn) challengeACK(x *Env, now mono.Time) {
	if c.mayChallenge(x, now) {
		c.ackNow()
	}
}

// Limiter bounds the challenge ACKs of all connections together. It is no side channel (CVE-2016-5696): what one
// connection may send is bounded long before, and how many all may send is another number in each second, between half of
// PerSecond and one and a half.
type Limiter struct {
	PerSecond uint32 // 0: 1,000
	Key       Secret
	window    mono.Time
	left      uint32
}

func (l *Limiter) allow(now mono.Time) bool {
	if now >= l.window {
		most := l.PerSecond
		if most == 0 {
			most = 1000
		}
		l.window = now.Add(mono.Second)
		l.left = most/2 + uint32(l.Key.mac(&Flow{}, uint64(now))%uint64(most+1))
	}
	if l.left == 0 {
		return false
	}
	l.left--
	return true
}
