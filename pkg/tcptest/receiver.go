package tcptest

import (
	"slices"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// The watcher of a strict world holds what is sent against a receiver who has exactly what has arrived, and against a
// sender who knows exactly what he has been told. Of both it has bounds: what a host has read it may have taken, and some
// of it, it must have taken.

// received is what has reached an end of the peer's stream.
type received struct {
	have  ranges // all of it: SYN, text, FIN
	twice ranges // what came more than once
	asked []ask  // the last segments, of whatever incarnation: what a RST may answer
	asks  int    // how many came since the host's stack is there
	ts    stamps // the peer's
}

// ask is what of a segment a RST repeats (RFC 9293 section 3.10.7.1).
type ask struct {
	ack bool
	at  seq.Num // the segment's ACK, or its end
}

// mostAsked bounds the segments that are remembered: more than may be on their way between two shards.
const mostAsked = 500

// stamps are timestamps of one clock (RFC 7323).
type stamps struct {
	any         bool
	first, last uint32
}

func (s *stamps) note(v uint32) {
	switch {
	case !s.any:
		*s = stamps{true, v, v}
	case int32(v-s.last) > 0:
		s.last = v
	case int32(v-s.first) < 0: // segments have overtaken each other
		s.first = v
	}
}

// has reports whether v lies between the first and the last.
func (s *stamps) has(v uint32) bool { return s.any && int32(v-s.first) >= 0 && int32(v-s.last) <= 0 }

// said is what an end has sent, besides its place in the stream.
type said struct {
	ack    seq.Num // the highest
	acks   bool
	ts     stamps
	tsFrom mono.Time // by the host's clock, when ts.first was sent
	echo   stamps
	resets int // since the host's stack is there
	up     seq.Num
	urgent bool
}

// known is what an end has been told of its own stream.
type known struct {
	told   seq.Num // the highest ACK that has reached it: SND.UNA is at most this
	heard  seq.Num // and at least this
	next   seq.Num // and this after the turn
	pacing debt
}

// next is where the peer's stream has a hole, as far as this end has been sent it: RCV.NXT is at most this.
func (e *end) next() seq.Num {
	if r := e.got.have; len(r) > 0 && r[0].From.LessEq(e.peer.iss) {
		return r[0].To
	}
	return e.peer.iss
}

// question notes a segment that a RST may answer.
func (r *received) question(g *tcp.Segment) {
	r.asks++
	a := ask{true, g.Ack}
	if g.Flags&tcp.ACK == 0 {
		a = ask{false, g.End()}
	}
	if len(r.asked) >= mostAsked {
		r.asked = slices.Delete(r.asked, 0, mostAsked/2)
	}
	r.asked = append(r.asked, a)
}

// take notes a segment of the peer's present incarnation.
func (e *end) take(w *watcher, f *Frame) {
	g := &f.Seg
	must := !f.split && e.mustTake(g) // what was split may not become whole again
	run := tcp.Block{From: g.Seq, To: g.End()}
	e.got.have.common(run, func(b tcp.Block) { e.got.twice.add(b) })
	e.got.have.add(run)
	if g.Options.Has&tcp.HasTimestamps != 0 {
		e.got.ts.note(g.Options.TSVal)
	}
	if g.Flags&tcp.ACK == 0 || e.peer.knows != e.life || e.gone {
		return
	}
	if e.max.Less(g.Ack) {
		return // of what was sent before a cookie has opened the connection again: SEG.ACK > SND.NXT is dropped (section 3.10.7.4, fifth)
	}
	w.pays(e, g)
	e.own.told = seq.Max(e.own.told, g.Ack)
	if must && e.iss.Add(1).Less(g.Ack) { // before, the accept queue may be full
		e.own.next = seq.Max(e.own.next, g.Ack)
		w.fresh = append(w.fresh, e)
	}
}

// mustTake reports that the segment is acceptable by each sequence number that this end may have, and as new as any.
func (e *end) mustTake(g *tcp.Segment) bool {
	switch {
	case len(e.host.queues) != 1 || e.knows != e.peer.life: // it may yet be on its way between shards, or have come before the SYN
		return false
	case g.Flags&(tcp.SYN|tcp.RST) != 0 || g.Seq.Less(e.next()) || !g.Seq.Less(e.edge):
		return false
	case e.agreed(tcp.HasTimestamps):
		return g.Options.Has&tcp.HasTimestamps != 0 && int32(g.Options.TSVal-e.got.ts.last) >= 0
	}
	return true
}

// turned is the end of a turn: what was read has been taken.
func (w *watcher) turned() {
	for _, e := range w.fresh {
		e.own.heard = seq.Max(e.own.heard, e.own.next)
	}
	w.fresh = w.fresh[:0]
}

// strict looks at a segment that is not a RST and belongs to a connection both of whose ends know each other.
func (w *watcher) strict(f *Frame, e *end) {
	g := &f.Seg
	w.place(f, e)
	w.urgent(f, e)
	w.record(f, e)
	if g.Flags&tcp.ACK == 0 {
		return
	}
	switch {
	case e.next().Less(g.Ack):
		w.fail(f, "what has come has a hole at %d", e.next()-e.peer.iss)
	case e.said.acks && g.Ack.Less(e.said.ack):
		w.fail(f, "it has acknowledged up to %d", e.said.ack-e.peer.iss)
	}
	e.said.ack, e.said.acks = g.Ack, true
	w.clock(f, e)
	w.selects(f, e)
}

// place: what was acknowledged is not sent again, and what has no text stands in the window (RFC 9293 section 3.10.7.4,
// first), but for keep-alives.
func (w *watcher) place(f *Frame, e *end) {
	g := &f.Seg
	switch {
	case g.Flags&tcp.SYN != 0:
	case g.Len() > 0 && g.End().LessEq(e.own.heard):
		w.fail(f, "up to %d was acknowledged", e.own.heard-e.iss)
	case g.Len() > 0 || g.Seq+1 == e.own.heard || g.Seq+1 == e.own.told:
	case g.Seq.Less(e.own.heard):
		w.fail(f, "below the window, which begins at %d", e.own.heard-e.iss)
	case e.offered().Less(g.Seq) && e.own.told.Less(g.Seq):
		w.fail(f, "beyond the window, which ends at %d", e.granted-e.iss)
	}
}

// fin: the first FIN, with text, fits into the window, too.
func (w *watcher) fin(f *Frame, e *end) {
	if g := &f.Seg; g.Flags&tcp.FIN != 0 && !e.fin && len(g.Text) > 0 && e.offered().Less(g.End()) {
		w.fail(f, "a FIN beyond the window, which ends at %d", e.granted-e.iss)
	}
}

// offered is the right edge that this end has been told of; scaled windows lose less than a unit (RFC 7323 section 2.4).
func (e *end) offered() seq.Num { return e.granted.Add(e.peer.unit() - 1) }

// urgent: the pointer is there with the bit, does not go back, and does not point to what was acknowledged or to what
// nobody has written (RFC 6093).
func (w *watcher) urgent(f *Frame, e *end) {
	g := &f.Seg
	if (g.Flags&tcp.URG != 0) != (g.Urgent != 0) {
		w.fail(f, "an urgent pointer of %d", g.Urgent)
	}
	if g.Flags&tcp.URG == 0 {
		return
	}
	up := g.Seq.Add(uint32(g.Urgent))
	u := w.world.users[e.flow]
	switch {
	case up.LessEq(e.own.heard):
		w.fail(f, "urgent text up to %d, which was acknowledged", up-e.iss)
	case e.said.urgent && up.Less(e.said.up) && g.Urgent != 65535:
		w.fail(f, "urgent text was up to %d", e.said.up-e.iss)
	case u != nil && u.plan != nil && e.iss.Add(1+uint32(u.want)).Less(up):
		w.fail(f, "urgent text up to %d, and %d are to be written", up-e.iss-1, u.want)
	}
	e.said.up, e.said.urgent = up, true
}

// record: no segment holds text of two records.
func (w *watcher) record(f *Frame, e *end) {
	u := w.world.users[e.flow]
	if u == nil || len(u.records) == 0 || len(f.Seg.Text) == 0 {
		return
	}
	at := uint64(f.Seg.Seq - e.iss - 1)
	i, _ := slices.BinarySearch(u.records, at+1)
	if i < len(u.records) && u.records[i] < at+uint64(len(f.Seg.Text)) {
		w.fail(f, "a record ends at %d", u.records[i]+1)
	}
}

// clock: timestamps go up with the host's clock, and echo what has come (RFC 7323 section 4.3).
func (w *watcher) clock(f *Frame, e *end) {
	o := &f.Seg.Options
	if o.Has&tcp.HasTimestamps == 0 {
		return
	}
	now := e.host.now()
	if f.Seg.Flags&tcp.SYN != 0 || !e.said.ts.any {
		e.said.ts, e.said.tsFrom = stamps{}, now
	}
	// A cookie takes up to 64 ms back, to have room for what it says.
	const slack = 65
	switch {
	case e.said.ts.any && int32(o.TSVal-e.said.ts.last) < 0:
		w.fail(f, "timestamp %d after %d", o.TSVal, e.said.ts.last)
	case e.said.ts.any && int64(o.TSVal-e.said.ts.first) > int64(now.Sub(e.said.tsFrom)/mono.Millisecond)+slack:
		w.fail(f, "timestamp %d, %v after %d", o.TSVal, now.Sub(e.said.tsFrom), e.said.ts.first)
	case !e.got.ts.has(o.TSEcr):
		w.fail(f, "echoes %d, timestamps that came are %d to %d", o.TSEcr, e.got.ts.first, e.got.ts.last)
	case e.said.echo.any && int32(o.TSEcr-e.said.echo.last) < 0:
		w.fail(f, "echoes %d after %d", o.TSEcr, e.said.echo.last)
	}
	e.said.ts.note(o.TSVal)
	e.said.echo.note(o.TSEcr)
}

// selects: SACK blocks are of what has come beyond the ACK, apart from each other; before them may be one of what has come
// twice (RFC 2018 section 3, RFC 2883 section 4).
func (w *watcher) selects(f *Frame, e *end) {
	g := &f.Seg
	list := g.Options.SACK[:g.Options.Blocks]
	for i, b := range list {
		switch {
		case !b.From.Less(b.To):
			w.fail(f, "an empty SACK block")
		case i == 0 && duplicate(list, g.Ack):
			if !e.got.twice.holds(b) {
				w.fail(f, "a D-SACK of what has not come twice")
			}
		case b.From.LessEq(g.Ack):
			w.fail(f, "a SACK block of what is acknowledged")
		case !e.got.have.holds(b):
			w.fail(f, "a SACK block of what has not come")
		case slices.ContainsFunc(list[:i], func(a tcp.Block) bool { return a.From.Less(b.To) && b.From.Less(a.To) }) && !(i == 1 && duplicate(list, g.Ack)):
			w.fail(f, "two SACK blocks overlap")
		}
	}
}

// duplicate reports that the first block is a D-SACK.
func duplicate(list []tcp.Block, ack seq.Num) bool {
	b := list[0]
	return b.From.Less(ack) || len(list) > 1 && list[1].From.LessEq(b.From) && b.To.LessEq(list[1].To)
}

// reset looks at a RST: it answers a segment that has come, by the letter of section 3.10.7.1, or it stands where the peer
// must take it if the sender knows where that is (RFC 5961 section 3.2).
func (w *watcher) reset(f *Frame, e *end) {
	g := &f.Seg
	e.said.resets++
	answers := slices.ContainsFunc(e.got.asked, func(a ask) bool {
		if a.ack {
			return g.Flags&tcp.ACK == 0 && g.Seq == a.at
		}
		return g.Flags&tcp.ACK != 0 && g.Seq == 0 && g.Ack == a.at
	})
	switch {
	case e.said.resets > e.got.asks+e.life:
		w.fail(f, "%d RSTs, and %d segments have come", e.said.resets, e.got.asks)
	case answers:
	case e.opens && g.Flags&tcp.ACK != 0 && e.peer.iss.Less(g.Ack) && g.Ack.LessEq(e.next()): // not a SYN,ACK, to a client who is early
	case e.life == 0 || e.gone:
		w.fail(f, "it answers nothing that has come")
	case g.Seq.Less(e.own.heard) || e.max.Less(g.Seq):
		w.fail(f, "it is not in %d to %d", e.own.heard-e.iss, e.max-e.iss)
	case e.own.told == e.max && g.Seq != e.max:
		w.fail(f, "all was acknowledged up to %d", e.max-e.iss)
	}
}

// header holds the options of a segment, as bytes, against what a strict receiver would take: each known, of its length,
// once, and padded with nothing but NOPs to whole words (RFC 9293 section 3.1).
func (w *watcher) header(f *Frame) {
	b := f.Packet[ip.HeaderLen:]
	seen := [256]bool{}
	for o := b[tcp.HeaderLen : len(b)-len(f.Seg.Text)]; len(o) > 0; {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || int(o[1]) > len(o) || seen[o[0]] || !mayBeLong(o[0], o[1]) {
			w.fail(f, "bad options %x", b[tcp.HeaderLen:len(b)-len(f.Seg.Text)])
			return
		}
		seen[o[0]] = true
		o = o[o[1]:]
	}
	if b[12]&0xe != 0 {
		w.fail(f, "reserved bits %x", b[12]&0xe)
	}
}

// mayBeLong reports whether an option of a kind may take up n bytes.
func mayBeLong(kind, n byte) bool {
	switch kind {
	case 2, 28: // MSS, user time-out
		return n == 4
	case 3: // window scale
		return n == 3
	case 4: // SACK permitted
		return n == 2
	case 5: // SACK
		return n >= 10 && n <= 34 && n%8 == 2
	case 8: // timestamps
		return n == 10
	case 34: // Fast Open
		return n == 2 || n >= 6 && n <= 18 && n%2 == 0
	}
	return false
}
