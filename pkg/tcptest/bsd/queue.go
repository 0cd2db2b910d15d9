package bsd

import (
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// queue is what has been written and not yet handed to the connection, and how Linux would account for all that has been
// written: in buffers of up to half the peer's window, which are begun while there is room and then filled, whatever the
// room.
type queue struct {
	pieces []piece
	tail   int // bytes of the last buffer that are not sent; 0: the next text begins another
}

// piece is some text of one call.
type piece struct {
	text []byte
	more bool // MSG_MORE: more will follow
	eor  bool // MSG_EOR: it ends a record
}

// waiting is how many bytes have not been handed on.
func (q *queue) waiting() (n int) {
	for _, p := range q.pieces {
		n += len(p.text)
	}
	return n
}

// unsent is what has been written and has not left, and queued all that is not acknowledged, in bytes.
func (k *socket) unsent() int { return k.conn.Info().Unsent + k.queue.waiting() }

func (k *socket) queued() int { return k.conn.Info().Flight + k.unsent() }

// sendBuffer is the size of the send buffer in bytes: Linux's sk_sndbuf.
func (k *socket) sendBuffer() int { return k.buffer(sendBuffer, k.conn.Info().SendBuffer) }

// room is sk_stream_memory_free: another buffer may be begun.
func (k *socket) room() bool {
	lowat := k.notSentLowat()
	return k.queued() < k.sendBuffer() && (lowat == 0 || k.unsent() < lowat)
}

// writable is sk_stream_is_writeable: a third of the send buffer is free, and no more than half of TCP_NOTSENT_LOWAT is
// unsent.
func (k *socket) writable() bool {
	if !k.held {
		return true
	}
	lowat, queued := k.notSentLowat(), k.queued()
	return k.sendBuffer()-queued >= queued/2 && (lowat == 0 || 2*k.unsent() < lowat)
}

// goal is the size of a buffer: half the peer's largest window, in whole segments.
func (k *socket) goal() int {
	const most = 65536
	i := k.conn.Info()
	half := i.SendWindow
	if half > 536 {
		half /= 2
	}
	return max(min(half, most)/i.SendMSS, 1) * i.SendMSS
}

// take queues as much of p as there is room for, sends what may go, and returns how much that was.
func (k *socket) take(p []byte, flags int) (n int) {
	for n < len(p) && k.held {
		k.queue.tail = min(k.queue.tail, k.unsent())
		goal := k.goal()
		if k.queue.tail%goal == 0 {
			if !k.room() || k.asleep && !k.writable() {
				break
			}
			k.asleep = false
			k.queue.tail = 0
		}
		i := min(goal-k.queue.tail, len(p)-n)
		last := n+i == len(p)
		k.queue.pieces = append(k.queue.pieces, piece{
			text: append([]byte(nil), p[n:n+i]...), more: !last || flags&unix.MSG_MORE != 0, eor: last && flags&unix.MSG_EOR != 0,
		})
		k.queue.tail += i
		n += i
		k.on(func(c stack.Conn) {
			k.more = last && flags&unix.MSG_MORE != 0
			k.feed(c)
		})
	}
	if flags&unix.MSG_EOR != 0 && n == len(p) {
		k.queue.tail = 0
	}
	return n
}

// feed hands text on to the connection, as far as there is room.
func (k *socket) feed(c stack.Conn) {
	q := &k.queue
	for len(q.pieces) > 0 {
		p := &q.pieces[0]
		write := c.Write
		if p.more {
			write = c.WriteMore
		}
		n := write(p.text)
		if p.text = p.text[n:]; len(p.text) > 0 {
			return
		}
		if p.eor {
			c.EndRecord()
		}
		q.pieces = q.pieces[1:]
	}
}

// goOn does what an acknowledgment, or what has left, allows: it hands on what waits, and lets go of what MSG_MORE held back,
// as Linux does. It reports that there may be something to send.
func (k *socket) goOn() bool {
	if !k.held {
		return false
	}
	i, waiting := k.conn.Info(), k.queue.waiting()
	acked := k.more && i.BytesOut != k.acked
	if k.acked = i.BytesOut; !acked && (waiting == 0 || k.conn.Space() == 0) {
		return false
	}
	k.post(func(c stack.Conn) {
		if acked {
			k.release(c)
		}
		k.feed(c)
	})
	return true
}

// release lets go of what MSG_MORE has held back.
func (k *socket) release(c stack.Conn) {
	k.more = false
	c.Write(nil)
}

// flush hands on all, before the end.
func (k *socket) flush(c stack.Conn) {
	if len(k.queue.pieces) > 0 {
		c.SetBuffers(ample, 0)
		k.feed(c)
	}
}

// ample is the send buffer of a connection whose queue is kept here, in bytes.
const ample = 1 << 29
