package ip

import (
	"bytes"
	"testing"
)

// verified parses an ICMP answer in full: header, lengths and both checksums.
func verified(t testing.TB, b []byte) (*Packet, *ICMP) {
	t.Helper()
	p := mustParse(t, b)
	if p.Proto != ProtoICMP || len(p.Header)+len(p.Payload) != len(b) || p.TTL != 64 {
		t.Fatalf("not an answer of %d bytes: %+v", len(b), p)
	}
	var m ICMP
	if d := m.Parse(p.Payload); d != DropNone {
		t.Fatal(d)
	}
	return p, &m
}

// RFC 792, Echo: "The data received in the echo message must be returned in the echo reply message." "To form an echo
// reply message, the source and destination addresses are simply reversed, the type code changed to 0, and the
// checksum recomputed." "The identifier and sequence number ... returned."
func TestEchoReply(t *testing.T) {
	rest := append([]byte{0x12, 0x34, 0, 1}, "abcdefghijklmnopqrstuvwabcdefgh"...)
	request := withOptions(packet(ProtoICMP, icmpMessage(ICMPEchoRequest, 0, rest...)), 148, 4, 0, 0)
	request[1] = 0xb9
	putHeaderChecksum(request[:24])
	b := make([]byte, 100)
	n := EchoReply(b, mustParse(t, request))
	if want := HeaderLen + 4 + len(rest); n != want {
		t.Fatalf("%d bytes, want %d", n, want)
	}
	p, m := verified(t, b[:n])
	if request[24] != 8 || m.Type != 0 || m.Code != 0 || p.Src != hostB || p.Dst != hostA || p.TOS != 0xb8 {
		t.Errorf("%+v %+v", p, m)
	}
	if !bytes.Equal(m.Body, rest) {
		t.Errorf("body % x, want % x", m.Body, rest)
	}
}

// Nothing but zeros in the reply is the case that an incremental update of the checksum gets wrong (RFC 1624 3).
func TestEchoReplyOfZeros(t *testing.T) {
	b := make([]byte, 64)
	n := EchoReply(b, mustParse(t, packet(ProtoICMP, icmpMessage(ICMPEchoRequest, 0, 0, 0, 0, 0))))
	if _, m := verified(t, b[:n]); m.Type != ICMPEchoReply {
		t.Errorf("%+v", m)
	}
}

func TestEchoReplyIsOwedToRequestsOnly(t *testing.T) {
	request := packet(ProtoICMP, icmpMessage(ICMPEchoRequest, 0, 0, 1, 0, 1, 'd', 'a', 't', 'a'))
	change := func(f func(p *Packet)) *Packet {
		p := mustParse(t, bytes.Clone(request))
		f(p)
		return p
	}
	for name, p := range map[string]*Packet{
		"an echo reply":       change(func(p *Packet) { p.Payload[0] = ICMPEchoReply }),
		"an unreachable":      change(func(p *Packet) { p.Payload[0] = ICMPUnreachable }),
		"another protocol":    change(func(p *Packet) { p.Proto = ProtoTCP }),
		"a first fragment":    change(func(p *Packet) { p.MF = true }),
		"a last fragment":     change(func(p *Packet) { p.Offset = 8 }),
		"seven bytes":         change(func(p *Packet) { p.Payload = p.Payload[:7] }),
		"no byte":             change(func(p *Packet) { p.Payload = nil }),
		"to multicast":        change(func(p *Packet) { p.Dst = V4([4]byte{224, 0, 0, 1}) }),
		"to broadcast":        change(func(p *Packet) { p.Dst = V4([4]byte{255, 255, 255, 255}) }),
		"from no host":        change(func(p *Packet) { p.Src = V4([4]byte{}) }),
		"longer than IP":      change(func(p *Packet) { p.Payload = append(p.Payload, make([]byte, maxDatagram)...) }),
		"the zero packet":     {},
		"of another protocol": {Proto: ProtoUDP, Payload: []byte{8, 0, 0, 0, 0, 0, 0, 0}},
	} {
		if n := EchoReply(make([]byte, 2*maxDatagram), p); n != 0 {
			t.Errorf("%s is answered with %d bytes", name, n)
		}
	}
	p := mustParse(t, request)
	if n := EchoReply(make([]byte, len(request)-1), p); n != 0 {
		t.Errorf("a reply that does not fit has %d bytes", n)
	}
	if n := EchoReply(make([]byte, len(request)), p); n != len(request) {
		t.Errorf("a reply that just fits has %d bytes", n)
	}
	p = mustParse(t, packet(ProtoICMP, icmpMessage(ICMPEchoRequest, 0, make([]byte, maxDatagram-HeaderLen-4)...)))
	if n := EchoReply(make([]byte, maxDatagram), p); n != maxDatagram {
		t.Errorf("the longest reply has %d bytes", n)
	}
}

