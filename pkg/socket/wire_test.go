package socket_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come before it fails; it measures nothing.
const patience = time.Minute

var (
	serverAddr = netip.MustParseAddr("10.1.0.1")
	clientAddr = netip.MustParseAddr("10.2.0.1")
	webPort    = webPortOf(serverAddr)
)

func webPortOf(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 80) }

// shape is how a wire is built. The zero shape has one queue and superframes.
type shape struct {
	queues   int
	plain    bool
	packets  int // that a queue holds; 0 is 8192
	settings func(*tcp.Settings)
	foreign  func([]byte) bool
	wrap     link.Middleware // around the client's devices
}

func (s shape) String() string {
	kind := "superframes"
	if s.plain {
		kind = "plain"
	}
	return fmt.Sprintf("%d-%s", s.queues, kind)
}

var shapes = []shape{{queues: 1}, {queues: 1, plain: true}, {queues: 2}, {queues: 2, plain: true}}

// wire is two stacks with a link in memory between them.
type wire struct {
	testing.TB
	server, client *stack.Stack
	inject         func(packet []byte) // writes to the server, past the client
}

// newWire starts two stacks; they are closed when the test ends, or by close.
func newWire(t testing.TB, s shape) *wire {
	t.Helper()
	if s.packets == 0 {
		s.packets = 8192
	}
	a, b := pipe.New(s.queues, pipe.Options{Plain: s.plain, Packets: s.packets, Bytes: 16 << 20})
	if s.wrap != nil {
		for i, q := range b.Queues {
			b.Queues[i] = s.wrap(q)
		}
	}
	w := &wire{TB: t, inject: func(p []byte) { b.Queues[0].Write(&link.Packet{Head: p}) }}
	w.server = newStack(t, a, "10.1.0.1/16", s)
	w.client = newStack(t, b, "10.2.0.1/16", s)
	t.Cleanup(w.close)
	return w
}

func newStack(t testing.TB, l *link.Link, prefix string, s shape) *stack.Stack {
	t.Helper()
	settings := tcp.Defaults()
	if s.settings != nil {
		s.settings(&settings)
	}
	st, err := stack.New(stack.Config{
		Link: l, Addrs: []netip.Prefix{netip.MustParsePrefix(prefix)}, TCP: settings, Strict: true, Foreign: s.foreign,
		Secrets: [2]tcp.Secret{{1, 2}, {3, 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	st.Start()
	return st
}

func (w *wire) close() {
	w.client.Close()
	w.server.Close()
}

// eachShape runs f as a test on every kind of wire.
func eachShape(t *testing.T, f func(t *testing.T, w *wire)) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) { f(t, newWire(t, s)) })
	}
}

func (w *wire) listen(at netip.AddrPort) *socket.Listener {
	w.Helper()
	l, err := socket.Listen(w.server, at)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close() })
	return l
}

func (w *wire) dial(to netip.AddrPort) *socket.Conn {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := (&socket.Dialer{Stack: w.client}).DialAddr(ctx, to)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// pair opens a connection through the listener, which nobody else uses.
func (w *wire) pairBy(l *socket.Listener) (client, server *socket.Conn) {
	w.Helper()
	client = w.dial(webPort)
	server, err := l.AcceptConn()
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// pair is a connection between the two stacks.
func (w *wire) pair() (client, server *socket.Conn) {
	w.Helper()
	l := w.listen(webPort)
	defer l.Close()
	return w.pairBy(l)
}

// conns is how many connections a stack has now, half-open ones and TIME-WAIT not counted.
func conns(s *stack.Stack) (n int) {
	for i := range s.Shards() {
		n += s.Counters(i).Conns
	}
	return n
}

// all runs each f in a goroutine of its own and waits for them.
func all(fs ...func()) {
	var g sync.WaitGroup
	for _, f := range fs {
		g.Go(f)
	}
	g.Wait()
}

// echo sends back what comes until it ends.
func echo(c io.ReadWriteCloser) {
	defer c.Close()
	io.Copy(c, c)
}

// within fails the test when f does not return.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		t.Fatalf("%s has not returned", what)
	}
}
