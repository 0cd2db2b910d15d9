package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// text is the seventh and eighth steps of section 3.10.7.4: the segment text and the FIN.
func (c *Conn) text(x *Env, now mono.Time, g *Segment) Drop {
	fin := g.Flags&FIN != 0
	if len(g.Text) == 0 && !fin {
		return DropNone
	}
	if !c.state.CanReceive() {
		return DropNone // the peer's FIN has been taken: no text can follow it
	}
	end := g.Seq.Add(uint32(len(g.Text)))
	if c.is(factDeaf|factFinQueued) && c.rcv.nxt.Less(end) {
		c.fire(x, now, fsm.RcvLateData)
		if c.is(factSendRST) { // at what the peer acknowledges: he may not have our FIN, and takes no other (RFC 5961 section 3)
			c.unset(factSendRST)
			c.replyRST(x, g)
		}
		return DropAfterClose
	}
	if fin && end.LessEq(c.rcv.adv) && !c.is(factFinSeen) {
		c.set(factFinSeen)
		c.rcv.finAt = end
	}
	if d := c.arrange(x, now, g); d != DropNone {
		return d
	}
	c.fin(x, now)
	return DropNone
}

// fin lets RCV.NXT pass the peer's FIN once all text before it is there.
func (c *Conn) fin(x *Env, now mono.Time) {
	if !c.is(factFinSeen) || c.rcv.nxt != c.rcv.finAt || c.is(factFinRcvd) {
		return
	}
	c.set(factFinRcvd)
	if !c.is(factFinQueued) {
		c.set(factPeerFirst)
	}
	c.rcv.nxt++
	c.rcv.adv = seq.Max(c.rcv.adv, c.rcv.nxt)
	c.fire(x, now, fsm.RcvFIN)
}

// arrange trims the text to the window and puts it in its place: behind what is there, or beyond a hole.
func (c *Conn) arrange(x *Env, now mono.Time, g *Segment) Drop {
	if g.Seq.Less(c.rcv.nxt) { // the front is old
		k := min(int(c.rcv.nxt.Sub(g.Seq)), len(g.Text))
		c.duplicate(g.Seq, g.Seq.Add(uint32(k)))
		c.rcv.quick = quickACKs
		g.Text = g.Text[k:]
		g.Seq = g.Seq.Add(uint32(k))
		c.ackNow()
	}
	if room := int(c.rcv.adv.Sub(g.Seq)); g.Seq.LessEq(c.rcv.adv) && len(g.Text) > room {
		if g.Text = g.Text[:room]; g.Seq == c.rcv.nxt {
			c.ackNow() // beyond a hole there is one anyway (RFC 5681 section 4.2: one for each segment)
		}
	}
	switch {
	case len(g.Text) == 0:
		if c.rcv.nxt.Less(g.Seq) {
			c.duplicateOwed() // a FIN beyond a hole
		}
		return DropNone
	case g.Seq == c.rcv.nxt:
		c.take(x, now, g)
		return DropNone
	}
	return c.keepBeyondHole(x, g)
}

// take accepts text at RCV.NXT. It stays in the segment for now unless it fills a hole: whoever reads at once spares
// it the way through the ring.
func (c *Conn) take(x *Env, now mono.Time, g *Segment) {
	n := uint32(len(g.Text))
	c.count.bytesIn += uint64(n)
	x.Totals.BytesIn += uint64(n)
	c.rcv.textAt = clockMS(now)
	if c.is(factDeaf) {
		c.rcv.nxt = c.rcv.nxt.Add(n)
		c.rcv.read, c.rcv.kept, c.rcv.stored = c.rcv.nxt, c.rcv.nxt, c.rcv.nxt
		c.owe(x, now, g)
		return
	}
	if c.rcv.holes == 0 && c.rcv.stored == c.rcv.nxt {
		if c.is(factFinSeen) && !c.reserve(x, int(c.rcv.nxt.Sub(c.rcv.kept)+n)) {
			return // RCV.NXT is about to pass the FIN: after that, Store may not fail
		}
		x.text = g.Text
		c.rcv.nxt = c.rcv.nxt.Add(n)
		c.owe(x, now, g)
		c.signal(Readable)
		return
	}
	if !c.store(x, g.Seq, g.Text) {
		return
	}
	c.rcv.nxt = c.rcv.nxt.Add(n)
	c.owe(x, now, g)
	if h := c.rcv.holes; h != 0 {
		list := &x.Memory.holes[h]
		if first := list.run[0]; first.From.Less(c.rcv.nxt) && !c.is(factDSACK) { // it was there already (RFC 2883 section 4.2)
			c.duplicate(first.From, seq.Min(first.To, c.rcv.nxt))
		}
		c.rcv.nxt = list.fill(c.rcv.nxt)
		c.ackNow() // at once when a hole fills (RFC 5681 section 4.2)
		c.rcv.quick = quickACKs
		if len(list.run) == 0 {
			x.Memory.freeHoles(&c.rcv.holes)
		}
	}
	c.rcv.stored = c.rcv.nxt
	c.signal(Readable)
}

