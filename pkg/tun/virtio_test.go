package tun

import (
	"bytes"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// tcpHead is the headers of a TCP packet with 12 bytes of options.
func tcpHead() []byte {
	p := make([]byte, 52)
	p[0], p[9], p[32] = 0x45, 6, 8<<4
	return p
}

// The layout of struct virtio_net_hdr:
//
//	flags gso_type hdr_len gso_size csum_start csum_offset
func TestPutHeader(t *testing.T) {
	udp := make([]byte, 28)
	udp[0], udp[9] = 0x45, 17
	cwr := tcpHead()
	cwr[33] = 0x80
	short := tcpHead()[:50]
	for _, c := range []struct {
		name   string
		packet link.Packet
		want   []byte // on a little-endian machine; nil: refused
	}{
		{"finished", link.Packet{Head: tcpHead()}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"TCP checksum", link.Packet{Head: tcpHead(), NeedsChecksum: true, ChecksumStart: 20},
			[]byte{1, 0, 0, 0, 0, 0, 20, 0, 16, 0}},
		{"UDP checksum", link.Packet{Head: udp, NeedsChecksum: true, ChecksumStart: 20},
			[]byte{1, 0, 0, 0, 0, 0, 20, 0, 6, 0}},
		{"superframe", link.Packet{Head: tcpHead(), NeedsChecksum: true, ChecksumStart: 20, GSOSize: 1448},
			[]byte{1, 1, 52, 0, 0xa8, 5, 20, 0, 16, 0}},
		{"superframe with CWR", link.Packet{Head: cwr, NeedsChecksum: true, ChecksumStart: 20, GSOSize: 256},
			[]byte{1, 0x81, 52, 0, 0, 1, 20, 0, 16, 0}},
		{"corrupted superframe", link.Packet{Head: tcpHead(), GSOSize: 256}, []byte{0, 1, 52, 0, 0, 1, 0, 0, 0, 0}},
		{"superframe of UDP", link.Packet{Head: udp, GSOSize: 256}, nil},
		{"header cut short", link.Packet{Head: short, GSOSize: 256}, nil},
		{"checksum beyond Head", link.Packet{Head: tcpHead(), NeedsChecksum: true, ChecksumStart: 40}, nil},
		{"no packet", link.Packet{Head: []byte{0x45}, NeedsChecksum: true}, nil},
	} {
		var h [headerLen]byte
		err := putHeader(&h, &c.packet)
		if (err != nil) != (c.want == nil) || err == nil && !bytes.Equal(h[:], c.want) {
			t.Errorf("%s: % x, %v; not % x", c.name, h, err, c.want)
		}
	}
}

func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []byte
		want   *link.Packet // nil: dropped
	}{
		{"nothing", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, &link.Packet{}},
		{"verified", []byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0}, &link.Packet{Verified: true}},
		{"unfinished", []byte{1, 0, 0, 0, 0, 0, 20, 0, 16, 0}, &link.Packet{NeedsChecksum: true, ChecksumStart: 20}},
		{"superframe", []byte{1, 1, 52, 0, 0xa8, 5, 20, 0, 16, 0},
			&link.Packet{NeedsChecksum: true, ChecksumStart: 20, GSOSize: 1448}},
		{"superframe with CWR", []byte{0, 0x81, 52, 0, 0, 1, 0, 0, 0, 0}, &link.Packet{GSOSize: 256}},
		{"superframe of segments of 0 bytes", []byte{1, 1, 52, 0, 0, 0, 20, 0, 16, 0}, nil},
		{"UDP superframe", []byte{1, 5, 52, 0, 0, 1, 20, 0, 16, 0}, nil},
		{"IPv6 superframe", []byte{1, 4, 52, 0, 0, 1, 20, 0, 16, 0}, nil},
		{"checksum outside", []byte{1, 0, 0, 0, 0, 0, 51, 0, 0, 0}, nil},
		{"checksum far outside", []byte{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, nil},
	} {
		p := link.Packet{Head: tcpHead()}
		ok := parseHeader(c.header, &p)
		if ok != (c.want != nil) {
			t.Errorf("%s: %v", c.name, ok)
			continue
		}
		if ok && (p.NeedsChecksum != c.want.NeedsChecksum || p.Verified != c.want.Verified ||
			p.ChecksumStart != c.want.ChecksumStart || p.GSOSize != c.want.GSOSize) {
			t.Errorf("%s: %+v, not %+v", c.name, p, c.want)
		}
	}
}

// What was parsed can be put, and parses to the same again.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{1, 1, 52, 0, 0xa8, 5, 20, 0, 16, 0}, tcpHead())
	f.Add([]byte{1, 0, 0, 0, 0, 0, 20, 0, 6, 0}, tcpHead())
	f.Add([]byte{2, 0x80, 0, 0, 0, 0, 20, 0, 6, 0}, []byte{})
	f.Fuzz(func(t *testing.T, h, packet []byte) {
		if len(h) < headerLen {
			return
		}
		p := link.Packet{Head: packet}
		if !parseHeader(h, &p) {
			return
		}
		var again [headerLen]byte
		if putHeader(&again, &p) != nil {
			return
		}
		q := link.Packet{Head: packet, Verified: p.Verified}
		if !parseHeader(again[:], &q) || q.NeedsChecksum != p.NeedsChecksum || q.GSOSize != p.GSOSize ||
			p.NeedsChecksum && q.ChecksumStart != p.ChecksumStart {
			t.Errorf("% x became % x: %+v, %+v", h[:headerLen], again, p, q)
		}
	})
}
