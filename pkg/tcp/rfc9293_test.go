package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// The tests of rfc9293_*_test.go read like the standard: the sentence stands above the test, a connection is put into a
// state, a segment arrives, a call is made or time passes, and all that the connection then says is looked at; silence
// is an answer, too. What a marker names is in test/ledger/rfc9293.txt, the whole account in docs/rfc9293.md.

// lone is a connection whose peer is the test.
type lone struct {
	t   testing.TB
	x   *Env
	c   Conn
	now mono.Time
	ev  Events  // all that were signalled
	seq seq.Num // of the peer's next octet
}

const (
	ourISS   = seq.Num(1000)
	theirISS = seq.Num(500_000)
)

// plain is without options, so that only what the standard itself speaks of is on the wire.
func plain(s *Settings) {
	s.Timestamps, s.WindowScale, s.SACK = false, false, false
	s.SendBufferMax, s.ReceiveBufferMax = 0, 0
}

// newLone is a connection in CLOSED.
func newLone(t testing.TB, settings ...func(*Settings)) *lone {
	l := &lone{t: t, x: newEnv(), now: mono.Time(1e12), seq: theirISS}
	plain(&l.x.Settings[0])
	for _, f := range settings {
		f(&l.x.Settings[0])
	}
	return l
}

// synSent is a connection in SYN-SENT, whose SYN is out.
func synSent(t testing.TB, settings ...func(*Settings)) *lone {
	l := newLone(t, settings...)
	l.c.OpenActive(l.x, l.now, Open{ISS: ourISS})
	l.expect(SYN)
	return l
}

// synReceived is a connection in SYN-RECEIVED after a passive OPEN, whose SYN,ACK is out.
func synReceived(t testing.TB, settings ...func(*Settings)) *lone {
	l := newLone(t, settings...)
	l.c.OpenPassive(l.x, l.now, Open{ISS: ourISS}, &Segment{Seq: l.seq, Flags: SYN, Window: 65535, Options: Options{Has: HasMSS, MSS: 1460}})
	l.seq++
	l.expect(SYN | ACK)
	return l
}

// crossed is a connection in SYN-RECEIVED after an active OPEN that has met another.
func crossed(t testing.TB) *lone {
	l := synSent(t)
	l.hear(Segment{Flags: SYN})
	l.seq++
	l.expect(SYN | ACK)
	return l
}

// estab is an ESTABLISHED connection.
func estab(t testing.TB, settings ...func(*Settings)) *lone {
	l := synSent(t, settings...)
	l.hear(Segment{Flags: SYN | ACK, Options: Options{Has: HasMSS, MSS: 1460}})
	l.seq++
	l.expect(ACK)
	l.in(fsm.Established)
	return l
}

// finWait2 is a connection that our user has closed for writing, in FIN-WAIT-2.
func finWait2(t testing.TB) *lone {
	l := estab(t)
	l.c.CloseWrite(l.x, l.now)
	l.expect(FIN | ACK)
	l.hear(Segment{Flags: ACK})
	l.silent()
	l.in(fsm.FinWait2)
	return l
}

// closedWindow is an ESTABLISHED connection whose receive window is closed, full of unread text.
func closedWindow(t testing.TB) *lone {
	l := estab(t, func(s *Settings) { s.ReceiveBuffer = 4000 })
	l.c.rcv.quick = 0
	for _, n := range []int{1000, 1000, 1000, 1000} {
		l.text(n)
	}
	l.after(mono.Second)
	if l.says(); l.c.rcv.adv != l.c.rcv.nxt {
		t.Fatalf("the window is open for %d bytes", l.c.rcv.adv.Sub(l.c.rcv.nxt))
	}
	return l
}

// hear has a segment arrive. SEG.SEQ, SEG.ACK and SEG.WND are what a peer that is up to date sends, if they are 0.
func (l *lone) hear(g Segment) Drop {
	l.t.Helper()
	if g.Seq == 0 {
		g.Seq = l.seq
	}
	if g.Flags&ACK != 0 && g.Ack == 0 {
		g.Ack = l.c.snd.nxt
	}
	if g.Window == 0 {
		g.Window = 65535
	}
	d := l.c.Input(l.x, l.now, &g)
	l.settle()
	return d
}

// closes is hear for a segment that closes the window.
func (l *lone) closes(g Segment) Drop {
	l.t.Helper()
	g.Seq, g.Flags = l.seq, g.Flags|ACK
	d := l.c.Input(l.x, l.now, &g)
	l.settle()
	return d
}

// text has n bytes arrive in order.
func (l *lone) text(n int) Drop {
	l.t.Helper()
	d := l.hear(Segment{Flags: ACK, Text: make([]byte, n)})
	l.seq = l.seq.Add(uint32(n))
	return d
}

func (l *lone) settle() {
	l.c.Store(l.x)
	l.ev |= l.c.TakeEvents()
}

// says is all that the connection sends now: first what is answered at once and belongs to no stream.
func (l *lone) says() (list []Segment) {
	l.t.Helper()
	if l.x.ReplyDue {
		l.x.ReplyDue = false
		list = append(list, l.x.Reply)
	}
	var o Out
	for l.c.Output(l.x, l.now, &o) {
		if list = append(list, flatten(&o)); len(list) > 1000 {
			l.t.Fatal("it never falls silent")
		}
	}
	if err := l.c.Check(l.x); err != nil {
		l.t.Fatal(err)
	}
	return list
}

// expect demands one segment with these flags, PSH apart, and returns it.
func (l *lone) expect(flags Flags) Segment {
	l.t.Helper()
	list := l.says()
	if len(list) != 1 || list[0].Flags&^PSH != flags {
		var all []Flags
		for _, g := range list {
			all = append(all, g.Flags)
		}
		l.t.Fatalf("it says %v, not %v", all, flags)
	}
	return list[0]
}

// silent demands that nothing is sent.
func (l *lone) silent() {
	l.t.Helper()
	if list := l.says(); len(list) > 0 {
		l.t.Errorf("%d segments, and none was due: %v", len(list), list[0].Flags)
	}
}

// in demands the state.
func (l *lone) in(s fsm.State) {
	l.t.Helper()
	if l.c.State() != s {
		l.t.Errorf("%v, not %v", l.c.State(), s)
	}
}

// write has the user write n bytes.
func (l *lone) write(n int) {
	l.t.Helper()
	if k := l.c.Write(l.x, make([]byte, n)); k != n {
		l.t.Fatalf("wrote %d bytes of %d", k, n)
	}
}

// after lets d pass, and returns what is sent meanwhile, what is due now included.
func (l *lone) after(d mono.Duration) (list []Segment) {
	l.t.Helper()
	list = l.says()
	for end := l.now.Add(d); ; {
		next := l.c.Deadline()
		if next > end {
			l.now = end
			return list
		}
		l.now = max(l.now, next)
		l.c.Timeout(l.x, l.now)
		l.settle()
		list = append(list, l.says()...)
	}
}

// quiet lets d pass, and demands that nothing is sent.
func (l *lone) quiet(d mono.Duration) {
	l.t.Helper()
	if list := l.after(d); len(list) > 0 {
		l.t.Errorf("within %v %d segments, and none was due: %v", d, len(list), list[0].Flags)
	}
}

// textOf is how much text segments carry.
func textOf(list []Segment) (n int) {
	for _, g := range list {
		n += len(g.Text)
	}
	return n
}
