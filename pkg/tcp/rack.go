package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// rack is what RACK-TLP (RFC 8985) keeps of a connection.
type rack struct {
	at         mono.Time     // RACK.xmit_ts: when the most recently sent segment of those delivered was sent
	rtt        mono.Duration // RACK.rtt
	late       mono.Duration // by how much segments that were thought lost came after all
	end        seq.Num       // RACK.end_seq
	fack       seq.Num       // RACK.fack: the highest sequence number delivered
	dsackRound seq.Num       // RACK.dsack_round
	probe      seq.Num       // TLP.end_seq, if factProbing
	degree     uint32        // by how many bytes segments have been out of order at most
	mult       uint8         // RACK.reo_wnd_mult, less 1
	persist    uint8         // RACK.reo_wnd_persist
}

// rackDelivered is steps 2 and 3 of RFC 8985 section 6.2, for one span.
func (c *Conn) rackDelivered(g *Segment, from seq.Num, s span, rtt mono.Duration) {
	if s.again {
		// An ACK of the first sending, which came after the second: too early to be of that.
		if c.is(factTimestamps) && g.Options.TSEcr != 0 && int32(g.Options.TSEcr-c.timestamp(s.at)) < 0 || rtt < c.rtt.min {
			if c.is(factRecovery) {
				c.set(factReordering) // it was late, and not lost
			}
			return
		}
	} else if s.end.Less(c.rack.fack) {
		c.set(factReordering)
		c.rack.degree = max(c.rack.degree, c.rack.fack.Sub(from))
	}
	c.rack.fack = seq.Max(c.rack.fack, s.end)
	c.rack.rtt = rtt // of each, as in Linux: what came late keeps what was sent with it from being thought lost
	if s.at > c.rack.at || s.at == c.rack.at && c.rack.end.Less(s.end) {
		c.rack.at, c.rack.end, c.rack.rtt = s.at, s.end, rtt
	}
}

// rackDuplicate widens the reordering window by a D-SACK, once a round trip (section 6.2 step 4).
func (c *Conn) rackDuplicate(prior seq.Num) {
	if prior.Less(c.rack.dsackRound) && c.is(factDSACKRound) {
		return
	}
	c.set(factDSACKRound)
	c.rack.dsackRound = c.snd.nxt
	c.rack.mult = min(c.rack.mult+1, 254)
	c.rack.persist = 16
}

// rackRecovered counts recoveries without a D-SACK: after 16 the reordering window is small again.
func (c *Conn) rackRecovered() {
	if c.rack.persist > 0 {
		if c.rack.persist--; c.rack.persist == 0 {
			c.rack.mult, c.rack.late = 0, 0
		}
	}
}

// rackLate notes that a span came that was thought lost, so much later than what was sent after it. RFC 8985 learns of
// too small a window by D-SACK alone, and widens it by a quarter of the least round trip; where reordering is by whole
// delays that never suffices, and here the lateness has been measured.
func (c *Conn) rackLate(late mono.Duration) {
	c.set(factReordering)
	c.rack.late = max(c.rack.late, late+late/4)
	c.rack.persist = 16
}

// reorderWindow is step 4 of section 6.2: how late a segment may be.
func (c *Conn) reorderWindow(f *flight) mono.Duration {
	if !c.is(factReordering) && (c.any(factRecovery|factLoss) || f.sacked >= dupThreshold*uint32(c.snd.mss)) {
		return 0
	}
	return min(max(mono.Duration(c.rack.mult+1)*c.rtt.min/4, c.rack.late), c.rtt.srtt)
}

// findLosses is step 5 of section 6.2: what was sent before the latest segment delivered, and long enough, is lost.
// What may yet be has the timer.
func (c *Conn) findLosses(x *Env, now mono.Time, a *acked) {
	c.timer[timerReorder] = 0
	if c.snd.flight == 0 || !c.is(factSACK) || c.rack.at == 0 {
		return
	}
	f := &x.Memory.flights[c.snd.flight]
	if f.sacked == 0 && !c.any(factRecovery|factLoss) {
		return // in order: nothing was sent before what has been delivered and is still out
	}
	wait := mono.Duration(0)
	window := c.reorderWindow(f)
	for i := range f.live() {
		s := &f.live()[i]
		if s.fate != flying || !sentBefore(s, c.rack.at, c.rack.end) {
			continue
		}
		if left := s.at.Add(c.rack.rtt + window).Sub(now); left > 0 {
			wait = max(wait, left)
		} else {
			c.lose(f, now, i, a)
		}
	}
	if wait > 0 {
		c.timer[timerReorder] = now.Add(wait)
	}
}

