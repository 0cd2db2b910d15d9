package service

import (
	"io"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// end is one of the two connections that a relay joins.
type end struct {
	conn interface {
		net.Conn
		CloseWrite() error
		SetLinger(int) error
	}
	over  func() bool // the connection is over
	ended atomic.Bool // our FIN has been sent, or is about to be
}

// relay carries text both ways until both sides have ended theirs, or one has ended the connection before its time. A FIN
// becomes a FIN, once the text before it has been carried; anything else a RST.
func relay(client *socket.Conn, server *net.TCPConn) {
	a := &end{conn: client, over: func() bool { _, ok := client.Info(); return !ok }}
	b := &end{conn: server, over: func() bool { return kernelOver(server) }}
	var there sync.WaitGroup
	there.Go(func() { carry(b, a) })
	carry(a, b)
	there.Wait()
	_ = client.Close()
	_ = server.Close()
}

// carry carries text one way.
func carry(to, from *end) {
	_, err := io.Copy(to.conn, from.conn)
	if err == nil && !from.cut() {
		to.ended.Store(true)
		err = to.conn.CloseWrite()
	} else if err == nil {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		abort(to.conn)
		abort(from.conn)
	}
}

// cut reports, at the end of what e had to say, whether this is no orderly end: a connection that is over though we have not
// ended our half has been reset. Both our stack and the kernel tell that only once, so that the one who reads may see a mere
// end where the one who writes has been told.
func (e *end) cut() bool { return e.over() && !e.ended.Load() }

// kernelOver reports whether a connection of the kernel's is in CLOSED.
func kernelOver(c *net.TCPConn) (over bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		over = err == nil && i.State == unix.BPF_TCP_CLOSE
	})
	return over || err != nil
}

// abort ends a connection with a RST.
func abort(c interface {
	SetLinger(int) error
	Close() error
}) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
