package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// stamped has a segment of a full MSS arrive, the n-th, with a TSval counted from the handshake's, and returns the ACKs
// that it calls for at once.
func (r *receiver) stamped(zero uint32, n int, val uint32) (Drop, []Segment) {
	mss := int(r.c.rcv.mss)
	d := r.c.Input(r.x, r.now, r.segment(n*mss, (n+1)*mss, zero+val))
	r.c.Store(r.x)
	return d, r.answers()
}

// RFC 7323 section 4.3, example A: the ACK of several segments echoes the first of them, so that the delay of the ACK
// counts. Here every second segment is acknowledged, there every third.
//
//	A, TSval=1 -->
//	B, TSval=2 -->
//	           <-- ACK of B, TSecr=1
//	C, TSval=3 -->
//	D, TSval=4 -->
//	           <-- ACK of D, TSecr=3
//	E, TSval=5 -->
//	           <-- ACK of E, TSecr=5        by the delayed ACK's timer
//
// Proves: RFC 7323 4.3-2
func TestEchoOfDelayedACKs(t *testing.T) {
	r := newReceiver(t, 0, withTimestamps)
	r.c.rcv.quick = 0
	zero := r.c.ts.recent
	for i := range 4 {
		_, list := r.stamped(zero, i, uint32(i+1))
		switch {
		case i%2 == 0 && len(list) != 0:
			t.Errorf("segment %d: an ACK at once", i)
		case i%2 == 1 && (len(list) != 1 || list[0].Options.TSEcr != zero+uint32(i)):
			t.Errorf("segment %d: %+v", i, list)
		}
	}
	r.stamped(zero, 4, 5)
	r.now = r.c.Deadline()
	r.c.Timeout(r.x, r.now)
	if list := r.answers(); len(list) != 1 || list[0].Options.TSEcr != zero+5 {
		t.Errorf("the last: %+v", list)
	}
}

// Section 4.3, example B: a segment beyond a hole leaves TS.Recent alone, and the one that fills the hole does not.
//
//	A, TSval=1 -->    TS.Recent 1    <-- ACK of A, TSecr=1
//	C, TSval=3 -->              1    <-- ACK of A, TSecr=1
//	B, TSval=2 -->              2    <-- ACK of C, TSecr=2
//	E, TSval=5 -->              2    <-- ACK of C, TSecr=2
//	D, TSval=4 -->              4    <-- ACK of E, TSecr=4
//
// Proves: RFC 7323 4.3-1, 4.3-2, 5.3-R4, 5.3-R5
func TestEchoWithHoles(t *testing.T) {
	r := newReceiver(t, 0, withTimestamps)
	zero, mss := r.c.ts.recent, r.c.rcv.mss
	for _, row := range []struct {
		segment     int
		val         uint32
		below, echo uint32 // the ACK: of the segments below, and TSecr
	}{{0, 1, 1, 1}, {2, 3, 1, 1}, {1, 2, 3, 2}, {4, 5, 3, 2}, {3, 4, 5, 4}} {
		_, list := r.stamped(zero, row.segment, row.val)
		if len(list) != 1 {
			t.Fatalf("TSval %d: %d ACKs", row.val, len(list))
		}
		if n, echo := list[0].Ack.Sub(r.from)/uint32(mss), list[0].Options.TSEcr-zero; n != row.below || echo != row.echo {
			t.Errorf("TSval %d: ACK of the segments below %d, TSecr %d, not %d and %d", row.val, n, echo, row.below, row.echo)
		}
	}
	// What was cut otherwise when it was sent again begins before the last ACK.
	r.c.Input(r.x, r.now, r.segment(5*int(mss)-100, 6*int(mss), zero+6))
	if list := r.answers(); len(list) != 1 || list[0].Options.TSEcr != zero+6 {
		t.Errorf("text that overlaps: %+v", list)
	}
}

// RFC 7323 section 5.3: an old duplicate whose sequence number is right again after 2^32 bytes is known by its timestamp.
// It is not taken (R1), and is answered.
//
//	A.1, TSval=1   is delayed, and sent again
//	...            4 GiB later
//	C.1, TSval=3
//	A.1, TSval=1   has C.2's sequence number, and 1 < 3: dropped
//	C.2, TSval=3
//
// Proves: RFC 7323 5.3-R1
func TestPAWS(t *testing.T) {
	r := newReceiver(t, 0, withTimestamps)
	zero := r.c.ts.recent
	r.stamped(zero, 0, 3)
	for range 2 { // each is answered, for it has text
		d, list := r.stamped(zero, 1, 1)
		if d != DropPAWS || len(list) != 1 || list[0].Ack != r.at(1) || list[0].Options.TSEcr != zero+3 {
			t.Errorf("the old duplicate: %v, answered by %+v", d, list)
		}
	}
	if d, _ := r.stamped(zero, 1, 3); d != DropNone || r.c.rcv.nxt != r.at(2) {
		t.Errorf("the new segment: %v", d)
	}
}

// RFC 7323 section 5.2: timestamps are compared round their own ring. Section 5.5: after 24 days TS.Recent says nothing.
// Section 5.3: a RST is subject to no PAWS.
//
// Proves: RFC 7323 5.2-1, 5.2-2, 5.5-1
func TestPAWSWraps(t *testing.T) {
	r := newReceiver(t, 0, withTimestamps)
	r.c.ts.recent = 1<<32 - 2
	for i, val := range []uint32{1<<32 - 1, 0, 5} {
		if d, _ := r.stamped(0, i, val); d != DropNone {
			t.Errorf("TSval %d: %v", val, d)
		}
	}
	if d, _ := r.stamped(0, 3, 1<<32-1); d != DropPAWS {
		t.Errorf("the one before the wrap: %v", d)
	}
	r.now = r.now.Add(24 * 86400 * mono.Second)
	if d, _ := r.stamped(0, 3, 1<<32-1); d != DropPAWS {
		t.Errorf("after 24 days: %v", d)
	}
	r.now = r.now.Add(mono.Second)
	if d, _ := r.stamped(0, 3, 1<<32-1); d != DropNone {
		t.Errorf("later: %v", d)
	}
	g := Segment{Seq: r.c.rcv.nxt, Flags: RST, Options: Options{Has: HasTimestamps, TSVal: 1<<32 - 100}}
	if d := r.c.Input(r.x, r.now, &g); d != DropNone || !r.c.Over() {
		t.Errorf("a RST: %v", d)
	}
}
