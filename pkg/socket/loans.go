package socket

import (
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// lent is unread text that lies where the device has put it, and not in the receive ring.
type lent struct {
	text []byte
	loan *stack.Loan
}

// loans is what is lent to the reader of a connection, in the order of the stream: a queue that the shard fills. All of it
// comes before what the ring holds: nothing is lent before that has been read.
type loans struct {
	slot [maxLoans]lent
	put  atomic.Uint32 // by the shard
	got  atomic.Uint32 // by the reader
}

const (
	maxLoans  = 16
	leastLent = 16 << 10 // bytes that are worth it: they keep 256 KiB from being used again
)

// lend passes on what has just come, if there is much of it, to a WriteTo under way. (A Read copies the text in any case:
// lent text did not make it faster.)
func (in *input) lend(sc stack.Conn) {
	if !in.writesTo.Load() {
		return
	}
	q := in.loans.Load()
	if q == nil {
		q = new(loans)
		in.loans.Store(q)
	}
	put := q.put.Load()
	if put-q.got.Load() == maxLoans {
		return
	}
	if text, loan := sc.Lend(leastLent); loan != nil {
		q.slot[put%maxLoans] = lent{text, loan}
		q.put.Store(put + 1)
	}
}

// first is what is to be read first, or nil.
func (q *loans) first() *lent {
	if q == nil || q.got.Load() == q.put.Load() {
		return nil
	}
	return &q.slot[q.got.Load()%maxLoans]
}

// read takes n bytes off the first, and gives it back if that was all.
func (q *loans) read(n int) {
	l := q.first()
	if l == nil {
		return
	}
	if l.text = l.text[n:]; len(l.text) == 0 {
		l.loan.Return()
		l.loan = nil
		q.got.Store(q.got.Load() + 1)
	}
}

// forget gives back all that is lent: nobody will read it. A reader under way does it when he ends, and whoever is at it looks
// again when he has let go of the lock: something may have been lent meanwhile.
func (in *input) forget() {
	for in.loans.Load().first() != nil {
		select {
		case in.lock <- struct{}{}:
		default:
			return
		}
		q := in.loans.Load()
		for l := q.first(); l != nil; l = q.first() {
			q.read(len(l.text))
		}
		in.lock.release()
	}
}
