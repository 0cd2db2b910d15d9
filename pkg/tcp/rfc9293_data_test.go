package tcp

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Section 3.7.4: "If there is unacknowledged data, then the sending TCP endpoint buffers all user data until the
// outstanding data has been acknowledged or until the TCP endpoint can send a full-sized segment." There "MUST be a way
// for an application to disable the Nagle algorithm on an individual connection".
//
// Proves: RFC 9293 SHLD-7, MUST-17
func TestNagle(t *testing.T) {
	l := estab(t)
	l.write(10)
	l.expectText(10)
	l.write(10)
	l.silent()
	l.write(1440)
	l.silent()
	l.write(20) // a full segment, and ten bytes more
	l.expectText(1460)
	l.hear(Segment{Flags: ACK})
	l.expectText(10)

	l = estab(t)
	l.c.SetNoDelay(true)
	for range 5 {
		l.write(10)
		l.expectText(10)
	}
	l.c.SetNoDelay(false)
	l.write(10)
	l.silent()
}

// Section 3.9.1.2: "If PUSH flags are not implemented, then the sending TCP peer: (1) MUST NOT buffer data indefinitely,
// and (2) MUST set the PSH bit in the last buffered segment". Buffered text may be aggregated, and goes in segments as
// large as can be, whatever the pieces were in which it was written: "the transmitter SHOULD collapse successive bits".
//
// Proves: RFC 9293 MUST-60, MUST-61, SHLD-27, SHLD-28, MAY-16
func TestPushedWithoutAFlag(t *testing.T) {
	l := estab(t)
	l.write(10)
	first := l.expect(ACK)
	for range 50 { // behind it, 50 pieces of 100 bytes: three full segments go, 620 bytes wait
		l.write(100)
	}
	list := l.says()
	l.hear(Segment{Flags: ACK}) // not for ever
	list = append(list, l.says()...)
	if first.Flags != ACK|PSH || len(list) != 4 {
		t.Fatalf("%v, then %d segments", first.Flags, len(list))
	}
	for i, g := range list {
		last := i == len(list)-1
		if (g.Flags&PSH != 0) != last || !last && len(g.Text) != 1460 || last && len(g.Text) != 620 {
			t.Errorf("segment %d: %v, %d bytes", i, g.Flags, len(g.Text))
		}
	}
	l = estab(t) // nor does a cork hold it for ever
	l.c.SetCork(true)
	l.write(10)
	l.silent()
	if list := l.after(mono.Second); len(list) == 0 || list[0].Flags != ACK|PSH || len(list[0].Text) != 10 {
		t.Errorf("corked for ever: %d segments", len(list))
	}
}

// A superframe has PSH, for its receiver need not wait for more to join it: but not where more is sent again right behind it.
func TestSentAgainIsPushedOnce(t *testing.T) {
	s := newSender(t, ms, 10, 10)
	s.x.Frame = 65535
	s.pass(s.rtt)
	block := func(from, to int) Block { return Block{s.at(from), s.at(to)} }
	g := Segment{Seq: s.c.rcv.nxt, Ack: s.at(2), Flags: ACK, Window: 60000}
	g.Options.SACK, g.Options.Blocks = [4]Block{block(4, 5), block(7, 10)}, 2
	s.c.Input(s.x, s.now, &g)
	var got []string
	var o Out
	for s.c.Output(s.x, s.now, &o) {
		got = append(got, fmt.Sprint(o.Seq.Sub(s.from)/s.mss, " ", o.Flags))
	}
	if want := []string{"2 ACK", "5 PSH,ACK"}; !slices.Equal(got, want) {
		t.Errorf("sent %q, not %q", got, want)
	}
}

// Section 3.8.6.3: a delayed ACK's "delay MUST be less than 0.5 seconds", and an ACK "SHOULD be generated for at least
// every second full-sized segment".
//
// Proves: RFC 9293 SHLD-18, SHLD-19, MUST-40
func TestDelayedACK(t *testing.T) {
	l := estab(t)
	l.c.SetQuickAck(false)
	l.text(100)
	l.quiet(40*ms - 1)
	if list := l.after(1); len(list) != 1 || list[0].Ack != l.seq || Defaults().DelayedAck >= 500*ms {
		t.Errorf("%d segments", len(list))
	}
	for range 10 {
		l.text(1460)
		l.silent()
		l.text(1460)
		if g := l.expect(ACK); g.Ack != l.seq {
			t.Errorf("ACK %d", g.Ack-l.seq)
		}
	}
	l.text(100)
	l.write(1) // a segment of ours takes it along, and no other follows
	if g := l.expect(ACK); g.Ack != l.seq || len(g.Text) != 1 {
		t.Errorf("ACK %d", g.Ack-l.seq)
	}
	l.hear(Segment{Flags: ACK})
	l.quiet(mono.Second)
}

// Section 3.10.7.4: processing "MUST be implemented to aggregate ACK segments whenever possible": of what arrived before
// anything can be sent, one ACK tells.
//
// Proves: RFC 9293 MUST-58
func TestACKsAreAggregated(t *testing.T) {
	l := estab(t)
	for range 7 {
		l.text(1460)
	}
	if g := l.expect(ACK); g.Ack != l.seq {
		t.Errorf("ACK %d", g.Ack-l.seq)
	}
	l.quiet(mono.Second)
}

