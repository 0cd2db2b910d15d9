package tcp

import (
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Open is what a new connection starts from.
type Open struct {
	Profile    uint8   // index into Env.Settings
	ISS        seq.Num // initial send sequence number (section 3.4.1)
	TSOffset   uint32  // of the timestamp clock
	MSS        uint16  // most payload of a segment, both ways, if less than the device takes; 0: it is not less
	FastOpen   bool    // our SYN asks for a cookie, carries one, or gives one (RFC 7413)
	Early      uint16  // with it: most text on our SYN, bytes; passive: not 0 if the SYN has shown a valid cookie
	Superframe uint16  // largest superframe in payload bytes; 0: as large as the device takes
}

// OpenActive is the OPEN call (section 3.10.1) in its active form: SYN-SENT.
func (c *Conn) OpenActive(x *Env, now mono.Time, o Open) {
	c.begin(x, now, o, fsm.Closed)
	c.snd.wnd = uint32(o.Early)
	c.fire(x, now, fsm.OpenActive)
}

// begin sets a connection up, in CLOSED or LISTEN, to the point where its SYN is next to be sent.
func (c *Conn) begin(x *Env, now mono.Time, o Open, from fsm.State) {
	s := &x.Settings[o.Profile]
	*c = Conn{state: from, profile: o.Profile, heard: now, dscp: s.DSCP}
	c.snd.iss, c.snd.una, c.snd.nxt = o.ISS, o.ISS, o.ISS
	c.snd.end, c.snd.recover, c.snd.small = o.ISS+1, o.ISS, o.ISS
	mss := uint16(x.MTU - 40)
	for _, most := range [...]uint16{o.MSS, s.MSS} {
		if most != 0 {
			mss = min(mss, most)
		}
	}
	c.snd.buf, c.snd.frame, c.snd.mss = uint32(s.SendBuffer), o.Superframe, mss
	c.rcv.buf, c.rcv.mss, c.rcv.quick = uint32(s.ReceiveBuffer), mss, quickACKs
	c.rcv.scale = windowScale(s)
	c.ts.offset = o.TSOffset
	c.userTimeout, c.finTimeout = millis(s.UserTimeout), millis(s.FinTimeout)
	if s.NoDelay {
		c.set(factNoDelay)
	}
	if s.Unpaced {
		c.set(factUnpaced)
	}
	if o.FastOpen {
		c.set(factFastOpen)
	}
	if s.KeepAlive {
		c.SetKeepAlive(x, now, s.KeepIdle, s.KeepInterval, s.KeepCount)
	}
}

// millis is d in milliseconds, rounded up.
func millis(d mono.Duration) uint32 {
	return uint32(min(max(0, (d+mono.Millisecond-1)/mono.Millisecond), 1<<32-1))
}

// windowScale is the shift that lets the whole receive buffer be advertised (RFC 7323 section 2.3).
func windowScale(s *Settings) uint8 {
	if !s.WindowScale {
		return 0
	}
	return uint8(min(maxWindowScale, max(0, bits.Len(uint(max(s.ReceiveBuffer, s.ReceiveBufferMax)))-16)))
}

// offer is the options of our SYN, or of our SYN,ACK: there, only what the peer has offered.
func (c *Conn) offer(x *Env, now mono.Time) Options {
	s := c.Settings(x)
	answer := c.is(factSynRcvd)
	o := Options{Has: HasMSS, MSS: c.rcv.mss + uint16(c.optionBytes())}
	if answer && c.is(factTimestamps) || !answer && s.Timestamps {
		o.Has |= HasTimestamps
		o.TSVal, o.TSEcr = c.timestamp(now), c.ts.recent
	}
	if answer && c.is(factScale) || !answer && s.WindowScale {
		o.Has |= HasWindowScale
		o.WindowScale = c.rcv.scale
	}
	if answer && c.is(factSACK) || !answer && s.SACK {
		o.Has |= HasSACKPermitted
	}
	if c.ownUserTimeout(x) != 0 && !c.is(factFastOpen) { // there is room for one of the two
		c.putUserTimeout(x, &o)
	}
	return o
}

// MinMSS is the least payload of a segment in bytes, options included, that a peer can bring us to: below it a flow of tiny
// segments would cost us more than the peer (CVE-2019-11479; Linux's tcp_min_snd_mss).
const MinMSS = 48

// defaultMSS is what a peer without the option takes (MUST-15).
const defaultMSS = 536

// negotiate takes what the peer's SYN offers and our settings allow.
func (c *Conn) negotiate(x *Env, o *Options) {
	c.takeUserTimeout(x, o)
	s := c.Settings(x)
	peer := uint16(defaultMSS)
	if o.Has&HasMSS != 0 {
		peer = max(o.MSS, MinMSS)
	}
	if s.Timestamps && o.Has&HasTimestamps != 0 {
		c.set(factTimestamps)
	}
	if s.SACK && o.Has&HasSACKPermitted != 0 {
		c.set(factSACK)
	}
	if s.WindowScale && o.Has&HasWindowScale != 0 {
		c.set(factScale)
		c.snd.scale = o.WindowScale
	} else {
		c.rcv.scale = 0
		c.rcv.buf = min(c.rcv.buf, 65535)
	}
	c.snd.mss = min(c.snd.mss, peer) - uint16(c.optionBytes()) // MUST-16
	c.rcv.mss -= uint16(c.optionBytes())
	c.beginMTU(x)
}

// firstText is the oldest text that may be in the send ring: SND.UNA, past our SYN.
func (c *Conn) firstText() seq.Num {
	if !c.is(factSynAcked) {
		return c.snd.iss + 1
	}
	return c.snd.una
}

// Space is how many bytes of text Write would take now (section 3.10.2, SEND).
func (c *Conn) Space() int {
	if !c.state.CanSend() || c.any(factFinQueued|factCloseDue|factReleased) {
		return 0
	}
	used := c.snd.end.Sub(c.firstText())
	return int(c.snd.buf - min(used, c.snd.buf))
}

// Write queues as much of p as there is room for and returns how much that is. Where it is less than all, Writable
// will be signalled.
func (c *Conn) Write(x *Env, p []byte) int {
	n := c.queue(x, p)
	c.unset(factMore)
	if n > 0 {
		c.snd.push = c.snd.end
	}
	return n
}

func (c *Conn) queue(x *Env, p []byte) int {
	n := min(len(p), c.Space())
	if n < len(p) {
		c.set(factStarved)
	}
	from := c.firstText()
	used := int(c.snd.end.Sub(from))
	if n > 0 && !c.growSend(x, from, used+n) {
		// Less memory serves, too: what the ring has room for, or the smallest ring.
		if c.snd.ring == 0 && !x.Memory.ensure(&c.snd.ring, 1, from) {
			return 0
		}
		n = min(n, len(x.Memory.ring(c.snd.ring).buf)-used)
	}
	if n == 0 {
		return 0
	}
	x.Memory.ring(c.snd.ring).put(c.snd.end, p[:n])
	c.snd.end = c.snd.end.Add(uint32(n))
	return n
}

// WriteMore is Write for text that more will follow soon, before the peer need see it (Linux's MSG_MORE): what is less than a
// full segment waits for that, as with SetCork, and has no PSH when it goes after all: for an acknowledgment, as Linux has
// it, and a Write of nothing.
func (c *Conn) WriteMore(x *Env, p []byte) int {
	n := c.queue(x, p)
	c.set(factMore)
	return n
}

// growSend makes the send ring hold n bytes. A ring that must grow grows fourfold, so that a bulk sender soon has all
// it may.
func (c *Conn) growSend(x *Env, from seq.Num, n int) bool {
	if c.snd.ring != 0 && len(x.Memory.ring(c.snd.ring).buf) < n {
		n = min(max(n, 4*len(x.Memory.ring(c.snd.ring).buf)), max(n, int(c.snd.buf)))
	}
	if !x.Memory.ensure(&c.snd.ring, n, from) {
		x.Errors.Memory++
		c.set(factStarved)
		return false
	}
	return true
}

// Thirsty reports that there is room by the send buffer's size, and yet no memory for a ring. With a ring, what is in
// it will be acknowledged, and Writable follows.
func (c *Conn) Thirsty() bool { return c.snd.ring == 0 && c.Space() > 0 }

// SpaceAgain signals Writable to a user whose Write found no memory, now that there may be some.
func (c *Conn) SpaceAgain() {
	if !c.is(factReleased) {
		c.signal(Writable)
	}
}

// WantSpace asks for Writable as soon as a third of the send buffer is free, for a writer in another goroutine. It reports
// that it is so already.
func (c *Conn) WantSpace(x *Env) bool {
	size := c.writerSize(x)
	if used := c.snd.end.Sub(c.firstText()); c.Space() > 0 && size-min(size, used) >= size/3 {
		return true
	}
	c.set(factStarved)
	return false
}

// SendSpace is the send sequence space as a writer in another goroutine sees it: text [SND.UNA, end) is queued, and
// at most size bytes may be.
func (c *Conn) SendSpace(x *Env) (una, end seq.Num, size int) {
	return c.firstText(), c.snd.end, int(c.writerSize(x))
}

// writerSize is how much a writer in another goroutine may queue: with all memory in use, no more than fits the ring that
// he has, or a small one.
func (c *Conn) writerSize(x *Env) uint32 {
	if m := x.Memory; m.Limit > 0 && m.InUse >= m.Limit {
		return min(c.snd.buf, uint32(max(len(m.ring(c.snd.ring).buf), 1<<minRingLog)))
	}
	return c.snd.buf
}

// Commit queues text that another goroutine has put into its ring buf (a power of two in size; the byte with
// sequence number s at s modulo it) up to the sequence number end.
func (c *Conn) Commit(x *Env, buf []byte, end seq.Num) {
	if c.is(factReleased) {
		return
	}
	if c.snd.ring == 0 || &x.Memory.ring(c.snd.ring).buf[0] != &buf[0] {
		x.Memory.adopt(&c.snd.ring, buf)
	}
	if !c.any(factFinQueued | factCloseDue) {
		c.snd.end = seq.Max(c.snd.end, end)
		c.snd.push = c.snd.end
	}
}

// Unread returns text in order that the user has not read: up to three pieces, to be read one after the other. They
// are valid until the connection is called again.
func (c *Conn) Unread(x *Env) (a, b, inline []byte) {
	if n := int(c.rcv.stored.Sub(c.rcv.kept)); n > 0 && c.rcv.ring != 0 {
		a, b = x.Memory.ring(c.rcv.ring).slices(c.rcv.kept, n)
	}
	return a, b, x.text
}

// Consume tells that the user has read n bytes more (section 3.10.3, RECEIVE). The peer is told of the room when that
// at least doubles its window, as Linux does it.
func (c *Conn) Consume(x *Env, n int) {
	stored := min(n, int(c.rcv.stored.Sub(c.rcv.read)))
	c.rcv.read = c.rcv.read.Add(uint32(n))
	if c.is(factUrgentIn) && c.rcv.up.LessEq(c.rcv.read) {
		c.unset(factUrgentIn)
	}
	if k := n - stored; k > 0 {
		x.text = x.text[k:]
		c.rcv.stored = c.rcv.read
	}
	c.rcv.kept = seq.Max(c.rcv.kept, c.rcv.read)
	if len(x.text) == 0 {
		c.spareRing(x)
	}
	c.tuneReceive(x)
	edge, wnd := c.edge(), c.rcv.adv.Sub(c.rcv.nxt)
	if step := edge - c.rcv.adv; int32(step) > 0 && uint32(step) >= min(c.rcv.buf/2, uint32(c.rcv.mss)) &&
		edge.Sub(c.rcv.nxt) >= 2*wnd && !c.is(factFinRcvd) {
		c.ackNow()
	}
}

// spareRing gives the receive ring back if nothing lies in it.
func (c *Conn) spareRing(x *Env) {
	if c.rcv.kept == c.rcv.stored && c.rcv.holes == 0 && c.rcv.ring != 0 {
		x.Memory.ring(c.rcv.ring).shared = false // whoever shared it has read it to the end
		x.Memory.detach(&c.rcv.ring)
	}
}

// ReceiveSpace is the receive sequence space as a reader in another goroutine sees it: text [read, end) that is not lent
// lies in the ring buf, whose bytes are not written again before they have been consumed.
func (c *Conn) ReceiveSpace(x *Env) (buf []byte, read, end seq.Num) {
	if c.rcv.ring != 0 {
		r := x.Memory.ring(c.rcv.ring)
		r.shared = true
		buf = r.buf
	}
	return buf, c.rcv.read, c.rcv.stored
}

// ReceiveBuffer is the most text kept unread, in bytes.
func (c *Conn) ReceiveBuffer() int { return int(c.rcv.buf) }

// unreadText is the bytes that the user has not read.
func (c *Conn) unreadText() uint32 {
	n := c.rcv.nxt.Sub(c.rcv.read)
	if c.is(factFinRcvd) {
		n--
	}
	return n
}

// CloseWrite is the CLOSE call of section 3.10.4: nothing more will be sent; receiving goes on.
func (c *Conn) CloseWrite(x *Env, now mono.Time) {
	if c.any(factFinQueued|factCloseDue) || c.is(factReleased) {
		return
	}
	if c.is(factSynRcvd) && !c.is(factSynAcked) && c.snd.end != c.snd.iss+1 {
		c.set(factCloseDue)
		return
	}
	c.fire(x, now, fsm.Close)
}

// CloseRead drops the receive side: what is unread and what still comes is acknowledged and forgotten.
func (c *Conn) CloseRead(x *Env, now mono.Time) {
	if c.any(factDeaf | factReleased) {
		return
	}
	c.deafen(x)
	c.fire(x, now, fsm.ReceiveDropped)
}

func (c *Conn) deafen(x *Env) {
	c.set(factDeaf)
	c.unset(factPredict | factUrgentIn)
	x.text = nil
	end := c.rcv.nxt
	if c.is(factFinRcvd) {
		end--
	}
	c.rcv.read, c.rcv.kept, c.rcv.stored = end, end, end
	x.Memory.freeHoles(&c.rcv.holes)
	x.Memory.detach(&c.rcv.ring)
}

// Close lets go of the connection: the text queued is still sent, then the FIN, and nobody hears of it again. With
// text unread the peer gets a RST instead: it must not believe that all was read (RFC 1122 section 4.2.2.13).
func (c *Conn) Close(x *Env, now mono.Time) {
	if c.is(factLetGo) {
		return
	}
	c.events &= Ended
	c.set(factLetGo)
	if c.is(factReleased) {
		return
	}
	if c.is(factSynRcvd) && c.unreadText() > 0 && !c.is(factDeaf) {
		if c.is(factSynAcked) {
			c.fire(x, now, fsm.CloseUnread)
		} else {
			c.fire(x, now, fsm.Abort) // text came with the SYN
		}
		if c.is(factReleased) {
			return
		}
	}
	if !c.is(factFinAcked) {
		c.timer[timerWait] = now.Add(c.Settings(x).OrphanTimeout)
	}
	c.CloseRead(x, now)
	c.CloseWrite(x, now)
}

// Abort is the ABORT call (section 3.10.5).
func (c *Conn) Abort(x *Env, now mono.Time) {
	c.set(factLetGo)
	if !c.is(factReleased) {
		c.fire(x, now, fsm.Abort)
	}
}

// SYNSent is when our SYN, or SYN,ACK, first went out; 0 where a cookie was the answer.
func (c *Conn) SYNSent() mono.Time { return c.rtt.at }

// Evict is Abort by whoever runs the host, and is told as such.
func (c *Conn) Evict(x *Env, now mono.Time) {
	c.tell(x, IncidentOperatorReset)
	c.Abort(x, now)
}

// Shutdown aborts a connection that its user still holds: he will hear that it has ended.
func (c *Conn) Shutdown(x *Env, now mono.Time) {
	if !c.is(factReleased) {
		c.fire(x, now, fsm.Abort)
	}
}

// Written is how many bytes of text have been queued since the connection began.
func (c *Conn) Written() uint64 {
	acked := c.count.bytesOut
	if c.is(factFinAcked) {
		acked-- // the FIN is counted, too
	}
	return acked + uint64(c.snd.end.Sub(seq.Min(c.snd.end, c.firstText())))
}

// Unsent is how many bytes of text have never been sent.
func (c *Conn) Unsent() int { return max(0, int(int32(c.snd.end.Sub(c.snd.nxt)))) }

// EOF reports that the peer has closed and that all it sent has been read.
func (c *Conn) EOF() bool { return c.is(factFinRcvd) && c.unreadText() == 0 }
