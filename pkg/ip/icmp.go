package ip

import "encoding/binary"

// ICMP types (RFC 792).
const (
	ICMPEchoReply        = 0
	ICMPUnreachable      = 3
	ICMPSourceQuench     = 4 // deprecated: RFC 6633 has TCP ignore it
	ICMPRedirect         = 5
	ICMPEchoRequest      = 8
	ICMPTimeExceeded     = 11
	ICMPParameterProblem = 12

	icmpRouterSolicitation = 10 // RFC 1256
	icmpTimestampRequest   = 13
	icmpInformationRequest = 15
	icmpMaskRequest        = 17 // RFC 950
)

// Codes of ICMPUnreachable (RFC 792, RFC 1122 3.2.2.1) and of ICMPTimeExceeded.
const (
	CodeNet             = 0
	CodeHost            = 1
	CodeProtocol        = 2
	CodePort            = 3
	CodeFragNeeded      = 4 // fragmentation needed and DF set: ICMPError.MTU (RFC 1191 4)
	CodeSourceRoute     = 5
	CodeAdminProhibited = 13 // RFC 1812 5.2.7.1

	CodeTTL        = 0
	CodeReassembly = 1 // fragment reassembly time exceeded
)

const (
	icmpHeaderLen   = 8 // bytes: type, code, checksum, and four that depend on the type
	transportPrefix = 8 // bytes of the transport header that an error quotes at least (RFC 792)
)

// ICMP is an ICMP message whose checksum was right. Body aliases the input.
type ICMP struct {
	Type, Code uint8
	Body       []byte // what follows the checksum: 4 bytes or more
}

// Parse reads the ICMP message that is the payload of a whole datagram. Without DropNone, m is not to be used.
func (m *ICMP) Parse(payload []byte) Drop {
	if len(payload) < icmpHeaderLen {
		return DropICMPTooShort
	}
	if Fold(Sum(payload, 0)) != 0xffff {
		return DropICMPChecksum
	}
	*m = ICMP{Type: payload[0], Code: payload[1], Body: payload[4:]}
	return DropNone
}

// ICMPError is an error message with what it quotes of the packet that met the error. Nothing in it is proven: it is
// for TCP to find whether Transport fits what is in flight (RFC 5927 4.1).
type ICMPError struct {
	Type, Code uint8
	MTU        uint16 // bytes, of ICMPUnreachable with CodeFragNeeded; 0 from a router older than RFC 1191
	Src, Dst   Addr   // of the quoted packet: Src is us
	Proto      uint8  // of the quoted packet
	Transport  []byte // the start of the quoted transport header: 8 bytes or more
}

// Error returns the error that m is. It is not ok for a message that is no error, or a redirect, which is for routing
// and not for transport (DropNone); nor for one that quotes less than a header and 8 bytes, or a fragment that
// is not the first and has no transport header (DropICMPQuote).
//
// The quoted header's checksum and lengths are not judged: routers and translators on the way may have left them
// wrong (RFC 1812 4.3.2.3).
func (m *ICMP) Error() (e ICMPError, ok bool, d Drop) {
	switch m.Type {
	case ICMPUnreachable, ICMPSourceQuench, ICMPTimeExceeded, ICMPParameterProblem:
	default:
		return e, false, DropNone
	}
	if len(m.Body) < 4+HeaderLen {
		return e, false, DropICMPQuote
	}
	q := m.Body[4:]
	header := int(q[0]&0xf) * 4
	switch {
	case q[0]>>4 != 4, header < HeaderLen, header+transportPrefix > len(q),
		binary.BigEndian.Uint16(q[6:])&offsetMask != 0:
		return e, false, DropICMPQuote
	}
	e = ICMPError{
		Type:      m.Type,
		Code:      m.Code,
		Src:       V4([4]byte(q[12:16])),
		Dst:       V4([4]byte(q[16:20])),
		Proto:     q[9],
		Transport: q[header:m.quoteEnd()],
	}
	if m.Type == ICMPUnreachable && m.Code == CodeFragNeeded {
		e.MTU = binary.BigEndian.Uint16(m.Body[2:])
	}
	return e, true, DropNone
}

// quoteEnd is where the quoted packet ends, in bytes. Where the message gives a length, which is 128 or more,
// extensions follow, which are not the packet's (RFC 4884 4 and 5).
func (m *ICMP) quoteEnd() int {
	const least = 128
	end := len(m.Body) - 4
	length := int(m.Body[1]) * 4
	if m.Type != ICMPSourceQuench && length >= least && length < end {
		return length
	}
	return end
}
