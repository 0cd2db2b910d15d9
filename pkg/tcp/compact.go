package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Memory follows state: a connection in SYN-RECEIVED of a passive open, and one in TIME-WAIT that nobody holds any
// more, say so little that a few words keep them. They are packed between segments and unpacked for the next one, so
// that both are driven by the same code as the whole connection.

// OpenPassive makes c, from LISTEN, what the SYN g asks for: SYN-RECEIVED with the SYN,ACK to be sent (section
// 3.10.7.2 third). Text and FIN of the SYN stay unacknowledged: the peer sends them again.
func (c *Conn) OpenPassive(x *Env, now mono.Time, o Open, g *Segment) {
	c.begin(x, now, o, fsm.Listen)
	c.set(factPassive)
	c.synReceived(x, now, g)
	c.fire(x, now, fsm.RcvSYN)
	if o.Early != 0 {
		c.openEarly(x, now, g)
	}
}

// InputListen is section 3.10.7.2: what a listener without room for the connection yet does with a segment. open says
// that it is a SYN to be answered.
func InputListen(x *Env, g *Segment) (d Drop, open bool) {
	switch {
	case g.Flags&RST != 0: // first
		return DropRST, false
	case g.Flags&ACK != 0: // second
		if r, ok := ResetFor(g); ok {
			x.reply(r)
		}
		return DropNoConnection, false
	case g.Flags&SYN != 0: // third
		return DropNone, true
	}
	return DropNoACK, false // fourth
}

// HalfOpen is a connection in SYN-RECEIVED after a passive open, packed.
type HalfOpen struct {
	deadline, sent     mono.Time
	iss, irs           seq.Num
	tsRecent, tsOffset uint32
	facts              facts
	wnd, mss, rcvMSS   uint16
	state              fsm.State
	profile, retries   uint8
	scales             uint8 // ours in the upper half
	sends              uint8
	syn                uint8  // accECN.syn
	challenge          uint32 // no challenge ACK before: ms after sent
}

// PackHalfOpen packs c into h. It reports false, and does nothing, when c is not a SYN-RECEIVED with only its SYN
// outstanding, or has something to send.
func (c *Conn) PackHalfOpen(h *HalfOpen) bool {
	if !c.is(factPassive) || c.any(factSynAcked|factReleased|factFinQueued|factLetGo|factEarly) || c.snd.ring != 0 || c.rcv.ring != 0 {
		return false
	}
	if c.rcv.acks > 0 || c.is(factSYNDue) {
		return false
	}
	*h = HalfOpen{
		deadline: c.timer[timerRetransmit], sent: c.rtt.at, challenge: millis(c.challenge.Sub(c.rtt.at)),
		iss: c.snd.iss, irs: c.rcv.irs, tsRecent: c.ts.recent, tsOffset: c.ts.offset, facts: c.facts,
		wnd: uint16(c.snd.wnd), mss: c.mtu.most, rcvMSS: c.rcv.mss, state: c.state, profile: c.profile,
		retries: c.retries, syn: c.acc.syn, scales: c.rcv.scale<<4 | c.snd.scale, sends: uint8(min(c.count.segsOut, 255)),
	}
	return true
}

// Unpack makes c what h was packed from.
func (h *HalfOpen) Unpack(x *Env, c *Conn) {
	s := &x.Settings[h.profile]
	*c = Conn{state: h.state, profile: h.profile, retries: h.retries, backoff: h.retries, facts: h.facts, dscp: s.DSCP}
	nxt := h.iss + 1
	c.snd = sendSpace{una: h.iss, nxt: nxt, iss: h.iss, end: nxt, recover: h.iss, small: h.iss, wl1: h.irs,
		wnd: uint32(h.wnd), maxWnd: uint32(h.wnd), buf: uint32(s.SendBuffer), mss: h.mss, scale: h.scales & 15}
	c.rcv = receiveSpace{nxt: h.irs + 1, irs: h.irs, acked: h.irs + 1, read: h.irs + 1, kept: h.irs + 1, stored: h.irs + 1,
		buf: uint32(s.ReceiveBuffer), mss: h.rcvMSS, scale: h.scales >> 4, quick: quickACKs}
	c.beginMTU(x)
	if !c.is(factScale) {
		c.rcv.buf = min(c.rcv.buf, 65535)
	}
	c.rcv.adv = c.rcv.nxt.Add(c.synWindow())
	c.tune = tuning{from: c.rcv.nxt, at: h.sent}
	c.ts.recent, c.ts.offset, c.ts.at = h.tsRecent, h.tsOffset, h.sent
	c.timer[timerRetransmit] = h.deadline
	c.challenge = h.sent.Add(mono.Duration(h.challenge) * mono.Millisecond)
	c.rtt.at, c.stalled = h.sent, h.sent
	c.acc = accECN{received: firstCEP, acked: firstCEP, syn: h.syn}
	if h.syn == ce {
		c.acc.received++
	}
	c.userTimeout, c.finTimeout = millis(s.UserTimeout), millis(s.FinTimeout)
	c.count.segsIn, c.count.segsOut, c.count.retransmits = 1, uint32(h.sends), uint32(h.retries)
	if s.KeepAlive {
		c.SetKeepAlive(x, 0, s.KeepIdle, s.KeepInterval, s.KeepCount)
	}
}

