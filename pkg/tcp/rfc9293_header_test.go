package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Section 3.1, Window: "the window size MUST be treated as an unsigned number, or else large window sizes will appear
// like negative windows and TCP will not work".
//
// Proves: RFC 9293 MUST-1
func TestWindowIsUnsigned(t *testing.T) {
	l := estab(t)
	l.c.cw.Cwnd = 1 << 20
	l.write(100_000)
	if n := textOf(l.says()); n != 65535/1460*1460 { // full segments, as many as there is room for
		t.Errorf("%d bytes into a window of 65,535", n)
	}

	l = estab(t, func(s *Settings) { s.ReceiveBuffer = 65535 })
	wnd := l.c.rcv.adv.Sub(l.c.rcv.nxt)
	if wnd <= 1<<15 {
		t.Fatalf("our window is %d", wnd)
	}
	if d := l.hear(Segment{Seq: l.seq.Add(wnd - 1), Flags: ACK, Text: []byte{1}}); d != DropNone {
		t.Errorf("the last octet of our window of %d: %v", wnd, d)
	}
	if g := l.expect(ACK); g.Ack != l.seq {
		t.Errorf("ACK %d", g.Ack)
	}
}

// packed is a segment as it lies on the wire, with the octets of options given.
func packed(g Segment, options ...byte) []byte {
	g.Options = Options{}
	b := make([]byte, MaxHeaderLen)
	g.Put(b, 0)
	n := HeaderLen + copy(b[HeaderLen:], options)
	b = append(b[:(n+3)/4*4], g.Text...)
	b[12] = b[12]&0xf | byte((n+3)/4)<<4
	return b
}

// Section 3.1, Table 1: End of Option List, No-Operation and Maximum Segment Size "MUST be supported". Section 3.2:
// "receivers MUST be prepared to process options even if they do not begin on a word boundary".
//
// Proves: RFC 9293 MUST-4, MUST-14, MUST-64
func TestMandatoryOptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []byte
		mss     uint16
	}{
		{"MSS", []byte{2, 4, 3, 232}, 1000},
		{"No-Operation before it: one octet off the word", []byte{1, 2, 4, 3, 232}, 1000},
		{"two off", []byte{1, 1, 2, 4, 3, 232}, 1000},
		{"three off", []byte{1, 1, 1, 2, 4, 3, 232}, 1000},
		{"End of Option List after it", []byte{2, 4, 3, 232, 0}, 1000},
		{"End of Option List before it: it is no option any more", []byte{0, 2, 4, 3, 232}, 0},
		{"only No-Operation", []byte{1, 1, 1, 1}, 0},
	} {
		var g Segment
		d := g.Parse(packed(Segment{Flags: SYN}, c.options...))
		if d != DropNone || g.Options.MSS != c.mss || (g.Options.Has&HasMSS != 0) != (c.mss != 0) {
			t.Errorf("%s: %v, MSS %d", c.name, d, g.Options.MSS)
		}
	}
}

// Section 3.1: "A TCP implementation MUST be able to receive a TCP Option in any segment." It "MUST ignore without error
// any TCP Option it does not implement, assuming that the option has a length field".
//
// Proves: RFC 9293 MUST-5, MUST-6
func TestUnknownOptionInAnySegment(t *testing.T) {
	known := map[byte]bool{optEnd: true, optNop: true, optMSS: true, optWindowScale: true, optSACKPermitted: true,
		optSACK: true, optTimestamps: true, optUserTimeout: true, optFastOpen: true}
	for kind := range 256 {
		for _, length := range []byte{2, 3, 4, 7, 40} {
			if known[byte(kind)] {
				continue
			}
			options := make([]byte, length)
			options[0], options[1] = byte(kind), length
			whole := func(l *lone, g Segment) Drop { // a segment on its way over the wire
				g.Seq, g.Ack, g.Window = l.seq, l.c.snd.nxt, 65535
				var in Segment
				if d := in.Parse(packed(g, options...)); d != DropNone {
					t.Fatalf("option %d of %d octets: %v", kind, length, d)
				}
				return l.hear(in)
			}
			l := synSent(t)
			whole(l, Segment{Flags: SYN | ACK})
			l.seq++
			l.expect(ACK)
			l.in(fsm.Established)
			d := whole(l, Segment{Flags: ACK | PSH, Text: []byte("text")})
			l.seq += 4
			if l.c.rcv.nxt != l.seq || d != DropNone {
				t.Fatalf("option %d on text: %v", kind, d)
			}
			l.expect(ACK)
			if whole(l, Segment{Flags: ACK}); len(l.says()) > 0 {
				t.Fatalf("option %d on an ACK is answered", kind)
			}
			whole(l, Segment{Flags: FIN | ACK})
			l.seq++
			l.expect(ACK)
			l.in(fsm.CloseWait)
			whole(l, Segment{Flags: RST})
			l.silent()
			l.in(fsm.Closed)
		}
	}
}

