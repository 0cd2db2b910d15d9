package tun

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// probe writes a superframe to an interface that is up, since there are kernels that accept every flag and then
// refuse the write. The checksum of its IPv4 header is wrong: the kernel drops it on sight.
func probe(d *device) error {
	const payload = 1072
	p := make([]byte, 40+payload)
	p[0], p[8], p[9], p[32] = 0x45, 1, 6, 5<<4 // version and length, TTL, TCP, data offset
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], []byte{127, 0, 0, 1, 127, 0, 0, 1})
	binary.BigEndian.PutUint16(p[10:], 0x0bad)
	err := d.Write(&link.Packet{Head: p, NeedsChecksum: true, ChecksumStart: 20, GSOSize: payload / 2})
	if err == unix.ENOBUFS || err == unix.EAGAIN { //nolint:errorlint // Write returns the bare errno
		return nil // a full queue refuses nothing
	}
	return err
}
