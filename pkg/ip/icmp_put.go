package ip

import "encoding/binary"

const (
	answerTTL = 64 // RFC 1122 3.2.1.7, with the value IANA recommends
	// maxQuote keeps an error within the 576 bytes that every host takes (RFC 1812 4.3.2.3).
	maxQuote = 576 - HeaderLen - icmpHeaderLen
)

// EchoReply builds into b the whole reply to the ICMP echo request p, whose ICMP checksum the caller has verified, and
// returns its length in bytes. It is 0 when the reply does not fit into b, and when p is owed none: no echo
// request, a fragment, or sent to a broadcast or multicast address (RFC 1122 3.2.2.6 leaves those to us). Identifier,
// sequence number and data return as they came, and so does the DSCP (RFC 1349 5.1). A reply longer than the link's MTU
// is for Split. b and p must not overlap.
func EchoReply(b []byte, p *Packet) int {
	n := HeaderLen + len(p.Payload)
	switch {
	case p.Proto != ProtoICMP || p.Fragment():
		return 0
	case len(p.Payload) < icmpHeaderLen || p.Payload[0] != ICMPEchoRequest:
		return 0
	case !p.Src.IsUnicast() || !p.Dst.IsUnicast():
		return 0
	case n > len(b) || n > maxDatagram:
		return 0
	}
	h := Header{Src: p.Dst, Dst: p.Src, Proto: ProtoICMP, TTL: answerTTL, TOS: p.TOS &^ 3, DF: true, Len: n}
	h.Put(b)
	m := b[HeaderLen:n]
	copy(m, p.Payload)
	m[0], m[1] = ICMPEchoReply, 0
	putICMPChecksum(m)
	return n
}

// Unreachable builds into b a destination unreachable message from src about p, and returns its length in bytes. It
// quotes p's header and what fits of its payload (RFC 1812 4.3.2.3). It is 0 when b is too small for that, and
// when RFC 1122 3.2.2 forbids an answer: about an ICMP error, a fragment other than the first, a packet to a
// broadcast or multicast address, or from an address that is not one host. How often to answer is the caller's to
// limit (RFC 1812 4.3.2.8). b and p must not overlap.
func Unreachable(b []byte, p *Packet, code uint8, src Addr) int {
	return putError(b, p, ICMPUnreachable, code, src)
}

// TimeExceeded is Unreachable for a time exceeded message: with CodeReassembly, the one that RFC 1122 3.3.2 demands
// when a datagram whose first fragment is p was given up.
func TimeExceeded(b []byte, p *Packet, code uint8, src Addr) int {
	return putError(b, p, ICMPTimeExceeded, code, src)
}

func putError(b []byte, p *Packet, typ, code uint8, src Addr) int {
	quote := min(len(p.Header)+len(p.Payload), maxQuote)
	n := HeaderLen + icmpHeaderLen + quote
	if n > len(b) || !answerable(p) || !src.Is4() {
		return 0
	}
	h := Header{Src: src, Dst: p.Src, Proto: ProtoICMP, TTL: answerTTL, DF: true, Len: n}
	h.Put(b)
	m := b[HeaderLen:n]
	clear(m[:icmpHeaderLen])
	m[0], m[1] = typ, code
	q := m[icmpHeaderLen:]
	copy(q[copy(q, p.Header):], p.Payload)
	putICMPChecksum(m)
	return n
}

// answerable reports whether an error message about p may be sent (RFC 1122 3.2.2). Of ICMP only requests are
// answered, so that an error of a type unknown here is safe too.
func answerable(p *Packet) bool {
	if p.Offset != 0 || !p.Src.IsUnicast() || !p.Dst.IsUnicast() {
		return false
	}
	if p.Proto != ProtoICMP {
		return true
	}
	if len(p.Payload) == 0 {
		return false
	}
	switch p.Payload[0] {
	case ICMPEchoRequest, icmpRouterSolicitation, icmpTimestampRequest, icmpInformationRequest, icmpMaskRequest:
		return true
	}
	return false
}

// putICMPChecksum computes the checksum of the message m into its place.
func putICMPChecksum(m []byte) {
	m[2], m[3] = 0, 0
	binary.BigEndian.PutUint16(m[2:], ^Fold(Sum(m, 0)))
}
