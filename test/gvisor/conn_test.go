package gvisor

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/syserr"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"
)

// listener is a net.Listener of theirs.
type listener struct {
	host  *theirs
	queue waiter.Queue
	ep    tcpip.Endpoint
	limit time.Time
}

func (l *listener) SetDeadline(t time.Time) error { l.limit = t; return nil }

func (l *listener) Accept() (net.Conn, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	l.queue.EventRegister(&entry)
	defer l.queue.EventUnregister(&entry)
	late := time.NewTimer(time.Until(l.limit))
	defer late.Stop()
	for {
		l.host.work()
		ep, queue, err := l.ep.Accept(nil)
		if err == nil {
			return newConn(l.host, queue, ep), nil
		}
		if _, wait := err.(*tcpip.ErrWouldBlock); !wait {
			return nil, fail("accept", "accept", err)
		}
		select {
		case <-ready:
		case <-late.C:
			return nil, os.ErrDeadlineExceeded
		}
	}
}

func (l *listener) Close() error {
	l.ep.Close()
	l.host.work()
	return nil
}

func (l *listener) Addr() net.Addr { return nil }

// conn is a connection of theirs, with the errors that a program on gVisor gets.
type conn struct {
	*gonet.TCPConn
	host   *theirs
	ep     tcpip.Endpoint
	closed atomic.Bool
}

func newConn(h *theirs, queue *waiter.Queue, ep tcpip.Endpoint) *conn {
	return &conn{TCPConn: gonet.NewTCPConn(queue, ep), host: h, ep: ep}
}

// call makes a call, after which the workers do what it has left to them.
func (c *conn) call(op, call string, f func() (int, error)) (int, error) {
	if c.closed.Load() {
		return 0, &net.OpError{Op: op, Net: "tcp", Err: net.ErrClosed}
	}
	n, err := f()
	c.host.work()
	return n, translate(op, call, err)
}

func (c *conn) Read(p []byte) (int, error) {
	return c.call("read", "read", func() (int, error) { return c.TCPConn.Read(p) })
}

func (c *conn) Write(p []byte) (int, error) {
	return c.call("write", "write", func() (int, error) { return c.TCPConn.Write(p) })
}

func (c *conn) CloseWrite() error {
	_, err := c.call("close", "shutdown", func() (int, error) { return 0, c.TCPConn.CloseWrite() })
	return err
}

func (c *conn) CloseRead() error {
	_, err := c.call("close", "shutdown", func() (int, error) { return 0, c.TCPConn.CloseRead() })
	return err
}

func (c *conn) Close() error {
	_, err := c.call("close", "close", func() (int, error) { return 0, c.TCPConn.Close() })
	c.closed.Store(true)
	return err
}

func (c *conn) SetLinger(seconds int) error {
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{
		Enabled: seconds >= 0, Timeout: time.Duration(max(seconds, 0)) * time.Second,
	})
	return nil
}

func (c *conn) SetKeepAliveConfig(cfg net.KeepAliveConfig) error {
	idle, interval := tcpip.KeepaliveIdleOption(cfg.Idle), tcpip.KeepaliveIntervalOption(cfg.Interval)
	mustBe(c.ep.SetSockOpt(&idle))
	mustBe(c.ep.SetSockOpt(&interval))
	mustBe(c.ep.SetSockOptInt(tcpip.KeepaliveCountOption, cfg.Count))
	c.ep.SocketOptions().SetKeepAlive(cfg.Enable)
	return nil
}

// translate gives an error of gonet's the shape of one of net's.
func translate(op, call string, err error) error {
	var wrong *net.OpError
	if err == nil || err == io.EOF || !errors.As(err, &wrong) || wrong.Timeout() { //nolint:errorlint // gonet returns the bare value
		return err
	}
	for _, e := range tcpipErrors {
		if e.String() == wrong.Err.Error() {
			return fail(op, call, e)
		}
	}
	return err
}

// tcpipErrors are those that a connection can meet with.
var tcpipErrors = []tcpip.Error{
	&tcpip.ErrAborted{}, &tcpip.ErrClosedForSend{}, &tcpip.ErrConnectionAborted{}, &tcpip.ErrConnectionRefused{},
	&tcpip.ErrConnectionReset{}, &tcpip.ErrHostUnreachable{}, &tcpip.ErrInvalidEndpointState{},
	&tcpip.ErrNetworkUnreachable{}, &tcpip.ErrNotConnected{}, &tcpip.ErrTimeout{},
}

// fail is the error of a system call, with the number by which gVisor tells a program of it.
func fail(op, call string, err tcpip.Error) error {
	errno := syscall.Errno(syserr.TranslateNetstackError(err).ToLinux())
	return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(strings.ToLower(call), errno)}
}
