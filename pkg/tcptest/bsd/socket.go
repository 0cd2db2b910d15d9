package bsd

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// phase is what has been called of a socket.
type phase uint8

const (
	unconnected phase = iota
	listening
	connecting // connect has been called, and its end has not been told
	connected
)

// socket is what a descriptor of a stream stands for. It is the stack.Handler of its connection.
type socket struct {
	sockets  *Sockets
	fd       int // -1 before accept
	nonblock bool
	phase    phase
	bound    bool
	local    netip.AddrPort
	remote   netip.AddrPort
	options  options

	// Of a listener.
	listener *stack.Listener
	backlog  int
	arrivals []*socket // opened, and not yet accepted

	// Of a connection.
	conn     stack.Conn
	held     bool      // conn may be called
	opened   bool      // the handshake is over
	since    mono.Time // when that was
	ended    bool      // the connection is over
	finished bool      // the peer has acknowledged our FIN
	info     tcp.Info
	err      syscall.Errno // SO_ERROR
	eof      bool          // the peer's FIN has come
	rdShut   bool          // shutdown(SHUT_RD)
	wrShut   bool          // shutdown(SHUT_WR)
	lingers  mono.Time     // until when close waits; 0: it does not

	left     []byte // text taken out of a connection that is over, or deaf
	read     uint64 // bytes of the stream read
	urgent   urgent
	queue    queue
	acked    uint64 // as goOn has seen it
	more     bool   // the last write had MSG_MORE
	asleep   bool   // the last write has to wait, and goes on only when there is room enough to be woken for
	noSpace  bool   // somebody has found no room to write
	deferred bool   // TCP_FASTOPEN_CONNECT: the SYN waits for the first write
	watchers []*watch
}

func (*socket) isFile() {}

// Socket is socket(2): AF_INET and SOCK_STREAM only.
func (s *Sockets) Socket(domain, typ, protocol int) (fd int, err error) {
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	switch {
	case domain != unix.AF_INET:
		return -1, unix.EAFNOSUPPORT
	case typ&^flags != unix.SOCK_STREAM:
		return -1, unix.ESOCKTNOSUPPORT
	case protocol != 0 && protocol != unix.IPPROTO_TCP:
		return -1, unix.EPROTONOSUPPORT
	}
	k := s.newSocket()
	k.nonblock = typ&unix.SOCK_NONBLOCK != 0
	if k.fd, err = s.number(k); err != nil {
		delete(s.all, k)
		return -1, err
	}
	return k.fd, nil
}

func (s *Sockets) newSocket() *socket {
	k := &socket{sockets: s, fd: -1, options: options{}}
	s.all[k] = true
	return k
}

// on calls f with the socket's connection in a turn of its own, at the present time, and has it sent what there is to
// send. A socket without a connection is left alone.
func (k *socket) on(f func(c stack.Conn)) {
	if k.held {
		k.post(f)
		_, _ = k.sockets.Turn() // a wire that is closed says so to whoever turns it next
	}
}

// post has the next turn call f.
func (k *socket) post(f func(c stack.Conn)) {
	k.conn.Post(stack.NewTask(func() {
		if k.held {
			c := k.conn
			f(c)
			c.Flush()
		}
	}))
}

// hold makes a connection the socket's.
func (k *socket) hold(c stack.Conn) {
	k.conn, k.held = c, true
	k.local, k.remote = c.LocalAddr(), c.RemoteAddr()
}

// Ready is stack.Handler's.
func (k *socket) Ready(c stack.Conn, e tcp.Events) {
	if !k.held {
		return
	}
	if e&tcp.Urgent != 0 {
		k.urgent.announced(k.read + uint64(c.UrgentLeft()))
		k.wake(unix.EPOLLPRI)
	}
	if e&tcp.Opened != 0 {
		k.opened, k.since = true, k.sockets.now()
		k.wake(0)
	}
	if e&tcp.EOF != 0 {
		k.eof = true
		k.wake(0)
	}
	if e&tcp.Finished != 0 {
		k.finished = true
	}
	if e&tcp.Readable != 0 {
		k.wake(unix.EPOLLIN | unix.EPOLLRDNORM)
	}
	if errno := k.reason(c, e); errno != 0 {
		k.err = errno
		k.wake(unix.EPOLLERR)
	}
	if e&tcp.Ended != 0 {
		k.keep(c)
		k.info = c.Info()
		k.held, k.ended = false, true
		k.wake(0)
	}
}

// keep takes out all unread text of a connection that will soon not have it any more.
func (k *socket) keep(c stack.Conn) {
	for p := c.Next(); len(p) > 0; p = c.Next() {
		k.left = append(k.left, p...)
		c.Consume(len(p))
	}
}

// reason is the errno of what has ended the connection, or 0.
func (k *socket) reason(c stack.Conn, e tcp.Events) syscall.Errno {
	switch {
	case e&tcp.Refused != 0:
		return unix.ECONNREFUSED
	case e&tcp.Reset != 0 && k.eof && !k.wrShut:
		return unix.EPIPE // in CLOSE-WAIT
	case e&tcp.Reset != 0:
		return unix.ECONNRESET
	case e&tcp.Unreachable != 0:
		return unreachable(c.Info().ICMP)
	case e&tcp.TimedOut != 0:
		return unix.ETIMEDOUT
	}
	return 0
}

// unreachable is what Linux makes of an ICMP error.
func unreachable(i tcp.ICMPError) syscall.Errno {
	switch {
	case i.Type != ip.ICMPUnreachable:
	case i.Code == ip.CodeNet:
		return unix.ENETUNREACH
	case i.Code == ip.CodeProtocol:
		return unix.ENOPROTOOPT
	case i.Code == ip.CodePort:
		return unix.ECONNREFUSED
	}
	return unix.EHOSTUNREACH
}

// takeError is the errno that is to be told, which is told once.
func (k *socket) takeError() syscall.Errno {
	e := k.err
	k.err = 0
	return e
}

// inform describes the connection; false if there has been none.
func (k *socket) inform() (tcp.Info, bool) {
	switch {
	case k.held:
		return k.conn.Info(), true
	case k.ended:
		return k.info, true
	}
	return tcp.Info{}, false
}

// wait is what a call gets that would have to wait.
func (k *socket) wait(flags int) error {
	if k.nonblock || flags&unix.MSG_DONTWAIT != 0 {
		return unix.EAGAIN
	}
	return ErrBlocked
}

// receiveShut and sendShut are Linux's sk_shutdown.
func (k *socket) receiveShut() bool { return k.eof || k.rdShut || k.ended }

func (k *socket) sendShut() bool { return k.wrShut || k.ended }
