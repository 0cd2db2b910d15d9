package tcp

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// receiver is a connection whose peer is the test, which sends it text by offset.
type receiver struct {
	*pair
	c    *Conn
	x    *Env
	from seq.Num // of byte 0
}

// newReceiver expects byte first next.
func newReceiver(t testing.TB, first int, settings ...func(*Settings)) *receiver {
	p := &pair{t: t, now: mono.Time(1e12), a: end{x: newEnv()}, b: end{x: newEnv()}}
	p.a.x.Settings[0].Timestamps = false
	for _, f := range settings {
		f(&p.a.x.Settings[0])
	}
	p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 1000, TSOffset: 7})
	p.run()
	return &receiver{pair: p, c: &p.b.c, x: p.b.x, from: p.b.c.rcv.nxt - seq.Num(first)}
}

// segment is the text [from, to) with the timestamp val, if they are agreed.
func (r *receiver) segment(from, to int, val uint32) *Segment {
	g := &Segment{Seq: r.from.Add(uint32(from)), Ack: r.c.snd.nxt, Flags: ACK, Window: 1000, Text: make([]byte, to-from)}
	if r.c.is(factTimestamps) {
		g.Options.Has, g.Options.TSVal = HasTimestamps, val
	}
	return g
}

// at is where the n-th segment of a full MSS begins.
func (r *receiver) at(n int) seq.Num { return r.from.Add(uint32(n) * uint32(r.c.rcv.mss)) }

// answers is what is sent now.
func (r *receiver) answers() []Segment {
	var list []Segment
	var o Out
	for r.c.Output(r.x, r.now, &o) {
		list = append(list, o.Segment)
	}
	return list
}

// receive has the text [from, to) arrive and returns the ACK that it calls for at once, "" if none.
func (r *receiver) receive(from, to int) string {
	r.t.Helper()
	r.c.Input(r.x, r.now, r.segment(from, to, r.c.ts.recent))
	r.c.Store(r.x)
	list := r.answers()
	if len(list) > 1 {
		r.t.Errorf("%d ACKs of one segment", len(list))
	}
	if len(list) == 0 {
		return ""
	}
	return r.spell(&list[0])
}

// spell is an ACK as the figures write it, "4000 SACK=3000-3500 4500-5000".
func (r *receiver) spell(g *Segment) string {
	text := fmt.Sprint(g.Ack.Sub(r.from))
	for i, b := range g.Options.SACK[:g.Options.Blocks] {
		text += []string{" SACK=", " "}[min(i, 1)] + fmt.Sprint(b.From.Sub(r.from), "-", b.To.Sub(r.from))
	}
	return text
}

// table has segments arrive and compares the ACKs.
func (r *receiver) table(rows []arrival) {
	r.t.Helper()
	for i, row := range rows {
		if got := r.receive(row.from, row.to); got != row.ack {
			r.t.Errorf("row %d, %d-%d: %q, not %q", i+1, row.from, row.to, got, row.ack)
		}
	}
}

// arrival is a row of a figure: the text that arrives, and the ACK sent for it.
type arrival struct {
	from, to int
	ack      string
}

// RFC 2018 section 7, eight segments of 500 bytes from 5000 on. Case 1: the last four are lost, and there is nothing to
// select.
//
// Proves: RFC 2018 4-1
func TestSACKCase1(t *testing.T) {
	newReceiver(t, 5000).table([]arrival{
		{5000, 5500, "5500"}, {5500, 6000, "6000"}, {6000, 6500, "6500"}, {6500, 7000, "7000"},
	})
}

// Case 2: the first is lost. Each ACK has one block, which grows.
//
// Proves: RFC 2018 3-2, 4-1, 4-2
func TestSACKCase2(t *testing.T) {
	newReceiver(t, 5000).table([]arrival{
		{5500, 6000, "5000 SACK=5500-6000"},
		{6000, 6500, "5000 SACK=5500-6500"},
		{6500, 7000, "5000 SACK=5500-7000"},
		{7000, 7500, "5000 SACK=5500-7500"},
		{7500, 8000, "5000 SACK=5500-8000"},
		{8000, 8500, "5000 SACK=5500-8500"},
		{8500, 9000, "5000 SACK=5500-9000"},
	})
}

// Case 3: the second, fourth, sixth and eighth are lost. The newest block comes first. Then the fourth comes and joins
// two blocks, and then the second.
//
// Proves: RFC 2018 3-2, 4-1, 4-3
func TestSACKCase3(t *testing.T) {
	newReceiver(t, 5000).table([]arrival{
		{5000, 5500, "5500"},
		{6000, 6500, "5500 SACK=6000-6500"},
		{7000, 7500, "5500 SACK=7000-7500 6000-6500"},
		{8000, 8500, "5500 SACK=8000-8500 7000-7500 6000-6500"},
		{6500, 7000, "5500 SACK=6000-7500 8000-8500"},
		{5500, 6000, "7500 SACK=8000-8500"},
	})
}

