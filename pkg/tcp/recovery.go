package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// dupThreshold is how many duplicate ACKs, or segments' worth of SACK, show a loss (RFC 5681 section 3.2).
const dupThreshold = 3

// episode is a reduction under way: in recovery, or after a time-out.
type episode struct {
	cwnd, ssthresh uint32    // before it, should it prove spurious
	resent         uint32    // bytes sent again and not reported as duplicates
	began          mono.Time // the first retransmission
	delivered, out uint32    // PRR: since it began (RFC 6937 section 3)
	flight         uint32    // PRR: RecoverFS
}

// judge is all that an acknowledgment means for loss and congestion, once the scoreboard knows it.
func (c *Conn) judge(x *Env, now mono.Time, g *Segment, a *acked) {
	if a.resent {
		// Karn, and more: what was sent once may have waited beyond the hole that the second sending has filled.
		a.newest, a.oldest = 0, 0
		a.early = a.early && c.is(factSACK) // without SACK nothing tells it from text that arrives only now
	}
	c.measure(x, now, g, a)
	c.probeAcked(x, now, g, a)
	c.leaveEpisode(x, now, g, a)
	c.ecnCounted(x, now, g, a)
	if c.is(factSACK) {
		c.findLosses(x, now, a)
	} else {
		c.countDuplicates(x, now, a)
	}
	if a.lost > 0 && !c.any(factRecovery|factLoss) {
		c.enterRecovery(x, now, a)
	}
	c.control(x, now, a)
}

// measure takes the round trips that the acknowledgment shows. Of what was sent again only the timestamp tells which
// sending is acknowledged (RFC 7323 section 4.1). The time-out stays doubled until there is a measurement (RFC 6298 section
// 5).
func (c *Conn) measure(x *Env, now mono.Time, g *Segment, a *acked) {
	switch {
	case a.original && a.oldest > 0:
		x.Totals.RTT.Add(a.newest)
		c.rtt.sample(a.oldest)
		c.rtt.min = min(c.rtt.min, a.newest)
	case a.bytes == 0 || !c.echoed(now, g):
		return
	}
	c.backoff = 0
	c.unset(factProbed)
}

// echoed takes the round trip that the timestamps tell, to the millisecond; false if they tell none.
func (c *Conn) echoed(now mono.Time, g *Segment) bool {
	if !c.is(factTimestamps) || g.Options.Has&HasTimestamps == 0 || g.Options.TSEcr == 0 {
		return false
	}
	d := int32(c.timestamp(now) - g.Options.TSEcr)
	if d < 0 {
		return false
	}
	c.rtt.sample(max(mono.Duration(d)*mono.Millisecond, c.rtt.min, 1))
	return true
}

// countDuplicates finds losses for a peer without SACK: the third duplicate ACK, and in recovery a partial one, show
// that the segment at SND.UNA is lost (RFC 6582 section 3.2).
func (c *Conn) countDuplicates(x *Env, now mono.Time, a *acked) {
	if c.snd.flight == 0 {
		return
	}
	partial := c.is(factRecovery) && a.bytes > 0
	third := !c.any(factRecovery|factLoss) && c.snd.dupAcks >= dupThreshold && c.snd.recover.LessEq(c.snd.una)
	if partial || third {
		a.lost += c.loseFirst(x, now)
	}
}

// loseFirst marks the segment at SND.UNA as lost and returns how much that is for congestion control.
func (c *Conn) loseFirst(x *Env, now mono.Time) uint32 {
	f := &x.Memory.flights[c.snd.flight]
	if len(f.live()) == 0 || f.live()[0].fate != flying {
		return 0
	}
	n := min(uint32(c.snd.mss), f.live()[0].end.Sub(c.snd.una))
	if f.live()[0].probe {
		n = f.live()[0].end.Sub(c.snd.una)
	}
	f.cut(c.snd.una, c.snd.una.Add(n))
	x.Memory.weigh(f)
	var a acked
	c.lose(f, now, 0, &a)
	return a.lost
}

