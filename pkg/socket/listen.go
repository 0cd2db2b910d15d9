package socket

import (
	"context"
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
	addr     netip.AddrPort
	listener *stack.Listener
	queue    chan *Conn
	done     chan struct{}
	once     sync.Once
}

// Listen listens on an address and port of the stack, with the default backlog.
func Listen(s *stack.Stack, at netip.AddrPort) (*Listener, error) {
	return ListenPrefix(s, netip.PrefixFrom(at.Addr(), at.Addr().BitLen()), at.Port(), DefaultBacklog)
}

// ListenPrefix listens on every address of a prefix, on one port or, with port 0, on every port. A connection's
// LocalAddr is the one that the peer called. While backlog connections are open and not yet accepted, further
// handshakes wait.
func ListenPrefix(s *stack.Stack, prefix netip.Prefix, port uint16, backlog int) (*Listener, error) {
	l := &Listener{addr: netip.AddrPortFrom(prefix.Addr(), port), done: make(chan struct{})}
	l.queue = make(chan *Conn, max(backlog, 1)+s.Shards()) // each shard may be one ahead of the others' count
	var err error
	l.listener, err = s.Listen(prefix, port, max(backlog, 1), l)
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
	select {
	case <-l.done:
	default:
		select {
		case l.queue <- c:
			return
		default:
		}
	}
	c.gone = true
	l.listener.Taken()
	sc.Abort()
}

// Accept waits for a connection.
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
		l.listener.Taken()
		return c, nil
	case <-l.done:
		return nil, l.fail("accept", net.ErrClosed)
	}
}

// Close ends the listening. Connections that wait to be accepted are reset; others stay.
func (l *Listener) Close() error {
	err := l.fail("close", net.ErrClosed)
	l.once.Do(func() {
		err = nil
		l.listener.Close()
		close(l.done)
		for {
			select {
			case c := <-l.queue:
				l.listener.Taken()
				c.SetLinger(0)
				c.Close()
			default:
				return
			}
		}
	})
	return err
}

// Addr is the address and port of Listen.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Waiting is how many connections are open and not yet accepted.
func (l *Listener) Waiting() int { return l.listener.Waiting() }

func (l *Listener) fail(op string, err error) error {
	switch err {
	case stack.ErrAddrInUse:
		err = os.NewSyscallError("bind", syscall.EADDRINUSE)
	case stack.ErrNotOurs:
		err = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	case stack.ErrClosed:
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Source: nil, Addr: l.Addr(), Err: err}
}

// Dialer opens connections from a stack. Its DialContext fits http.Transport.
type Dialer struct {
	Stack *stack.Stack
	// Local is the end to dial from: one of the stack's addresses, and a port; what is zero is chosen.
	Local netip.AddrPort
}

// DialContext connects to the address "host:port", where host is an IPv4 address: the stack resolves no names. When
// ctx ends before the connection is open, nothing of it is left.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	remote, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp" && network != "tcp4" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "needs tcp and an IPv4 address with a port", Addr: address}}
	}
	c, err := d.DialAddr(ctx, remote)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// DialAddr is DialContext for an address that has been parsed.
func (d *Dialer) DialAddr(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
	c := newConn()
	c.local, c.remote = d.Local, remote
	if err := ctx.Err(); err != nil {
		return nil, c.fail("dial", contextError(err))
	}
	started := make(chan error, 1)
	err := d.Stack.Dial(d.Local, remote, c, func(sc stack.Conn, err error) {
		if err == nil {
			c.attach(sc)
		}
		started <- err
	})
	if err == nil {
		select {
		case err = <-started:
		case <-d.Stack.Closed():
			err = stack.ErrClosed
		}
	}
	if err != nil {
		return nil, c.fail("dial", dialError(err))
	}
	select {
	case <-c.open:
	case <-ctx.Done():
		c.do(func(sc stack.Conn) { sc.Abort(); c.gone = true })
		return nil, c.fail("dial", contextError(ctx.Err()))
	}
	if s := c.state.Load(); s&sawEnd != 0 && s&sawEOF == 0 {
		return nil, c.fail("dial", os.NewSyscallError("connect", ended(s)))
	}
	return c, nil
}

// Dial connects from any of the stack's addresses.
func Dial(s *stack.Stack, remote netip.AddrPort) (*Conn, error) {
	return (&Dialer{Stack: s}).DialAddr(context.Background(), remote)
}

func dialError(err error) error {
	switch err {
	case stack.ErrClosed:
		return net.ErrClosed
	case stack.ErrAddrInUse:
		return os.NewSyscallError("bind", syscall.EADDRINUSE)
	case stack.ErrNotOurs, stack.ErrNoPort:
		return os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
	}
	return err
}

// contextError is what net makes of a context's end.
func contextError(err error) error {
	if err == context.DeadlineExceeded {
		return os.ErrDeadlineExceeded
	}
	return err
}