func TestICMPParse(t *testing.T) {
	good := icmpMessage(ICMPEchoRequest, 0, 0, 1, 0, 2, 'x')
	bad := bytes.Clone(good)
	bad[8] ^= 1
	for _, c := range []struct {
		name string
		b    []byte
		want Drop
	}{
		{"odd length", good, DropNone},
		{"no data", icmpMessage(ICMPEchoRequest, 0, 0, 1, 0, 2), DropNone},
		{"nothing", nil, DropICMPTooShort},
		{"seven bytes", icmpMessage(ICMPEchoRequest, 0, 0, 1, 0), DropICMPTooShort},
		{"one bit", bad, DropICMPChecksum},
		{"zeros", make([]byte, 8), DropICMPChecksum},
	} {
		var m ICMP
		if d := m.Parse(c.b); d != c.want {
			t.Errorf("%s: %v, want %v", c.name, d, c.want)
		}
	}
}

// RFC 1122 3.2.2: an ICMP error "MUST contain" the header and at least 8 bytes of the datagram that caused it;
// RFC 1191 4 puts the next hop's MTU into the low 16 bits of what was unused.
//
// Proves: RFC 5927 4.3-1
func TestICMPErrorFromItsQuote(t *testing.T) {
	segment := pattern(40, 1)
	sent := packet(ProtoTCP, segment)
	message := func(typ, code uint8, word [4]byte, quote []byte) *ICMP {
		var m ICMP
		if d := m.Parse(icmpMessage(typ, code, append(word[:], quote...)...)); d != DropNone {
			t.Fatal(d)
		}
		return &m
	}
	e, ok, d := message(ICMPUnreachable, CodeFragNeeded, [4]byte{0, 0, 0x05, 0x78}, sent[:28]).Error()
	if !ok || d != DropNone || e.MTU != 1400 || e.Src != hostA || e.Dst != hostB || e.Proto != ProtoTCP ||
		!bytes.Equal(e.Transport, segment[:8]) {
		t.Errorf("%+v %v %v", e, ok, d)
	}

	optioned := withOptions(sent, 1, 1, 1, 0)
	broken := bytes.Clone(sent) // as a NAT or a router may leave it: checksum, TTL, length
	copy(broken[8:], []byte{0, ProtoTCP, 0, 0})
	copy(broken[2:], []byte{0, 0})
	second := bytes.Clone(sent)
	second[7] = 1
	first := bytes.Clone(sent)
	first[6] = flagMF >> 8
	version6 := bytes.Clone(sent)
	version6[0] = 0x65
	short := bytes.Clone(sent)
	short[0] = 0x44
	padded := append(bytes.Clone(sent), make([]byte, 80)...) // RFC 4884: padded to 128 bytes, then extensions

	for _, c := range []struct {
		name      string
		m         *ICMP
		ok        bool
		drop      Drop
		transport int // bytes
	}{
		{"host unreachable", message(ICMPUnreachable, CodeHost, [4]byte{}, sent), true, DropNone, 40},
		{"time exceeded", message(ICMPTimeExceeded, CodeTTL, [4]byte{}, sent), true, DropNone, 40},
		{"parameter problem", message(ICMPParameterProblem, 0, [4]byte{9}, sent), true, DropNone, 40},
		{"source quench", message(ICMPSourceQuench, 0, [4]byte{}, sent), true, DropNone, 40},
		{"an MTU where none belongs", message(ICMPUnreachable, CodePort, [4]byte{0, 0, 5, 5}, sent), true, DropNone, 40},
		{"options in the quote", message(ICMPUnreachable, CodeHost, [4]byte{}, optioned), true, DropNone, 40},
		{"a broken header", message(ICMPUnreachable, CodeHost, [4]byte{}, broken), true, DropNone, 40},
		{"a first fragment", message(ICMPUnreachable, CodeHost, [4]byte{}, first), true, DropNone, 40},
		{"RFC 4884 extensions", message(ICMPTimeExceeded, 0, [4]byte{0, 32}, padded), true, DropNone, 108},
		{"RFC 4884 length of nonsense", message(ICMPTimeExceeded, 0, [4]byte{0, 255}, sent), true, DropNone, 40},
		{"RFC 4884 length too small", message(ICMPTimeExceeded, 0, [4]byte{0, 31}, padded), true, DropNone, 120},
		{"RFC 4884 knows no source quench", message(ICMPSourceQuench, 0, [4]byte{0, 32}, padded), true, DropNone, 120},

		{"7 bytes of transport", message(ICMPUnreachable, CodeHost, [4]byte{}, sent[:27]), false, DropICMPQuote, 0},
		{"7 bytes after options", message(ICMPUnreachable, CodeHost, [4]byte{}, optioned[:31]), false, DropICMPQuote, 0},
		{"half a header", message(ICMPUnreachable, CodeHost, [4]byte{}, sent[:19]), false, DropICMPQuote, 0},
		{"no quote", message(ICMPUnreachable, CodeHost, [4]byte{}, nil), false, DropICMPQuote, 0},
		{"a later fragment", message(ICMPUnreachable, CodeHost, [4]byte{}, second), false, DropICMPQuote, 0},
		{"version 6", message(ICMPUnreachable, CodeHost, [4]byte{}, version6), false, DropICMPQuote, 0},
		{"IHL 4", message(ICMPUnreachable, CodeHost, [4]byte{}, short), false, DropICMPQuote, 0},

		{"an echo request", message(ICMPEchoRequest, 0, [4]byte{}, sent), false, DropNone, 0},
		{"an echo reply", message(ICMPEchoReply, 0, [4]byte{}, sent), false, DropNone, 0},
		{"a redirect", message(ICMPRedirect, 1, [4]byte{10, 7, 0, 9}, sent), false, DropNone, 0},
		{"an unknown type", message(200, 0, [4]byte{}, sent), false, DropNone, 0},
	} {
		e, ok, d := c.m.Error()
		if ok != c.ok || d != c.drop || len(e.Transport) != c.transport || e.MTU != 0 {
			t.Errorf("%s: ok %v, %v, %d bytes of transport, MTU %d", c.name, ok, d, len(e.Transport), e.MTU)
		}
	}
}