// Deadline is when the SYN,ACK is to be sent again.
func (h *HalfOpen) Deadline() mono.Time { return h.deadline }

// TimeWait is a connection in TIME-WAIT that its user has let go, packed.
type TimeWait struct {
	sndNxt, rcvNxt     seq.Num
	tsRecent, tsOffset uint32
	deadline           uint32 // ms of the monotonic clock, rounded up
	timestamps         bool
	profile            uint8
	challenge          uint16 // no challenge ACK before: half seconds before the deadline
}

// PackTimeWait packs c into t, if c is in TIME-WAIT, let go by its user, and has nothing to send.
func (c *Conn) PackTimeWait(t *TimeWait) bool {
	if !c.is(factFinAcked|factFinRcvd|factLetGo) || c.any(factReleased|factSendRST) || c.rcv.acks > 0 || c.rcv.ring != 0 {
		return false
	}
	*t = TimeWait{
		sndNxt: c.snd.nxt, rcvNxt: c.rcv.nxt, tsRecent: c.ts.recent, tsOffset: c.ts.offset,
		deadline: clockMS(c.timer[timerWait].Add(mono.Millisecond - 1)), timestamps: c.is(factTimestamps), profile: c.profile,
		challenge: uint16(max(0, min(c.timer[timerWait].Sub(c.challenge)/challengeInterval, 1<<16-1))),
	}
	return true
}

// Unpack makes c what t was packed from, as far as TIME-WAIT needs it.
func (t *TimeWait) Unpack(x *Env, now mono.Time, c *Conn) {
	*c = Conn{state: fsm.TimeWait, profile: t.profile, dscp: x.Settings[t.profile].DSCP}
	c.set(factSynAcked | factSynRcvd | factFinQueued | factFinAcked | factFinRcvd | factFinSeen | factDeaf | factLetGo)
	if t.timestamps {
		c.set(factTimestamps)
	}
	c.snd = sendSpace{una: t.sndNxt, nxt: t.sndNxt, iss: t.sndNxt - 2, end: t.sndNxt - 1,
		recover: t.sndNxt, small: t.sndNxt, wnd: 65535, maxWnd: 65535, wl1: t.rcvNxt, wl2: t.sndNxt, mss: defaultMSS}
	c.rcv = receiveSpace{nxt: t.rcvNxt, irs: t.rcvNxt - 2, adv: t.rcvNxt.Add(65535), acked: t.rcvNxt,
		read: t.rcvNxt - 1, kept: t.rcvNxt - 1, stored: t.rcvNxt - 1, finAt: t.rcvNxt - 1, buf: 65535, mss: defaultMSS}
	c.ts.recent, c.ts.offset, c.ts.at = t.tsRecent, t.tsOffset, now
	c.timer[timerWait] = t.Deadline(now)
	c.challenge = c.timer[timerWait].Add(-challengeInterval * mono.Duration(t.challenge))
}

// farthestWait is longer than any TIME-WAIT, in ms.
const farthestWait = 86_400_000

// Deadline is the end of 2 MSL.
func (t *TimeWait) Deadline(now mono.Time) mono.Time {
	now -= now % mono.Time(mono.Millisecond)
	ahead := int32(t.deadline - clockMS(now))
	if ahead > farthestWait {
		ahead = 0 // it has long been over: the clock of ms has gone half round
	}
	return now.Add(mono.Duration(ahead) * mono.Millisecond)
}

// NotBefore lets t end no sooner than o.
func (t *TimeWait) NotBefore(o *TimeWait) {
	if int32(o.deadline-t.deadline) > 0 {
		t.deadline = o.deadline
	}
}

// Reusable reports that the SYN g may start a new incarnation of a connection in TIME-WAIT: its sequence number, or
// its timestamp, is beyond all of the old one's (section 3.6.1, RFC 6191 section 2). iss is a first sequence number
// that lies beyond the old connection's (section 3.10.7.4 fourth).
func (c *Conn) Reusable(g *Segment) (iss seq.Num, ok bool) {
	if !c.is(factFinAcked|factFinRcvd) || g.Flags&(SYN|ACK|RST|FIN) != SYN {
		return 0, false
	}
	newer := c.rcv.nxt.Less(g.Seq)
	if c.is(factTimestamps) && g.Options.Has&HasTimestamps != 0 {
		newer = newer || int32(g.Options.TSVal-c.ts.recent) > 0
		newer = newer && int32(g.Options.TSVal-c.ts.recent) >= 0
	}
	return c.snd.nxt.Add(65535 + 2), newer
}

// Reincarnate ends TIME-WAIT for a new incarnation.
func (c *Conn) Reincarnate(x *Env, now mono.Time) { c.fire(x, now, fsm.NewSYN) }
