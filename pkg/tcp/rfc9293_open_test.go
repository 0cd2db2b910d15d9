package tcp

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Section 3.4.1: ISN = M + F(localip, localport, remoteip, remoteport, secretkey), where M is a timer of 4 microseconds
// and F a pseudorandom function that "MUST NOT be computable from the outside".
//
// Proves: RFC 9293 MUST-8, MUST-9, SHLD-1
func TestISN(t *testing.T) {
	key, f := Secret{1, 2}, Flow{LocalPort: 80, RemotePort: 5000}
	at := func(k Secret, f Flow, now mono.Time) uint32 { iss, _ := k.ISN(&f, now); return uint32(iss) }
	zero := at(key, f, 0)
	for _, d := range []mono.Duration{4 * mono.Microsecond, mono.Second, 4 * 3600 * mono.Second, 5 * 3600 * mono.Second} {
		if n := at(key, f, mono.Time(d)) - zero; n != uint32(d/(4*mono.Microsecond)) {
			t.Errorf("%d numbers in %v", n, d)
		}
	}
	// Each argument of F counts: nothing that an outsider can vary tells him of another connection's number.
	other := f
	other.RemotePort++
	away := f
	away.Remote[15] ^= 1
	here := f
	here.Local[15] ^= 1
	local := f
	local.LocalPort++
	seen := map[uint32]bool{zero: true}
	for _, n := range []uint32{at(key, other, 0), at(key, away, 0), at(key, here, 0), at(key, local, 0), at(Secret{1, 3}, f, 0), at(Secret{0, 2}, f, 0)} {
		if d := int32(n - zero); seen[n] || d > -10_000 && d < 10_000 {
			t.Errorf("%d and %d are near each other", n, zero)
		}
		seen[n] = true
	}
}