// store puts text into the ring, which grows to hold everything unread that is not lent.
func (c *Conn) store(x *Env, at seq.Num, p []byte) bool {
	if !c.reserve(x, int(at.Sub(c.rcv.kept))+len(p)) {
		return false
	}
	x.Memory.ring(c.rcv.ring).put(at, p)
	return true
}

// bulk is as much text at once as only those send who have much.
const bulk = 16 << 10

// reserve makes the ring hold n bytes from the first unread one on that is not lent. One that a reader in another goroutine may look
// at can't be used again by anybody, so that it grows fourfold, and begins large if much has come at once: fewer are left behind.
func (c *Conn) reserve(x *Env, n int) bool {
	size := n
	switch r := x.Memory.ring(c.rcv.ring); {
	case c.rcv.ring == 0 && n >= bulk && x.roomToGrow():
		size = 4 * n
	case r.shared && len(r.buf) < n:
		size = 4 * len(r.buf)
	}
	n = max(n, min(size, int(c.rcv.buf)))
	if !x.Memory.ensure(&c.rcv.ring, n, c.rcv.kept) {
		x.Errors.Memory++
		return false
	}
	return true
}

// keepBeyondHole stores text that is not yet in order, and owes a duplicate ACK for it.
func (c *Conn) keepBeyondHole(x *Env, g *Segment) Drop {
	c.duplicateOwed()
	if c.is(factDeaf) {
		return DropReorderFull // nobody will read it: the peer may send it again in order
	}
	// A byte at the window's far end takes a ring for all before it. Only while there is plenty may it.
	if r := x.Memory.ring(c.rcv.ring); len(r.buf) < int(g.Seq.Sub(c.rcv.kept))+len(g.Text) && !x.roomToGrow() {
		return DropReorderFull
	}
	if !c.store(x, g.Seq, g.Text) {
		return DropReorderFull
	}
	list := x.Memory.holesOf(&c.rcv.holes)
	b := Block{g.Seq, g.Seq.Add(uint32(len(g.Text)))}
	if have, ok := list.holding(b.From); ok {
		c.duplicate(b.From, seq.Min(b.To, have.To))
		if b.To.LessEq(have.To) {
			return DropNone
		}
	}
	if !list.add(b, x.Memory.mostHoles()) {
		return DropReorderFull
	}
	x.Memory.weighHoles(list)
	list.noteArrival(b.From)
	return DropNone
}

// Store puts what Input took in order, and nobody has consumed, into the ring. Without memory it is forgotten
// before it was acknowledged: the peer will send it again.
func (c *Conn) Store(x *Env) {
	p := x.text
	x.text = nil
	if len(p) == 0 {
		return
	}
	if !c.store(x, c.rcv.stored, p) {
		if c.rcv.acked.LessEq(c.rcv.stored) && !c.is(factFinRcvd) {
			c.rcv.nxt = c.rcv.stored
		}
		return
	}
	c.rcv.stored = c.rcv.stored.Add(uint32(len(p)))
}

// Lendable reports whether the text that came with the segment at hand can be lent: it is at least n bytes, and no
// unread text lies in the ring.
func (c *Conn) Lendable(x *Env, n int) bool { return len(x.text) >= n && c.rcv.kept == c.rcv.stored }

// Lend gives the text that came with the segment at hand, and is Lendable, to a user who keeps it where it lies. It stays
// unread until he consumes it: the window knows nothing of where text lies.
func (c *Conn) Lend(x *Env) []byte {
	p := x.text
	x.text = nil
	c.rcv.stored = c.rcv.stored.Add(uint32(len(p)))
	c.rcv.kept = c.rcv.stored
	c.spareRing(x)
	return p
}

// owe decides when the text just taken is acknowledged: at once for a superframe of two segments or more (as Linux
// does), for more than one full segment unacknowledged (RFC 9293 SHLD-19), and while the connection is young; else
// after the delay (MUST-40: less than 0.5 s).
func (c *Conn) owe(x *Env, now mono.Time, g *Segment) {
	switch {
	case g.Parts >= 2 || c.rcv.nxt.Sub(c.rcv.acked) > uint32(c.rcv.mss):
		c.ackNow()
	case c.rcv.quick > 0:
		c.rcv.quick--
		c.ackNow()
	case c.timer[timerDelayedAck] == 0:
		c.timer[timerDelayedAck] = now.Add(c.Settings(x).DelayedAck)
	}
}

// quickACKs is how many segments are acknowledged without delay when the connection is young, or after disorder: the
// peer's window is small then, and grows with our acknowledgments (Linux's TCP_MAX_QUICKACKS).
const quickACKs = 16

func (c *Conn) ackNow() { c.rcv.acks = max(c.rcv.acks, 1) }

// duplicateOwed owes one more ACK: a sender without SACK counts duplicates (RFC 5681 section 4.2), so they are not
// merged.
func (c *Conn) duplicateOwed() { c.rcv.acks = min(c.rcv.acks+1, 16) }
