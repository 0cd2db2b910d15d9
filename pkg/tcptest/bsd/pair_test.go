package bsd

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// pair is two stacks on a wire that takes a while, in virtual time: a test calls both.
type pair struct {
	t    *testing.T
	now  mono.Time
	a, b *end
	wire []transit
}

// transit is a packet on its way.
type transit struct {
	at     mono.Time
	to     *end
	packet []byte
}

// end is one of the two.
type end struct {
	*Sockets
	pair *pair
	wire *Wire
	addr netip.Addr
	lose func(packet []byte) bool // nil: nothing
}

const (
	delay = 10 * mono.Millisecond
	port  = 80
)

func newPair(t *testing.T) *pair {
	p := &pair{t: t, now: mono.Time(3600 * mono.Second)}
	p.a, p.b = &end{pair: p}, &end{pair: p}
	p.a.open(1, p.b)
	p.b.open(2, p.a)
	return p
}

func (e *end) open(n byte, other *end) {
	p := e.pair
	e.addr = netip.AddrFrom4([4]byte{10, 0, 0, n})
	clock := func() mono.Time { return p.now }
	e.wire = &Wire{Now: clock, Out: func(at mono.Time, packet []byte) {
		if e.lose == nil || !e.lose(packet) {
			p.wire = append(p.wire, transit{at.Add(delay), other, packet})
		}
	}}
	settings := tcp.Defaults()
	settings.Unpaced = true
	s, err := New(stack.Config{
		Link: e.wire.Link(1500, false), Addrs: []netip.Prefix{netip.PrefixFrom(e.addr, 32)},
		TCP: settings, Secrets: [2]tcp.Secret{{1, uint64(n)}, {3, 4}}, Now: clock, Strict: true,
	}, Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	e.Sockets = s
}

// step lets the next thing happen, if it does so in time; false when nothing does.
func (p *pair) step(until mono.Time) bool {
	at := min(p.a.Deadline(), p.b.Deadline())
	if len(p.wire) > 0 {
		at = min(at, p.wire[0].at)
	}
	if at > until {
		p.now = max(p.now, until)
		return false
	}
	p.now = max(p.now, at)
	for len(p.wire) > 0 && p.wire[0].at <= p.now {
		p.wire[0].to.wire.Deliver(p.wire[0].packet)
		p.wire = p.wire[1:]
	}
	for _, e := range []*end{p.a, p.b} {
		if _, err := e.Turn(); err != nil {
			p.t.Fatal(err)
		}
		if err := e.Stack.Check(); err != nil {
			p.t.Fatal(err)
		}
	}
	return true
}

// run lets d pass.
func (p *pair) run(d mono.Duration) {
	for end := p.now.Add(d); p.step(end); {
	}
}

// until makes a call again and again until it need not wait any more.
func (p *pair) until(call func() error) error {
	p.t.Helper()
	for end := p.now.Add(3600 * mono.Second); ; {
		err := call()
		if err != ErrBlocked {
			return err
		}
		if !p.step(end) {
			p.t.Fatal("it waits for ever")
		}
	}
}

func (e *end) socket(flags int) int {
	e.pair.t.Helper()
	fd, err := e.Socket(unix.AF_INET, unix.SOCK_STREAM|flags, 0)
	ok(e.pair.t, err)
	return fd
}

// listen is a socket that listens on the port.
func (e *end) listen(backlog int) int {
	e.pair.t.Helper()
	fd := e.socket(0)
	ok(e.pair.t, e.Bind(fd, netip.AddrPortFrom(e.addr, port)))
	ok(e.pair.t, e.Listen(fd, backlog))
	return fd
}

// join opens a connection from a to b.
func (p *pair) join() (a, b int) {
	p.t.Helper()
	l := p.b.listen(1)
	a = p.a.socket(0)
	ok(p.t, p.until(func() error { return p.a.Connect(a, p.b.at()) }))
	ok(p.t, p.until(func() (err error) { b, _, err = p.b.Accept(l, 0); return err }))
	return a, b
}

func (e *end) at() netip.AddrPort { return netip.AddrPortFrom(e.addr, port) }

// send writes all of text, waiting where it has to.
func (e *end) send(fd int, text []byte, flags int) {
	e.pair.t.Helper()
	ok(e.pair.t, e.pair.until(func() error {
		n, err := e.Send(fd, text, flags)
		text = text[n:]
		return err
	}))
}

// receive waits for text, and returns what there is, up to most bytes.
func (e *end) receive(fd, most, flags int) []byte {
	e.pair.t.Helper()
	b, n := make([]byte, most), 0
	ok(e.pair.t, e.pair.until(func() error {
		k, err := e.Recv(fd, b[n:], flags)
		n += k
		return err
	}))
	return b[:n]
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if err != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func wantText(t *testing.T, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, []byte(want)) {
		t.Errorf("received %q, want %q", got, want)
	}
}
