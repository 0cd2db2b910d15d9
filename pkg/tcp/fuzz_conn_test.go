package tcp

import (
	"runtime/debug"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// FuzzConn drives one connection through any sequence of segments, calls and times, from any state. The input begins with
// the state and the settings (setUp); then each operation is a byte that names it, and the bytes that it asks for (step).
//
// The segments are those that a peer would send where it stands, with up to three mutations: fuzz_peer_test.go makes them,
// and holds what the connection sends against what RFC 9293 lets a host send. Besides, nothing panics (Env.Strict makes
// an impossible transition a panic), Check finds no fault, no step goes on for ever, and in the end nothing is left. A
// failure comes with its transcript in the language of scripts.
func FuzzConn(f *testing.F) {
	for _, b := range connSeeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if what, stack := fuzzConn(b, nil); what != "" {
			var log transcript
			fuzzConn(b, &log)
			t.Fatalf("%s\n%s\n%s", what, log.text(), stack)
		}
	})
}

// connSeeds has every kind of segment arrive in every state, as it should be and a little wrong, and each operation follow.
func connSeeds() (list [][]byte) {
	for state := range byte(len(fuzzStates)) {
		for kind := range byte(numSegmentKinds) {
			head := []byte{state, kind << 3, kind & 3, 0, 0, 0, 0x7a, kind * 17}
			list = append(list, append(head, opSegment, kind, 9, 0, opWrite, 100, opSegment, kind, 3, 1, kind, 70, opNext, opNext))
		}
		for op := range byte(numOps) {
			head := []byte{state, 0, 0, 0, 0, 0, 0x7a, op * 29}
			list = append(list, append(head, opWrite, 200, op, 2, 70, 3, 4, op, 1, 64, 5, opAck, opNext, op, 0, 1, 2, opNext))
		}
		for i, scene := range connScenes {
			list = append(list, append([]byte{state, 128, 0, 27, 0, 0, 0x7a, byte(i)}, scene...))
			list = append(list, append([]byte{state, 8, 0, 27, 0, 0, 0x40, byte(i + 1)}, scene...)) // a small window
		}
	}
	return list
}

// connScenes are beginnings that chance would be long in finding.
var connScenes = [...][]byte{
	// Two holes, of which the first is filled, then the second.
	{opSegment, kindBeyond, 1, 0, opSegment, kindBeyond, 1, 0, opSegment, kindGap, 40, 0, opRead, 255, opSegment, kindGap, 90, 0, opRead, 255},
	// What is sent between is lost; the peer selects what comes after, and gets it again.
	{opWrite, 99, 5, opDeaf, 0, opWrite, 99, 4, opDeaf, 0, opWrite, 99, 4, opAck, opNext, opAck, opNext, opAck, opWrite, 99, 4, opAck},
	// The window closes upon text, is probed, and opens.
	{opSegment, kindWindow, 0, 0, opWrite, 99, 3, opNext, opNext, opAck, opNext, opSegment, kindWindow, 9, 0, opAck, opNext, opAck},
	// Ours closes, for want of reading, and of memory; then it opens.
	{opText, 240, opText, 240, opMemory, 2, opText, 240, opText, 240, opSegment, kindBeyond, 9, 0, opMemory, 0, opRead, 255, opRead, 255, opText, 9},
	// Nobody answers, for hours.
	{opWrite, 99, 3, opRun, 255, 40, opOption, 6, 40, opWrite, 1, 0, opRun, 255, 255},
	// A time-out that was needless: the acknowledgments come late.
	{opWrite, 200, 5, opNext, opNext, opNext, opAck, opAck, opWait, 3, opAck, opWrite, 200, 5, opAck},
	// Urgent text, records and a cork; everything twice.
	{opOption, 8, 9, opOption, 1, 1, opWrite, 50, 1, opOption, 7, 0, opWrite, 50, 1, opOption, 1, 0, opAck, opReplay, 1, 0, opReplay, 2, 0, opReplay, 3, 0},
}

// fuzzStates are those that a sequence may begin in.
var fuzzStates = [...]fsm.State{
	fsm.Established, fsm.Listen, fsm.SynSent, fsm.SynRcvd, fsm.SynRcvdOpen, fsm.FinWait1, fsm.FinWait2, fsm.CloseWait,
	fsm.Closing, fsm.LastAck, fsm.TimeWait, fsm.Closed,
}