// enterRecovery begins fast recovery.
func (c *Conn) enterRecovery(x *Env, now mono.Time, a *acked) {
	c.beginEpisode(now)
	c.set(factRecovery)
	c.tell(x, IncidentRecovery)
	if c.snd.flight != 0 { // RecoverFS of RFC 9937 section 6.1: without what was selected before
		c.episode.flight = max(c.outstanding()-x.Memory.flights[c.snd.flight].sacked+a.new, 1)
	}
	if !c.is(factReduced) { // a mark of the same window has cost its reduction already (RFC 3168 section 6.1.2)
		c.Settings(x).Congestion.Loss(&c.cw, now, cc.Episode{Flight: c.flightSize()})
	}
}

// flightSize is FlightSize of RFC 5681, without what limited transmit has sent (section 3.2 step 2).
func (c *Conn) flightSize() uint32 { return min(c.outstanding(), c.cw.Cwnd) }

// beginEpisode notes where things stood when an episode began.
func (c *Conn) beginEpisode(now mono.Time) {
	c.snd.recover = c.snd.nxt
	c.episode = episode{cwnd: c.cw.Cwnd, ssthresh: c.cw.Ssthresh, began: now, flight: max(c.outstanding(), 1)}
	c.set(factUndo)
}

// leaveEpisode ends an episode that is over, or that was spurious.
func (c *Conn) leaveEpisode(x *Env, now mono.Time, g *Segment, a *acked) {
	if c.is(factReduced) && c.snd.reduced.Less(c.snd.una) {
		c.unset(factReduced)
	}
	if !c.any(factRecovery | factLoss) {
		if c.snd.recover.Less(c.snd.una) {
			c.snd.recover = c.snd.una // never so far behind that it seems ahead
		}
		if c.is(factUndo) && a.dsack && c.episode.resent == 0 {
			c.undo(x, a) // the duplicates are reported a round trip after the recovery's end
		}
		return
	}
	switch {
	case c.spurious(g, a):
		c.undo(x, a)
	case c.snd.recover.LessEq(c.snd.una):
		if c.is(factRecovery) && !c.cw.Owns {
			c.cw.Cwnd = c.cw.Ssthresh
		}
		c.rackRecovered()
		c.tell(x, IncidentRecovered)
		c.unset(factRecovery | factLoss | factForward | factHold)
	case c.is(factForward):
		c.forward(a)
	}
}

// forward is F-RTO (RFC 5682 section 3.1): after a time-out, the first acknowledgment that moves SND.UNA is answered
// with new segments, if there are any, and not with more of what may not be lost.
func (c *Conn) forward(a *acked) {
	switch {
	case c.is(factHold): // step 3a: the second did not show that anything sent once had come
		c.unset(factForward | factHold)
	case a.bytes > 0 && c.snd.nxt.Less(c.snd.end) && c.outstanding() < c.snd.wnd: // step 2b
		c.set(factHold)
	case a.bytes > 0 || a.selected:
		c.unset(factForward)
	}
}

// spurious reports that the episode was for nothing: an acknowledgment that was under way before anything was sent
// again (Eifel, RFC 3522); text that was sent once and thought lost (F-RTO step 3b); or duplicates for all that was
// sent again (RFC 3708).
func (c *Conn) spurious(g *Segment, a *acked) bool {
	switch {
	case !c.is(factUndo):
		return false
	case a.bytes > 0 && c.is(factTimestamps) && g.Options.TSEcr != 0 && c.episode.resent > 0 &&
		int32(g.Options.TSEcr-c.timestamp(c.episode.began)) < 0:
		return true
	case c.is(factForward) && a.early:
		return true
	}
	return a.dsack && c.episode.resent == 0
}

