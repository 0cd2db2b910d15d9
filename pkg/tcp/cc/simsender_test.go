package cc

import "github.com/tcpd-project/tcpd/pkg/mono"

// send transmits what the window and the pace allow.
func (s *sim) send() {
	for {
		if !s.pending() {
			if s.flightBytes() < s.w.Cwnd {
				s.appLimited = max(s.delivered+uint64(s.flightBytes()), 1)
			}
			return
		}
		if s.flightBytes()+s.w.MSS > s.w.Cwnd {
			s.blocked = true
			return
		}
		if s.now < s.nextSend {
			s.wake()
			return
		}
		n := 0
		for ; n < s.path.Frame && s.pending() && s.flightBytes()+s.w.MSS <= s.w.Cwnd; n++ {
			s.transmit()
		}
		if rate := s.pace(); rate > 0 {
			s.nextSend = max(s.nextSend, s.now).Add(mono.Duration(uint64(n) * uint64(s.w.MSS) * 1e9 / rate))
		}
	}
}

func (s *sim) pace() uint64 {
	switch {
	case s.w.Pacing > 0:
		return s.w.Pacing
	case s.path.Unpaced || s.srtt == 0:
		return 0
	case s.w.Cwnd < s.w.Ssthresh/2:
		return uint64(s.w.Cwnd) * 2e9 / uint64(s.srtt)
	}
	return uint64(s.w.Cwnd) * 12e8 / uint64(s.srtt)
}

func (s *sim) pending() bool {
	if len(s.resend) > 0 || s.path.Written == nil {
		return true
	}
	t := s.now.Sub(simStart)
	if uint64(s.next+1)*uint64(s.w.MSS) <= s.path.Written(t) {
		return true
	}
	if !s.woken {
		s.woken = true
		s.at(s.now.Add(mono.Millisecond), func() { s.woken = false })
	}
	return false
}

func (s *sim) wake() {
	if !s.woken {
		s.woken = true
		s.at(s.nextSend, func() { s.woken = false })
	}
}

func (s *sim) transmit() {
	if s.inFlight == 0 {
		s.firstSent, s.deliveredAt = s.now, s.now
	}
	x := &sent{order: s.orders, at: s.now, first: s.firstSent, stamp: s.deliveredAt, delivered: s.delivered,
		lost: s.lost, limited: s.appLimited > 0}
	s.orders++
	s.result.Sent++
	if len(s.resend) > 0 {
		x.seq, x.again = s.resend[0], true
		s.resend = s.resend[1:]
	} else {
		x.seq = s.next
		s.next++
	}
	s.flight = append(s.flight, x)
	s.inFlight++
	x.flight = s.flightBytes()
	s.prrOut += uint64(s.w.MSS)
	if s.rto == 0 {
		s.armRTO()
	}
	s.enqueue(x)
}

// ack is the sender's reading of one ACK.
func (s *sim) ack(list []*sent) {
	a := Ack{Prior: s.flightBytes(), Unpaced: s.path.Unpaced && s.w.Pacing == 0}
	a.Limited = s.blocked || s.flightBytes()+s.w.MSS > s.w.Cwnd
	s.blocked = false
	outstanding := uint32(s.next-s.una) * s.w.MSS
	top := -1
	var rs *sent
	marked := false
	for _, x := range list {
		top = max(top, x.order)
		marked = marked || x.marked
		if s.deliver(x, &a) && (rs == nil || x.delivered >= rs.delivered) {
			rs = x
		}
	}
	for s.have[s.una] {
		delete(s.have, s.una)
		s.una++
		a.Bytes += s.w.MSS
	}
	s.sample(rs, &a)
	s.findLost(top, &a)
	if rs != nil {
		a.TxInFlight, a.LostSince = rs.flight, s.lost-rs.lost
	}
	if s.delivered > s.appLimited {
		s.appLimited = 0
	}
	a.SRTT, a.MinRTT, a.Delivered, a.Flight = s.srtt, s.minRTT, s.delivered, s.flightBytes()
	s.tell(&a, outstanding, marked)
	s.armRTO()
}

func (s *sim) deliver(x *sent, a *Ack) bool {
	if !x.done {
		x.done = true
		s.inFlight--
	}
	if x.seq < s.una || s.have[x.seq] {
		return false
	}
	s.have[x.seq] = true
	s.delivered += uint64(s.w.MSS)
	s.deliveredAt = s.now
	a.New += s.w.MSS
	if !x.again {
		a.RTT = max(s.now.Sub(x.at), 1)
	}
	return true
}

