package space

import (
	"encoding/binary"
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// PutSegment puts the IPv4 packet of the segment g, between the addresses and ports given, into b and returns its
// length in bytes. options are further ones, as they stand: a multiple of four bytes.
func PutSegment(b []byte, from, to netip.AddrPort, g *tcp.Segment, options []byte) int {
	src, dst := ip.FromNetip(from.Addr()), ip.FromNetip(to.Addr())
	g.SrcPort, g.DstPort = from.Port(), to.Port()
	t := b[ip.HeaderLen:]
	n := g.Put(t, 0)
	n += copy(t[n:], options)
	t[12] = byte(n/4)<<4 | t[12]&15
	n += copy(t[n:], g.Text)
	sum := ip.Fold(ip.Sum(t[:n], ip.PseudoSum(src, dst, ip.ProtoTCP, n)))
	binary.BigEndian.PutUint16(t[16:], ^sum)
	h := ip.Header{Src: src, Dst: dst, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: ip.HeaderLen + n}
	h.Put(b)
	return h.Len
}
