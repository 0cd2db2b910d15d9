package link

import (
	"encoding/binary"

	"github.com/tcpd-project/tcpd/pkg/ip"
)

// Checksum computes the transport checksum that a packet with NeedsChecksum is to carry, and the offset in Head
// of its two bytes. ok is false when there is nothing to finish, or when Head does not reach that far.
func (p *Packet) Checksum() (at int, sum uint16, ok bool) {
	at, ok = p.ChecksumOffset()
	if !ok || !p.NeedsChecksum {
		return at, 0, false
	}
	start := int(p.ChecksumStart)
	s := ip.Sum(p.Head[start:], 0)
	n := len(p.Head) - start
	for _, part := range p.Body {
		if n&1 == 0 {
			s = ip.Sum(part, s)
		} else {
			s = ip.SumOdd(part, s)
		}
		n += len(part)
	}
	sum = ^ip.Fold(s)
	if sum == 0 && p.Head[9] == udp {
		sum = 0xffff // RFC 768: zero would mean that there is none
	}
	return at, sum, true
}

const tcp, udp = 6, 17 // IPv4's protocol numbers

// ChecksumOffset is the offset in Head of the transport checksum, by ChecksumStart and the protocol that the IPv4
// header names. ok is false for other protocols than TCP and UDP, and when Head does not reach that far.
func (p *Packet) ChecksumOffset() (at int, ok bool) {
	if len(p.Head) < 20 {
		return 0, false
	}
	switch at = int(p.ChecksumStart); p.Head[9] {
	case tcp:
		at += 16
	case udp:
		at += 6
	default:
		return 0, false
	}
	return at, p.ChecksumStart >= 20 && at+2 <= len(p.Head)
}

// FinishChecksum does in Head what NeedsChecksum asks of the device, and clears NeedsChecksum; it says whether
// it could.
func (p *Packet) FinishChecksum() bool {
	at, sum, ok := p.Checksum()
	if ok {
		binary.BigEndian.PutUint16(p.Head[at:], sum)
		p.NeedsChecksum = false
	}
	return ok
}
