package lib

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// actor is one end of a connection in a play; whatever it does goes into the transcript.
type actor struct {
	duplex
	name string
	play *play
}

// play is a program with two ends of a connection. Its steps follow upon each other, so that its transcript is the
// same each time: what one step does to the peer is awaited by the next one, and by no clock.
type play struct {
	a, b       *actor
	seed       uint64
	transcript []string
}

func (p *play) note(format string, args ...any) {
	p.transcript = append(p.transcript, fmt.Sprintf(format, args...))
}

// exchange carries random text both ways, of random length.
func (p *play) exchange() {
	p.seed++
	r := rand.New(rand.NewPCG(p.seed, 0))
	x, y := random(p.seed, 1+r.IntN(1<<20)), random(p.seed+1<<32, 1+r.IntN(1<<20))
	p.note("a and b exchange %d and %d bytes: %v", len(x), len(y), carryBoth(p.a, p.b, x, y))
}

// carry carries random text of n bytes one way.
func (p *play) carry(from, to *actor, n int) {
	p.seed++
	p.note("%s sends %s %d bytes: %v", from.name, to.name, n, carry(from, to, random(p.seed, n)))
}

// read reads to the end.
func (x *actor) read() {
	p, err := io.ReadAll(x)
	if err == nil {
		err = io.EOF
	}
	x.play.note("%s reads %d bytes: %s", x.name, len(p), describe(err))
}

// write writes once.
func (x *actor) write(n int) {
	_, err := x.Write(make([]byte, n))
	x.play.note("%s writes: %s", x.name, describe(err))
}

// writeOn writes until that fails.
func (x *actor) writeOn() {
	var err error
	for err == nil {
		_, err = x.Write(make([]byte, 1000))
	}
	x.play.note("%s writes on and on: %s", x.name, describe(err))
}

func (x *actor) closeWrite() {
	x.play.note("%s closes for writing: %s", x.name, describe(x.CloseWrite()))
}

func (x *actor) close() { x.play.note("%s closes: %s", x.name, describe(x.Close())) }

func (x *actor) abort() {
	x.play.note("%s aborts: %s, %s", x.name, describe(x.SetLinger(0)), describe(x.Close()))
}

// both lets both do something at the same time, which is noted in order.
func (p *play) both(do func(*actor)) {
	var notes [2]play
	done := make(chan bool)
	for i, x := range []actor{*p.a, *p.b} {
		x.play = &notes[i]
		go func() {
			do(&x)
			done <- true
		}()
	}
	<-done
	<-done
	p.transcript = append(append(p.transcript, notes[0].transcript...), notes[1].transcript...)
}

// describe says of an error what a program can tell: which operation, which system call, why.
func describe(err error) string {
	var words []string
	var op *net.OpError
	if errors.As(err, &op) {
		words = append(words, op.Op+" "+op.Net+":")
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		words = append(words, call.Syscall)
	}
	var errno syscall.Errno
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &errno):
		words = append(words, unix.ErrnoName(errno))
	case errors.Is(err, net.ErrClosed):
		words = append(words, "ErrClosed")
	default:
		words = append(words, err.Error())
	}
	return strings.Join(words, " ")
}

