package socket

import (
	"io"
	"net"
	"os"
	"syscall"

	"github.com/tcpd-project/tcpd/pkg/ip"
)

// fail makes the error of an operation what net makes it.
func (c *Conn) fail(op string, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Err: err}
	if c.local.IsValid() {
		e.Source = c.LocalAddr()
	}
	if c.remote.IsValid() {
		e.Addr = c.RemoteAddr()
	}
	return e
}

// over is why reading or writing has ended on the connection, or nil: after is what a call gets that comes after the
// reason has been told.
//
// As with Linux the reason is told once, to whoever asks first. Not so where the stack was closed: the peer has not
// ended the connection, so that a second Read must not take it for the end of the text.
func (c *Conn) over(op string, s status, after error) error {
	if s&sawEnd == 0 {
		return nil
	}
	why := c.reason(s)
	switch {
	case why == 0:
		return c.fail(op, os.NewSyscallError(op, syscall.ECONNABORTED))
	case c.state.Or(toldWhy)&toldWhy != 0:
		return after
	}
	return c.fail(op, os.NewSyscallError(op, why))
}

// reason is what the peer, or the way to it, did to end a connection; 0 if neither did.
func (c *Conn) reason(s status) syscall.Errno {
	switch {
	case s&sawRefused != 0:
		return syscall.ECONNREFUSED
	case s&(sawReset|sawEOF|closedWrite) == sawReset|sawEOF:
		return syscall.EPIPE // in CLOSE-WAIT: reset for what we sent after its FIN
	case s&sawReset != 0:
		return syscall.ECONNRESET
	case s&sawTimeout != 0:
		return syscall.ETIMEDOUT
	case s&sawUnreachable != 0:
		return unreachable(c.icmp.Load())
	}
	return 0
}

// unreachable is what Linux makes of the ICMP error of a type and a code.
func unreachable(icmp uint32) syscall.Errno {
	switch typ, code := icmp>>8, icmp&0xff; {
	case typ != ip.ICMPUnreachable:
	case code == ip.CodeNet:
		return syscall.ENETUNREACH
	case code == ip.CodeProtocol:
		return syscall.ENOPROTOOPT
	case code == ip.CodePort:
		return syscall.ECONNREFUSED
	}
	return syscall.EHOSTUNREACH
}

// readable is why a Read fails though there may be text, or nil.
func (c *Conn) readable() error {
	if c.state.Load()&closed != 0 {
		return c.fail("read", net.ErrClosed)
	}
	if c.in.deadline.passed() {
		return c.fail("read", os.ErrDeadlineExceeded)
	}
	return nil
}

// unreadable is why a Read finds nothing, or nil: it is to wait.
func (c *Conn) unreadable(s status) error {
	if s&sawEOF != 0 || s&closedRead != 0 && c.reason(s) == 0 {
		return io.EOF
	}
	return c.over("read", s, io.EOF)
}

// writable is why a Write fails, or nil.
func (c *Conn) writable() error {
	s := c.state.Load()
	switch {
	case s&closed != 0:
		return c.fail("write", net.ErrClosed)
	case c.out.deadline.passed():
		return c.fail("write", os.ErrDeadlineExceeded)
	case s&(closedWrite|sawEnd) == 0:
		return nil
	}
	broken := c.fail("write", os.NewSyscallError("write", syscall.EPIPE))
	if c.reason(s) == 0 && s&closedWrite != 0 {
		return broken
	}
	return c.over("write", s, broken)
}