// undo puts the congestion state back (RFC 4015 section 3.2), and what was thought lost back into the air.
func (c *Conn) undo(x *Env, a *acked) {
	a.undone = true
	c.tell(x, IncidentSpurious)
	c.unset(factRecovery | factLoss | factForward | factHold | factUndo)
	c.cw.Cwnd, c.cw.Ssthresh = max(c.cw.Cwnd, c.episode.cwnd), max(c.cw.Ssthresh, c.episode.ssthresh)
	c.retries = 0
	c.snd.recover = c.snd.una
	if c.snd.flight == 0 {
		return
	}
	f := &x.Memory.flights[c.snd.flight]
	for i := range f.live() {
		if f.live()[i].fate == lost {
			f.mark(c.snd.una, i, flying)
		}
	}
}

// control lets the algorithm and, in recovery, PRR set cwnd.
func (c *Conn) control(x *Env, now mono.Time, a *acked) {
	pipe := c.pipe(x)
	k := &x.ack
	*k = cc.Ack{
		Bytes: a.bytes, New: a.new, Flight: pipe, Prior: a.prior, RTT: a.newest, SRTT: c.rtt.srtt,
		MinRTT: c.rtt.min, Limited: c.mayGrow(a), Loss: c.any(factRecovery | factReduced),
		Unpaced: c.pacingRate() == 0, Undone: a.undone, Repair: c.is(factLoss), NoSACK: !c.is(factSACK),
	}
	c.rate.loss.tell(uint32(c.count.bytesLost), k)
	c.sampleRate(now, a, k)
	c.Settings(x).Congestion.Ack(&c.cw, now, k)
	if c.is(factRecovery) && !c.cw.Owns {
		c.reduce(a, pipe)
	}
}

// mayGrow reports that cwnd was what held the sender back, and that the acknowledgment lets it grow: not a duplicate one
// (RFC 3042 section 2), unless they are the rule.
func (c *Conn) mayGrow(a *acked) bool {
	if a.bytes > 0 && !c.cw.Owns && c.cw.Cwnd < c.cw.Ssthresh && c.cw.Cwnd < 2*c.snd.used {
		return true // in slow start, up to twice what was used of it (RFC 7661 section 4.2)
	}
	return c.is(factLoss) || c.is(factLimited) && (a.bytes > 0 || c.is(factReordering))
}

// reduce is Proportional Rate Reduction (RFC 6937 section 3; the slow start bound where the acknowledgment shows
// progress and no new loss, as its successor has it).
func (c *Conn) reduce(a *acked, pipe uint32) {
	e := &c.episode
	e.delivered += a.new
	var send uint32
	if pipe > c.cw.Ssthresh {
		send = uint32((uint64(e.delivered)*uint64(c.cw.Ssthresh) + uint64(e.flight) - 1) / uint64(e.flight))
		send -= min(send, e.out)
	} else {
		limit := max(e.delivered-min(e.delivered, e.out), a.new)
		if a.bytes > 0 && a.lost == 0 {
			limit += c.cw.MSS
		}
		send = min(c.cw.Ssthresh-pipe, limit)
	}
	if e.out == 0 {
		send = max(send, c.cw.MSS) // the fast retransmit itself
	}
	c.cw.Cwnd = pipe + send
}

// reduceForProbe is the reduction for a loss that a tail probe repaired (RFC 8985 section 7.4.2).
func (c *Conn) reduceForProbe(x *Env, now mono.Time) {
	if c.any(factRecovery | factLoss) {
		return
	}
	c.Settings(x).Congestion.Loss(&c.cw, now, cc.Episode{Flight: c.outstanding()})
	if !c.cw.Owns {
		c.cw.Cwnd = min(c.cw.Cwnd, c.cw.Ssthresh)
	}
}