// plays are all orders in which a connection can end. Each is also played with the parts exchanged.
var plays = []struct {
	name string
	act  func(p *play, a, b *actor)
}{
	{"a closes first", func(p *play, a, b *actor) { // RFC 9293 Figure 12
		p.exchange()
		a.closeWrite()
		b.read()
		b.closeWrite()
		a.read()
	}},
	{"b goes on after a's FIN", func(p *play, a, b *actor) { // half-close (RFC 9293 section 3.6)
		a.closeWrite()
		b.read()
		p.carry(b, a, 300_000)
		a.write(1)
		b.closeWrite()
		a.read()
	}},
	{"both close at once", func(p *play, a, b *actor) { // Figure 13
		p.exchange()
		p.both((*actor).closeWrite)
		p.both((*actor).read)
	}},
	{"text and FIN cross", func(p *play, a, b *actor) {
		p.both(func(x *actor) {
			x.write(100)
			x.closeWrite()
			x.read()
		})
	}},
	{"a closes and b still reads", func(p *play, a, b *actor) {
		p.exchange()
		a.write(50_000)
		a.close()
		b.read()
	}},
	{"b writes to a that has closed", func(p *play, a, b *actor) {
		p.exchange()
		a.close()
		b.read()
		b.writeOn()
		b.write(1)
	}},
	{"a aborts, b reads", func(p *play, a, b *actor) {
		p.exchange()
		a.abort()
		b.read()
	}},
	{"a aborts, b writes", func(p *play, a, b *actor) {
		p.exchange()
		a.abort()
		b.writeOn()
		b.write(1)
	}},
	{"a aborts after b's FIN", func(p *play, a, b *actor) {
		b.closeWrite()
		a.read()
		a.abort()
		b.read()
	}},
	{"a aborts after its own FIN", func(p *play, a, b *actor) {
		a.closeWrite()
		b.read()
		a.abort()
		b.writeOn()
	}},
	{"a closes with text unread", func(p *play, a, b *actor) { // RFC 1122 section 4.2.2.13
		p.exchange()
		b.write(1000)
		_, err := io.ReadFull(a, make([]byte, 1))
		p.note("a reads a byte: %s", describe(err))
		a.close()
		b.read()
	}},
	{"b writes on and on, and a closes", func(p *play, a, b *actor) {
		failed := make(chan bool)
		go func() {
			b.writeOn()
			close(failed)
		}()
		_, err := io.ReadFull(a, make([]byte, 1)) // the rest of that segment is unread
		a.Close()
		<-failed
		p.note("a has read a byte: %s", describe(err))
	}},
	{"b closes after a's FIN", func(p *play, a, b *actor) {
		a.closeWrite()
		b.read()
		b.close()
		a.read()
	}},
	{"nobody says a word", func(p *play, a, b *actor) {
		a.close()
		b.read()
	}},
}

// epilogue is what is asked of both ends after each play.
func (p *play) epilogue() {
	for _, x := range []*actor{p.a, p.b} {
		x.read()
		x.write(1)
		x.close()
		x.read()
		x.write(1)
		x.close()
	}
}

// TestEveryEndAsInTheKernel: for every order in which a connection can end, a program sees the same bytes, ends and
// errors whether its ends are the kernel's, over its loopback, or one of them is ours, or both.
func TestEveryEndAsInTheKernel(t *testing.T) {
	need(t)
	s := newSpace(t)
	s.forward() // we reach ourselves by the way of a router
	h := startHost(t, s, plan{})
	loopback := netip.MustParseAddrPort("127.0.0.1:8000")
	kernel, ours := addrPort(kernelIP, 8001), addrPort(ourIP, 80)
	onLoopback, inKernel, inOurs := s.listen(loopback), s.listen(kernel), h.listen(t, ours)
	pairings := []struct {
		name   string
		accept net.Listener
		dial   func() (net.Conn, error)
	}{
		{"we dial the kernel", inKernel, h.dialer(netip.AddrPort{}, kernel)},
		{"the kernel dials us", inOurs, s.dialer(ours)},
		{"we dial ourselves", inOurs, h.dialer(netip.AddrPort{}, ours)},
	}
	for _, one := range plays {
		for _, exchanged := range []bool{false, true} {
			name := one.name
			if exchanged {
				name += ", exchanged"
			}
			t.Run(name, func(t *testing.T) {
				perform := func(l net.Listener, dial func() (net.Conn, error)) []string {
					p := &play{}
					dialled, accepted := meet(t, l, dial)
					p.a, p.b = &actor{dialled, "a", p}, &actor{accepted, "b", p}
					if exchanged {
						p.a.duplex, p.b.duplex = accepted, dialled
					}
					one.act(p, p.a, p.b)
					p.epilogue()
					return p.transcript
				}
				want := perform(onLoopback, s.dialer(loopback))
				for _, pair := range pairings {
					got := perform(pair.accept, pair.dial)
					compare(t, pair.name, got, want)
				}
			})
		}
	}
}

// compare lists two transcripts side by side where they differ.
func compare(t *testing.T, name string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s, step %d:\n\t%s\n\tover the kernel's loopback:\n\t%s", name, i, g, w)
		}
	}
}
