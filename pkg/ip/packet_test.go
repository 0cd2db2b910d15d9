package ip

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"
	"testing/quick"
)

func TestParseReadsEveryField(t *testing.T) {
	payload := []byte("twelve bytes")
	b := packet(ProtoTCP, payload)
	b[1], b[6], b[7], b[8] = 0xb9, 0x60, 0x03, 9 // TOS; DF, MF, offset 24; TTL
	putHeaderChecksum(b[:HeaderLen])
	b = append(b, 0xee, 0xee) // padding of the link

	want := &Packet{
		Src: hostA, Dst: hostB, Proto: ProtoTCP, TTL: 9, TOS: 0xb9, ID: 7, DF: true, MF: true, Offset: 24,
		Header: b[:HeaderLen], Payload: payload,
	}
	if p := mustParse(t, b); !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
}

func TestParseAliasesButDoesNotReachBeyond(t *testing.T) {
	b := append(packet(ProtoUDP, []byte("text")), "tail"...)
	p := mustParse(t, b)
	if &p.Header[0] != &b[0] || &p.Payload[0] != &b[HeaderLen] {
		t.Error("the view is a copy")
	}
	_ = append(p.Header, 'x')
	_ = append(p.Payload, 'x')
	if string(b[HeaderLen:]) != "texttail" {
		t.Errorf("an append to the view wrote %q", b[HeaderLen:])
	}
}

// A fault is a change to a right packet of 20 + 8 bytes; the checksum is mended after it unless keep is set.
type fault struct {
	name   string
	change func(b []byte) []byte
	keep   bool
	want   Drop
}

func set(at int, v ...byte) func([]byte) []byte {
	return func(b []byte) []byte { copy(b[at:], v); return b }
}

func cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }

