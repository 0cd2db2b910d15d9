package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// tuning is the receiver's measurement of a round trip's worth of reading.
type tuning struct {
	from seq.Num // what had been read when it began
	read uint32  // in the round trip before, bytes
	at   mono.Time
}

// nearMax bounds the buffers of a short way: there nothing limits cwnd, and what one reads in a round trip is chance,
// while a buffer beyond the processor's cache costs more than it brings.
const nearMax = 1 << 20

// most is how far a buffer may grow that is configured to grow to limit.
func (c *Conn) most(limit int) uint32 {
	if c.near() {
		limit = min(limit, nearMax)
	}
	return uint32(limit)
}

// near reports that the way is short: what takes long there is no distance, but a queue, or a processor that is busy.
func (c *Conn) near() bool { return c.rtt.min < paceFrom }

// knownNear is near by a measurement, which there is none of after a handshake by cookie.
func (c *Conn) knownNear() bool { return c.rtt.min != 0 && c.near() }

// roomToGrow reports that buffers may become larger: less than half of the memory is in use.
func (x *Env) roomToGrow() bool { return x.Memory.Limit == 0 || x.Memory.InUse < x.Memory.Limit/2 }

// tuneSend lets the send buffer hold three times what may be in flight, so that an acknowledgment always finds text to
// send: in recovery it holds what was sent beyond a hole, too. A buffer that is too small keeps cwnd from being used. Over a
// short way a small one is no loss, and only the least round trip's worth counts; but a writer in another goroutine is woken for
// every third of it.
func (c *Conn) tuneSend(x *Env) {
	most := uint32(c.Settings(x).SendBufferMax)
	near, shared := c.near(), x.Memory.ring(c.snd.ring).shared
	held := c.is(factLimited) || c.is(factStarved) && (shared || !near)
	if c.is(factSendFixed) || c.snd.buf >= most || !held || !x.roomToGrow() {
		return
	}
	want := 3 * uint64(c.cw.Cwnd)
	switch {
	case near && shared:
		want = min(want, nearMax)
	case near:
		want = want * uint64(c.rtt.min) / uint64(max(c.rtt.srtt, 1))
	}
	c.snd.buf = max(c.snd.buf, uint32(min(uint64(most), want)))
}

// tuneReceive is dynamic right-sizing (Fisk and Feng, 2001; Linux's tcp_rcv_space_adjust): the window is to be twice
// what the user reads in a round trip, for losses, and more as that grows, so that a sender in slow start is not held back.
func (c *Conn) tuneReceive(x *Env) {
	most := min(c.most(c.Settings(x).ReceiveBufferMax), 65535<<c.rcv.scale)
	if c.is(factReceiveFixed) || c.rcv.buf >= most || c.heard.Sub(c.tune.at) < c.rtt.srtt {
		return
	}
	read, before := min(c.rcv.read.Sub(c.tune.from), 1<<29), max(c.tune.read, uint32(c.rcv.mss))
	c.tune = tuning{c.rcv.read, read, c.heard}
	want := 2*uint64(read) + 16*uint64(c.rcv.mss)
	if read > before {
		want += 2 * want * uint64(read-before) / uint64(before)
	}
	if want > uint64(c.rcv.buf) && x.roomToGrow() {
		c.rcv.buf = uint32(min(want, uint64(most)))
	}
}
