package socket

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// DefaultBacklog is the accept queue's length unless another is asked for; Linux's somaxconn.
const DefaultBacklog = 4096

// Listener is a net.Listener of a stack.
type Listener struct {
	addr  netip.AddrPort
	stack *stack.Stack
	queue chan *Conn
	done  chan struct{} // closed by Close
	last  chan struct{} // closed by Retire: what is in the queue is all that will be

	// mu makes one of looking whether the listener is closed and filling the queue: no connection is left in it. It
	// is held for a moment only, also by shards.
	mu       sync.Mutex
	closed   bool
	listener *stack.Listener
}

// Listen listens on an address and port of the stack, with the default backlog. As with net, the unspecified address stands for
// all, and port 0 for one that is free, which Addr tells.
func Listen(s *stack.Stack, at netip.AddrPort) (*Listener, error) {
	addr, bits := at.Addr().Unmap(), at.Addr().Unmap().BitLen()
	if addr.IsUnspecified() {
		bits = 0
	}
	cfg := stack.ListenConfig{Prefix: netip.PrefixFrom(addr, bits), Port: at.Port()}
	if cfg.Port != 0 {
		return ListenWith(s, cfg)
	}
	for i, from := 0, rand.IntN(ephemeralPorts); ; i++ {
		cfg.Port = uint16(firstEphemeral + (from+i)%ephemeralPorts)
		if l, err := ListenWith(s, cfg); i == ephemeralPorts || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
}

// Where a free port is looked for: the ports for that (RFC 6335 section 6).
const (
	firstEphemeral = 49152
	ephemeralPorts = 1<<16 - firstEphemeral
)

// ListenWith listens as cfg says: on every address of a prefix, on one port or on every port. A connection's LocalAddr is
// the one that the peer called. A Backlog of 0 is DefaultBacklog.
func ListenWith(s *stack.Stack, cfg stack.ListenConfig) (*Listener, error) {
	if cfg.Backlog <= 0 {
		cfg.Backlog = DefaultBacklog
	}
	l := &Listener{addr: netip.AddrPortFrom(cfg.Prefix.Addr(), cfg.Port), stack: s, done: make(chan struct{}), last: make(chan struct{})}
	l.queue = make(chan *Conn, cfg.Backlog+s.Shards()) // each shard may be one ahead of the others' count
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	l.listener, err = s.Listen(cfg, l)
	if err != nil {
		return nil, l.fail("listen", err)
	}
	return l, nil
}

// Ready implements stack.Handler for connections that nobody has accepted yet: each gets a Conn of its own.
func (l *Listener) Ready(sc stack.Conn, e tcp.Events) {
	c := newConn()
	c.attach(sc)
	sc.SetHandler(c)
	c.Ready(sc, e)
	if !l.offer(c) {
		c.gone = true
		sc.Abort()
	}
}

// offer queues a connection to be accepted, unless the listener is closed.
func (l *Listener) offer(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		select {
		case l.queue <- c:
			return true
		default:
		}
	}
	l.listener.Taken(c.remote.Addr())
	return false
}

// Accept waits for a connection. It fails with net.ErrClosed when the listener or the stack is closed.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with the connection's own type.
func (l *Listener) AcceptConn() (*Conn, error) {
	select {
	case <-l.done:
		return nil, l.fail("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.queue:
		l.listener.Taken(c.remote.Addr())
		return c, nil
	case <-l.last:
		select {
		case c := <-l.queue:
			l.listener.Taken(c.remote.Addr())
			return c, nil
		default:
		}
	case <-l.done:
	case <-l.stack.Closed():
	}
	return nil, l.fail("accept", net.ErrClosed)
}

// Retire ends the listening, but leaves connections that wait to be accepted; Accept fails when there is none left. It must not
// be called on a shard.
func (l *Listener) Retire() {
	l.listener.Close()
	for shard := range l.stack.Shards() {
		l.stack.Do(shard, func() {}) // who has found the listener there has queued his connection then
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.last)
	}
}

// Close ends the listening. Connections that wait to be accepted are reset; others stay.
func (l *Listener) Close() error {
	l.mu.Lock()
	select {
	case <-l.done:
		l.mu.Unlock()
		return l.fail("close", net.ErrClosed)
	default:
	}
	l.closed = true
	close(l.done)
	l.mu.Unlock()
	l.listener.Close()
	for {
		select {
		case c := <-l.queue:
			l.listener.Taken(c.remote.Addr())
			c.abort()
		default:
			return nil
		}
	}
}

// Addr is the address and port of Listen.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Stats is how busy the listener is.
func (l *Listener) Stats() stack.ListenerStats { return l.listener.Stats() }

func (l *Listener) fail(op string, err error) error {
	switch err {
	case stack.ErrAddrInUse:
		err = os.NewSyscallError("bind", syscall.EADDRINUSE)
	case stack.ErrNotOurs:
		err = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	case stack.ErrClosed:
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: l.Addr(), Err: err}
}
