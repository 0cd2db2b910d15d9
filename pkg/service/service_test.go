package service

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
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

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var (
	client = netip.MustParseAddr("10.7.0.1")
	server = netip.MustParseAddr("10.7.0.2")
)

const port = 1000

// wire is two stacks that hear each other.
type wire struct{ client, server *stack.Stack }

func newWire(t testing.TB) *wire {
	t.Helper()
	a, b := pipe.New(2, pipe.Options{})
	return &wire{client: start(t, a, client, 1), server: start(t, b, server, 2)}
}

func start(t testing.TB, l *link.Link, addr netip.Addr, seed uint64) *stack.Stack {
	t.Helper()
	settings := tcp.Defaults()
	settings.MSL = 100 * time.Millisecond
	s, err := stack.New(stack.Config{
		Link: l, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 32)}, TCP: settings, Strict: true,
		Secrets: [2]tcp.Secret{{seed, 1}, {seed, 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Close() })
	return s
}

func (n *wire) dial(t *testing.T) *socket.Conn {
	t.Helper()
	c := n.dialForEver(t)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// dialForEver is dial without a deadline.
func (n *wire) dialForEver(t testing.TB) *socket.Conn {
	t.Helper()
	c, err := socket.Dial(n.client, netip.AddrPortFrom(server, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// simple is what the services that can be both are.
type simple interface {
	stack.Handler
	ConnService
}

// ways are those to a service: as a handler on the shard, and on a goroutine with a net.Conn.
var ways = []struct {
	name   string
	listen func(testing.TB, *wire, simple)
}{
	{"handler", func(t testing.TB, w *wire, v simple) {
		if _, err := w.server.Listen(stack.ListenConfig{Prefix: netip.PrefixFrom(server, 32), Port: port}, v); err != nil {
			t.Fatal(err)
		}
	}},
	{"conn", func(t testing.TB, w *wire, v simple) { w.serve(t, v, nil) }},
}

// bothWays runs a test on a connection to a service of each kind.
func bothWays(t *testing.T, v simple, run func(*testing.T, *socket.Conn)) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w := newWire(t)
			way.listen(t, w, v)
			run(t, w.dial(t))
		})
	}
}

// serve serves connections on goroutines. admit may be nil.
func (n *wire) serve(t testing.TB, v ConnService, admit func(*stack.Request)) *socket.Listener {
	t.Helper()
	l, err := socket.ListenWith(n.server, stack.ListenConfig{Prefix: netip.PrefixFrom(server, 32), Port: port, Admit: admit})
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(v)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("serving ended with %v", err)
		}
	})
	return l
}

// expectEOF reads on and fails unless the peer has closed and sent no more.
func expectEOF(t *testing.T, c *socket.Conn) {
	t.Helper()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("at the end %d bytes and %v, want an orderly close", len(rest), err)
	}
}

func payload(seed uint64, size int) []byte {
	p := make([]byte, size)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(p)
	return p
}

// RFC 862: "once a connection is established any data received is sent back. This continues until the calling user
// terminates the connection."
func TestEcho(t *testing.T) { bothWays(t, Echo{}, testEcho) }

func testEcho(t *testing.T, c *socket.Conn) {
	for i, size := range []int{1, 2, 1459, 1460, 1461, 65536, 3 << 20} {
		sent := payload(uint64(i), size)
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write(sent)
			wrote <- err
		}()
		got := make([]byte, size)
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := <-wrote; err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came back as others", size)
		}
	}
	last := payload(99, 100_000)
	go func() {
		_, _ = c.Write(last)
		_ = c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, last) {
		t.Errorf("what was sent before the FIN: %d bytes of %d came back, %v", len(got), len(last), err)
	}
}

// TestEchoWaitsForItsReader sends more than all buffers hold before it reads.
func TestEchoWaitsForItsReader(t *testing.T) { bothWays(t, Echo{}, testEchoWaitsForItsReader) }

