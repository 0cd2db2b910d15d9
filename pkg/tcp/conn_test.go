package tcp

import (
	"bytes"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// RFC 9293 Figure 6: basic three-way handshake.
func TestHandshakeTakesThreeSegments(t *testing.T) {
	p := established(t)
	if got, want := p.flags(), []Flags{SYN, SYN | ACK, ACK}; !slices.Equal(got, want) {
		t.Errorf("segments %v, not %v", got, want)
	}
	if p.log[1].Ack != p.log[0].Seq+1 || p.log[2].Ack != p.log[1].Seq+1 || p.log[2].Seq != p.log[0].Seq+1 {
		t.Error("numbers do not fit")
	}
	if p.a.c.State() != fsm.Established || p.b.c.State() != fsm.Established {
		t.Errorf("states %v, %v", p.a.c.State(), p.b.c.State())
	}
}

// RFC 9293 Figure 12: normal close sequence, four segments since each way is closed by itself.
func TestTeardownTakesFourSegments(t *testing.T) {
	p := established(t)
	p.log = nil
	p.a.c.Close(p.a.x, p.now)
	p.run()
	if p.a.c.State() != fsm.FinWait2 || p.b.c.State() != fsm.CloseWait {
		t.Fatalf("after the first FIN: %v, %v", p.a.c.State(), p.b.c.State())
	}
	p.b.c.Close(p.b.x, p.now)
	p.run()
	if got, want := p.flags(), []Flags{FIN | ACK, ACK, FIN | ACK, ACK}; !slices.Equal(got, want) {
		t.Errorf("segments %v, not %v", got, want)
	}
	if p.a.c.State() != fsm.TimeWait || !p.b.c.Released() {
		t.Errorf("states %v, %v", p.a.c.State(), p.b.c.State())
	}
	began := p.now
	for !p.a.c.Released() && p.wait(mono.Never-1) {
	}
	if !p.a.c.Released() {
		t.Errorf("TIME-WAIT has not ended: %v", p.a.c.State())
	}
	if d := p.now.Sub(began); d != 2*Defaults().MSL {
		t.Errorf("TIME-WAIT lasted %v", d)
	}
}

// TIME-WAIT lasts 2 MSL (MUST-13), and a repeated FIN, acknowledged, begins it anew.
//
// Proves: RFC 9293 MUST-13
func TestTimeWaitIsTwoMSL(t *testing.T) {
	p := established(t)
	p.a.c.Close(p.a.x, p.now)
	p.run()
	p.b.c.Close(p.b.x, p.now)
	p.run()
	fin := p.log[len(p.log)-2]
	began := p.now
	msl := Defaults().MSL
	if d := p.a.c.Deadline().Sub(began); d != 2*msl {
		t.Fatalf("TIME-WAIT is to last %v, not %v", d, 2*msl)
	}
	p.now = p.now.Add(msl)
	if d := p.a.c.Input(p.a.x, p.now, &fin); d != DropRepeatedFIN {
		t.Errorf("a repeated FIN: %v", d)
	}
	var o Out
	if !p.a.c.Output(p.a.x, p.now, &o) || o.Flags != ACK {
		t.Error("a repeated FIN was not acknowledged")
	}
	if d := p.a.c.Deadline().Sub(p.now); d != 2*msl {
		t.Errorf("after a repeated FIN %v are left, not %v", d, 2*msl)
	}
}

// Text passes whole in both directions whatever the sizes of writes and reads.
func TestTransfer(t *testing.T) {
	for _, frame := range []int{0, 65535} {
		p := established(t)
		p.a.x.Frame = frame
		text := randomText(3<<20, 3)
		for sent := 0; len(p.b.got) < len(text); {
			sent += p.a.c.Write(p.a.x, text[sent:min(len(text), sent+100000)])
			p.run()
			p.b.read(77777)
			p.wait(p.now.Add(mono.Millisecond))
		}
		if !bytes.Equal(p.b.got, text) {
			t.Error("text has changed on the way")
		}
		if n := p.a.x.Memory.InUse + p.b.x.Memory.InUse; n != 0 {
			t.Errorf("%d bytes of rings are still attached", n)
		}
	}
}

// A lost segment is sent again without waiting for the timer when three duplicate ACKs tell of it (RFC 5681).
func TestFastRetransmit(t *testing.T) {
	p := established(t)
	text := randomText(200000, 4)
	lost := false
	p.lose = func(fromA bool, g *Segment) bool {
		if fromA && !lost && len(g.Text) > 0 && len(p.log) > 12 {
			lost = true
			return true
		}
		return false
	}
	from := p.now
	p.a.c.Write(p.a.x, text)
	for len(p.b.got) < len(text) {
		p.run()
		p.b.read(1 << 20)
		if p.now.Sub(from) > 100*mono.Millisecond {
			t.Fatalf("waited for the timer: %v, %d bytes", p.now.Sub(from), len(p.b.got))
		}
		p.now = p.now.Add(mono.Millisecond)
	}
	if !lost || p.a.c.count.retransmits != 1 || !bytes.Equal(p.b.got, text) {
		t.Errorf("lost %v, %d retransmissions", lost, p.a.c.count.retransmits)
	}
}

// A closed window is probed for as long as the peer answers (MUST-36, MUST-37), and the transfer goes on when it
// opens.
func TestZeroWindowIsProbedForEver(t *testing.T) {
	p := established(t)
	text := randomText(1500000, 5)
	sent := p.a.c.Write(p.a.x, text)
	p.run()
	for p.now < mono.Time(1e12).Add(5*3600*mono.Second) {
		p.wait(p.now.Add(3600 * mono.Second))
		p.run()
		if p.a.c.Released() {
			t.Fatalf("gave up after %v", p.now.Sub(mono.Time(1e12)))
		}
	}
	for len(p.b.got) < len(text) {
		p.b.read(1 << 20)
		p.run()
		sent += p.a.c.Write(p.a.x, text[sent:])
		p.wait(p.now.Add(mono.Second))
	}
	if !bytes.Equal(p.b.got, text) {
		t.Error("text has changed on the way")
	}
}

// A connection that was closed with text unsent ends, although the peer keeps its window closed and answers probes.
func TestCloseIntoZeroWindowEnds(t *testing.T) {
	p := established(t)
	p.a.c.Write(p.a.x, randomText(1<<20, 6))
	p.run()
	p.a.c.Write(p.a.x, randomText(1<<20, 6))
	p.run()
	p.a.c.Close(p.a.x, p.now)
	from := p.now
	for !p.a.c.Released() && p.wait(from.Add(3600*mono.Second)) {
		p.run()
	}
	if !p.a.c.Released() || p.b.ev&Reset == 0 {
		t.Errorf("after an hour: %v, peer's events %b", p.a.c.State(), p.b.ev)
	}
}

// Tiny segments do not push the window on: what is unread stays within the buffer.
func TestWindowDoesNotCreep(t *testing.T) {
	p := established(t)
	p.a.c.SetNoDelay(true)
	p.b.c.SetBuffers(0, 1<<14)
	for range 1 << 19 {
		if p.a.c.Write(p.a.x, []byte{1}) == 0 {
			break
		}
		p.run()
	}
	if n := p.b.c.unreadText(); n > 256<<10 {
		t.Errorf("%d bytes are unread", n)
	}
}

// A SACK block from half the ring away is nothing of ours, though each of its ends seems to be.
//
// Proves: RFC 6675 4-Update
func TestSACKRoundTheRing(t *testing.T) {
	p := established(t)
	p.a.c.Write(p.a.x, randomText(5000, 9))
	p.lose = func(fromA bool, _ *Segment) bool { return fromA }
	p.run()
	una := p.a.c.snd.una
	for _, b := range []Block{{una - 300, una + 1<<31 - 100}, {una + 1<<31 - 100, una - 300}, {una + 1<<31, una + 100}, {una + 100, una}} {
		g := Segment{Seq: p.a.c.rcv.nxt, Ack: una, Flags: ACK, Window: 1000, Options: Options{Has: HasTimestamps, TSVal: p.b.c.timestamp(p.now), Blocks: 1, SACK: [4]Block{b}}}
		p.a.c.Input(p.a.x, p.now, &g)
		if err := p.a.c.checkFlight(p.a.x); err != nil {
			t.Error(err)
		}
	}
}

// Close with text unread tells the peer with a RST (RFC 1122 section 4.2.2.13).
func TestCloseUnreadResets(t *testing.T) {
	p := established(t)
	p.a.c.Write(p.a.x, []byte("unread"))
	p.run()
	p.b.c.Close(p.b.x, p.now)
	p.run()
	if p.a.ev&Reset == 0 {
		t.Error("the peer was not reset")
	}
}

// An established connection's traffic allocates nothing.
func TestNoAllocation(t *testing.T) {
	p := established(t)
	text := randomText(1000, 7)
	var o Out
	step := func() {
		p.now = p.now.Add(mono.Millisecond)
		p.a.c.Write(p.a.x, text)
		for p.a.c.Output(p.a.x, p.now, &o) {
			g := o.Segment
			g.Text = o.Body[0]
			p.b.c.Input(p.b.x, p.now, &g)
			_, _, in := p.b.c.Unread(p.b.x)
			p.b.c.Consume(p.b.x, len(in))
			p.b.c.Store(p.b.x)
		}
		for p.b.c.Output(p.b.x, p.now, &o) {
			g := o.Segment
			p.a.c.Input(p.a.x, p.now, &g)
		}
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// RFC 3168: ECN is agreed in the handshake; a mark is echoed until the sender says that it has slowed down, which it
// does once a window.
func TestECN(t *testing.T) {
	p := newPair(t)
	p.a.x.Settings[0].ECN = ECNOn
	p.run()
	if f := p.flags(); f[0] != SYN|ECE|CWR || f[1] != SYN|ACK|ECE || f[2] != ACK {
		t.Fatalf("handshake %v", f)
	}
	marks := 0
	p.lose = func(fromA bool, g *Segment) bool {
		if fromA && len(g.Text) > 0 {
			if g.ECN != ect0 {
				t.Errorf("text sent with the codepoint %d", g.ECN)
			}
			if len(p.log) > 8 && marks == 0 {
				g.ECN = ce
				marks++
			}
		} else if g.ECN != notECT {
			t.Errorf("an ACK sent with the codepoint %d", g.ECN)
		}
		return false
	}
	text := randomText(500000, 8)
	for sent := 0; len(p.b.got) < len(text); {
		sent += p.a.c.Write(p.a.x, text[sent:])
		p.run()
		p.b.read(1 << 20)
		p.wait(p.now.Add(mono.Millisecond))
	}
	echoes, said := 0, 0
	for _, g := range p.log[3:] {
		if g.Flags&ECE != 0 {
			echoes++
		}
		if g.Flags&CWR != 0 {
			said++
		}
	}
	if echoes == 0 || said != 1 || p.b.c.is(factEcho) || p.a.c.cw.Ssthresh > 1<<29 {
		t.Errorf("%d echoes, %d times said, still echoing %v, ssthresh %d", echoes, said, p.b.c.is(factEcho), p.a.c.cw.Ssthresh)
	}
	if p.a.c.count.retransmits != 0 {
		t.Error("a mark is no loss")
	}
}

// A peer that does not ask for ECN gets none, and one that asks gets it unless it is off.
func TestECNPassive(t *testing.T) {
	for _, c := range []struct {
		client, server ECN
		want           bool
	}{{ECNPassive, ECNPassive, false}, {ECNOn, ECNPassive, true}, {ECNOn, ECNOff, false}, {ECNPassive, ECNOn, false}} {
		p := newPair(t)
		p.a.x.Settings[0].ECN, p.b.x.Settings[0].ECN = c.client, c.server
		p.run()
		if a, b := p.a.c.is(factECN), p.b.c.is(factECN); a != c.want || b != c.want {
			t.Errorf("client %d, server %d: %v and %v", c.client, c.server, a, b)
		}
	}
}