// Section 3.10.7.4: "Segments with higher beginning sequence numbers SHOULD be held for later processing", and an ACK "MAY"
// be sent "when a valid segment arrives that is in the window but not at the left window edge".
//
// Proves: RFC 9293 SHLD-31, MAY-13
func TestSegmentsOutOfOrder(t *testing.T) {
	l := estab(t)
	for _, at := range []uint32{2000, 1000, 3000} {
		l.hear(Segment{Seq: l.seq.Add(at), Flags: ACK, Text: make([]byte, 1000)})
		if g := l.expect(ACK); g.Ack != l.seq {
			t.Errorf("ACK %d", g.Ack-l.seq)
		}
	}
	l.hear(Segment{Seq: l.seq.Add(4000), Flags: FIN | ACK})
	l.expect(ACK)
	l.hear(Segment{Flags: ACK, Text: make([]byte, 1000)})
	if g := l.expect(ACK); g.Ack != l.seq.Add(4001) || l.c.unreadText() != 4000 || l.ev&EOF == 0 {
		t.Errorf("ACK %d, %d bytes to be read", g.Ack-l.seq, l.c.unreadText())
	}
}

// Section 3.8.1: "The RTO MUST be computed according to the algorithm in RFC 6298, including Karn's algorithm for taking
// RTT samples": an ACK of what was sent twice measures nothing, and the backed-off time-out stays until an ACK of new
// text measures again. Section 3.8.2: the exponential back-off.
//
// Proves: RFC 9293 MUST-18, MUST-19
func TestRetransmissionTimeout(t *testing.T) {
	l := estab(t)
	l.write(100)
	l.expectText(100)
	rto := l.c.rto(l.x)
	for n := range 4 {
		from := l.now
		for l.quiet(0); ; {
			l.now = l.c.Deadline()
			l.c.Timeout(l.x, l.now)
			if len(l.says()) > 0 {
				break
			}
		}
		if d := l.now.Sub(from); d < rto<<n-2 || d > rto<<n {
			t.Errorf("time-out %d after %v, not %v", n+1, d, rto<<n)
		}
	}
	before := l.c.rtt
	l.now = l.now.Add(50 * ms)
	l.hear(Segment{Flags: ACK})
	if l.c.rtt != before || l.c.rto(l.x) != rto<<4 {
		t.Errorf("%+v was measured, RTO %v", l.c.rtt, l.c.rto(l.x))
	}
	l.write(100)
	l.expectText(100)
	l.now = l.now.Add(50 * ms)
	l.hear(Segment{Flags: ACK})
	if l.c.rtt == before || l.c.rto(l.x) >= rto<<4 {
		t.Errorf("nothing was measured: RTO %v", l.c.rto(l.x))
	}
}

// Section 3.8.5: "The urgent pointer MUST point to the sequence number of the octet following the urgent data", "A TCP
// implementation MUST support a sequence of urgent data of any length", beyond what the field holds, too.
//
// Proves: RFC 9293 MUST-30, MUST-31, MUST-62
func TestUrgentPointerOut(t *testing.T) {
	for _, n := range []int{1, 2, 1460, 5000, 65_535, 65_536, 200_000} {
		l := estab(t)
		l.c.cw.Cwnd = 1 << 20
		l.write(10)
		l.expectText(10)
		end := l.c.snd.end.Add(uint32(n))
		l.c.Urge(n)
		l.write(n)
		l.write(100) // not urgent
		l.c.SetNoDelay(true)
		for l.c.snd.una != l.c.snd.end {
			for _, g := range l.says() {
				far := end.Sub(g.Seq)
				switch {
				case !g.Seq.Less(end):
					if g.Flags&URG != 0 {
						t.Fatalf("%d bytes: URG beyond them", n)
					}
				case g.Flags&URG == 0 || uint32(g.Urgent) != min(far, 65535):
					t.Fatalf("%d bytes: %v, pointer %d, %d to go", n, g.Flags, g.Urgent, far)
				}
			}
			l.hear(Segment{Flags: ACK})
		}
	}
}

// Section 3.8.5: the user "MUST" be told "asynchronously whenever it receives an urgent pointer and there was previously
// no pending urgent data, or whenever the urgent pointer advances in the data stream", and there "MUST" be "a way for the
// application to learn how much urgent data remains to be read".
//
// Proves: RFC 9293 MUST-30, MUST-32, MUST-33
func TestUrgentPointerIn(t *testing.T) {
	l := estab(t)
	heard := func(pointer uint16, text int) bool {
		l.ev = 0
		l.hear(Segment{Flags: ACK | URG, Urgent: pointer, Text: make([]byte, text)})
		l.seq = l.seq.Add(uint32(text))
		l.says()
		return l.ev&Urgent != 0
	}
	for _, c := range []struct {
		name    string
		pointer uint16
		text    int
		told    bool
		left    int
	}{
		{"the first", 30, 10, true, 30}, {"the same again", 20, 10, false, 30}, {"farther", 20, 10, true, 40},
		{"back", 5, 5, false, 40}, {"far beyond the text", 60_000, 0, true, 60_035},
	} {
		if told := heard(c.pointer, c.text); told != c.told || l.c.UrgentLeft() != c.left {
			t.Errorf("%s: told %v, %d bytes left", c.name, told, l.c.UrgentLeft())
		}
	}
	l.c.Consume(l.x, 35)
	if n := l.c.UrgentLeft(); n != 60_000 {
		t.Errorf("%d bytes left of 60,000", n)
	}
}