// Section 3.1: "TCP implementations MUST be prepared to handle an illegal option length (e.g., zero)". A reset is only
// suggested; here the segment is dropped and counted, and the connection goes on.
//
// Proves: RFC 9293 MUST-7
func TestIllegalOptionLength(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []byte
		want    Drop
	}{
		{"zero", []byte{99, 0, 1, 1}, DropOptionLength},
		{"zero, of a known option", []byte{8, 0, 1, 1}, DropOptionLength},
		{"one", []byte{99, 1, 1, 1}, DropOptionLength},
		{"beyond the header", []byte{99, 5, 1, 1}, DropOptionLength},
		{"none at all", []byte{1, 1, 1, 99}, DropOptionLength},
		{"not its kind's: it is passed over", []byte{2, 3, 1, 1}, DropNone},
		{"the same of timestamps", []byte{8, 4, 1, 1}, DropNone},
		{"SACK of a block and a half", append([]byte{5, 14}, make([]byte, 12)...), DropNone},
	} {
		var g Segment
		if d := g.Parse(packed(Segment{Flags: ACK}, c.options...)); d != c.want || g.Options != (Options{}) {
			t.Errorf("%s: %v, %+v", c.name, d, g.Options)
		}
	}
}

// Section 3.1: "All TCP Options except End of Option List Option (EOL) and No-Operation (NOP) MUST have length fields",
// and what lies beyond the end of the list "MUST be header padding of zeros". The list here always ends with the header,
// at a whole word.
//
// Proves: RFC 9293 MUST-68, MUST-69
func TestOptionsAsTheyAreSent(t *testing.T) {
	var all []Segment
	for has := range Has(1 << 6) {
		o := Options{Has: has, MSS: 1460, WindowScale: 7, TSVal: 1, TSEcr: 2, UserTimeout: 9}
		if has&HasFastOpen != 0 {
			o.FastOpen = FastOpenCookie{Len: 8}
			o.Has &^= HasUserTimeout // there is room for one of the two
		}
		all = append(all, Segment{Flags: SYN, Options: o})
	}
	for n := range uint8(5) {
		all = append(all, Segment{Flags: ACK, Options: Options{Blocks: n}}, Segment{Flags: ACK, Options: Options{Has: HasTimestamps, Blocks: min(n, 3)}})
	}
	for _, g := range all {
		b := make([]byte, 2*MaxHeaderLen)
		for i := range b {
			b[i] = 0xff // what was there before
		}
		n := g.Put(b, 0)
		if n > MaxHeaderLen || n%4 != 0 || int(b[12]>>4)*4 != n {
			t.Fatalf("%+v: a header of %d octets", g.Options, n)
		}
		for o := b[HeaderLen:n]; len(o) > 0; {
			switch {
			case o[0] == optNop:
				o = o[1:]
			case o[0] == optEnd:
				for _, pad := range o {
					if pad != 0 {
						t.Fatalf("%+v: padding %x", g.Options, o)
					}
				}
				o = nil
			case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
				t.Fatalf("%+v: option %d without a length", g.Options, o[0])
			default:
				o = o[o[1]:]
			}
		}
	}
}

// Section 3.2: the MSS Option "MUST NOT be sent in other segments" than those with SYN. Section 3.7.1: it "SHOULD" be sent
// "in every SYN segment" unless the MSS is the default, "and MAY send it always". SACK-permitted keeps to SYNs, too (RFC 2018
// section 2).
//
// Proves: RFC 9293 MUST-14, MUST-65, SHLD-5, MAY-3
// Proves: RFC 2018 2-2
func TestMSSOnSYNsAlone(t *testing.T) {
	for _, mtu := range []int{576, 1500, 9000} { // the first has the default of 536
		for _, timestamps := range []bool{true, false} {
			p := newPair(t)
			for _, e := range []*end{&p.a, &p.b} {
				e.x.MTU, e.x.Settings[0].Timestamps = mtu, timestamps
			}
			p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 5})
			p.run()
			p.a.c.Write(p.a.x, make([]byte, 30_000))
			p.run()
			p.wait(p.now.Add(mono.Second))
			p.b.read(30_000)
			p.a.c.Close(p.a.x, p.now)
			p.run()
			p.b.c.Close(p.b.x, p.now)
			p.run()
			syns := 0
			for _, g := range p.log {
				syn := g.Flags&SYN != 0
				if syn {
					syns++
				}
				if syn != (g.Options.Has&HasMSS != 0) || syn != (g.Options.Has&HasSACKPermitted != 0) || syn && int(g.Options.MSS) != mtu-40 {
					t.Errorf("MTU %d: %v with %+v", mtu, g.Flags, g.Options)
				}
			}
			if syns != 2 || p.log[len(p.log)-1].Flags != ACK {
				t.Errorf("MTU %d: %d SYNs in %v", mtu, syns, p.flags())
			}
		}
	}
}
