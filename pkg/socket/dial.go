package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Dialer opens connections from a stack. Its DialContext fits http.Transport.
type Dialer struct {
	Stack *stack.Stack
	// Local is the end to dial from: one of the stack's addresses, and a port. A zero port is chosen, and the zero address stands for
	// the first of the stack's.
	Local netip.AddrPort
	// TCP are the connections' settings, which begin with Stack.Settings, since the MSL must be the stack's; nil: the stack's.
	TCP *tcp.Settings
}

// Dial connects from the first of the stack's addresses. A stack has no loopback: see stack.Stack.Dial.
func Dial(s *stack.Stack, remote netip.AddrPort) (*Conn, error) {
	return (&Dialer{Stack: s}).DialAddr(context.Background(), remote)
}

// DialContext connects to the address "host:port", where host is an IPv4 address: the stack resolves no names. When
// ctx ends before the connection is open, nothing of it is left. When the stack is closed, it fails with
// net.ErrClosed.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	remote, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp" && network != "tcp4" {
		err := &net.AddrError{Err: "needs tcp and an IPv4 address with a port", Addr: address}
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	c, err := d.DialAddr(ctx, remote)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// DialAddr is DialContext for an address that has been parsed.
func (d *Dialer) DialAddr(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
	return d.dial(ctx, remote, stack.DialConfig{TCP: d.TCP}, nil)
}

// DialEarly is DialAddr with text to be written first: it goes with the SYN, as far as a segment takes it, if the peer has
// given a cookie before (TCP Fast Open, RFC 7413); else it asks for one. Where the network repeats the SYN, the peer's user
// may get that text twice: it must be such that this does no harm.
func (d *Dialer) DialEarly(ctx context.Context, remote netip.AddrPort, text []byte) (*Conn, error) {
	var sent int
	c, err := d.dial(ctx, remote, stack.DialConfig{TCP: d.TCP, FastOpen: true}, func(c *Conn, sc stack.Conn) {
		sent = c.writeEarly(sc, text)
	})
	if err == nil && sent < len(text) {
		_, err = c.Write(text[sent:])
	}
	return c, err
}

// writeEarly queues text on the shard, before anything is sent.
func (c *Conn) writeEarly(sc stack.Conn, text []byte) int {
	una, tail := c.out.una.Load(), c.out.tail.Load()
	n := min(len(text), int(c.out.size.Load()))
	if n == 0 {
		return 0
	}
	ring := c.grow(una, tail, n)
	a, b := slices(ring, tail, n)
	copy(b, text[copy(a, text):n])
	c.out.tail.Store(tail + uint32(n))
	sc.Commit(ring, seq.Num(tail+uint32(n)))
	return n
}

// dial opens a connection; first, if not nil, is called on its shard before the SYN is sent.
func (d *Dialer) dial(ctx context.Context, remote netip.AddrPort, cfg stack.DialConfig, first func(*Conn, stack.Conn)) (*Conn, error) {
	c := newConn()
	c.local, c.remote = d.Local, netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	if err := ctx.Err(); err != nil {
		return nil, c.fail("dial", err)
	}
	if d.Stack == nil {
		return nil, c.fail("dial", errNoStack)
	}
	if err := c.start(d.Stack, cfg, first); err != nil {
		return nil, c.fail("dial", dialError(err))
	}
	select {
	case <-c.open:
	case <-ctx.Done():
		c.abort()
		return nil, c.fail("dial", ctx.Err())
	}
	switch s := c.state.Load(); {
	case s&sawEnd == 0 || s&sawEOF != 0:
		return c, nil
	case c.reason(s) == 0:
		return nil, c.fail("dial", net.ErrClosed)
	default:
		return nil, c.fail("dial", os.NewSyscallError("connect", c.reason(s)))
	}
}

var errNoStack = errors.New("socket: Dialer.Stack is not given")

// start sends the SYN.
func (c *Conn) start(s *stack.Stack, cfg stack.DialConfig, first func(*Conn, stack.Conn)) error {
	local, remote := c.local, c.remote
	if local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(netip.Addr{}, local.Port())
	}
	if remote.Port() == 0 {
		return os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	started := make(chan error, 1)
	cfg.Local, cfg.Remote = local, remote
	err := s.Dial(cfg, c, func(sc stack.Conn, err error) {
		if err == nil {
			c.attach(sc)
			if first != nil {
				first(c, sc)
			}
		}
		started <- err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-started:
		return err
	case <-s.Closed():
		return stack.ErrClosed
	}
}

func dialError(err error) error {
	switch err {
	case stack.ErrClosed:
		return net.ErrClosed
	case stack.ErrAddrInUse:
		return os.NewSyscallError("bind", syscall.EADDRINUSE)
	case stack.ErrNotUnicast:
		return os.NewSyscallError("connect", syscall.ENETUNREACH)
	case stack.ErrNotOurs, stack.ErrNoPort:
		return os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
	}
	return err
}
