package ip

import (
	"bytes"
	"testing"
)

// FuzzParse: what is parsed can be put, and parses as the same again; what the header says is within the input.
func FuzzParse(f *testing.F) {
	f.Add(packet(ProtoTCP, make([]byte, 20)), true)
	f.Add(withOptions(packet(ProtoUDP, []byte("text")), 148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0), false)
	f.Add(withOptions(packet(ProtoICMP, nil), 131, 7, 4, 10, 7, 0, 9), true)
	f.Add([]byte{0x60, 0, 0, 0, 0, 8, 58, 255}, false)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if header := 0; mend && len(b) >= HeaderLen {
			header = min(max(int(b[0]&0xf)*4, HeaderLen), len(b))
			putHeaderChecksum(b[:header])
		}
		before := bytes.Clone(b)
		var p Packet
		d := p.Parse(b)
		if !bytes.Equal(b, before) {
			t.Fatal("Parse writes")
		}
		if int(d) >= NumDrops || d.String() == "unknown" {
			t.Fatalf("Drop %d", d)
		}
		if d != DropNone {
			return
		}
		if !bytes.HasPrefix(b, append(bytes.Clone(p.Header), p.Payload...)) || len(p.Header) < HeaderLen {
			t.Fatalf("%+v is not the start of % x", p, b)
		}
		h := Header{
			Src: p.Src, Dst: p.Dst, Proto: p.Proto, TTL: p.TTL, TOS: p.TOS, ID: p.ID, DF: p.DF,
			Len: HeaderLen + len(p.Payload),
		}
		out := append(make([]byte, HeaderLen), p.Payload...)
		h.Put(out)
		var q Packet
		if d := q.Parse(out); d != DropNone {
			t.Fatalf("%+v was put as % x: %v", h, out[:HeaderLen], d)
		}
		q.MF, q.Offset = p.MF, p.Offset // Put writes whole datagrams
		if !bytes.Equal(q.Payload, p.Payload) {
			t.Fatal("the payload changed")
		}
		q.Header, q.Payload = nil, nil
		p.Header, p.Payload = nil, nil
		if q.Src != p.Src || q.Dst != p.Dst || q.Proto != p.Proto || q.TTL != p.TTL || q.TOS != p.TOS ||
			q.ID != p.ID || q.DF != p.DF || q.MF != p.MF || q.Offset != p.Offset {
			t.Fatalf("got  %+v\nwant %+v", q, p)
		}
	})
}

// FuzzICMP: any payload may be read, and what is answered is right, quotes the packet, and is never answered in turn.
func FuzzICMP(f *testing.F) {
	quoted := packet(ProtoTCP, make([]byte, 20))
	f.Add(icmpMessage(ICMPEchoRequest, 0, 0, 1, 0, 1, 'x'), uint8(ProtoICMP))
	f.Add(icmpMessage(ICMPUnreachable, CodeFragNeeded, append([]byte{0, 0, 5, 0x78}, quoted...)...), uint8(ProtoICMP))
	f.Add(icmpMessage(ICMPTimeExceeded, 0, append([]byte{0, 32, 0, 0}, append(quoted, make([]byte, 120)...)...)...),
		uint8(ProtoICMP))
	f.Add([]byte("a datagram"), uint8(ProtoUDP))
	f.Fuzz(func(t *testing.T, payload []byte, proto uint8) {
		if len(payload) > maxDatagram-HeaderLen {
			return
		}
		var m ICMP
		if d := m.Parse(payload); d == DropICMPChecksum {
			putICMPChecksum(payload)
			if d := m.Parse(payload); d != DropNone {
				t.Fatalf("after mending: %v", d)
			}
		}
		if e, ok, d := m.Error(); ok != (len(e.Transport) >= transportPrefix) || ok && d != DropNone ||
			!bytes.Contains(payload, e.Transport) {
			t.Fatalf("%+v %v %v", e, ok, d)
		}

		p := mustParse(t, packet(proto, payload))
		b, again := make([]byte, maxDatagram), make([]byte, maxDatagram)
		for _, answer := range []func() int{
			func() int { return TimeExceeded(b, p, CodeReassembly, hostB) },
			func() int { return EchoReply(b, p) },
		} {
			if n := answer(); n != 0 {
				a, _ := verified(t, b[:n])
				if Unreachable(again, a, CodePort, hostA) != 0 || EchoReply(again, a) != 0 {
					t.Fatal("an answer is answered")
				}
			}
		}
		if n := Unreachable(b, p, CodePort, hostB); n != 0 {
			_, m := verified(t, b[:n])
			whole := append(bytes.Clone(p.Header), payload...)
			if !bytes.HasPrefix(whole, m.Body[4:]) || n != 28+min(len(whole), 548) {
				t.Fatalf("%d bytes quote % x", n, m.Body)
			}
		}
	})
}