func (s *sim) sample(rs *sent, a *Ack) {
	if a.RTT > 0 {
		if s.minRTT == 0 || a.RTT < s.minRTT {
			s.minRTT = a.RTT
		}
		if s.srtt == 0 {
			s.srtt = a.RTT
		}
		s.srtt += (a.RTT - s.srtt) / 8
	}
	if rs == nil {
		return
	}
	s.firstSent = rs.at
	a.Sampled = uint32(s.delivered - rs.delivered)
	a.Interval = max(rs.at.Sub(rs.first), s.deliveredAt.Sub(rs.stamp))
	a.AppLimited = rs.limited
	if rs.delivered >= s.nextRound {
		s.nextRound = s.delivered
		a.Round = true
	}
}

func (s *sim) findLost(top int, a *Ack) {
	for len(s.flight) > 0 && (s.flight[0].done || s.flight[0].order+3 <= top) {
		if x := s.flight[0]; !x.done {
			x.done = true
			s.inFlight--
			s.resend = append(s.resend, x.seq)
			a.Lost += s.w.MSS
			s.lost += s.w.MSS
			a.LossTxInFlight, a.LossLostSince, a.LossAppLimited = x.flight, s.lost-x.lost, x.limited
		}
		s.flight = s.flight[1:]
	}
}

// tell calls the algorithm, in the order that the package documents.
func (s *sim) tell(a *Ack, outstanding uint32, marked bool) {
	if s.una >= s.recover {
		s.reduced = false
	}
	if s.recovering && s.una >= s.recover {
		s.recovering, s.repairing = false, false
		if !s.w.Owns && s.w.Cwnd > s.w.Ssthresh {
			s.w.Cwnd = s.w.Ssthresh
		}
	}
	if a.Lost > 0 && !s.recovering {
		s.recovering, s.recover = true, s.next
		s.alg.Loss(&s.w, s.now, Episode{Flight: outstanding})
		s.result.Episodes++
		s.prrIn, s.prrOut, s.recoverFrom = 0, 0, outstanding
		s.watchLoss(false)
	}
	if marked && !s.recovering && !s.reduced {
		s.mark(outstanding)
	}
	a.Loss, a.Repair = (s.recovering || s.reduced) && !s.repairing, s.repairing
	s.alg.Ack(&s.w, s.now, a)
	if s.recovering && !s.repairing && !s.w.Owns && s.recoverFrom > 0 {
		s.prr(a)
	}
	s.result.MaxCwnd = max(s.result.MaxCwnd, s.w.Cwnd)
	if s.path.Watch != nil && s == s.senders[0] {
		s.path.Watch(s.now.Sub(simStart), &s.w, a)
	}
}

// mark is the answer to an echo of marks, once a window.
func (s *sim) mark(outstanding uint32) {
	s.reduced, s.recover = true, s.next
	s.alg.Loss(&s.w, s.now, Episode{Flight: outstanding, ECN: true})
	if !s.w.Owns {
		s.w.Cwnd = min(s.w.Cwnd, s.w.Ssthresh)
	}
}

func (s *sim) watchLoss(rto bool) {
	if s.path.OnLoss != nil && s == s.senders[0] {
		s.path.OnLoss(s.now.Sub(simStart), &s.w, rto)
	}
}

// prr is RFC 6937 with its slow start bound.
func (s *sim) prr(a *Ack) {
	s.prrIn += uint64(a.New)
	var out uint64
	if a.Flight > s.w.Ssthresh {
		out = (s.prrIn*uint64(s.w.Ssthresh) + uint64(s.recoverFrom) - 1) / uint64(s.recoverFrom)
		out -= min(out, s.prrOut)
	} else {
		limit := max(s.prrIn-min(s.prrIn, s.prrOut), uint64(a.New)) + uint64(s.w.MSS)
		out = min(uint64(s.w.Ssthresh-a.Flight), limit)
	}
	s.w.Cwnd = a.Flight + max(uint32(out), 0)
	if s.prrOut == 0 {
		s.w.Cwnd = max(s.w.Cwnd, a.Flight+s.w.MSS) // the retransmission that began it
	}
}

func (s *sim) armRTO() {
	if s.inFlight == 0 {
		s.rto = 0
		return
	}
	s.rto = s.now.Add(max(2*s.srtt, 200*mono.Millisecond))
	deadline := s.rto
	s.at(deadline, func() {
		if s.rto == deadline {
			s.timeout()
		}
	})
}

func (s *sim) timeout() {
	s.result.Timeouts++
	s.alg.Timeout(&s.w, s.now, uint32(s.next-s.una)*s.w.MSS)
	s.watchLoss(true)
	s.recovering, s.repairing, s.recover, s.recoverFrom = true, true, s.next, 0
	for _, x := range s.flight {
		if !x.done {
			x.done = true
			s.resend = append(s.resend, x.seq)
			s.lost += s.w.MSS
		}
	}
	s.flight, s.inFlight = s.flight[:0], 0
	s.rto = 0
	s.nextSend = 0
}
