package bsd

import (
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// The ports that are chosen for who names none (Linux's ip_local_port_range).
const (
	firstPort = 32768
	lastPort  = 60999
)

// Bind is bind(2).
func (s *Sockets) Bind(fd int, a netip.AddrPort) error {
	k, err := s.socket(fd)
	switch {
	case err != nil:
		return err
	case k.bound || k.phase != unconnected || k.ended:
		return unix.EINVAL
	case !a.Addr().Is4():
		return unix.EAFNOSUPPORT
	case !a.Addr().IsUnspecified() && !s.ours(a.Addr()):
		return unix.EADDRNOTAVAIL
	}
	if a.Port() == 0 {
		p, ok := s.freePort(a.Addr())
		if !ok {
			return unix.EADDRINUSE
		}
		a = netip.AddrPortFrom(a.Addr(), p)
	} else if s.taken(a, k) {
		return unix.EADDRINUSE
	}
	k.bound, k.local = true, a
	return nil
}

// ours reports whether an address is the stack's.
func (s *Sockets) ours(a netip.Addr) bool {
	return slices.ContainsFunc(s.addrs, func(p netip.Prefix) bool { return p.Contains(a) })
}

// taken reports that another socket has the address, and that not both allow it (SO_REUSEADDR), or that it listens.
func (s *Sockets) taken(a netip.AddrPort, k *socket) bool {
	for o := range s.all {
		if o == k || !o.bound || o.local.Port() != a.Port() {
			continue
		}
		if o.local.Addr() != a.Addr() && !o.local.Addr().IsUnspecified() && !a.Addr().IsUnspecified() {
			continue
		}
		shared := k != nil && k.options.is(unix.SOL_SOCKET, unix.SO_REUSEADDR) && o.options.is(unix.SOL_SOCKET, unix.SO_REUSEADDR)
		if !shared || o.phase == listening {
			return true
		}
	}
	return false
}

func (s *Sockets) freePort(a netip.Addr) (uint16, bool) {
	for range lastPort - firstPort + 1 {
		p := s.port
		if s.port++; s.port > lastPort {
			s.port = firstPort
		}
		if !s.taken(netip.AddrPortFrom(a, p), nil) {
			return p, true
		}
	}
	return 0, false
}

// Listen is listen(2). As in Linux, a second one sets another backlog.
func (s *Sockets) Listen(fd, backlog int) error {
	k, err := s.socket(fd)
	switch {
	case err != nil:
		return err
	case k.phase != unconnected && k.phase != listening || k.ended:
		return unix.EINVAL
	}
	if backlog < 0 || backlog > somaxconn {
		backlog = somaxconn
	}
	if !k.bound {
		if err := s.Bind(fd, netip.AddrPortFrom(netip.IPv4Unspecified(), 0)); err != nil {
			return err
		}
	}
	k.backlog = backlog
	return k.listen()
}

const somaxconn = 4096

// listen has the stack listen for the socket, as its options say.
func (k *socket) listen() error {
	bits := 32
	if k.local.Addr().IsUnspecified() {
		bits = 0
	}
	if k.listener != nil {
		k.listener.Close()
	}
	l, err := k.sockets.Stack.Listen(stack.ListenConfig{
		Prefix: netip.PrefixFrom(k.local.Addr(), bits), Port: k.local.Port(),
		Backlog: k.backlog + 1, // Linux's queue is full when it is longer than the backlog
		TCP:     k.settings(), FastOpen: k.options.value(unix.IPPROTO_TCP, unix.TCP_FASTOPEN),
	}, (*acceptor)(k))
	switch err {
	case nil:
		k.listener, k.phase = l, listening
		return nil
	case stack.ErrAddrInUse:
		return unix.EADDRINUSE
	case stack.ErrNotOurs:
		return unix.EADDRNOTAVAIL
	}
	return unix.ENOBUFS
}

// acceptor is a listening socket as the handler of connections that have just been opened.
type acceptor socket

// Ready makes a socket of a connection, with the listener's options, and queues it.
func (a *acceptor) Ready(c stack.Conn, e tcp.Events) {
	l := (*socket)(a)
	k := l.sockets.newSocket()
	k.phase, k.options, k.bound = connected, l.options.inherited(), true
	k.hold(c)
	c.SetHandler(k)
	k.applyOptions(c)
	l.arrivals = append(l.arrivals, k)
	k.Ready(c, e)
	l.wake(unix.EPOLLIN | unix.EPOLLRDNORM)
}

// Accept is accept4(2).
func (s *Sockets) Accept(fd, flags int) (newfd int, peer netip.AddrPort, err error) {
	l, err := s.socket(fd)
	switch {
	case err != nil:
		return -1, peer, err
	case flags&^(unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC) != 0, l.phase != listening:
		return -1, peer, unix.EINVAL
	case len(l.arrivals) == 0:
		return -1, peer, l.wait(0)
	}
	k := l.arrivals[0]
	if k.fd, err = s.number(k); err != nil {
		return -1, peer, err
	}
	l.arrivals = l.arrivals[1:]
	l.listener.Taken(k.remote.Addr())
	k.nonblock = flags&unix.SOCK_NONBLOCK != 0
	return k.fd, k.remote, nil
}

// Connect is connect(2); the zero address is AF_UNSPEC, which takes a connection apart. A blocking one returns ErrBlocked
// until it is over.
func (s *Sockets) Connect(fd int, a netip.AddrPort) error {
	k, err := s.socket(fd)
	switch {
	case err != nil:
		return err
	case !a.IsValid():
		k.disconnect()
		return nil
	case !a.Addr().Is4():
		return unix.EAFNOSUPPORT
	case k.phase == connected:
		return unix.EISCONN
	case k.phase == listening:
		return unix.EISCONN
	case k.phase == connecting:
		return k.connecting()
	case k.options.is(unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT):
		return k.connectLater(a)
	}
	if err := k.dial(a, false, nil); err != nil {
		return err
	}
	k.phase = connecting
	if k.nonblock && !k.opened && !k.ended {
		return unix.EINPROGRESS
	}
	return k.connecting()
}

// connecting is how far a connect has come.
func (k *socket) connecting() error {
	switch {
	case k.ended:
		errno := k.takeError()
		if errno == 0 {
			errno = unix.ECONNABORTED
		}
		k.disconnect()
		return errno
	case k.opened:
		k.phase = connected
		return nil
	case k.nonblock:
		return unix.EALREADY
	}
	return ErrBlocked
}

// dial sends the SYN, with what early writes if the peer has given a cookie.
func (k *socket) dial(a netip.AddrPort, fastOpen bool, early func(stack.Conn)) error {
	if !ip.FromNetip(a.Addr()).IsUnicast() {
		return unix.ENETUNREACH
	}
	local := k.local
	if !k.bound || local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(netip.Addr{}, local.Port())
	}
	*k = socket{ // nothing is left of a connection before
		sockets: k.sockets, fd: k.fd, nonblock: k.nonblock, bound: k.bound, local: k.local, options: k.options,
		watchers: k.watchers,
	}
	var failed error
	err := k.sockets.Stack.Dial(stack.DialConfig{Local: local, Remote: a, TCP: k.settings(), FastOpen: fastOpen}, k, func(c stack.Conn, err error) {
		if failed = err; err != nil {
			return
		}
		k.hold(c)
		k.bound = true
		k.applyOptions(c)
		if early != nil {
			early(c)
		}
	})
	if err == nil {
		_, err = k.sockets.Turn()
	}
	if err == nil {
		err = failed
	}
	return dialErrno(err)
}

func dialErrno(err error) error {
	switch err {
	case nil:
		return nil
	case stack.ErrAddrInUse, stack.ErrNotOurs, stack.ErrNoPort:
		return syscall.EADDRNOTAVAIL
	}
	return syscall.ENOBUFS
}

// disconnect is tcp_disconnect: the socket is as new, but for its options and the address that it was bound to.
func (k *socket) disconnect() {
	k.unlisten()
	k.on(func(c stack.Conn) {
		c.Abort()
		k.held = false
	})
	*k = socket{
		sockets: k.sockets, fd: k.fd, nonblock: k.nonblock, options: k.options, watchers: k.watchers, bound: k.bound, local: k.local,
	}
	k.wake(0)
}

// unlisten ends the listening, and resets whoever waits to be accepted.
func (k *socket) unlisten() {
	if k.listener == nil {
		return
	}
	k.listener.Close()
	for _, c := range k.arrivals {
		k.listener.Taken(c.remote.Addr())
		c.abort()
		delete(k.sockets.all, c)
	}
	k.listener, k.arrivals = nil, nil
}

// abort lets go of the connection with a RST.
func (k *socket) abort() {
	k.on(func(c stack.Conn) {
		k.held = false
		c.Abort()
	})
}
