package tcp

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 9768 Table 2: what a SYN asks for, what it is answered, and the mode of both ends then. The last ACK says with which
// codepoint the SYN,ACK came (Table 3).
func TestAccECNIsAgreed(t *testing.T) {
	for _, c := range []struct {
		client, server   ECN
		syn, answer, ack Flags
		ecn, accurate    bool
	}{
		{ECNAccurate, ECNPassive, AE | CWR | ECE, CWR, CWR, true, true},
		{ECNAccurate, ECNOn, AE | CWR | ECE, CWR, CWR, true, true},
		{ECNAccurate, ECNOff, AE | CWR | ECE, 0, 0, false, false},
		{ECNOn, ECNAccurate, CWR | ECE, ECE, 0, true, false},
		{ECNPassive, ECNAccurate, 0, 0, 0, false, false},
	} {
		p := newPair(t)
		p.a.x.Settings[0].ECN, p.b.x.Settings[0].ECN = c.client, c.server
		p.run()
		if f := p.flags(); f[0] != SYN|c.syn || f[1] != SYN|ACK|c.answer || f[2] != ACK|c.ack {
			t.Errorf("%d to %d: %v", c.client, c.server, f)
		}
		for _, e := range []*end{&p.a, &p.b} {
			if e.c.is(factECN) != c.ecn || e.c.is(factAccECN) != c.accurate || e.c.is(factNoECT) {
				t.Errorf("%d to %d: ECN %v, accurate %v", c.client, c.server, e.c.is(factECN), e.c.is(factAccECN))
			}
		}
	}
}

// What an AccECN client makes of any SYN,ACK (RFC 9768 Table 2), and a server of any SYN (section 3.1.3).
func TestAccECNOfAnyPeer(t *testing.T) {
	const classic, accurate, noECT = factECN, factECN | factAccECN, factECN | factAccECN | factNoECT
	for field, want := range [8]facts{0, classic, accurate, noECT, noECT, classic, noECT, 0} {
		p := newPair(t)
		p.a.x.Settings[0].ECN = ECNAccurate
		p.lose = func(fromA bool, g *Segment) bool {
			if !fromA {
				g.Flags = g.Flags&^aceField | aceFlags(uint8(field))
			}
			return false
		}
		p.run()
		if got := p.a.c.facts & noECT; got != want {
			t.Errorf("SYN,ACK with %03b: %b, not %b", field, got, want)
		}
	}
	for field, want := range [8]facts{0, accurate, accurate, classic, accurate, accurate, accurate, accurate} {
		p := newPair(t)
		p.lose = func(fromA bool, g *Segment) bool {
			if fromA && g.Flags&SYN != 0 {
				g.Flags = SYN | aceFlags(uint8(field))
			}
			return false
		}
		p.run()
		if got := p.b.c.facts & accurate; got != want {
			t.Errorf("SYN with %03b: %b, not %b", field, got, want)
		}
	}
}

// The SYN,ACK says with which codepoint the SYN came, also when the half-open connection is packed in between. One that
// comes with another than it was sent with has been tampered with: no ECT is sent then (RFC 9768 section 3.2.2.3).
func TestAccECNTellsTheSYN(t *testing.T) {
	for codepoint, field := range aceOfCodepoint {
		p := newPair(t)
		p.a.x.Settings[0].ECN = ECNAccurate
		p.lose = func(fromA bool, g *Segment) bool {
			if g.Flags&(SYN|ACK) == SYN {
				g.ECN = uint8(codepoint)
			}
			return !fromA && len(p.log) == 2 // the first SYN,ACK
		}
		p.run()
		var h HalfOpen
		if !p.b.c.PackHalfOpen(&h) {
			t.Fatal("not packed")
		}
		h.Unpack(p.b.x, &p.b.c)
		for !p.a.c.Opened() {
			p.wait(p.now.Add(mono.Second))
			p.run()
		}
		said := 0
		for _, g := range p.log {
			if g.Flags&(SYN|ACK) == SYN|ACK {
				said++
				if ace(g.Flags) != field {
					t.Errorf("codepoint %d: %v", codepoint, g.Flags)
				}
			}
		}
		if said < 2 || p.a.c.is(factNoECT) != (codepoint != notECT) {
			t.Errorf("codepoint %d: %d SYN,ACKs, no ECT %v", codepoint, said, p.a.c.is(factNoECT))
		}
	}
}

// carryMarked sends n bytes from a to b, of whose text segments those are marked for which mark says so.
func (p *pair) carryMarked(n int, mark func(i int) bool) {
	i := 0
	p.lose = func(fromA bool, g *Segment) bool {
		if fromA && len(g.Text) > 0 {
			if g.ECN == ect0 && mark(i) {
				g.ECN = ce
			}
			i++
		}
		return false
	}
	text := randomText(n, 8)
	for sent, had := 0, len(p.b.got); len(p.b.got) < had+n; {
		sent += p.a.c.Write(p.a.x, text[sent:])
		p.run()
		p.b.read(1 << 20)
		p.wait(p.now.Add(mono.Millisecond))
	}
}