// The operations.
const (
	opSegment = iota
	opAck
	opText
	opWrite
	opRead
	opClose
	opWait
	opNext
	opRun
	opLate
	opOption
	opICMP
	opReplay
	opMemory
	opRepack
	opGiveWay
	opDeaf
	numOps
)

// mostSteps and mostWaits bound an input's operations and its time-outs, so that none takes long.
const mostSteps, mostWaits = 120, 1000

// opHeld, added to an operation, lets the next one come before anything is sent.
const opHeld = 0x80

// draw is the input, read byte by byte; zeros follow it.
type draw struct{ b []byte }

func (d *draw) byte() (v byte) {
	if len(d.b) > 0 {
		v, d.b = d.b[0], d.b[1:]
	}
	return v
}

// around is a distance: small in most cases, else about a power of two, in either direction.
func around(b byte) int32 {
	switch i := int32(int8(b)); {
	case i >= 64:
		return 1 << ((i - 64) / 2)
	case i < -64:
		return -1 << ((-i - 64) / 2)
	default:
		return i
	}
}

// fuzzed is a connection under fuzzing: what failed is thrown as a fault.
type fuzzed struct {
	draw
	x      *Env
	c      Conn
	now    mono.Time
	open   bool // there is a connection
	listen bool // if not, there is a listener
	peer   peer
	log    *transcript // nil: nobody reads it

	ending                bool // the user has gone
	eager, polite, silent bool // the user reads at once; closes both ways at once; and is followed by silence
	written               int  // bytes, all told
	read                  int
	arrived, fired        int // segments and time-outs since output was last taken
	waits                 int // time-outs of opRun
	marks                 int
	challenge             mono.Time // no ACK that nothing asked for before
}

// fault is what fuzzConn returns, thrown.
type fault string

// fuzzConn runs the input, and returns what is wrong, or nothing.
func fuzzConn(b []byte, log *transcript) (what string, stack []byte) {
	z := &fuzzed{draw: draw{b}, x: newEnv(), now: 1e12, log: log}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case fault:
			what = string(v)
		default:
			what, stack = printed("panic: %v", v), debug.Stack()
		}
	}()
	z.setUp()
	for n := 0; len(z.b) > 0 && n < mostSteps; n++ {
		z.step()
	}
	z.finish()
	return "", nil
}

func (z *fuzzed) fail(format string, args ...any) { panic(fault(printed(format, args...))) }

// step is one operation.
func (z *fuzzed) step() {
	op := z.byte()
	kind := op &^ opHeld % numOps
	if !z.open && kind != opSegment && kind != opText && kind != opAck && kind != opReplay {
		z.byte()
		return // there is nobody to call
	}
	fuzzOps[kind](z)
	if op&opHeld == 0 {
		z.settle()
	}
}

var fuzzOps = [numOps]func(*fuzzed){
	opSegment: func(z *fuzzed) { z.deliver(z.mutated()) },
	opAck:     func(z *fuzzed) { z.deliver(z.peer.segment(ACK, 0)) },
	opText:    func(z *fuzzed) { z.deliver(z.peer.segment(ACK|PSH, 1+6*int(z.byte()))) },
	opWrite:   func(z *fuzzed) { z.write(1 + int(z.byte())<<(z.byte()&7)) },
	opRead:    func(z *fuzzed) { z.take(1 + int(z.byte())<<4) },
	opClose:   (*fuzzed).close,
	opWait:    func(z *fuzzed) { z.now = z.now.Add(mono.Duration(z.byte()) * mono.Millisecond) },
	opNext:    (*fuzzed).next,
	opRun:     func(z *fuzzed) { z.run(mono.Duration(z.byte()) * mono.Duration(z.byte()) * mono.Second / 4) },
	opLate:    func(z *fuzzed) { z.now = z.now.Add(mono.Duration(z.byte()) * 600 * mono.Second) },
	opOption:  (*fuzzed).option,
	opICMP:    (*fuzzed).icmp,
	opReplay:  (*fuzzed).replay,
	opMemory:  (*fuzzed).memory,
	opRepack:  (*fuzzed).repack,
	opGiveWay: func(z *fuzzed) { z.c.GiveWay(z.x, z.now); z.c.SpaceAgain() },
	opDeaf:    func(z *fuzzed) { z.peer.deaf = !z.peer.deaf; z.log.note("the peer hears nothing: %v", z.peer.deaf) },
}