func testEchoWaitsForItsReader(t *testing.T, c *socket.Conn) {
	size := 100 << 20
	if testing.Short() { // still more than four buffers of a short way
		size = 16 << 20
	}
	sent := payload(5, size)
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		if err == nil {
			err = c.CloseWrite()
		}
		wrote <- err
	}()
	select {
	case err := <-wrote:
		t.Fatalf("%d bytes were taken though nobody reads the echo: %v", size, err)
	case <-time.After(50 * time.Millisecond): // time enough to fill the buffers, whose size the test does not know
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d, or others: %v", len(got), len(sent), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// RFC 863: "any data received is thrown away. No response is sent."
func TestDiscard(t *testing.T) { bothWays(t, Discard{}, testDiscard) }

func testDiscard(t *testing.T, c *socket.Conn) {
	if _, err := c.Write(payload(1, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expectEOF(t, c)
}

// RFC 867: "once a connection is established the current date and time is sent out the connection as a ascii
// character string (and any data received is thrown away). The service closes the connection after sending the quote."
// One of its two examples has this form.
func TestDaytime(t *testing.T) {
	now := time.Date(1982, time.February, 22, 17, 37, 43, 0, time.FixedZone("PST", -8*3600))
	bothWays(t, Daytime{Now: func() time.Time { return now }}, func(t *testing.T, c *socket.Conn) {
		got, err := io.ReadAll(c)
		if want := "Monday, February 22, 1982 17:37:43-PST\r\n"; err != nil || string(got) != want {
			t.Errorf("%q and %v, want %q", got, err, want)
		}
	})
}

// TestDaytimeThrowsAway what a caller says, and tells him the time all the same.
func TestDaytimeThrowsAway(t *testing.T) { bothWays(t, Daytime{Now: time.Now}, testDaytimeThrowsAway) }

func testDaytimeThrowsAway(t *testing.T, c *socket.Conn) {
	_, _ = c.Write([]byte("what time is it?\r\n")) // fails where the answer, and the end, has come before
	if got, err := io.ReadAll(c); err != nil || len(got) == 0 {
		t.Errorf("%q and %v", got, err)
	}
}

// RFC 864 shows the pattern. These are its first lines and those where the characters come round.
const chargenPage = ` !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`" + `abcdefg
!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`" + `abcdefgh
"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`" + `abcdefghi
`

func TestChargen(t *testing.T) { bothWays(t, Chargen{}, testChargen) }

func testChargen(t *testing.T, c *socket.Conn) {
	const size = 5 << 20
	got := make([]byte, size)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(chargenPage, "\n", "\r\n"); !bytes.HasPrefix(got, []byte(want)) {
		t.Errorf("it begins\n%s", got[:len(want)])
	}
	// Each line is the one before, moved on by one of the 95 printing characters.
	lines := strings.Split(string(got[:size-size%74]), "\r\n")
	for i, l := range lines[:len(lines)-1] {
		if len(l) != 72 {
			t.Fatalf("line %d has %d characters: %q", i, len(l), l)
		}
		for k := range len(l) {
			if want := byte(' ' + (i+k)%95); l[k] != want {
				t.Fatalf("line %d, character %d: %q, want %q", i, k, l[k], want)
			}
		}
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("it should end when the caller closes: %v", err)
	}
}

// TestChargenThrowsAway what the caller sends, and goes on.
func TestChargenThrowsAway(t *testing.T) { bothWays(t, Chargen{}, testChargenThrowsAway) }

func testChargenThrowsAway(t *testing.T, c *socket.Conn) {
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(payload(1, 4<<20))
		wrote <- err
	}()
	if _, err := io.CopyN(io.Discard, c, 4<<20); err != nil {
		t.Error(err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// TestDaytimeLine: the longest line fits the space a handler has for it, so that a million callers leave no garbage.
func TestDaytimeLine(t *testing.T) {
	at := time.Date(2026, time.September, 30, 23, 59, 59, 0, time.FixedZone("", -12*3600+1))
	longest := Daytime{Now: func() time.Time { return at }}
	if n := testing.AllocsPerRun(10, func() {
		var line [lineSpace]byte
		longest.appendLine(line[:0])
	}); n != 0 {
		t.Errorf("a line of %d bytes took %v allocations", len(longest.appendLine(nil)), n)
	}
}
