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

// scenarios are told by both; what they tell must be the same.
var scenarios = []struct {
	name string
	run  func(*story)
}{
	{"read after the peer's close", func(s *story) {
		s.write(s.server, "server")
		s.server.Close()
		s.read(s.client, "client")
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
	}},
	{"write after the peer's close", func(s *story) {
		s.server.Close()
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.awaitEnd(s.client)
		s.write(s.client, "client, again,")
		s.write(s.client, "client, a third time,")
		s.read(s.client, "client")
	}},
	{"read after the peer's RST", func(s *story) {
		s.reset()
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
		s.write(s.client, "client")
	}},
	{"read text before the peer's RST", func(s *story) {
		s.write(s.server, "server")
		s.reset()
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
		s.read(s.client, "client, a third time,")
	}},
	{"write after the peer's RST", func(s *story) {
		s.reset()
		s.write(s.client, "client")
		s.write(s.client, "client, again,")
		s.read(s.client, "client")
	}},
	{"the peer's RST while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.server.SetLinger(0)
		s.server.Close()
		<-done
	}},
	{"own close", func(s *story) {
		s.tell("close", s.client.Close())
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.tell("close again", s.client.Close())
		s.tell("CloseWrite", s.client.CloseWrite())
		s.tell("CloseRead", s.client.CloseRead())
		s.tell("SetDeadline", s.client.SetDeadline(time.Time{}))
		s.tell("SetNoDelay", s.client.SetNoDelay(true))
		s.tell("SetReadBuffer", s.client.SetReadBuffer(1<<20))
	}},
	{"own close while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.client.Close()
		<-done
	}},
	{"CloseWrite", func(s *story) {
		s.write(s.client, "client")
		s.tell("CloseWrite", s.client.CloseWrite())
		s.write(s.client, "client")
		s.read(s.server, "server")
		s.read(s.server, "server, again,")
		s.write(s.server, "server")
		s.read(s.client, "client")
		s.tell("CloseWrite again", s.client.CloseWrite())
		s.tell("server's CloseWrite", s.server.CloseWrite())
		s.read(s.client, "client, again,")
	}},
	{"the peer's RST after CloseWrite", func(s *story) {
		s.client.CloseWrite()
		s.reset()
		s.write(s.client, "client")
		s.write(s.client, "client, again,")
		s.read(s.client, "client")
	}},
	{"the peer's RST after CloseRead", func(s *story) {
		s.client.CloseRead()
		s.reset()
		s.read(s.client, "client")
		s.read(s.client, "client, again,")
		s.write(s.client, "client")
	}},
	{"CloseRead", func(s *story) {
		s.tell("CloseRead", s.client.CloseRead())
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.read(s.server, "server")
		s.tell("CloseRead again", s.client.CloseRead())
	}},
	{"CloseRead while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.client.CloseRead()
		<-done
	}},
	{"calls after the peer's RST", func(s *story) {
		s.reset()
		s.tell("SetNoDelay", s.client.SetNoDelay(true))
		s.tell("SetKeepAlive", s.client.SetKeepAlive(true))
		s.tell("SetReadBuffer", s.client.SetReadBuffer(1<<16))
		s.tell("SetLinger", s.client.SetLinger(-1))
		s.tell("SetDeadline", s.client.SetDeadline(time.Time{}))
		s.tell("CloseWrite", s.client.CloseWrite())
		s.tell("CloseRead", s.client.CloseRead())
		s.read(s.client, "client")
		s.tell("close", s.client.Close())
	}},
	{"close with text unread", func(s *story) {
		s.write(s.client, "client")
		s.server.Read(make([]byte, 1))
		s.server.Close()
		s.read(s.client, "client")
	}},
	{"SetLinger(0)", func(s *story) {
		s.tell("SetLinger", s.server.SetLinger(0))
		s.tell("close", s.server.Close())
		s.read(s.client, "client")
	}},
	{"SetLinger taken back", func(s *story) {
		s.tell("SetLinger", s.server.SetLinger(0))
		s.tell("SetLinger", s.server.SetLinger(-1))
		s.tell("close", s.server.Close())
		s.read(s.client, "client")
	}},
	{"a deadline in the past", func(s *story) {
		s.write(s.server, "server")
		s.client.SetDeadline(time.Now().Add(-time.Second))
		s.read(s.client, "client")
		s.write(s.client, "client")
		n, err := s.client.Read(nil)
		s.tell(fmt.Sprintf("client reads nothing: %d", n), err)
		n, err = s.client.Write(nil)
		s.tell(fmt.Sprintf("client writes nothing: %d", n), err)
		s.client.SetDeadline(time.Time{})
		s.read(s.client, "client")
		s.write(s.client, "client")
	}},
	{"a deadline to come", func(s *story) {
		s.client.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		s.read(s.client, "client")
		s.write(s.client, "client")
		s.client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := io.Copy(onlyWriter{s.client}, endless{})
		s.tell("client writes without end", err)
	}},
	{"a deadline set while reading", func(s *story) {
		done := make(chan struct{})
		go func() { defer close(done); s.read(s.client, "client") }()
		s.client.SetReadDeadline(time.Now().Add(-time.Second))
		<-done
	}},
	{"nothing read and written", func(s *story) {
		n, err := s.client.Read(nil)
		s.tell(fmt.Sprintf("client reads %d", n), err)
		n, err = s.client.Write(nil)
		s.tell(fmt.Sprintf("client writes %d", n), err)
		s.client.CloseWrite()
		n, err = s.client.Write(nil)
		s.tell(fmt.Sprintf("client writes %d", n), err)
		s.client.Close()
		n, err = s.client.Read(nil)
		s.tell(fmt.Sprintf("client reads %d", n), err)
	}},
	{"Dial refused", func(s *story) {
		_, err := s.host.dial(context.Background(), s.host.free())
		s.tell("dial", err)
	}},
	{"Dial cancelled", func(s *story) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := s.host.dial(ctx, s.host.free())
		s.tell("dial", err)
		ctx, cancel = context.WithTimeout(context.Background(), -1)
		defer cancel()
		_, err = s.host.dial(ctx, s.host.free())
		s.tell("dial", err)
	}},
	{"Dial to port 0, and to no host", func(s *story) {
		ctx := context.Background()
		at := netip.MustParseAddrPort(s.host.free())
		_, err := s.host.dial(ctx, netip.AddrPortFrom(at.Addr(), 0).String())
		s.tell("dial port 0", err)
		_, err = s.host.dial(ctx, "224.0.0.1:80")
		s.tell("dial multicast", err)
	}},
	{"listeners", func(s *story) {
		l, err := s.host.listen(s.host.free())
		s.tell("listen", err)
		_, err = s.host.listen(l.Addr().String())
		s.tell("listen again", err)
		done := make(chan error)
		go func() { _, err := l.Accept(); done <- err }()
		s.tell("close", l.Close())
		s.tell("accept while closing", <-done)
		_, err = l.Accept()
		s.tell("accept", err)
		s.tell("close again", l.Close())
		_, err = s.host.dial(context.Background(), l.Addr().String())
		s.tell("dial", err)
		_, err = s.host.listen("192.0.2.1:80")
		s.tell("listen elsewhere", err)
	}},
	{"a queued connection when the listener closes", func(s *story) {
		l, err := s.host.listen(s.host.free())
		s.tell("listen", err)
		c, err := s.host.dial(context.Background(), l.Addr().String())
		s.tell("dial", err)
		l.Close()
		s.read(c, "client")
		c.Close()
	}},
}

type onlyWriter struct{ io.Writer }

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

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
