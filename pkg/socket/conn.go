package socket

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Conn is a connection. It implements net.Conn, and what net.TCPConn has besides.
type Conn struct {
	local, remote netip.AddrPort

	// The shard's own.
	conn stack.Conn
	gone bool // conn must not be used any more

	task  *stack.Task
	state atomic.Uint32 // status
	in    input
	out   output
	open  chan struct{} // closed when the handshake is over, one way or the other
}

// input is the receiving half. [head, tail) is unread.
type input struct {
	mu       sync.Mutex // of readers
	ring     atomic.Pointer[[]byte]
	tail     atomic.Uint32 // by the shard
	head     atomic.Uint32 // by the reader
	told     uint32        // the head when the shard was last woken for it
	size     atomic.Uint32 // of the receive buffer, bytes
	ready    chan struct{}
	deadline deadline
}

// output is the sending half. [una, tail) is queued.
type output struct {
	mu       sync.Mutex // of writers
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
	sawEnd        // the connection is over
	closed        // by Close
	closedWrite   // by CloseWrite
	closedRead    // by CloseRead
	lingerZero    // SetLinger(0)
	resetReported // the reader or a writer has been told of the reset
)

func newConn() *Conn {
	c := &Conn{open: make(chan struct{})}
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
	una, end, size := sc.SendSpace()
	c.out.una.Store(uint32(una))
	c.out.tail.Store(uint32(end))
	c.out.size.Store(uint32(size))
	c.in.size.Store(uint32(sc.ReceiveBuffer()))
}

// Ready implements stack.Handler: it publishes what has come and wakes whoever waits for it.
func (c *Conn) Ready(sc stack.Conn, e tcp.Events) {
	if e&tcp.Opened != 0 {
		_, read, _ := sc.ReceiveSpace()
		c.in.head.Store(uint32(read))
		c.in.told = uint32(read)
		c.in.tail.Store(uint32(read))
		close(c.open)
	}
	c.publish(sc)
	var s status
	for _, k := range [...]struct {
		e tcp.Events
		s status
	}{
		{tcp.EOF, sawEOF}, {tcp.Reset, sawReset}, {tcp.Refused, sawRefused}, {tcp.Unreachable, sawUnreachable},
		{tcp.TimedOut, sawTimeout}, {tcp.Ended, sawEnd},
	} {
		if e&k.e != 0 {
			s |= k.s
		}
	}
	if s != 0 {
		c.state.Or(s)
	}
	if e&tcp.Ended != 0 {
		c.gone = true
		select {
		case <-c.open:
		default:
			close(c.open)
		}
	}
	if e&(tcp.Readable|tcp.EOF|tcp.Ended) != 0 {
		wake(c.in.ready)
	}
	if e&(tcp.Writable|tcp.Ended|tcp.Reset) != 0 {
		wake(c.out.ready)
	}
}

func wake(ready chan struct{}) {
	select {
	case ready <- struct{}{}:
	default:
	}
}

// publish shows the reader what there is, and the writer how much has been acknowledged.
func (c *Conn) publish(sc stack.Conn) {
	c.consume(sc)
	sc.Store()
	ring, _, end := sc.ReceiveSpace()
	if uint32(end) != c.in.tail.Load() {
		if old := c.in.ring.Load(); old == nil || &(*old)[0] != &ring[0] {
			c.in.ring.Store(&ring)
		}
		c.in.tail.Store(uint32(end))
	}
	una, _, size := sc.SendSpace()
	c.out.size.Store(uint32(size))
	c.out.una.Store(uint32(una))
}

func (c *Conn) consume(sc stack.Conn) {
	_, read, _ := sc.ReceiveSpace()
	if n := c.in.head.Load() - uint32(read); n != 0 {
		sc.Consume(int(n))
	}
}

