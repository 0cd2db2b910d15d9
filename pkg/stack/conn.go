package stack

import (
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Conn is a connection as its handler holds it. It is valid on its shard's goroutine alone, until the handler has
// been told tcp.Ended.
type Conn struct {
	shard *shard
	index uint32
}

// settle tells the handler of connection i what has happened, until nothing more happens, and stores the text that
// he has left in the segment. Then the connection may have something to send.
//
// Handlers run here, between a segment and the next, and not at the end of the turn: so text goes from the packet's
// bytes to the handler without a copy.
func (s *shard) settle(i uint32) {
	rec := s.conns.at(i)
	for e := rec.tcp.TakeEvents(); e != 0; e = rec.tcp.TakeEvents() {
		s.ready(i, e)
	}
	rec.tcp.Store(&s.env)
	if rec.early && (rec.tcp.Opened() || rec.tcp.Over()) {
		s.confirmed(rec)
	}
	s.touch(i)
}

// timeout is for a connection that the wheel has fired; due is false if its deadline has moved meanwhile.
func (s *shard) timeout(i uint32) (due bool) {
	rec := s.conns.at(i)
	d := rec.tcp.Deadline()
	if d > s.now {
		s.wheel.arm(ref(kindConn|i), d)
		return false
	}
	s.counters.TimerLate.Add(s.now.Sub(d))
	s.work(i)
	rec.tcp.Timeout(&s.env, s.now)
	s.settle(i)
	return true
}

// work notes which connection is worked on.
func (s *shard) work(i uint32) { s.flow, s.current = s.conns.at(i).flow(), i }

// workApart notes that a flow is worked on that has no connection yet, or none any more, or a packed one.
func (s *shard) workApart(f *Flow) { s.flow, s.current = *f, 0 }

// enter is how every call of a handler begins.
func (c Conn) enter() *record {
	rec := c.shard.conns.at(c.index)
	c.shard.work(c.index)
	c.shard.touch(c.index)
	return rec
}

// enterBy is enter for a call that is told of.
func (c Conn) enterBy(call Call) *record {
	c.called(call, 0)
	return c.enter()
}

func (c Conn) record() *record { return c.shard.conns.at(c.index) }

// LocalAddr is our end, the address that the peer called.
func (c Conn) LocalAddr() netip.AddrPort {
	f := c.record().flow()
	return netip.AddrPortFrom(f.Local.Netip(), f.LocalPort)
}

// RemoteAddr is the peer's end.
func (c Conn) RemoteAddr() netip.AddrPort {
	f := c.record().flow()
	return netip.AddrPortFrom(f.Remote.Netip(), f.RemotePort)
}

// Shard is the number of the connection's shard.
func (c Conn) Shard() int { return c.shard.id }

// Post hands t to the connection's shard, from any goroutine. It reports false when the stack has been closed.
func (c Conn) Post(t *Task) bool { return c.shard.post(t) }

// Yield is for a handler who has woken a goroutine: it runs when the turn is over, on this processor, where what it is to read
// is in the cache, and before the shard spins or sleeps. Else another thread would have to be woken for it.
func (c Conn) Yield() { c.shard.yield = true }

// Closed is closed when the stack has been closed and nothing runs on it any more.
func (c Conn) Closed() <-chan struct{} { return c.shard.stack.ended }

// SetHandler gives the connection to another handler, who hears of what happens from now on.
func (c Conn) SetHandler(h Handler) {
	rec := c.record()
	o := c.shard.newOwner(owner{handler: h})
	c.shard.owners[o].conns++
	c.shard.leave(rec.owner)
	rec.owner = o
}

// Next returns text that has arrived in order and is unread, or nil; perhaps not all of it. It is valid until the
// handler returns or calls Consume.
func (c Conn) Next() []byte {
	a, b, text := c.record().tcp.Unread(&c.shard.env)
	switch {
	case len(a) > 0:
		return a
	case len(b) > 0:
		return b
	}
	return text
}

// Consume tells that n bytes of what Next showed have been read.
func (c Conn) Consume(n int) {
	c.called(CallRead, n)
	c.enter().tcp.Consume(&c.shard.env, n)
}

// Write queues as much of p as there is room for and returns how much; tcp.Writable follows when it was not all.
func (c Conn) Write(p []byte) int {
	rec := c.enter()
	return c.wrote(rec, p, rec.tcp.Write(&c.shard.env, p))
}

// WriteMore is tcp.Conn.WriteMore.
func (c Conn) WriteMore(p []byte) int {
	rec := c.enter()
	return c.wrote(rec, p, rec.tcp.WriteMore(&c.shard.env, p))
}

// Repeat is tcp.Conn.Repeat.
func (c Conn) Repeat(text []byte, cycle int) bool {
	return c.enter().tcp.Repeat(&c.shard.env, text, cycle)
}

// wrote notes a writer who has found no memory for any of p.
func (c Conn) wrote(rec *record, p []byte, n int) int {
	c.called(CallWrite, n)
	if n == 0 && len(p) > 0 && rec.tcp.Thirsty() {
		c.shard.thirst.add(c.index, rec)
	}
	return n
}

// Space is how much Write would take.
func (c Conn) Space() int { return c.record().tcp.Space() }

// Written is how much has been queued since the connection began, in bytes.
func (c Conn) Written() uint64 { return c.record().tcp.Written() }

// EOF reports that the peer has closed and that all it sent has been read.
func (c Conn) EOF() bool { return c.record().tcp.EOF() }

// CloseWrite sends a FIN after what has been queued; receiving goes on.
func (c Conn) CloseWrite() { c.enterBy(CallCloseWrite).tcp.CloseWrite(&c.shard.env, c.shard.now) }

// CloseRead forgets what is unread and what still comes.
func (c Conn) CloseRead() { c.enterBy(CallCloseRead).tcp.CloseRead(&c.shard.env, c.shard.now) }

// Close lets go of the connection; what has been queued is still sent. With text unread the peer gets a RST. The
// handler hears only tcp.Ended from now on, or nothing if the connection goes through TIME-WAIT.
func (c Conn) Close() { c.enterBy(CallClose).tcp.Close(&c.shard.env, c.shard.now) }

// Abort ends the connection with a RST.
func (c Conn) Abort() { c.enterBy(CallAbort).tcp.Abort(&c.shard.env, c.shard.now) }

// Urge announces that the next n bytes to be written are urgent: the peer's user is told before he comes to them (RFC
// 6093).
func (c Conn) Urge(n int) { c.enter().tcp.Urge(n) }

// EndRecord is tcp.Conn.EndRecord.
func (c Conn) EndRecord() bool { return c.enter().tcp.EndRecord(&c.shard.env) }

// UrgentLeft is how many bytes, of those unread or still to come, the peer has called urgent.
func (c Conn) UrgentLeft() int { return c.record().tcp.UrgentLeft() }

// SetCork is tcp.Conn.SetCork.
func (c Conn) SetCork(on bool) { c.enter().tcp.SetCork(on) }

// SetQuickAck is tcp.Conn.SetQuickAck.
func (c Conn) SetQuickAck(on bool) { c.enter().tcp.SetQuickAck(on) }

// SetUserTimeout is tcp.Conn.SetUserTimeout.
func (c Conn) SetUserTimeout(d mono.Duration) {
	c.enter().tcp.SetUserTimeout(&c.shard.env, c.shard.now, d)
}

// SetFinTimeout is tcp.Conn.SetFinTimeout.
func (c Conn) SetFinTimeout(d mono.Duration) { c.enter().tcp.SetFinTimeout(d) }

// SetDSCP is tcp.Conn.SetDSCP.
func (c Conn) SetDSCP(codepoint uint8) { c.enter().tcp.SetDSCP(codepoint) }

// SetNoDelay turns Nagle's algorithm off, or on.
func (c Conn) SetNoDelay(on bool) { c.enter().tcp.SetNoDelay(on) }

// SetKeepAlive sets the probing of an idle connection; idle 0 turns it off.
func (c Conn) SetKeepAlive(idle, interval mono.Duration, count uint8) {
	c.enter().tcp.SetKeepAlive(&c.shard.env, c.shard.now, idle, interval, count)
}

// KeepAlive turns the probing of an idle connection on, with the stack's settings, or off.
func (c Conn) KeepAlive(on bool) {
	idle, interval, count := c.KeepAliveTimes()
	if !on {
		idle = 0
	}
	c.SetKeepAlive(idle, interval, count)
}

// KeepAliveTimes are those of the connection's settings.
func (c Conn) KeepAliveTimes() (idle, interval mono.Duration, count uint8) {
	s := c.record().tcp.Settings(&c.shard.env)
	return s.KeepIdle, s.KeepInterval, s.KeepCount
}

// ReceiveBuffer is the most text kept unread, in bytes.
func (c Conn) ReceiveBuffer() int { return c.record().tcp.ReceiveBuffer() }

// SetBuffers sets the most text queued and kept, in bytes; 0 leaves one as it is.
func (c Conn) SetBuffers(send, receive int) { c.enter().tcp.SetBuffers(send, receive) }

// Info describes the connection.
func (c Conn) Info() tcp.Info { return c.record().tcp.Info(&c.shard.env, c.shard.now) }

// The calls below are for a user in another goroutine, who shares the rings with the shard.

// SendSpace is tcp.Conn.SendSpace.
func (c Conn) SendSpace() (una, end seq.Num, size int) { return c.record().tcp.SendSpace(&c.shard.env) }

// WantSpace is tcp.Conn.WantSpace.
func (c Conn) WantSpace() bool { return c.record().tcp.WantSpace(&c.shard.env) }

// Commit is tcp.Conn.Commit.
func (c Conn) Commit(buf []byte, end seq.Num) {
	_, before, _ := c.SendSpace()
	if n := int(end.Sub(before)); n > 0 {
		c.called(CallWrite, n)
	}
	c.enter().tcp.Commit(&c.shard.env, buf, end)
}

// Store puts text that came with the segment at hand into the receive ring.
func (c Conn) Store() { c.record().tcp.Store(&c.shard.env) }

// Loan is what a reader in another goroutine returns when he has read what was lent to him.
type Loan = link.Loan

// Lend leaves the text that came with the segment at hand where the device has put it until it has been read: it saves the
// way through the ring. Less than n bytes are lent only with others from the same buffer, which is kept for them anyway. It
// returns nil when nothing can be lent. See tcp.Conn.Lend.
func (c Conn) Lend(n int) (text []byte, loan *Loan) {
	s, t := c.shard, &c.record().tcp
	if s.batch.Lent() {
		n = 1
	}
	if !s.lends || !t.Lendable(&s.env, n) {
		return nil, nil
	}
	if loan = s.batch.Lend(); loan == nil {
		return nil, nil
	}
	return t.Lend(&s.env), loan
}

// ReceiveSpace is tcp.Conn.ReceiveSpace.
func (c Conn) ReceiveSpace() (buf []byte, read, end seq.Num) {
	return c.record().tcp.ReceiveSpace(&c.shard.env)
}

// Flush tells the handler of what a call from outside has brought about. A task that has called the connection ends
// with it.
func (c Conn) Flush() { c.shard.settle(c.index) }