// Proves: RFC 9293 MUST-63
func TestParseChecks(t *testing.T) {
	for _, c := range []fault{
		{"nothing wrong", set(0), false, DropNone},
		{"nothing", cut(0), true, DropTooShort},
		{"half a header", cut(19), true, DropTooShort},
		{"header alone", cut(20), true, DropTotalLength},
		{"one byte short", cut(27), true, DropTotalLength},

		// RFC 1122 3.2.1.1: "A datagram whose version number is not 4 MUST be silently discarded."
		{"version 6", set(0, 0x60), true, DropVersion6},
		{"version 6, one byte", func([]byte) []byte { return []byte{0x60} }, true, DropVersion6},
		{"version 0", set(0, 0x05), true, DropVersion},
		{"version 5", set(0, 0x55), true, DropVersion},
		{"version 15", set(0, 0xf5), true, DropVersion},

		// RFC 791 3.1: "the minimum value for a correct header is 5".
		{"IHL 0", set(0, 0x40), true, DropHeaderLength},
		{"IHL 4", set(0, 0x44), true, DropHeaderLength},
		{"IHL 8 of 28 bytes", set(0, 0x48), true, DropHeaderLength},
		{"IHL 15 of 28 bytes", set(0, 0x4f), true, DropHeaderLength},
		{"total length 0", set(2, 0, 0), false, DropTotalLength},
		{"total length 19", set(2, 0, 19), false, DropTotalLength},
		{"total length 20", set(2, 0, 20), false, DropNone},
		{"total length 29", set(2, 0, 29), false, DropTotalLength},
		{"total length 65535", set(2, 255, 255), false, DropTotalLength},

		// RFC 1122 3.2.1.2: "A host MUST verify the IP header checksum on every received datagram".
		{"TTL changed", set(8, 63), true, DropChecksum},
		{"checksum 0", set(10, 0, 0), true, DropChecksum},
		{"checksum ffff", set(10, 0xff, 0xff), true, DropChecksum},
		{"words swapped", set(12, 10, 7, 0, 2, 10, 7, 0, 1), true, DropNone}, // the sum can't tell
		{"payload changed", set(20, 0xff), true, DropNone},                   // nor does it cover this

		// RFC 1122 3.2.1.7: "A host MUST NOT discard a datagram just because it was received with TTL less than 2."
		{"TTL 0", set(8, 0), false, DropNone},
		{"TTL 1", set(8, 1), false, DropNone},
		{"reserved flag", set(6, 0x80), false, DropNone},
		{"unknown protocol", set(9, 255), false, DropNone},

		// RFC 1122 3.2.1.3: "A host MUST silently discard an incoming datagram containing an IP source address that is
		// invalid by the rules of this section."
		{"source 0.0.0.0", set(12, 0, 0, 0, 0), false, DropSource},
		{"source 0.1.2.3", set(12, 0, 1, 2, 3), false, DropSource},
		{"source loopback", set(12, 127, 0, 0, 1), false, DropSource},
		{"source multicast", set(12, 224, 0, 0, 1), false, DropSource},
		{"source class E", set(12, 240, 0, 0, 1), false, DropSource},
		{"source broadcast", set(12, 255, 255, 255, 255), false, DropSource},
		{"destination 0.0.0.0", set(16, 0, 0, 0, 0), false, DropDestination},
		{"destination loopback", set(16, 127, 1, 2, 3), false, DropDestination},
		{"destination class E", set(16, 240, 0, 0, 1), false, DropDestination},
		{"destination multicast", set(16, 224, 0, 0, 22), false, DropNone},
		{"destination broadcast", set(16, 255, 255, 255, 255), false, DropNone},
	} {
		b := c.change(packet(ProtoTCP, make([]byte, 8)))
		if !c.keep && len(b) >= HeaderLen {
			putHeaderChecksum(b[:HeaderLen])
		}
		var p Packet
		if got := p.Parse(b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// RFC 791 3.1 gives the two formats of options; RFC 1122 3.2.1.8: "the IP layer MUST ... silently ignore all others".
//
// Proves: RFC 9293 MUST-50
func TestParseWalksOptions(t *testing.T) {
	const recordRoute, timestamp, routerAlert, unknown = 7, 68, 148, 0x9e
	for _, c := range []struct {
		name    string
		options []byte
		want    Drop
	}{
		{"no operation", []byte{1, 1, 1, 1}, DropNone},
		{"end", []byte{0}, DropNone},
		{"anything after the end", []byte{0, 9, 0xff, 0}, DropNone},
		{"record route", []byte{recordRoute, 7, 4, 0, 0, 0, 0}, DropNone},
		{"timestamp", []byte{timestamp, 8, 5, 0, 0, 0, 0, 0}, DropNone},
		{"router alert", []byte{routerAlert, 4, 0, 0}, DropNone},
		{"unknown", []byte{unknown, 2, unknown, 4, 1, 2}, DropNone},
		{"unknown, exactly to the end", []byte{1, 1, unknown, 2}, DropNone},
		{"40 bytes", append([]byte{unknown, 40}, make([]byte, 38)...), DropNone},
		{"length 0", []byte{unknown, 0, 0, 0}, DropOptions},
		{"length 1", []byte{unknown, 1, 0, 0}, DropOptions},
		{"beyond the header", []byte{unknown, 5, 0, 0}, DropOptions},
		{"beyond the header by far", []byte{1, 1, unknown, 255}, DropOptions},
		{"no length", []byte{1, 1, 1, unknown}, DropOptions},
		{"loose source route", []byte{131, 7, 4, 10, 7, 0, 9}, DropSourceRoute},
		{"strict source route, completed", []byte{1, 137, 7, 8, 10, 7, 0, 9}, DropSourceRoute},
		{"source route without its length", []byte{1, 1, 1, 131}, DropOptions},
	} {
		var p Packet
		b := withOptions(packet(ProtoTCP, []byte("text")), c.options...)
		if got := p.Parse(b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		} else if got == DropNone && (string(p.Payload) != "text" || len(p.Header) != len(b)-4) {
			t.Errorf("%s: header of %d bytes, payload %q", c.name, len(p.Header), p.Payload)
		}
	}
}

// RFC 791 Appendix A, Example 3: a header of eight words.
//
//	|Ver= 4 |IHL= 8 |Type of Service|       Total Length = 576      |
//	|       Identification = 111    |Flg=0|     Fragment Offset = 0 |
//	|   Time = 123  |  Protocol = 6 |       Header Checksum         |
//	|                        source address                         |
//	|                      destination address                      |
//	| Opt. Code = x | Opt.  Len.= 3 | option value  | Opt. Code = x |
//	| Opt. Len. = 4 |           option value        | Opt. Code = 1 |
//	| Opt. Code = y | Opt. Len. = 3 |  option value | Opt. Code = 0 |
func TestParseExample3OfRFC791(t *testing.T) {
	const x, y = 0x9e, 0x5e
	b := withOptions(packet(ProtoTCP, make([]byte, 576-32)), x, 3, 0, x, 4, 0, 0, 1, y, 3, 0, 0)
	b[5], b[8] = 111, 123
	putHeaderChecksum(b[:32])
	p := mustParse(t, b)
	if len(p.Header) != 32 || len(p.Payload) != 544 || p.ID != 111 || p.TTL != 123 || p.Fragment() {
		t.Errorf("%+v", p)
	}
}

// A header that is widely known to be right.
func TestPutKnownHeader(t *testing.T) {
	want := []byte{
		0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199,
	}
	h := Header{
		Src: V4([4]byte{192, 168, 0, 1}), Dst: V4([4]byte{192, 168, 0, 199}),
		Proto: ProtoUDP, TTL: 64, DF: true, Len: 0x73,
	}
	got := ones(HeaderLen)
	h.Put(got)
	if !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

func TestPutThenParse(t *testing.T) {
	same := func(src, dst [4]byte, proto, ttl, tos uint8, id uint16, df bool, payload []byte) bool {
		src[0], dst[0] = 10, 11
		h := Header{
			Src: V4(src), Dst: V4(dst), Proto: proto, TTL: ttl, TOS: tos, ID: id, DF: df,
			Len: HeaderLen + len(payload),
		}
		b := append(make([]byte, HeaderLen), payload...)
		h.Put(b)
		var p Packet
		if d := p.Parse(b); d != DropNone {
			return false
		}
		back := Header{
			Src: p.Src, Dst: p.Dst, Proto: p.Proto, TTL: p.TTL, TOS: p.TOS, ID: p.ID, DF: p.DF,
			Len: len(p.Header) + len(p.Payload),
		}
		return back == h && !p.Fragment() && bytes.Equal(p.Payload, payload)
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

func TestFragment(t *testing.T) {
	for flags, want := range map[uint16]bool{0: false, flagDF: false, flagMF: true, 1: true, offsetMask: true} {
		b := packet(ProtoUDP, make([]byte, 8))
		binary.BigEndian.PutUint16(b[6:], flags)
		putHeaderChecksum(b[:HeaderLen])
		if p := mustParse(t, b); p.Fragment() != want || p.Offset != flags&offsetMask*8 {
			t.Errorf("%#x: Fragment %v, Offset %d", flags, p.Fragment(), p.Offset)
		}
	}
}

var sink uint16

// The habit of the house: no allocation a packet.
func TestNothingAllocates(t *testing.T) {
	var p Packet
	var m ICMP
	request := packet(ProtoICMP, icmpMessage(ICMPEchoRequest, 0, make([]byte, 60)...))
	out := make([]byte, 2048)
	Unreachable(out, mustParse(t, packet(ProtoUDP, make([]byte, 60))), CodePort, hostB)
	answer := append([]byte(nil), out[:576]...)
	h := Header{Src: hostA, Dst: hostB, Len: 1500}
	for name, f := range map[string]func(){
		"Parse":       func() { p.Parse(request) },
		"Put":         func() { h.Put(out) },
		"Sum":         func() { sink = Fold(SumOdd(out[:1459], PseudoSum(h.Src, h.Dst, ProtoTCP, 1459))) },
		"EchoReply":   func() { p.Parse(request); EchoReply(out, &p) },
		"Unreachable": func() { p.Parse(request); Unreachable(out, &p, CodeProtocol, hostB) },
		"ICMP.Error":  func() { p.Parse(answer); m.Parse(p.Payload); _, _, _ = m.Error() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	data := packet(ProtoTCP, make([]byte, 1460))
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		if p.Parse(data) != DropNone {
			b.Fatal()
		}
	}
}

func BenchmarkPut(b *testing.B) {
	h := Header{Src: hostA, Dst: hostB, Proto: ProtoTCP, TTL: 64, DF: true, Len: 1500}
	out := make([]byte, HeaderLen)
	b.ReportAllocs()
	for b.Loop() {
		h.Put(out)
	}
}
