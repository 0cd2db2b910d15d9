package ip

import "encoding/binary"

// Protocol numbers (RFC 790, now IANA's).
const (
	ProtoICMP = 1
	ProtoTCP  = 6
	ProtoUDP  = 17
)

const (
	// HeaderLen is the length in bytes of a header without options.
	HeaderLen = 20

	maxHeader   = 60    // bytes: IHL is four bits of 32-bit words
	maxDatagram = 65535 // bytes: total length is 16 bits

	flagDF     = 1 << 14
	flagMF     = 1 << 13
	offsetMask = 1<<13 - 1 // in units of 8 bytes
)

// Packet is an IPv4 packet, parsed. Its slices alias the input.
type Packet struct {
	Src, Dst Addr
	Proto    uint8
	TTL      uint8
	TOS      uint8 // DSCP and ECN
	ID       uint16
	DF, MF   bool
	Offset   uint16 // bytes from the start of the datagram's payload to this fragment's
	Header   []byte // with options: 20 to 60 bytes
	Payload  []byte // trimmed to the total length
}

// Parse reads the packet at the start of b into p; bytes after its total length are ignored. Without DropNone, p
// is not to be used.
//
// RFC 791 3.1 and RFC 1122 3.2.1 give the checks. A time to live of 0 or 1 is no fault at the destination (3.2.1.7),
// nor is the reserved flag. Broadcast and multicast destinations are let through, for UDP and ICMP may come there.
func (p *Packet) Parse(b []byte) Drop {
	if d := checkShape(b); d != DropNone {
		return d
	}
	header := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if Fold(Sum(b[:header], 0)) != 0xffff {
		return DropChecksum
	}
	if header > HeaderLen {
		if d := checkOptions(b[HeaderLen:header]); d != DropNone {
			return d
		}
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	p.Src, p.Dst = V4([4]byte(b[12:16])), V4([4]byte(b[16:20]))
	p.TOS, p.TTL, p.Proto = b[1], b[8], b[9]
	p.ID = binary.BigEndian.Uint16(b[4:])
	p.DF, p.MF = fragment&flagDF != 0, fragment&flagMF != 0
	p.Offset = fragment & offsetMask * 8
	p.Header, p.Payload = b[:header:header], b[header:total:total]
	switch {
	case !p.Src.IsUnicast():
		return DropSource
	case !p.Dst.IsUnicast() && !p.Dst.IsMulticast() && !p.Dst.IsBroadcast():
		return DropDestination
	}
	return DropNone
}

// checkShape finds whether b holds the header and the payload that it says it holds.
func checkShape(b []byte) Drop {
	switch {
	case len(b) == 0:
		return DropTooShort
	case b[0]>>4 == 6:
		return DropVersion6
	case b[0]>>4 != 4:
		return DropVersion
	case len(b) < HeaderLen:
		return DropTooShort
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case header < HeaderLen || header > len(b):
		return DropHeaderLength
	case total < header || total > len(b):
		return DropTotalLength
	}
	return DropNone
}

// Options whose meaning matters here (RFC 791 3.1).
const (
	optionEnd         = 0
	optionNop         = 1
	optionLooseRoute  = 131
	optionStrictRoute = 137
)

// checkOptions walks the options. RFC 1122 3.2.1.8 has a host ignore those it does not know; that takes lengths one
// can walk by. A source route is refused as RFC 7126 4.3 and 4.4 advise, and as Linux does by default.
func checkOptions(o []byte) Drop {
	for len(o) > 0 {
		switch o[0] {
		case optionEnd:
			return DropNone
		case optionNop:
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return DropOptions
		}
		if o[0] == optionLooseRoute || o[0] == optionStrictRoute {
			return DropSourceRoute
		}
		o = o[o[1]:]
	}
	return DropNone
}

// Fragment reports whether p is a part of a datagram rather than a whole one.
func (p *Packet) Fragment() bool { return p.MF || p.Offset != 0 }

// Header is what Put writes: a header without options, of a datagram that is whole.
type Header struct {
	Src, Dst Addr // IPv4
	Proto    uint8
	TTL      uint8
	TOS      uint8
	ID       uint16 // need not be unique where DF is set (RFC 6864 4.1)
	DF       bool
	Len      int // total length in bytes, at most 65,535
}

// Put writes the header and its checksum into the first 20 bytes of b, which must be there.
func (h *Header) Put(b []byte) {
	b = b[:HeaderLen]
	b[0] = 4<<4 | HeaderLen/4
	b[1] = h.TOS
	binary.BigEndian.PutUint16(b[2:], uint16(h.Len))
	binary.BigEndian.PutUint16(b[4:], h.ID)
	var fragment uint16
	if h.DF {
		fragment = flagDF
	}
	binary.BigEndian.PutUint16(b[6:], fragment)
	b[8], b[9] = h.TTL, h.Proto
	src, dst := h.Src.As4(), h.Dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	putHeaderChecksum(b)
}

// putHeaderChecksum computes the checksum of the whole header b into its place.
func putHeaderChecksum(b []byte) {
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^Fold(Sum(b, 0)))
}