// work does on the shard what the reader and the writer have left for it.
func (c *Conn) work() {
	if c.gone {
		return
	}
	sc := c.conn
	c.publish(sc)
	if tail := c.out.tail.Load(); c.out.ring.Load() != nil {
		sc.Commit(*c.out.ring.Load(), seq.Num(tail))
	}
	if c.out.waiting.Load() && sc.WantSpace() {
		c.out.waiting.Store(false)
		c.publish(sc)
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

// Close lets go of the connection: what was written is still sent. With text unread, or after SetLinger(0), the peer
// gets a RST.
func (c *Conn) Close() error {
	if c.state.Or(closed)&closed != 0 {
		return c.fail("close", net.ErrClosed)
	}
	c.in.deadline.wake()
	c.out.deadline.wake()
	c.do(func(sc stack.Conn) {
		if c.state.Load()&lingerZero != 0 {
			sc.Abort()
		} else {
			sc.Close()
		}
		c.gone = true
	})
	return nil
}

// CloseWrite sends a FIN after what was written; reading goes on.
func (c *Conn) CloseWrite() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if err := c.dead("close"); err != nil {
		return err
	}
	c.state.Or(closedWrite)
	c.do(stack.Conn.CloseWrite)
	return nil
}

// CloseRead ends reading: Read returns io.EOF, and what still comes is acknowledged and forgotten.
func (c *Conn) CloseRead() error {
	if err := c.dead("close"); err != nil {
		return err
	}
	c.state.Or(closedRead)
	c.in.deadline.wake()
	c.in.mu.Lock() // until no reader looks at the ring
	defer c.in.mu.Unlock()
	c.do(func(sc stack.Conn) {
		sc.CloseRead()
		_, read, _ := sc.ReceiveSpace()
		c.in.tail.Store(uint32(read))
		c.in.head.Store(uint32(read))
	})
	return nil
}

func (c *Conn) dead(op string) error {
	if c.state.Load()&closed != 0 {
		return c.fail(op, net.ErrClosed)
	}
	return nil
}

// set calls f on the shard for a setter.
func (c *Conn) set(f func(stack.Conn)) error {
	if err := c.dead("set"); err != nil {
		return err
	}
	if !c.do(f) {
		return c.fail("set", os.NewSyscallError("setsockopt", syscall.EINVAL))
	}
	return nil
}

// SetLinger: with 0 Close aborts the connection with a RST; otherwise Close returns at once and what was written is
// sent in the background, for which sec above 0 sets no limit of its own.
func (c *Conn) SetLinger(sec int) error {
	if sec == 0 {
		c.state.Or(lingerZero)
	} else {
		c.state.And(^lingerZero)
	}
	return c.dead("set")
}

// SetNoDelay turns Nagle's algorithm off, which is the default, or on.
func (c *Conn) SetNoDelay(noDelay bool) error {
	return c.set(func(sc stack.Conn) { sc.SetNoDelay(noDelay) })
}

// SetKeepAlive turns the probing of an idle connection on, with the stack's times, or off.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.set(func(sc stack.Conn) { sc.KeepAlive(on) })
}

// SetKeepAlivePeriod sets both the idle time and the interval between probes.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.set(func(sc stack.Conn) { sc.SetKeepAlive(d, d, keepAliveCount) })
}

const keepAliveCount = 9 // net's default

// SetKeepAliveConfig sets keep-alive as net.KeepAliveConfig describes it: zero fields are 15 s, 15 s and 9; negative
// ones leave the stack's.
func (c *Conn) SetKeepAliveConfig(cfg net.KeepAliveConfig) error {
	if !cfg.Enable {
		return c.SetKeepAlive(false)
	}
	return c.set(func(sc stack.Conn) {
		idle, interval, count := sc.KeepAliveTimes()
		choose := func(v *time.Duration, set time.Duration) {
			if set == 0 {
				set = 15 * time.Second
			}
			if set > 0 {
				*v = set
			}
		}
		choose(&idle, cfg.Idle)
		choose(&interval, cfg.Interval)
		if cfg.Count == 0 {
			count = keepAliveCount
		} else if cfg.Count > 0 {
			count = uint8(min(cfg.Count, 255))
		}
		sc.SetKeepAlive(idle, interval, count)
	})
}

// SetReadBuffer sets the most bytes of text kept unread.
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.set(func(sc stack.Conn) {
		sc.SetBuffers(0, bytes)
		c.in.size.Store(uint32(sc.ReceiveBuffer()))
	})
}

// SetWriteBuffer sets the most bytes of text queued.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.set(func(sc stack.Conn) { sc.SetBuffers(bytes, 0); c.publish(sc) })
}

// Info describes the connection; ok is false when it is over.
func (c *Conn) Info() (i tcp.Info, ok bool) {
	ok = c.do(func(sc stack.Conn) { i = sc.Info() })
	return i, ok
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.dead("set"); err != nil {
		return err
	}
	c.in.deadline.set(t)
	c.out.deadline.set(t)
	return nil
}

// SetReadDeadline sets the time after which Read fails with os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.dead("set"); err != nil {
		return err
	}
	c.in.deadline.set(t)
	return nil
}

// SetWriteDeadline sets the time after which Write fails with os.ErrDeadlineExceeded.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if err := c.dead("set"); err != nil {
		return err
	}
	c.out.deadline.set(t)
	return nil
}

// fail makes the error of an operation what net makes it.
func (c *Conn) fail(op string, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Err: err}
	if c.local.IsValid() {
		e.Source, e.Addr = c.LocalAddr(), c.RemoteAddr()
	}
	return e
}

// ended is why a connection that is over is over.
func ended(s status) error {
	switch {
	case s&sawRefused != 0:
		return syscall.ECONNREFUSED
	case s&sawReset != 0:
		return syscall.ECONNRESET
	case s&sawTimeout != 0:
		return syscall.ETIMEDOUT
	case s&sawUnreachable != 0:
		return syscall.EHOSTUNREACH
	}
	return syscall.ECONNABORTED
}