// timedOut is what the retransmission timer's expiry means for what is in flight: the first segment is taken for lost, and
// all that has had its time (RFC 6298 (5.4) to (5.6), RFC 5681 section 3.1, RFC 8985 section 6.3). A first span that the peer has by its own word, and yet does not
// acknowledge, shows that it went back on it (RFC 2018 section 8).
func (c *Conn) timedOut(x *Env, now mono.Time) {
	if c.snd.flight == 0 {
		return
	}
	f := &x.Memory.flights[c.snd.flight]
	if c.retries == 1 {
		if !c.any(factRecovery | factLoss) {
			c.beginEpisode(now)
			c.set(factForward)
		} else {
			c.unset(factForward | factUndo)
		}
		c.Settings(x).Congestion.Timeout(&c.cw, now, c.outstanding())
	} else {
		c.unset(factForward)
		// At each time-out, though only the first halves ssthresh (RFC 5681 section 3.1). An algorithm that owns its window owns
		// it on ACKs: BBR's four segments are not for a silence.
		c.cw.Cwnd = min(c.cw.Cwnd, c.cw.MSS)
	}
	c.snd.recover = c.snd.nxt
	c.set(factLoss)
	c.unset(factRecovery | factHold | factProbing | factTail)
	c.snd.dupAcks = 0
	c.probeLost(now)
	reneged := f.live()[0].fate == sacked
	for i := range f.live() {
		s := &f.live()[i]
		s.probe = false
		if s.fate == flying && (i == 0 || c.overdue(f, now, s)) || s.fate == sacked && reneged {
			c.count.bytesLost += uint64(s.end.Sub(f.start(c.snd.una, i)))
			f.mark(c.snd.una, i, lost)
		}
	}
	c.cw.Cwnd = max(c.cw.Cwnd, c.pipe(x)+c.cw.MSS) // what was lost first goes, whatever is still in the air
}

// overdue reports that at a time-out a span is lost, too: all are but those that RACK would still wait for (RFC 8985
// section 6.3).
func (c *Conn) overdue(f *flight, now mono.Time, s *span) bool {
	return !c.is(factSACK) || c.rack.at == 0 || s.at.Add(c.rack.rtt+c.reorderWindow(f)) <= now
}

// imagineSACK is for a peer without SACK: each duplicate ACK says that one more segment has arrived, and an ACK of new
// data covers those that were said to (RFC 5681 section 3.2, as if they had been selected).
func (c *Conn) imagineSACK(a *acked, repeated bool) {
	mss := uint32(c.snd.mss)
	if repeated {
		c.snd.dupAcks = min(c.snd.dupAcks+1, 254)
		a.new += mss
		c.rate.delivered += uint64(mss)
	} else if a.bytes > 0 {
		known := min(uint32(c.snd.dupAcks), (a.bytes+mss-1)/mss-1)
		c.snd.dupAcks -= uint8(known)
		a.new -= min(a.new, known*mss)
		if !c.is(factRecovery) {
			c.snd.dupAcks = 0
		}
	}
}

// loseAll takes all that is in flight for lost, without a word to congestion control.
func (c *Conn) loseAll(x *Env) {
	f := &x.Memory.flights[c.snd.flight]
	for i := range f.live() {
		s := &f.live()[i]
		if s.probe {
			s.probe, c.mtu.size = false, 0 // nothing is known of it
		}
		if s.fate == flying {
			f.mark(c.snd.una, i, lost)
		}
	}
	f.joinLost()
}

// reorderTimer is the expiry of RACK's timer: what was given time to arrive has not.
func (c *Conn) reorderTimer(x *Env, now mono.Time) {
	a := acked{prior: c.pipe(x)}
	c.findLosses(x, now, &a)
	if a.lost == 0 {
		return
	}
	c.tell(x, IncidentReorderTimeout)
	if !c.any(factRecovery | factLoss) {
		c.enterRecovery(x, now, &a)
	}
	if c.is(factRecovery) && !c.cw.Owns {
		c.reduce(&a, c.pipe(x))
	}
}

// restart is for the first text after an idle time longer than the RTO: what the path took then says little now
// (RFC 5681 section 4.1).
func (c *Conn) restart(x *Env, now mono.Time) {
	if idle := now.Sub(c.rate.deliveredAt); c.rate.deliveredAt != 0 && idle > c.rto(x) && !c.cw.Owns && c.cw.Cwnd > cc.InitialWindow(c.cw.MSS) {
		c.tell(x, IncidentIdle)
		c.cw.Cwnd = cc.InitialWindow(c.cw.MSS)
	}
}
