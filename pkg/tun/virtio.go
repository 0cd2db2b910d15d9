package tun

import (
	"encoding/binary"
	"errors"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// headerLen is the size in bytes of struct virtio_net_hdr as a TUN speaks it (virtio 1.2 section 5.1.6, the legacy
// form without num_buffers):
//
//	0 flags  1 gso_type  2 hdr_len  4 gso_size  6 csum_start  8 csum_offset
//
// Numbers are in the machine's byte order (TUNSETVNETLE is off).
const headerLen = 10

const (
	flagNeedsCsum = 1
	flagDataValid = 2

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoECN   = 0x80 // to be joined with the type: the superframe's first segment alone carries CWR
)

// errMalformed: a packet that contradicts its own description.
var errMalformed = errors.New("tun: packet and its offload fields do not agree")

// parseHeader reads into p what the header h says of the packet p.Head. It is false for what the device never
// promised to send: another type of superframe, or a checksum outside the packet.
func parseHeader(h []byte, p *link.Packet) bool {
	_ = h[headerLen-1]
	switch h[1] &^ gsoECN {
	case gsoNone:
	case gsoTCPv4:
		p.GSOSize = binary.NativeEndian.Uint16(h[4:])
		if p.GSOSize == 0 {
			return false
		}
	default:
		return false
	}
	p.Verified = h[0]&flagDataValid != 0
	if h[0]&flagNeedsCsum == 0 {
		return true
	}
	p.NeedsChecksum = true
	p.ChecksumStart = binary.NativeEndian.Uint16(h[6:])
	at := int(p.ChecksumStart) + int(binary.NativeEndian.Uint16(h[8:]))
	return at+2 <= len(p.Head)
}

// putHeader writes to h the description of p.
func putHeader(h *[headerLen]byte, p *link.Packet) error {
	*h = [headerLen]byte{}
	if !p.NeedsChecksum && p.GSOSize == 0 {
		return nil
	}
	start := int(p.ChecksumStart)
	if p.NeedsChecksum {
		at, ok := p.ChecksumOffset()
		if !ok {
			return errMalformed
		}
		h[0] = flagNeedsCsum
		binary.NativeEndian.PutUint16(h[6:], p.ChecksumStart)
		binary.NativeEndian.PutUint16(h[8:], uint16(at-start))
	}
	if p.GSOSize == 0 {
		return nil
	}
	return putGSO(h, p)
}

// putGSO writes to h what makes p a superframe.
func putGSO(h *[headerLen]byte, p *link.Packet) error {
	if len(p.Head) < 40 || p.Head[0]>>4 != 4 || p.Head[9] != 6 {
		return errMalformed // only TCP over IPv4 was negotiated
	}
	start := int(p.Head[0]&15) * 4
	if len(p.Head) < start+20 {
		return errMalformed
	}
	end := start + int(p.Head[start+12]>>4)*4
	if end > len(p.Head) {
		return errMalformed
	}
	h[1] = gsoTCPv4
	const cwr = 0x80 // RFC 3168 6.1.2
	if p.Head[start+13]&cwr != 0 {
		h[1] |= gsoECN
	}
	binary.NativeEndian.PutUint16(h[2:], uint16(end))
	binary.NativeEndian.PutUint16(h[4:], p.GSOSize)
	return nil
}
