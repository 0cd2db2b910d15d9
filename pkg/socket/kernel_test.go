package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// fullConn is what net.TCPConn and socket.Conn have in common.
type fullConn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(sec int) error
	SetNoDelay(bool) error
	SetKeepAlive(bool) error
	SetKeepAlivePeriod(time.Duration) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
	io.ReaderFrom
	io.WriterTo
}

var (
	_ fullConn = (*net.TCPConn)(nil)
	_ fullConn = (*socket.Conn)(nil)
)

// host is a TCP to run scenarios against: the kernel's, or ours.
type host interface {
	listen(addr string) (net.Listener, error)
	dial(ctx context.Context, addr string) (net.Conn, error)
	free() string // an address with a port to listen on
}

// kernel is the TCP of the machine, over loopback.
type kernel struct{ testing.TB }

func (kernel) listen(addr string) (net.Listener, error) { return net.Listen("tcp4", addr) }

func (kernel) dial(ctx context.Context, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp4", addr)
}

func (k kernel) free() string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		k.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// userSpace is ours.
type userSpace struct{ *wire }

func (u userSpace) listen(addr string) (net.Listener, error) {
	l, err := socket.Listen(u.server, netip.MustParseAddrPort(addr))
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (u userSpace) dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&socket.Dialer{Stack: u.client}).DialContext(ctx, "tcp", addr)
}

func (u userSpace) free() string { return webPort.String() }

// story is one run of a scenario: the connection, and what its calls returned.
type story struct {
	testing.TB
	host           host
	client, server fullConn
	lines          []string
}

// tell notes what a call returned.
func (s *story) tell(what string, err error) {
	s.lines = append(s.lines, what+": "+kind(err))
}

// kind is what a program can find out about an error with errors.Is, errors.As and net.Error.
func kind(err error) string {
	if err == nil {
		return "ok"
	}
	var is []string
	for _, k := range []struct {
		name   string
		target error
	}{
		{"EOF", io.EOF}, {"deadline", os.ErrDeadlineExceeded}, {"closed", net.ErrClosed}, {"canceled", context.Canceled},
		{"context deadline", context.DeadlineExceeded}, {"ECONNRESET", syscall.ECONNRESET}, {"EPIPE", syscall.EPIPE},
		{"ECONNREFUSED", syscall.ECONNREFUSED}, {"ETIMEDOUT", syscall.ETIMEDOUT}, {"ENOTCONN", syscall.ENOTCONN},
		{"EADDRINUSE", syscall.EADDRINUSE}, {"EADDRNOTAVAIL", syscall.EADDRNOTAVAIL}, {"ENETUNREACH", syscall.ENETUNREACH},
	} {
		if errors.Is(err, k.target) {
			is = append(is, k.name)
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		is = append(is, "op "+op.Op)
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		is = append(is, "call "+call.Syscall)
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		is = append(is, "timeout")
	}
	return strings.Join(is, ", ")
}

func (s *story) read(c net.Conn, what string) {
	n, err := c.Read(make([]byte, 100))
	s.tell(fmt.Sprintf("%s reads %d", what, n), err)
}

func (s *story) write(c net.Conn, what string) {
	n, err := c.Write([]byte("text"))
	s.tell(fmt.Sprintf("%s writes %d", what, n), err)
}

// awaitEnd waits until the end of the connection has reached c, and takes nothing from it: the reason is told once.
func (s *story) awaitEnd(c fullConn) {
	deadline := time.Now().Add(patience)
	for !ended(c) {
		if time.Now().After(deadline) {
			s.Fatal("the connection has not ended")
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// reset makes the server reset the connection, and waits until the client knows.
func (s *story) reset() {
	s.server.SetLinger(0)
	s.server.Close()
	s.awaitEnd(s.client)
}

type onlyWriter struct{ io.Writer }

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Proves: RFC 9293 MUST-12, MUST-46
func TestErrorsAreTheKernels(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			want := tellStory(t, kernel{t}, sc.run)
			for _, s := range shapes {
				t.Run(s.String(), func(t *testing.T) {
					got := tellStory(t, userSpace{newWire(t, s)}, sc.run)
					if got != want {
						t.Errorf("ours:\n%s\nthe kernel's:\n%s", got, want)
					}
				})
			}
		})
	}
}

// tellStory runs a scenario on a host.
func tellStory(t *testing.T, h host, run func(*story)) string {
	t.Helper()
	l, err := h.listen(h.free())
	if err != nil {
		t.Fatal(err)
	}
	client, err := h.dial(context.Background(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	defer client.Close()
	defer server.Close()
	s := &story{TB: t, host: h, client: client.(fullConn), server: server.(fullConn)}
	within(t, "the scenario", func() { run(s) })
	var b bytes.Buffer
	for _, line := range s.lines {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// ended reports whether a connection is over, without asking it for the reason.
func ended(c fullConn) bool {
	if c, ok := c.(*socket.Conn); ok {
		_, open := c.Info()
		return !open
	}
	return kernelEnded(c.(*net.TCPConn))
}
