package socket

import (
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Conn is a connection. It implements net.Conn, and what net.TCPConn has besides.
type Conn struct {
	local, remote netip.AddrPort

	// The shard's own.
	conn    stack.Conn
	opened  bool // the handshake is over: the receive sequence space is known
	deaf    bool // nobody reads any more: c.in says nothing of the receive sequence space
	gone    bool // conn must not be used any more
	settled bool // taken has been closed
	keep    keepAlive

	icmp  atomic.Uint32 // the type and the code of the ICMP error that ended it
	until atomic.Int64  // SetLinger: how long Close waits, ns

	task  *stack.Task
	state atomic.Uint32 // status
	in    input
	out   output
	open  chan struct{} // closed when the handshake is over, one way or the other
	taken chan struct{} // closed when the peer has acknowledged our FIN, or the connection is over

	urgent  chan struct{} // a word of urgent text
	trouble chan struct{} // a word that the peer does not answer
}

// input is the receiving half. [head, tail) is unread, and lies in the ring where it is not lent.
type input struct {
	lock     lock // of readers
	ring     atomic.Pointer[[]byte]
	loans    atomic.Pointer[loans]
	writesTo atomic.Bool   // the reader is WriteTo
	tail     atomic.Uint32 // by the shard
	head     atomic.Uint32 // by the reader
	told     uint32        // by the reader: the head when the shard was last woken for it
	size     atomic.Uint32 // of the receive buffer, bytes
	ready    chan struct{}
	deadline deadline
}

// output is the sending half. [una, tail) is queued.
type output struct {
	lock     lock // of writers
	ring     atomic.Pointer[[]byte]
	tail     atomic.Uint32 // by the writer
	una      atomic.Uint32 // by the shard
	size     atomic.Uint32 // of the send buffer, bytes
	waiting  atomic.Bool   // the writer wants room
	ready    chan struct{}
	deadline deadline
}

// status is what has become of the connection, as bits.
type status = uint32

const (
	sawEOF status = 1 << iota
	sawReset
	sawRefused
	sawUnreachable
	sawTimeout
	sawEnd      // the connection is over
	closed      // by Close
	closedWrite // by CloseWrite
	closedRead  // by CloseRead
	lingerZero  // SetLinger(0)
	toldWhy     // the reader or a writer has been told why the connection is over
)

func newConn() *Conn {
	c := &Conn{open: make(chan struct{}), taken: make(chan struct{}), urgent: make(chan struct{}, 1), trouble: make(chan struct{}, 1)}
	c.in.lock, c.out.lock = newLock(), newLock()
	c.in.ready, c.out.ready = make(chan struct{}, 1), make(chan struct{}, 1)
	c.in.deadline.init()
	c.out.deadline.init()
	c.task = stack.NewTask(c.work)
	return c
}

// attach takes over the stack's connection, on its shard.
func (c *Conn) attach(sc stack.Conn) {
	c.conn = sc
	c.local, c.remote = sc.LocalAddr(), sc.RemoteAddr()
	sc.SetNoDelay(true) // as net has it
	una, end, size := sc.SendSpace()
	c.out.una.Store(uint32(una))
	c.out.tail.Store(uint32(end))
	c.out.size.Store(uint32(size))
}

// begin is for the end of the handshake.
func (c *Conn) begin(sc stack.Conn) {
	_, read, _ := sc.ReceiveSpace()
	c.in.head.Store(uint32(read))
	c.in.told = uint32(read)
	c.in.tail.Store(uint32(read))
	c.opened = true
	close(c.open)
}

// reasons are what the events of the stack say of the connection.
var reasons = [...]struct {
	e tcp.Events
	s status
}{
	{tcp.EOF, sawEOF}, {tcp.Reset, sawReset}, {tcp.Refused, sawRefused}, {tcp.Unreachable, sawUnreachable},
	{tcp.TimedOut, sawTimeout}, {tcp.Ended, sawEnd},
}

// Ready implements stack.Handler: it publishes what has come and wakes whoever waits for it.
func (c *Conn) Ready(sc stack.Conn, e tcp.Events) {
	if c.gone { // closed: nobody waits
		return
	}
	if e&tcp.Opened != 0 {
		c.begin(sc)
	}
	c.publish(sc)
	sc.Yield()
	var s status
	for _, r := range &reasons {
		if e&r.e != 0 {
			s |= r.s
		}
	}
	if s&sawUnreachable != 0 {
		i := sc.Info().ICMP
		c.icmp.Store(uint32(i.Type)<<8 | uint32(i.Code))
	}
	if s != 0 {
		c.state.Or(s)
	}
	if e&tcp.Urgent != 0 {
		wake(c.urgent)
	}
	if e&tcp.Troubled != 0 {
		wake(c.trouble)
	}
	if e&tcp.Ended != 0 {
		c.gone = true
		if !c.opened {
			close(c.open)
		}
	}
	if e&(tcp.Finished|tcp.Ended) != 0 && !c.settled {
		c.settled = true
		close(c.taken)
	}
	if e&(tcp.Readable|tcp.EOF|tcp.Ended) != 0 {
		wake(c.in.ready)
	}
	if e&(tcp.Writable|tcp.Ended) != 0 {
		wake(c.out.ready)
	}
}

// wake leaves a word for the one who waits on ready, or who is going to: he holds the lock, so that nobody else takes
// it, and looks at everything again.
func wake(ready chan struct{}) {
	select {
	case ready <- struct{}{}:
	default:
	}
}

// publish shows the writer how much has been acknowledged, and the reader what there is.
func (c *Conn) publish(sc stack.Conn) {
	una, _, size := sc.SendSpace()
	c.out.size.Store(uint32(size))
	c.out.una.Store(uint32(una))
	if !c.opened || c.deaf {
		return
	}
	_, read, _ := sc.ReceiveSpace()
	head := c.in.head.Load()
	if n := head - uint32(read); n != 0 {
		sc.Consume(int(n))
	}
	c.in.lend(sc)
	sc.Store()
	c.in.size.Store(uint32(sc.ReceiveBuffer())) // it tunes itself, and is small without window scaling
	ring, _, end := sc.ReceiveSpace()
	if tail := c.in.tail.Load(); uint32(end) != tail {
		if ring != nil { // else all of it is lent
			c.show(ring, head == tail)
		}
		c.in.tail.Store(uint32(end))
	}
}

// show publishes the ring that the next tail leads into. When all has been read the reader looks at no ring until he
// sees that tail, so that the place of the last one can be used again.
func (c *Conn) show(ring []byte, idle bool) {
	old := c.in.ring.Load()
	switch {
	case old != nil && &(*old)[0] == &ring[0]:
	case old != nil && idle:
		*old = ring
	default:
		place := ring
		c.in.ring.Store(&place)
	}
}

// work does on the shard what the reader and the writer have left for it.
func (c *Conn) work() {
	if c.gone {
		return
	}
	sc := c.conn
	c.publish(sc)
	tail := c.out.tail.Load() // before the ring, which may be a newer one: it holds all up to tail, too
	if ring := c.out.ring.Load(); ring != nil {
		sc.Commit(*ring, seq.Num(tail))
	}
	if c.out.waiting.Load() && sc.WantSpace() {
		c.out.waiting.Store(false)
		wake(c.out.ready)
	}
	sc.Flush()
}

// do calls f on the shard, after all that was written and read before, and waits for it. It reports false when the
// connection is over.
func (c *Conn) do(f func(stack.Conn)) bool {
	done := make(chan bool, 1)
	t := stack.NewTask(func() {
		c.work()
		if c.gone {
			done <- false
			return
		}
		f(c.conn)
		if !c.gone {
			c.conn.Flush()
		}
		done <- true
	})
	if !c.conn.Post(t) {
		return false
	}
	select {
	case ok := <-done:
		return ok
	case <-c.conn.Closed():
		return false
	}
}

// LocalAddr is our end: a *net.TCPAddr with the address that the peer called.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is the peer's end.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// Trouble delivers a word when the peer has not answered as many retransmissions in a row as tcp.Settings.Retries1 (R1 of
// RFC 9293 section 3.8.3), or when a router has told of a soft error (section 3.9.2.2): the connection may still recover, or
// is given up in the end. Info tells more.
func (c *Conn) Trouble() <-chan struct{} { return c.trouble }

// Info describes the connection; ok is false when it is over.
func (c *Conn) Info() (i tcp.Info, ok bool) {
	ok = c.do(func(sc stack.Conn) { i = sc.Info() })
	return i, ok
}
