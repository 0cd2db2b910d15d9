package play

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Ours is our TCP as a Host.
type Ours struct {
	Stack *stack.Stack
	IP    netip.Addr
}

// Addr implements Host.
func (o Ours) Addr() netip.Addr { return o.IP }

// Differences implements Host: there are none.
func (o Ours) Differences() []Difference { return nil }

// Listen implements Host.
func (o Ours) Listen(port uint16) (net.Listener, error) {
	l, err := socket.Listen(o.Stack, netip.AddrPortFrom(o.IP, port))
	if err != nil {
		return nil, err
	}
	return &listener{Listener: l}, nil
}

// listener has a deadline, when it is closed.
type listener struct {
	*socket.Listener
	late *time.Timer
}

// SetDeadline is called once.
func (l *listener) SetDeadline(t time.Time) error {
	l.late = time.AfterFunc(time.Until(t), func() { _ = l.Listener.Close() })
	return nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	if l.late != nil {
		l.late.Stop()
	}
	return l.Listener.Close()
}

// Dial implements Host.
func (o Ours) Dial(ctx context.Context, local uint16, remote netip.AddrPort) (net.Conn, error) {
	d := socket.Dialer{Stack: o.Stack, Local: netip.AddrPortFrom(o.IP, local)}
	return d.DialContext(ctx, "tcp", remote.String())
}