// RFC 792: "Internet Header + 64 bits of Original Data Datagram"; RFC 1812 4.3.2.3 has as much of it as fits 576 bytes.
func TestUnreachableQuotes(t *testing.T) {
	for _, size := range []int{0, 1, 8, 527, 528, 529, 1480} {
		text := pattern(size, 1)
		request := withOptions(packet(ProtoUDP, text), 148, 4, 0, 0) // the quote includes options
		b := make([]byte, 576)
		n := Unreachable(b, mustParse(t, request), CodePort, hostB)
		if want := min(576, 28+len(request)); n != want {
			t.Fatalf("%d bytes of text: an error of %d bytes, want %d", size, n, want)
		}
		p, m := verified(t, b[:n])
		if p.Src != hostB || p.Dst != hostA || m.Type != ICMPUnreachable || m.Code != CodePort {
			t.Errorf("%+v %+v", p, m)
		}
		if !bytes.Equal(m.Body, append(make([]byte, 4), request[:n-28]...)) {
			t.Errorf("%d bytes of text: quoted % x", size, m.Body)
		}
		e, ok, d := m.Error()
		if size < 8 {
			if ok || d != DropICMPQuote {
				t.Errorf("%d bytes of text: %v %v", size, ok, d)
			}
		} else if !ok || e.Src != hostA || e.Dst != hostB || !bytes.HasPrefix(text, e.Transport) {
			t.Errorf("%d bytes of text: read back as %+v, %v, %v", size, e, ok, d)
		}
		if n := Unreachable(b[:n-1], mustParse(t, request), CodePort, hostB); n != 0 {
			t.Errorf("an error that does not fit has %d bytes", n)
		}
	}
}

