package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Section 3.8.3: when transmissions of the same segment reach "a threshold R2 greater than R1, close the connection"; the
// user "SHOULD" be told of the trouble at R1, which "SHOULD correspond to at least 3 retransmissions", while R2 "SHOULD
// correspond to at least 100 seconds".
//
// Proves: RFC 9293 MUST-20, SHLD-9, SHLD-10, SHLD-11
func TestExcessiveRetransmission(t *testing.T) {
	l := estab(t)
	from := l.now
	l.write(100)
	sent, troubledAt := 0, 0
	for l.c.State() == fsm.Established {
		sent += len(l.says())
		if l.ev&Troubled != 0 && troubledAt == 0 {
			troubledAt = sent - 1
		}
		l.now = l.c.Deadline()
		l.c.Timeout(l.x, l.now)
		l.settle()
	}
	l.silent()
	if l.in(fsm.Closed); l.ev&TimedOut == 0 {
		t.Errorf("events %b", l.ev)
	}
	if r1, r2 := int(Defaults().Retries1), int(Defaults().Retries2); r1 < 3 || troubledAt < 3 || r2 <= r1 || sent != 1+r2 {
		t.Errorf("R1 %d: told after %d; R2 %d: sent %d times", r1, troubledAt, r2, sent)
	}
	if d := l.now.Sub(from); d < 100*mono.Second {
		t.Errorf("given up after %v, with the least RTO there is", d)
	}
}

// Section 3.8.3: "An application MUST be able to set the value for R2 for a particular connection", by time: here, that of
// one of two connections with the same settings.
//
// Proves: RFC 9293 MUST-21
func TestR2OfOneConnection(t *testing.T) {
	own, other := estab(t), estab(t)
	own.c.SetUserTimeout(own.x, own.now, 7*mono.Second)
	for _, l := range []*lone{own, other} {
		l.write(1000)
		l.after(7*mono.Second - 1)
		l.in(fsm.Established)
		l.after(1)
	}
	own.in(fsm.Closed)
	other.in(fsm.Established)
}

// Section 3.8.3: "SYN retransmissions MUST be handled in the general way just described for data retransmissions,
// including notification of the application layer. However, R2 for a SYN segment MUST be set large enough to provide
// retransmission of the segment for at least 3 minutes."
//
// Proves: RFC 9293 MUST-22, MUST-23
func TestSYNIsSentForThreeMinutes(t *testing.T) {
	l := synSent(t)
	from, sent := l.now, 1
	for l.c.State() == fsm.SynSent {
		l.now = l.c.Deadline()
		l.c.Timeout(l.x, l.now)
		l.settle()
		if list := l.says(); len(list) > 0 {
			if sent++; list[0].Flags != SYN || list[0].Seq != ourISS {
				t.Fatalf("%v", list[0].Flags)
			}
		}
	}
	if d := l.now.Sub(from); d < 180*mono.Second || sent != 1+int(Defaults().SynRetries) {
		t.Errorf("%d SYNs, given up after %v", sent, d)
	}
	if l.in(fsm.Closed); l.ev&(Troubled|TimedOut|Ended) != Troubled|TimedOut|Ended {
		t.Errorf("events %b", l.ev)
	}
}

// Section 3.8.4: an implementation "MAY include keep-alives"; then the user "MUST be able to turn them on or off for each
// TCP connection, and they MUST default to off". The interval "MUST be configurable and MUST default to no less than two
// hours". A probe "SHOULD" be sent "with no data", at SND.NXT-1.
//
// Proves: RFC 9293 MUST-24, MUST-25, MUST-27, MUST-28, SHLD-12, MAY-5
func TestKeepAliveOnAndOff(t *testing.T) {
	l := estab(t)
	l.quiet(30 * 86400 * mono.Second) // off
	s := Defaults()
	l.c.SetKeepAlive(l.x, l.now, s.KeepIdle, s.KeepInterval, s.KeepCount)
	l.quiet(7200*mono.Second - 1)
	probe := func(d mono.Duration) {
		t.Helper()
		list := l.after(d)
		if len(list) != 1 || list[0].Flags != ACK || list[0].Seq != l.c.snd.nxt-1 || len(list[0].Text) != 0 {
			t.Fatalf("no probe: %+v", list)
		}
		l.hear(Segment{Flags: ACK})
	}
	probe(1)
	l.c.SetKeepAlive(l.x, l.now, 10*mono.Second, mono.Second, 9)
	l.quiet(10*mono.Second - 1)
	probe(1)
	probe(10 * mono.Second)
	l.c.SetKeepAlive(l.x, l.now, 0, 0, 0)
	l.quiet(86400 * mono.Second)
	l.in(fsm.Established)
}

// Section 3.8.4: keep-alives "MUST only be sent when no sent data is outstanding, and no data or acknowledgment packets
// have been received for the connection within an interval".
//
// Proves: RFC 9293 MUST-26
func TestKeepAliveOnlyWhenIdle(t *testing.T) {
	l := estab(t, func(s *Settings) { s.DelayedAck = ms })
	l.c.SetKeepAlive(l.x, l.now, 60*mono.Second, mono.Second, 3)
	for range 10 {
		l.quiet(59 * mono.Second)
		l.hear(Segment{Flags: ACK}) // an acknowledgment
		l.quiet(59 * mono.Second)
		l.text(1) // data
		for _, g := range l.after(2 * ms) {
			if g.Seq != l.c.snd.nxt {
				t.Fatal("a probe in place of the ACK")
			}
		}
	}
	l.write(10) // nobody acknowledges this: what is sent again asks often enough
	for _, g := range l.after(100 * mono.Second) {
		if len(g.Text) == 0 {
			t.Fatalf("a probe beside text that is outstanding")
		}
	}
	l.in(fsm.Established)
}

// Section 3.8.4: a keep-alive mechanism "MUST NOT interpret failure to respond to any specific probe as a dead
// connection".
//
// Proves: RFC 9293 MUST-29
func TestKeepAliveForgivesSilence(t *testing.T) {
	l := estab(t)
	l.c.SetKeepAlive(l.x, l.now, 60*mono.Second, 10*mono.Second, 3)
	for range 5 {
		if n := len(l.after(85 * mono.Second)); n != 3 {
			t.Fatalf("%d probes", n)
		}
		l.in(fsm.Established)
		l.hear(Segment{Flags: ACK}) // the third was answered
		l.silent()
	}
	l.after(90*mono.Second - 1)
	l.in(fsm.Established)
	l.after(1)
	l.in(fsm.Closed)
	if l.ev&TimedOut == 0 {
		t.Errorf("events %b", l.ev)
	}
}