// RFC 2018 sections 3 and 4: four blocks have room, three beside timestamps. They are the newest, in the order in which
// they last grew; where those are fewer, older ones follow.
//
// Proves: RFC 2018 3-3, 4-4, 4-5
func TestSACKNewestBlocks(t *testing.T) {
	for _, stamped := range []bool{false, true} {
		r := newReceiver(t, 0, func(s *Settings) { s.Timestamps = stamped })
		for _, at := range []int{3000, 5000, 1000, 4000} {
			r.receive(at, at+500)
		}
		want := "0 SACK=2000-2500 4000-4500 1000-1500"
		if !stamped {
			want += " 5000-5500"
		}
		if got := r.receive(2000, 2500); got != want {
			t.Errorf("timestamps %v: %q, not %q", stamped, got, want)
		}
	}
	newReceiver(t, 0).table([]arrival{
		{1000, 1500, "0 SACK=1000-1500"},
		{3000, 3500, "0 SACK=3000-3500 1000-1500"},
		{3500, 4000, "0 SACK=3000-4000 1000-1500"},
		{4000, 4500, "0 SACK=3000-4500 1000-1500"},
		{4500, 5000, "0 SACK=3000-5000 1000-1500"},
	})
}

// RFC 2883 section 4.1.1, example 1: the ACKs of 3500 and 4000 are lost, and 3000-3499 is sent again.
//
//	received    ACK sent
//	3000-3499   3500
//	3500-3999   4000
//	3000-3499   4000, SACK=3000-3500
//
// It is reported once: not in the next ACK.
//
// Proves: RFC 2018 D4-1
func TestDSACKExample1(t *testing.T) {
	newReceiver(t, 3000).table([]arrival{
		{3000, 3500, "3500"}, {3500, 4000, "4000"}, {3000, 3500, "4000 SACK=3000-3500"}, {4000, 4500, "4500"},
	})
}

// Section 4.1.2, example 2: the same, and 4000-4499 is lost.
//
// Proves: RFC 2018 D4-1
func TestDSACKExample2(t *testing.T) {
	newReceiver(t, 3000).table([]arrival{
		{3000, 3500, "3500"},
		{3500, 4000, "4000"},
		{4500, 5000, "4000 SACK=4500-5000"},
		{3000, 3500, "4000 SACK=3000-3500 4500-5000"},
	})
}

// Section 4.1.3, example 3: the duplicate lies beyond the hole, and the block that it is part of comes second.
//
// Proves: RFC 2018 D4-2
func TestDSACKExample3(t *testing.T) {
	newReceiver(t, 3500).table([]arrival{
		{3500, 4000, "4000"},
		{4500, 5000, "4000 SACK=4500-5000"},
		{5000, 5500, "4000 SACK=4500-5500"},
		{5000, 5500, "4000 SACK=5000-5500 4500-5500"},
	})
	newReceiver(t, 4000).table([]arrival{ // all of the block: it stands there twice
		{4500, 5000, "4000 SACK=4500-5000"}, {4500, 5000, "4000 SACK=4500-5000 4500-5000"},
	})
}

// Section 4.2.1, example 4: of 1000-1999, sent again in one piece, half has come already.
//
// Proves: RFC 2018 D4-3
func TestDSACKExample4(t *testing.T) {
	newReceiver(t, 500).table([]arrival{
		{500, 1000, "1000"},
		{2000, 2500, "1000 SACK=2000-2500"},
		{1000, 1500, "1500 SACK=2000-2500"},
		{1000, 2000, "2500 SACK=1000-1500"},
	})
}

// Section 4.2.2, example 5: of 1000-2499 two pieces have come; the first is reported.
//
// Proves: RFC 2018 D4-3
func TestDSACKExample5(t *testing.T) {
	newReceiver(t, 500).table([]arrival{
		{500, 1000, "1000"},
		{3000, 3500, "1000 SACK=3000-3500"},
		{1000, 1500, "1500 SACK=3000-3500"},
		{2000, 2500, "1500 SACK=2000-2500 3000-3500"},
		{1000, 2500, "2500 SACK=1000-1500 3000-3500"},
	})
}

// Section 4.2: text that fills a hole, and more, brings again some of what was kept beyond it.
func TestDSACKOfWhatFillsAHole(t *testing.T) {
	newReceiver(t, 500).table([]arrival{
		{1000, 1500, "500 SACK=1000-1500"},
		{2000, 2500, "500 SACK=2000-2500 1000-1500"},
		{500, 1700, "1700 SACK=1000-1500 2000-2500"},
	})
}

// Section 5.1: a segment is replicated in the network.
func TestDSACKReplication(t *testing.T) {
	newReceiver(t, 500).table([]arrival{
		{500, 1000, "1000"}, {1000, 1500, "1500"}, {1000, 1500, "1500 SACK=1000-1500"},
	})
}
