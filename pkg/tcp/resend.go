package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Resend is why a segment is sent again.
type Resend uint8

// The reasons; the zero Resend is that of a segment that is sent for the first time.
const (
	_              Resend = iota
	ResendSYN             // the SYN was not answered, or its answer was asked for again
	ResendRecovery        // acknowledgments show that it was lost (RFC 6675, RFC 8985)
	ResendTimeout         // no acknowledgment has come in time (RFC 6298)
	ResendTail            // to find out whether the last segments have come (RFC 8985 section 7)
	ResendProbe           // the window has closed over it (RFC 9293 section 3.8.6.1)
	NumResends     = iota
)

var resendNames = [NumResends]string{
	ResendSYN: "syn", ResendRecovery: "recovery", ResendTimeout: "timeout", ResendTail: "tail_probe", ResendProbe: "window_probe",
}

// String is the reason's name in counters; "" for the zero Resend.
func (r Resend) String() string { return resendNames[r] }

// resent counts what is sent again.
func (c *Conn) resent(x *Env, o *Out, why Resend) {
	o.Again = why
	c.count.retransmits++
	x.Totals.Resent[why]++
}

// lostAndDue reports that there is something to send again, and that it may be.
func (c *Conn) lostAndDue(x *Env) bool {
	return c.snd.flight != 0 && !c.is(factHold) && c.snd.wnd != 0 && x.Memory.flights[c.snd.flight].lost != 0
}

// resend sends the first of what is lost, as far as cwnd allows; one segment always when nothing is in the network.
func (c *Conn) resend(x *Env, now mono.Time, o *Out) bool {
	if !c.lostAndDue(x) {
		return false
	}
	f := &x.Memory.flights[c.snd.flight]
	i := 0
	for f.live()[i].fate != lost {
		i++
	}
	mss := uint32(c.snd.mss)
	pipe := c.pipe(x)
	room := c.cw.Cwnd - min(c.cw.Cwnd, pipe)
	if pipe == 0 {
		room = max(room, mss)
	}
	from := f.start(c.snd.una, i)
	edge := c.snd.una.Add(c.snd.wnd)
	if !from.Less(edge) {
		return false // the peer has taken back the window that it was sent into
	}
	end := f.live()[i].end
	for _, s := range f.live()[i+1:] { // small segments go together now
		if s.fate != lost || end.Sub(from) >= mss {
			break
		}
		end = s.end
	}
	n := min(end.Sub(from), c.frame(x), edge.Sub(from), c.record(x, from))
	if n > room {
		n = room / mss * mss
	}
	if n == 0 {
		return false
	}
	why := ResendRecovery
	if c.is(factLoss) {
		why = ResendTimeout
	}
	c.again(x, now, o, from, n, why)
	return true
}

// again sends n numbers of the stream, from the number from on, once more.
func (c *Conn) again(x *Env, now mono.Time, o *Out, from seq.Num, n uint32, why Resend) {
	f := &x.Memory.flights[c.snd.flight]
	pipe := c.pipe(x)
	x.Memory.makeRoom(f)
	i := f.cut(c.snd.una, from)
	for j := f.cut(c.snd.una, from.Add(n)); i < j; i++ {
		s := &f.live()[i]
		if s.fate == sacked {
			continue
		}
		f.mark(c.snd.una, i, flying)
		s.again, s.probe = true, false
		c.stamp(now, s, pipe, n)
	}
	x.Memory.weigh(f)
	if from == c.snd.una && c.backoff == 0 {
		c.armRetransmit(x, now) // it has a whole time-out of its own, as in Linux
	}
	c.episode.resent += n
	c.episode.out += n
	c.resent(x, o, why)
	fin := c.snd.end.Less(from.Add(n))
	if fin {
		n--
	}
	c.transmit(x, now, o, from, n, fin)
}

// lastSegment is the length of the last segment sent, as far as the scoreboard knows it: in one span full segments come
// first.
func (c *Conn) lastSegment(x *Env) uint32 {
	f := &x.Memory.flights[c.snd.flight]
	last := len(f.live()) - 1
	n := f.live()[last].end.Sub(f.start(c.snd.una, last))
	return (n-1)%uint32(c.snd.mss) + 1
}

// sendTail sends the tail loss probe: new text if there is any and the peer has room, else the last segment once more
// (RFC 8985 section 7.3). It may exceed cwnd by a segment.
func (c *Conn) sendTail(x *Env, now mono.Time, o *Out) bool {
	if !c.is(factTail) {
		return false
	}
	c.unset(factTail | factProbeAgain)
	mss := uint32(c.snd.mss)
	wnd := c.snd.wnd - min(c.snd.wnd, c.outstanding())
	if c.snd.nxt.Less(c.snd.end) && wnd >= min(mss, c.snd.end.Sub(c.snd.nxt)) {
		c.sendNew(x, now, o, min(mss, c.snd.end.Sub(c.snd.nxt), c.record(x, c.snd.nxt)), false)
	} else if c.snd.flight != 0 {
		from := c.snd.nxt - seq.Num(c.lastSegment(x))
		for n := c.record(x, from); n < c.snd.nxt.Sub(from); n = c.record(x, from) {
			from = from.Add(n)
		}
		c.set(factProbeAgain)
		c.again(x, now, o, from, c.snd.nxt.Sub(from), ResendTail)
	} else {
		return false
	}
	c.rack.probe = c.snd.nxt
	return true
}