// lose marks span i as lost. The loss of a probe of the MTU is not told to congestion control.
func (c *Conn) lose(f *flight, now mono.Time, i int, a *acked) {
	s := &f.live()[i]
	n := s.end.Sub(f.start(c.snd.una, i))
	f.mark(c.snd.una, i, lost)
	if s.probe {
		s.probe = false
		c.probeLost(now)
		if !c.is(factSACK) {
			c.snd.recover = c.snd.nxt // the duplicate ACKs that still come are of this loss
		}
		return
	}
	a.lost += n
	c.count.bytesLost += uint64(n)
	l := &c.rate.loss
	l.bytes += n
	if s.at >= a.lostAt {
		a.lostAt, l.flight, l.lost, l.appLimited = s.at, s.flight, s.lost, s.appLimited
	}
}

// sentBefore is RACK_sent_after of the other: the span was sent before what was sent at the time at up to end.
func sentBefore(s *span, at mono.Time, end seq.Num) bool {
	return s.at < at || s.at == at && s.end.Less(end)
}

// armProbeTimer is section 7.2: the tail loss probe, where an RTO would be the only other way to learn of a loss.
func (c *Conn) armProbeTimer(x *Env, now mono.Time) {
	c.timer[timerTail] = 0
	if !c.is(factSACK|factSynAcked) || c.any(factRecovery|factLoss|factProbing|factProbed) || c.snd.flight == 0 || c.snd.wnd == 0 || c.backoff > 0 {
		return
	}
	if f := &x.Memory.flights[c.snd.flight]; f.sacked > 0 || f.lost > 0 {
		return
	}
	pto := mono.Second
	if c.rtt.srtt != 0 {
		pto = 2 * c.rtt.srtt
		if c.outstanding() <= uint32(c.snd.mss) {
			pto += c.Settings(x).RTOMin // the peer may delay its acknowledgment of a single segment
		} else {
			pto += 2 * mono.Millisecond
		}
	}
	c.timer[timerTail] = now.Add(pto)
	if rto := c.timer[timerRetransmit]; rto != 0 {
		c.timer[timerTail] = min(c.timer[timerTail], rto) // the probe goes before the time-out, however soon that is
	}
}

// tailProbe is section 7.3: a new segment if there is one, else the last once more.
func (c *Conn) tailProbe(x *Env, now mono.Time) {
	if c.snd.flight == 0 || c.any(factRecovery|factLoss) {
		return
	}
	c.tell(x, IncidentTailProbe)
	c.set(factProbing | factProbed | factTail)
	c.armRetransmit(x, now) // section 7.3: the RTO starts again
}

// probeAcked is section 7.4.2: what an acknowledgment says of a tail loss probe. A probe that repaired a loss counts as a
// loss; whether one did is known when a duplicate of it is reported, or when something beyond it is acknowledged.
func (c *Conn) probeAcked(x *Env, now mono.Time, g *Segment, a *acked) {
	if !c.is(factProbing) || g.Ack.Less(c.rack.probe) {
		return
	}
	switch {
	case !c.is(factProbeAgain) || a.dsack:
		c.unset(factProbing) // new data, or both the original and the probe have come
	case c.rack.probe.Less(g.Ack):
		c.unset(factProbing)
		c.reduceForProbe(x, now)
	}
}

// probeDuplicate is the fourth case of section 7.4.2: a duplicate ACK that selects nothing, from a peer who does not report
// duplicates otherwise.
func (c *Conn) probeDuplicate(g *Segment) {
	if c.is(factProbing|factProbeAgain) && g.Ack == c.rack.probe && g.Options.Blocks == 0 && g.Len() == 0 {
		c.unset(factProbing)
	}
}