// F is SipHash-2-4 under a key of 128 bits: held against its definition, which is held against the vector of its paper
// (Aumasson and Bernstein, Appendix A).
//
// Proves: RFC 9293 MUST-9
func TestISNIsSipHash(t *testing.T) {
	key := [2]uint64{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	message := make([]byte, 15)
	for i := range message {
		message[i] = byte(i)
	}
	if h := sipHash(key, message); h != 0xa129ca6149be45e5 {
		t.Fatalf("the vector of the paper: %x", h)
	}
	f := Flow{Local: ip.V4([4]byte{0, 1, 2, 3}), Remote: ip.V4([4]byte{4, 5, 6, 7}), LocalPort: 0x0908, RemotePort: 0x0b0a}
	if h, want := (*Secret)(&key).Hash(&f), sipHash(key, message[:12]); h != want {
		t.Errorf("%x, not %x", h, want)
	}
}

// sipHash is SipHash-2-4 as its paper defines it.
func sipHash(k [2]uint64, m []byte) uint64 {
	v0, v1, v2, v3 := k[0]^0x736f6d6570736575, k[1]^0x646f72616e646f6d, k[0]^0x6c7967656e657261, k[1]^0x7465646279746573
	rounds := func(n int) {
		for range n {
			v0, v2 = v0+v1, v2+v3
			v1, v3 = bits.RotateLeft64(v1, 13)^v0, bits.RotateLeft64(v3, 16)^v2
			v0, v2 = bits.RotateLeft64(v0, 32)+v3, v2+v1
			v1, v3 = bits.RotateLeft64(v1, 17)^v2, bits.RotateLeft64(v3, 21)^v0
			v2 = bits.RotateLeft64(v2, 32)
		}
	}
	padded := append(append([]byte(nil), m...), make([]byte, 8-len(m)%8)...)
	padded[len(padded)-1] = byte(len(m))
	for ; len(padded) > 0; padded = padded[8:] {
		w := binary.LittleEndian.Uint64(padded)
		v3 ^= w
		rounds(2)
		v0 ^= w
	}
	v2 ^= 0xff
	rounds(4)
	return v0 ^ v1 ^ v2 ^ v3
}

// Section 3.5: "A TCP implementation MUST support simultaneous open attempts", Figure 7:
//
//	SYN-SENT         <SEQ=100><CTL=SYN> -->
//	SYN-RECEIVED <-- <SEQ=300><CTL=SYN>
//	SYN-RECEIVED     <SEQ=100><ACK=301><CTL=SYN,ACK> -->
//	ESTABLISHED  <-- <SEQ=300><ACK=101><CTL=SYN,ACK>
//
// Proves: RFC 9293 MUST-10
func TestSimultaneousOpen(t *testing.T) {
	l := synSent(t)
	l.hear(Segment{Flags: SYN})
	l.seq++
	l.in(fsm.SynRcvdOpen)
	if g := l.expect(SYN | ACK); g.Seq != ourISS || g.Ack != theirISS+1 {
		t.Errorf("SEQ %d, ACK %d", g.Seq, g.Ack)
	}
	l.hear(Segment{Seq: theirISS, Flags: SYN | ACK, Ack: ourISS + 1})
	l.silent()
	l.in(fsm.Established)
	if l.ev&Opened == 0 {
		t.Error("the user does not hear of it")
	}
}

// Section 3.5: "a TCP implementation MUST keep track of whether a connection has reached SYN-RECEIVED state as the result
// of a passive OPEN or an active OPEN". A RST there returns the one to LISTEN, and nobody hears of it; the user of the
// other is refused (section 3.10.7.4, second).
//
// Proves: RFC 9293 MUST-11
func TestSynReceivedKnowsWhereItCameFrom(t *testing.T) {
	for _, c := range []struct {
		name string
		open func(testing.TB) *lone
		told Events
	}{
		{"passive", func(t testing.TB) *lone { return synReceived(t) }, Ended},
		{"active", crossed, Ended | Refused},
	} {
		l := c.open(t)
		l.hear(Segment{Flags: RST})
		l.silent()
		l.in(fsm.Closed)
		if l.ev != c.told {
			t.Errorf("%s: events %b", c.name, l.ev)
		}
	}
}

// Section 3.5.3: "TCP implementations SHOULD allow a received RST segment to include data".
//
// Proves: RFC 9293 SHLD-2
func TestRSTWithText(t *testing.T) {
	why := []byte("out of memory")
	l := estab(t)
	l.hear(Segment{Flags: RST, Text: why})
	l.silent()
	l.in(fsm.Closed)
	if l.ev&(Reset|Readable) != Reset {
		t.Errorf("events %b", l.ev)
	}
	l = synSent(t)
	l.hear(Segment{Flags: RST | ACK, Text: why})
	l.silent()
	if l.in(fsm.Closed); l.ev&Refused == 0 {
		t.Errorf("events %b", l.ev)
	}
}

// Section 3.6: "the local application MUST be informed whether it closed normally or was aborted".
//
// Proves: RFC 9293 MUST-12
func TestUserHearsHowItEnded(t *testing.T) {
	l := estab(t)
	l.hear(Segment{Flags: FIN | ACK})
	l.expect(ACK)
	l.in(fsm.CloseWait)
	if l.ev&(EOF|Reset|Ended) != EOF || !l.c.EOF() {
		t.Errorf("a FIN: events %b", l.ev)
	}
	for _, state := range []func(testing.TB) *lone{func(t testing.TB) *lone { return estab(t) }, finWait2} {
		l = state(t)
		l.hear(Segment{Flags: RST})
		l.silent()
		l.in(fsm.Closed)
		if l.ev&(EOF|Reset|Ended) != Reset|Ended || l.c.EOF() {
			t.Errorf("a RST: events %b", l.ev)
		}
	}
}

// Section 3.6.1: a host "MAY" let "an application that has called CLOSE" read no more; "if new data is received after
// CLOSE is called, its TCP implementation SHOULD send a RST to show that data was lost", and so it should if received
// text was still unread.
//
// Proves: RFC 9293 MAY-1, SHLD-3
func TestTextAfterCloseIsReset(t *testing.T) {
	l := estab(t)
	l.c.Close(l.x, l.now)
	l.expect(FIN | ACK)
	l.hear(Segment{Flags: ACK})
	l.silent()
	l.text(10)
	if g := l.expect(RST); g.Seq != l.c.snd.nxt {
		t.Errorf("RST at %d", g.Seq-l.c.snd.nxt)
	}
	l.in(fsm.Closed)

	l = estab(t)
	l.text(10)
	l.c.Close(l.x, l.now)
	l.expect(RST | ACK)
	l.in(fsm.Closed)

	l = estab(t) // and one who has only closed his own half reads on
	l.c.CloseWrite(l.x, l.now)
	l.expect(FIN | ACK)
	l.text(10)
	if acks := l.after(40 * ms); len(acks) != 1 || acks[0].Flags != ACK || l.c.unreadText() != 10 {
		t.Errorf("%d answers, %d bytes to be read", len(acks), l.c.unreadText())
	}
}

// Section 3.6.1: the active closer "MUST linger in the TIME-WAIT state for a time 2xMSL".
//
// Proves: RFC 9293 MUST-13
func TestLingers(t *testing.T) {
	l := finWait2(t)
	l.hear(Segment{Flags: FIN | ACK})
	l.seq++
	l.expect(ACK)
	l.in(fsm.TimeWait)
	l.quiet(2*Defaults().MSL - 1)
	l.in(fsm.TimeWait)
	l.quiet(1)
	l.in(fsm.Closed)

	l = estab(t) // the passive closer does not
	l.hear(Segment{Flags: FIN | ACK})
	l.seq++
	l.expect(ACK)
	l.c.CloseWrite(l.x, l.now)
	l.expect(FIN | ACK)
	l.hear(Segment{Flags: ACK})
	l.silent()
	l.in(fsm.Closed)
}

// Section 3.7.1: "If an MSS Option is not received at connection setup, TCP implementations MUST assume a default send
// MSS of 536". The effective one "MUST be the smaller" of the peer's and of what IP permits, less the options of the
// segment. What is offered is no more than MMS_R - 20: the MTU less both headers.
//
// Proves: RFC 9293 MUST-15, MUST-16, MUST-67
func TestEffectiveMSS(t *testing.T) {
	for _, c := range []struct {
		mtu        int
		peer       uint16 // 0: no option
		timestamps bool
		want       int
	}{
		{1500, 0, false, 536}, {1500, 0, true, 536 - 12}, {1500, 1460, false, 1460}, {1500, 1460, true, 1448},
		{1500, 1000, false, 1000}, {1500, 65535, false, 1460}, {576, 1460, false, 536}, {9000, 8960, true, 8948},
	} {
		l := newLone(t, func(s *Settings) { s.Timestamps = c.timestamps })
		l.x.MTU = c.mtu
		l.c.OpenActive(l.x, l.now, Open{ISS: ourISS})
		syn := l.expect(SYN)
		if int(syn.Options.MSS) != c.mtu-40 {
			t.Errorf("MTU %d: offers %d", c.mtu, syn.Options.MSS)
		}
		g := Segment{Flags: SYN | ACK}
		if c.peer != 0 {
			g.Options = Options{Has: HasMSS, MSS: c.peer}
		}
		if c.timestamps {
			g.Options.Has |= HasTimestamps
		}
		l.hear(g)
		l.seq++
		l.expect(ACK)
		l.write(20_000)
		for _, g := range l.says()[:1] {
			if len(g.Text) != c.want {
				t.Errorf("%+v: %d bytes in a segment", c, len(g.Text))
			}
		}
	}
}

// Section 3.10.4, CLOSE in SYN-SENT, and 3.10.7.3: in SYN-SENT, nothing but a SYN or an acceptable RST counts. An ACK of
// what was not sent is answered by a RST.
func TestSynSentTakesNothingElse(t *testing.T) {
	l := synSent(t)
	for _, ack := range []seq.Num{ourISS, ourISS + 2, ourISS - 1} {
		l.hear(Segment{Flags: ACK, Ack: ack})
		if g := l.expect(RST); g.Seq != ack {
			t.Errorf("RST at %d", g.Seq)
		}
		l.hear(Segment{Flags: RST | ACK, Ack: ack})
		l.silent()
	}
	l.hear(Segment{Flags: RST})
	l.hear(Segment{Flags: ACK})
	l.hear(Segment{Flags: FIN})
	l.silent()
	l.in(fsm.SynSent)
	l.c.Close(l.x, l.now)
	l.silent()
	l.in(fsm.Closed)
}