// FuzzSum: Sum is RFC 1071's, at any length and alignment, and in any parts.
func FuzzSum(f *testing.F) {
	f.Add([]byte{0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}, uint32(0), uint16(3), uint16(1))
	f.Add(ones(200), uint32(0xffffffff), uint16(64), uint16(7))
	f.Fuzz(func(t *testing.T, b []byte, initial uint32, at, from uint16) {
		b = b[min(int(from), len(b)):]
		want := naive(b, initial)
		if got := Fold(Sum(b, initial)); got != want {
			t.Fatalf("%#04x, want %#04x", got, want)
		}
		n := min(int(at), len(b))
		sum := Sum(b[:n], initial)
		if n%2 == 0 {
			sum = Sum(b[n:], sum)
		} else {
			sum = SumOdd(b[n:], sum)
		}
		if got := Fold(sum); got != want {
			t.Fatalf("in parts at %d: %#04x, want %#04x", n, got, want)
		}
	})
}

// FuzzReassembly drives a Reassembler with seven bytes a fragment: what comes out whole was sent, and nothing
// is lost from the accounts or held beyond the cap.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0x80, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0}, uint16(60000))
	f.Add([]byte{0, 0, 4, 0x80, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0}, uint16(60000))    // teardrop
	f.Add([]byte{1, 0, 4, 0x80, 0, 9, 1, 1, 255, 255, 0x40, 0, 9, 1}, uint16(0)) // ping of death
	f.Fuzz(func(t *testing.T, ops []byte, maxBytes uint16) {
		r := newReassembly(t, int(maxBytes))
		altered := map[uint16]bool{}
		for ; len(ops) >= 7; ops = ops[7:] {
			p, alter := fuzzFragment(ops)
			altered[p.ID] = altered[p.ID] || alter
			r.now += int64(ops[6]>>2) * second / 4
			if ops[6]&2 != 0 {
				r.Expire(r.now)
			}
			whole, d := r.add(p)
			if d != DropNone {
				continue
			}
			for at, c := range payloadOf(t, whole) {
				if !altered[p.ID] && c != fuzzByte(p.ID, at) {
					t.Fatalf("byte %d of datagram %d is wrong", at, p.ID)
				}
			}
			if at := bytes.Index(payloadOf(t, whole), p.Payload); p.Fragment() && at < 0 {
				t.Fatal("the last part is not in the whole")
			}
		}
		r.Expire(r.now + 31*second)
		r.check()
		if r.Bytes() != 0 {
			t.Fatalf("%d bytes left", r.Bytes())
		}
	})
}

// fuzzByte is the byte of datagram id at an offset.
func fuzzByte(id uint16, at int) byte { return byte(at*7) ^ byte(at>>8) ^ byte(id) }

// fuzzFragment reads: 0 the datagram; 1 the offset in 8 bytes, the highest meaning the end of 65,535; 2 the size in 8 bytes; 3 more
// fragments, TCP, altered, options; 4 the odd bytes; 5 TOS. 6 is for the caller.
func fuzzFragment(op []byte) (p *Packet, altered bool) {
	id, offset := uint16(op[0]%8), int(op[1])*8
	if op[1] >= 0xf8 {
		offset = 65535&^7 - int(op[1]-0xf8)*8
	}
	size := int(op[2])*8 + int(op[4]%8)
	text := make([]byte, size)
	for i := range text {
		text[i] = fuzzByte(id, offset+i)
	}
	if altered = op[3]&0x20 != 0 && size > 0; altered {
		text[int(op[4])%size] ^= 0x55
	}
	proto := uint8(ProtoUDP)
	if op[3]&0x40 != 0 {
		proto = ProtoTCP
	}
	p = fragmentOf(proto, id, offset, op[3]&0x80 != 0, text)
	b := append(p.Header, p.Payload...)
	if room := maxDatagram - len(b); op[3]&0x10 != 0 && room >= 40 {
		b = withOptions(b, make([]byte, 4+op[3]&3*12)...)
	}
	b[1] = op[5] & 3
	putHeaderChecksum(b[:int(b[0]&0xf)*4])
	if d := p.Parse(b); d != DropNone {
		panic("fuzzFragment: " + d.String())
	}
	return p, altered
}
