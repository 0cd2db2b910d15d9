// Package play stages the lives of connections between two TCPs and writes down what their users see: bytes, ends and
// errors. A play says the same whatever the TCPs, if they are right. It is imported by tests alone.
package play

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection of any TCP.
type Conn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(seconds int) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
}

// Host is a TCP with an address. What it listens for and dials are Conns.
type Host interface {
	Addr() netip.Addr
	Listen(port uint16) (net.Listener, error)
	// Dial opens a connection from a port of our own; 0: any.
	Dial(ctx context.Context, local uint16, remote netip.AddrPort) (net.Conn, error)
	// Differences are where its users see something else than the kernel's, and rightly.
	Differences() []Difference
}

// Play is a program with two ends of a connection. Its steps follow upon each other, so that its transcript is the same
// each time: what one step does to the peer is awaited by the next one, and by no clock.
type Play struct {
	Name string
	// Ordered: what its users see depends on nothing being lost and nothing coming out of order, with any TCP.
	Ordered bool
	// Crossing: both ends dial, and the wire must let their SYNs cross.
	Crossing bool
	// Cut: the wire breaks, so the stage must have one that can.
	Cut bool

	// Even: it makes no difference who of the two dials, or the play has it one way.
	Even bool

	act func(*scene)
}

// Stage is where plays are performed.
type Stage struct {
	A, B     Host // b listens and a dials, unless the play says otherwise
	Patience time.Duration
	Cut      func() // breaks the wire
	// Exchanged: a is the end that was accepted.
	Exchanged bool
	// Port is a's port where both ends dial, and the one before b's, to which a dials. Each play needs ports of its own
	// where old connections may linger in TIME-WAIT.
	Port uint16
}

// actor is one end; whatever it does goes into the transcript.
type actor struct {
	Conn
	name string
	host Host
	port uint16 // its own, where it listens, or both dial
	s    *scene
}

// scene is a play under way.
type scene struct {
	Stage
	a, b       *actor
	seed       uint64
	transcript []string
}

// Perform performs a play and returns its transcript.
func (p *Play) Perform(st Stage) []string {
	s := &scene{Stage: st}
	s.a = &actor{name: "a", host: st.A, port: st.Port, s: s}
	s.b = &actor{name: "b", host: st.B, port: st.Port + 1, s: s}
	defer s.end()
	p.act(s)
	s.epilogue()
	return s.transcript
}

// end leaves no connection.
func (s *scene) end() {
	for _, x := range []*actor{s.a, s.b} {
		if x.Conn != nil {
			_ = x.SetLinger(0)
			_ = x.Close()
		}
	}
}

func (s *scene) note(format string, args ...any) {
	s.transcript = append(s.transcript, fmt.Sprintf(format, args...))
}

// epilogue is what is asked of both ends after each play.
func (s *scene) epilogue() {
	for _, x := range []*actor{s.a, s.b} {
		if x.Conn == nil {
			continue
		}
		x.read()
		x.write(1)
		x.close()
		x.read()
		x.write(1)
		x.close()
	}
}

// exchange carries random text both ways, of random length.
func (s *scene) exchange() {
	s.seed++
	r := rand.New(rand.NewPCG(s.seed, 0))
	x, y := Random(s.seed, 1+r.IntN(1<<20)), Random(s.seed+1<<32, 1+r.IntN(1<<20))
	s.note("a and b exchange %d and %d bytes: %v", len(x), len(y), CarryBoth(s.a, s.b, x, y))
}

// carry carries random text of n bytes one way.
func (s *scene) carry(from, to *actor, n int) {
	s.seed++
	s.note("%s sends %s %d bytes: %v", from.name, to.name, n, Carry(from, to, Random(s.seed, n)))
}

// read reads to the end.
func (x *actor) read() {
	if x.Conn == nil { // the transcript has said why
		return
	}
	p, err := io.ReadAll(x)
	if err == nil {
		err = io.EOF
	}
	x.s.note("%s reads %d bytes, sum %08x: %s", x.name, len(p), crc32.ChecksumIEEE(p), describe(err))
}

// readSome reads n bytes.
func (x *actor) readSome(n int) {
	p := make([]byte, n)
	_, err := io.ReadFull(x, p)
	x.s.note("%s reads %d bytes, sum %08x, and no more: %s", x.name, n, crc32.ChecksumIEEE(p), describe(err))
}

// write writes once.
func (x *actor) write(n int) {
	_, err := x.Write(Random(uint64(n), n))
	x.s.note("%s writes: %s", x.name, describe(err))
}

// writeInPieces writes n bytes, few at a time.
func (x *actor) writeInPieces(n int) {
	r := rand.New(rand.NewPCG(uint64(n), 0))
	text := Random(uint64(n), n)
	var err error
	for len(text) > 0 && err == nil {
		k := min(1+r.IntN(3000), len(text))
		_, err = x.Write(text[:k])
		text = text[k:]
	}
	x.s.note("%s writes %d bytes in pieces: %s", x.name, n, describe(err))
}

// fill writes until no more is taken, and returns how much was.
func (x *actor) fill() (n int) {
	text := Random(0, 32<<20)
	err := x.SetWriteDeadline(time.Now().Add(fillTime))
	if err == nil {
		n, err = x.Write(text)
	}
	x.s.note("%s writes until no more is taken: %s, %s", x.name, describe(err), describe(x.SetWriteDeadline(time.Time{})))
	return n
}

// fillTime is for filling all buffers; nothing is wrong where it is not enough.
const fillTime = 500 * time.Millisecond

// keepAlive has x notice a peer that has vanished.
func (x *actor) keepAlive() {
	err := x.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2})
	x.s.note("%s keeps the connection alive: %s", x.name, describe(err))
}

// writeOn writes until that fails.
func (x *actor) writeOn() {
	var err error
	for err == nil {
		_, err = x.Write(make([]byte, 1000))
	}
	x.s.note("%s writes on and on: %s", x.name, describe(err))
}

func (x *actor) closeWrite() {
	x.s.note("%s closes for writing: %s", x.name, describe(x.CloseWrite()))
}

func (x *actor) closeRead() {
	x.s.note("%s closes for reading: %s", x.name, describe(x.CloseRead()))
}

func (x *actor) close() { x.s.note("%s closes: %s", x.name, describe(x.Close())) }

func (x *actor) abort() {
	x.s.note("%s aborts: %s, %s", x.name, describe(x.SetLinger(0)), describe(x.Close()))
}

// together lets both do something at the same time, which is noted in order.
func (s *scene) together(doA, doB func(*actor)) {
	var notes [2]scene
	done := make(chan bool)
	do := []func(*actor){doA, doB}
	for i, x := range []actor{*s.a, *s.b} {
		x.s = &notes[i]
		go func() {
			do[i](&x)
			done <- true
		}()
	}
	<-done
	<-done
	s.transcript = append(append(s.transcript, notes[0].transcript...), notes[1].transcript...)
}

// both lets both do the same at the same time.
func (s *scene) both(do func(*actor)) { s.together(do, do) }

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
	var late net.Error
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &errno):
		words = append(words, unix.ErrnoName(errno))
	case errors.Is(err, net.ErrClosed):
		words = append(words, "ErrClosed")
	case errors.As(err, &late) && late.Timeout():
		words = append(words, "deadline")
	default:
		words = append(words, err.Error())
	}
	return strings.Join(words, " ")
}