// The receiver counts marks and tells of each at once; the sender slows down once a window, sends no CWR, and is not told
// of the same mark twice (RFC 9768 section 3.2.2.5).
func TestAccECNCounts(t *testing.T) {
	for marks := range 8 { // eight at once would be none
		p := newPair(t)
		p.a.x.Settings[0].ECN = ECNAccurate
		p.run()
		p.carryMarked(200_000, func(int) bool { return false })
		if got := p.a.c.acc.acked; got != firstCEP {
			t.Fatalf("the counter is %d without a mark", got)
		}
		before := p.a.c.cw.Ssthresh
		p.carryMarked(100_000, func(i int) bool { return i < marks })
		p.carryMarked(50_000, func(int) bool { return false })
		if got, want := p.a.c.acc.acked&7, uint8(firstCEP+marks)&7; got != want || p.b.c.acc.received&7 != want {
			t.Errorf("%d marks: the sender knows of %d, the receiver of %d, not %d", marks, got, p.b.c.acc.received&7, want)
		}
		if slowed := p.a.c.cw.Ssthresh < before; slowed != (marks > 0) {
			t.Errorf("%d marks: ssthresh %d, was %d", marks, p.a.c.cw.Ssthresh, before)
		}
		if p.a.c.count.retransmits != 0 {
			t.Error("a mark is no loss")
		}
	}
}

// One reduction for the marks of one window, another for those of the next.
func TestAccECNReducesOnceAWindow(t *testing.T) {
	p := newPair(t)
	p.a.x.Settings[0].ECN = ECNAccurate
	p.run()
	p.carryMarked(300_000, func(int) bool { return false })
	var seen []uint32
	for range 3 {
		p.carryMarked(100_000, func(i int) bool { return i%3 == 0 && i < 12 })
		p.carryMarked(400_000, func(int) bool { return false })
		seen = append(seen, p.a.c.cw.Ssthresh)
	}
	if !(seen[0] > seen[1] && seen[1] > seen[2] && seen[2] > seen[0]/4) {
		t.Errorf("ssthresh %v", seen)
	}
}

// Of the segments of a superframe only the first would keep CWR, which is a bit of the counter: while it is set, text goes
// as single segments.
func TestAccECNSplitsSuperframes(t *testing.T) {
	p := newPair(t)
	p.a.x.Settings[0].ECN, p.a.x.Frame = ECNAccurate, 65535
	p.run()
	for received := range uint8(8) {
		p.a.c.acc.received = received
		if single, cwr := p.a.c.frame(p.a.x) == uint32(p.a.c.snd.mss), received&2 != 0; single != cwr {
			t.Errorf("counter %03b: frames of %d bytes", received, p.a.c.frame(p.a.x))
		}
	}
}

// Header prediction goes on while nothing is marked.
func TestAccECNIsPredicted(t *testing.T) {
	p := newPair(t)
	p.a.x.Settings[0].ECN = ECNAccurate
	p.run()
	p.a.c.Write(p.a.x, randomText(1000, 1))
	var o Out
	if !p.a.c.Output(p.a.x, p.now, &o) {
		t.Fatal("nothing to send")
	}
	g := flatten(&o)
	if !p.b.c.predicted(p.b.x, p.now, &g) {
		t.Error(fmt.Sprint(g.Flags), "is not predicted")
	}
}

// The last ACK of the handshake says with which codepoint the SYN,ACK came, and is no counter yet, although it acknowledges
// text that an early connection has sent.
func TestAccECNOfAnEarlyConnection(t *testing.T) {
	p := newPair(t)
	p.a.x.Settings[0].ECN = ECNAccurate
	p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 7})
	var o Out
	p.a.c.Output(p.a.x, p.now, &o)
	syn := flatten(&o)
	p.b.c.OpenPassive(p.b.x, p.now, Open{ISS: 9, Early: 1}, &syn)
	p.b.c.Write(p.b.x, randomText(5000, 1))
	for p.carry(false) { // all comes in one turn
	}
	p.run()
	if p.b.c.count.bytesOut != 5000 || p.b.c.is(factReduced) || p.b.c.acc.acked != firstCEP {
		t.Errorf("%d bytes acknowledged, slowed down %v, the counter is %d", p.b.c.count.bytesOut, p.b.c.is(factReduced), p.b.c.acc.acked)
	}
}

// A SYN,ACK that comes again is answered as the first was: that answer was lost (RFC 9768 section 3.2.2.1).
func TestAccECNAnswersASYNACKAgain(t *testing.T) {
	p := newPair(t)
	p.a.x.Settings[0].ECN = ECNAccurate
	p.lose = func(fromA bool, g *Segment) bool { return fromA && g.Flags&SYN == 0 && len(p.log) == 3 }
	p.run()
	for !p.b.c.Opened() && p.wait(p.now.Add(2*mono.Second)) {
		p.run()
	}
	last := p.log[len(p.log)-1]
	if want := aceOfCodepoint[notECT]; len(p.log) != 5 || ace(last.Flags) != want || p.b.c.is(factNoECT) {
		t.Errorf("%v, the last says %03b and not %03b", p.flags(), ace(last.Flags), want)
	}
}
