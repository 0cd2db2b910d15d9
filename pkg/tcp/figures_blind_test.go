package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// blind has a segment arrive that an attacker may have sent, and returns whether it was answered by a challenge ACK:
// SEQ=SND.NXT, ACK=RCV.NXT and nothing else. Timestamps are off: they would know it before.
func (r *receiver) blind(g Segment) (d Drop, challenged bool) {
	r.t.Helper()
	r.now = r.now.Add(mono.Second) // the limit is another matter
	d = r.c.Input(r.x, r.now, &g)
	list := r.answers()
	if len(list) == 0 {
		return d, false
	}
	if a := list[0]; len(list) > 1 || a.Flags != ACK || a.Seq != r.c.snd.nxt || a.Ack != r.c.rcv.nxt {
		r.t.Errorf("answered by %+v", list)
	}
	return d, true
}

// RFC 5961 section 3.2, a RST:
//
//	outside the window                   dropped
//	SEQ = RCV.NXT                        the connection is reset
//	inside the window, elsewhere         a challenge ACK
//
// Proves: RFC 5961 3.2-1, 3.2-2, 3.2-3, 3.2-4
func TestBlindRST(t *testing.T) {
	for _, c := range []struct {
		off               func(c *Conn) uint32
		reset, challenged bool
	}{
		{func(*Conn) uint32 { return 0 }, true, false},
		{func(*Conn) uint32 { return 1 }, false, true},
		{func(c *Conn) uint32 { return c.rcv.adv.Sub(c.rcv.nxt) - 1 }, false, true},
		{func(c *Conn) uint32 { return c.rcv.adv.Sub(c.rcv.nxt) }, false, false},
		{func(*Conn) uint32 { return 1<<32 - 1 }, false, false},
	} {
		r := newReceiver(t, 0)
		off := c.off(r.c)
		_, challenged := r.blind(Segment{Seq: r.c.rcv.nxt.Add(off), Flags: RST})
		if reset := r.c.State() == fsm.Closed; reset != c.reset || challenged != c.challenged {
			t.Errorf("RCV.NXT+%d: reset %v, challenged %v", int32(off), reset, challenged)
		}
	}
}

// RFC 5961 section 4.2: a SYN, wherever it lies, with an ACK or without, is answered by a challenge ACK and changes
// nothing.
//
// Proves: RFC 5961 4.2-1, 4.2-2
func TestBlindSYN(t *testing.T) {
	for _, off := range []uint32{0, 1, 1000, 1 << 30, 1 << 31, 1<<32 - 2, 1<<32 - 100} {
		for _, flags := range []Flags{SYN, SYN | ACK} {
			r := newReceiver(t, 0)
			before := *r.c
			g := Segment{Seq: r.c.rcv.nxt.Add(off), Flags: flags}
			if flags&ACK != 0 {
				g.Ack = r.c.snd.nxt
			}
			if _, challenged := r.blind(g); !challenged {
				t.Errorf("%v at RCV.NXT+%d: no challenge", flags, int32(off))
			}
			if r.c.State() != fsm.Established || r.c.rcv.nxt != before.rcv.nxt || r.c.snd.una != before.snd.una {
				t.Errorf("%v at RCV.NXT+%d: now %v", flags, int32(off), r.c.State())
			}
		}
	}
}

// RFC 5961 section 5.2: an ACK is acceptable within
//
//	SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT
//
// Text with any other is dropped, and a challenge ACK sent.
//
// Proves: RFC 9293 MAY-12
// Proves: RFC 5961 5.2-1, 5.2-2
func TestBlindACK(t *testing.T) {
	for _, c := range []struct {
		ack   func(c *Conn) seq.Num
		taken bool
	}{
		{func(c *Conn) seq.Num { return c.snd.nxt + 1 }, false},
		{func(c *Conn) seq.Num { return c.snd.nxt }, true},
		{func(c *Conn) seq.Num { return c.snd.una - seq.Num(c.snd.maxWnd) }, true},
		{func(c *Conn) seq.Num { return c.snd.una - seq.Num(c.snd.maxWnd) - 1 }, false},
		{func(c *Conn) seq.Num { return c.snd.una.Add(1 << 31) }, false},
	} {
		r := newReceiver(t, 0)
		r.c.rcv.quick = 0
		r.c.Write(r.x, make([]byte, 1000))
		r.answers()
		g := *r.segment(0, 500, 0)
		g.Ack = c.ack(r.c)
		d, challenged := r.blind(g)
		if taken := r.c.rcv.nxt == r.from+500; taken != c.taken || taken != (d == DropNone) || challenged == taken {
			t.Errorf("SEG.ACK %d: taken %v, %v, challenged %v", g.Ack, taken, d, challenged)
		}
	}
}

// RFC 5961 section 7: the challenge ACKs are limited; here to one in 500 ms of a connection.
//
// Proves: RFC 5961 7-1
func TestChallengeLimit(t *testing.T) {
	r := newReceiver(t, 0)
	n := 0
	for range 100 {
		g := Segment{Seq: r.c.rcv.nxt + 1, Flags: RST}
		r.c.Input(r.x, r.now, &g)
		n += len(r.answers())
		r.now = r.now.Add(20 * ms)
	}
	if n != 4 {
		t.Errorf("%d challenge ACKs in two seconds", n)
	}
}