// next lets time pass to the next deadline.
func (z *fuzzed) next() {
	if d := z.c.Deadline(); d != mono.Never {
		z.now = max(z.now, d)
	}
}

// run lets time pass with its deadlines; a day of silence has few of them.
func (z *fuzzed) run(d mono.Duration) {
	began, until := z.now, z.now.Add(d)
	for n := 1; z.open && z.c.Deadline() <= until; n++ {
		z.next()
		z.settle()
		if n == 500 && z.now.Sub(began) < mono.Second/4 {
			z.fail("%d time-outs in %v", n, z.now.Sub(began))
		}
		if z.waits++; z.waits >= mostWaits && !z.ending {
			return
		}
	}
	z.now = max(z.now, until)
}

// settle does what is due and sends what there is, until nothing is left; then all must be in order.
func (z *fuzzed) settle() {
	for n := 0; z.open; n++ {
		if z.c.Deadline() <= z.now {
			z.fired++
			z.c.Timeout(z.x, z.now)
		} else if n > 0 {
			break
		}
		if n > 4 {
			z.fail("the deadline stays in the past: %v", z.now.Sub(z.c.Deadline()))
		}
		z.drain()
		z.c.TakeEvents()
	}
	if z.open {
		if err := z.c.Check(z.x); err != nil {
			z.fail("%v", err)
		}
		z.end()
	}
	z.arrived, z.fired = 0, 0
}

// drain hands the peer all that there is to be sent: a bounded number of segments for what has come in.
func (z *fuzzed) drain() {
	var o Out
	bare, full, text := 0, 0, 0
	for z.c.Output(z.x, z.now, &o) {
		z.peer.take(z, &o)
		n := len(o.Body[0]) + len(o.Body[1])
		if full, text = full+1, text+n; n == 0 {
			bare++
		}
		if bare > 6+4*z.arrived+2*z.fired {
			z.fail("%d segments without text answer %d segments", bare, z.arrived)
		}
		if full > 16+4*z.arrived+z.marks+4*text/int(z.c.snd.mss) {
			z.fail("%d segments for %d bytes, MSS %d", full, text, z.c.snd.mss)
		}
	}
}

// end takes note that the connection is over.
func (z *fuzzed) end() {
	if !z.c.Released() {
		return
	}
	z.log.note("CLOSED")
	z.c.Free(z.x)
	z.open = false
	z.written, z.read = 0, 0
	z.peer.over(z)
	if left := z.x.Memory.left(); left != "" {
		z.fail("%s", left)
	}
}

// left is what has not been given back, or nothing.
func (m *Memory) left() string {
	if m.InUse == 0 && len(m.freeRings) == len(m.rings)-1 && len(m.freeHoleLists) == len(m.holes)-1 &&
		len(m.freeFlights) == len(m.flights)-1 && len(m.freeMarkLists) == len(m.marks)-1 {
		return ""
	}
	return printed("%d bytes are in use; of %d rings, %d lists, %d scoreboards, %d lists of marks are free %d, %d, %d, %d", m.InUse,
		len(m.rings)-1, len(m.holes)-1, len(m.flights)-1, len(m.marks)-1,
		len(m.freeRings), len(m.freeHoleLists), len(m.freeFlights), len(m.freeMarkLists))
}

// finish has the user close or abort. In silence, too, a connection that nobody waits for is over within the hour.
func (z *fuzzed) finish() {
	z.settle()
	if !z.open {
		return
	}
	z.ending = true
	if z.silent {
		z.log.call("close(4)", 0)
		z.c.Close(z.x, z.now)
		z.run(3600 * mono.Second)
	} else {
		z.log.note("ABORT")
		z.c.Abort(z.x, z.now)
	}
	z.settle()
	if z.open {
		z.fail("nobody waits for it, and it is still in %v", z.c.State())
	}
}
