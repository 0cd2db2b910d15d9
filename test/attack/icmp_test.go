package attack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// datagram sends an IP packet.
func (a *attacker) datagram(src, dst netip.Addr, proto uint8, payload []byte) {
	a.t.Helper()
	h := ip.Header{Src: ip.FromNetip(src), Dst: ip.FromNetip(dst), Proto: proto, TTL: 64, Len: ip.HeaderLen + len(payload)}
	copy(a.out[ip.HeaderLen:], payload)
	h.Put(a.out[:])
	a.write(a.out[:h.Len])
}

// icmp sends an ICMP message from anybody; what stands behind its checksum is given.
func (a *attacker) icmp(kind, code uint8, rest []byte) {
	a.t.Helper()
	m := append([]byte{kind, code, 0, 0}, rest...)
	binary.BigEndian.PutUint16(m[2:], ^ip.Fold(ip.Sum(m, 0)))
	a.datagram(a.anybody().Addr(), daemonIP, ip.ProtoICMP, m)
}

// unreachable sends a destination unreachable of the code given about a segment of the daemon's; extra is the
// second word of the message, which holds the MTU.
func (a *attacker) unreachable(code uint8, extra uint32, from, to netip.AddrPort, g tcp.Segment) {
	a.t.Helper()
	g.SrcPort, g.DstPort = from.Port(), to.Port()
	quote := make([]byte, ip.HeaderLen+tcp.MaxHeaderLen)
	n := ip.HeaderLen + g.Put(quote[ip.HeaderLen:], 0)
	h := ip.Header{Src: ip.FromNetip(from.Addr()), Dst: ip.FromNetip(to.Addr()), Proto: ip.ProtoTCP, TTL: 60, DF: true, Len: n}
	h.Put(quote)
	a.icmp(ip.ICMPUnreachable, code, append(binary.BigEndian.AppendUint32(nil, extra), quote[:n]...))
}

// TestICMPFlood: what the stack says of itself by ICMP has a limit in each second; errors about nothing are ignored.
func TestICMPFlood(t *testing.T) {
	x := newTarget(t, "")
	a := x.attacker()
	udp := []byte{0, 53, 0, 53, 0, 8, 0, 0}
	n := packets(5000)
	for _, f := range []struct {
		name    string
		counter string
		send    func()
	}{
		{"UDP", "udp_unreachable", func() { a.datagram(a.anybody().Addr(), daemonIP, ip.ProtoUDP, udp) }},
		{"SCTP", "protocol_unreachable", func() { a.datagram(a.anybody().Addr(), daemonIP, 132, udp) }},
		{"errors about no connection", "icmp_ignored", func() { a.unreachable(ip.CodePort, 0, addr(httpPort), a.anybody(), tcp.Segment{}) }},
		{"errors about others", "icmp_ignored", func() { a.unreachable(ip.CodePort, 0, a.anybody(), a.anybody(), tcp.Segment{}) }},
		{"errors without a quote", "icmp_quote", func() { a.icmp(ip.ICMPUnreachable, 0, make([]byte, 4)) }},
		{"an unknown type", "icmp_ignored", func() { a.icmp(99, 0, make([]byte, 4)) }},
		{"a timestamp request", "icmp_ignored", func() { a.icmp(13, 0, make([]byte, 16)) }},
		{"too short", "icmp_too_short", func() { a.datagram(a.anybody().Addr(), daemonIP, ip.ProtoICMP, []byte{8, 0, 0, 0}) }},
		{"a wrong checksum", "icmp_checksum", func() { a.datagram(a.anybody().Addr(), daemonIP, ip.ProtoICMP, make([]byte, 9)) }},
	} {
		x.begin()
		x.flood(n, func(int) { f.send() })
		x.dropped(n, f.counter)
	}
	x.survived()
}