// RFC 1122 3.2.2: "An ICMP error message MUST NOT be sent as the result of receiving:
//   - an ICMP error message, or
//   - a datagram destined to an IP broadcast or IP multicast address, or
//   - a datagram sent as a link-layer broadcast, or
//   - a non-initial fragment, or
//   - a datagram whose source address does not define a single host"
func TestUnreachableWhenForbidden(t *testing.T) {
	change := func(proto, typ uint8, f func(p *Packet)) *Packet {
		p := mustParse(t, packet(proto, icmpMessage(typ, 0, make([]byte, 40)...)))
		f(p)
		return p
	}
	same := func(*Packet) {}
	for _, c := range []struct {
		name string
		p    *Packet
		want bool
	}{
		{"UDP", change(ProtoUDP, 0, same), true},
		{"a first fragment", change(ProtoUDP, 0, func(p *Packet) { p.MF = true }), true},
		{"a later fragment", change(ProtoUDP, 0, func(p *Packet) { p.Offset = 8 }), false},
		{"to multicast", change(ProtoUDP, 0, func(p *Packet) { p.Dst = V4([4]byte{239, 1, 1, 1}) }), false},
		{"to broadcast", change(ProtoUDP, 0, func(p *Packet) { p.Dst = V4([4]byte{255, 255, 255, 255}) }), false},
		{"from nowhere", change(ProtoUDP, 0, func(p *Packet) { p.Src = V4([4]byte{}) }), false},
		{"from loopback", change(ProtoUDP, 0, func(p *Packet) { p.Src = V4([4]byte{127, 0, 0, 1}) }), false},
		{"from multicast", change(ProtoUDP, 0, func(p *Packet) { p.Src = V4([4]byte{224, 0, 0, 1}) }), false},
		{"from class E", change(ProtoUDP, 0, func(p *Packet) { p.Src = V4([4]byte{250, 0, 0, 1}) }), false},
		{"an echo request", change(ProtoICMP, ICMPEchoRequest, same), true},
		{"a timestamp request", change(ProtoICMP, icmpTimestampRequest, same), true},
		{"an echo reply", change(ProtoICMP, ICMPEchoReply, same), false},
		{"unreachable", change(ProtoICMP, ICMPUnreachable, same), false},
		{"source quench", change(ProtoICMP, ICMPSourceQuench, same), false},
		{"redirect", change(ProtoICMP, ICMPRedirect, same), false},
		{"time exceeded", change(ProtoICMP, ICMPTimeExceeded, same), false},
		{"parameter problem", change(ProtoICMP, ICMPParameterProblem, same), false},
		{"ICMP of unknown type", change(ProtoICMP, 99, same), false},
		{"ICMP without a type", change(ProtoICMP, 0, func(p *Packet) { p.Payload = nil }), false},
	} {
		b := make([]byte, 576)
		if n := Unreachable(b, c.p, CodeProtocol, hostB); (n != 0) != c.want {
			t.Errorf("Unreachable about %s: %d bytes", c.name, n)
		}
		if n := TimeExceeded(b, c.p, CodeReassembly, hostB); (n != 0) != c.want {
			t.Errorf("TimeExceeded about %s: %d bytes", c.name, n)
		}
	}
	if n := Unreachable(make([]byte, 576), change(ProtoUDP, 0, same), CodePort, Addr{}); n != 0 {
		t.Errorf("an error from no IPv4 address has %d bytes", n)
	}
}
