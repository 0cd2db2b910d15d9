package attack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
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

// TestICMPFlood: what is not for us is counted by name. What we say of it by ICMP has a limit in each second, and errors about
// nothing are ignored.
func TestICMPFlood(t *testing.T) {
	const none, limited = false, true // answers
	x := newTarget(t, "")
	a := x.attacker()
	udp := []byte{0, 53, 0, 53, 0, 8, 0, 0}
	n := packets(5000)
	for _, f := range []struct {
		name    string
		counter string
		answers bool
		send    func()
	}{
		{"UDP", "udp_unreachable", limited, func() { a.datagram(a.anybody().Addr(), daemonIP, ip.ProtoUDP, udp) }},
		{"SCTP", "protocol_unreachable", limited, func() { a.datagram(a.anybody().Addr(), daemonIP, 132, udp) }},
		{"errors about no connection", "icmp_ignored", none, func() { a.unreachable(ip.CodePort, 0, addr(httpPort), a.anybody(), tcp.Segment{}) }},
		{"errors about others", "icmp_ignored", none, func() { a.unreachable(ip.CodePort, 0, a.anybody(), a.anybody(), tcp.Segment{}) }},
		{"errors without a quote", "icmp_quote", none, func() { a.icmp(ip.ICMPUnreachable, 0, make([]byte, 4)) }},
		{"an unknown type", "icmp_ignored", none, func() { a.icmp(99, 0, make([]byte, 4)) }},
		{"a timestamp request", "icmp_ignored", none, func() { a.icmp(13, 0, make([]byte, 16)) }},
		{"too short", "icmp_too_short", none, func() { a.datagram(a.anybody().Addr(), daemonIP, ip.ProtoICMP, []byte{8, 0, 0, 0}) }},
		{"a wrong checksum", "icmp_checksum", none, func() { a.datagram(a.anybody().Addr(), daemonIP, ip.ProtoICMP, make([]byte, 9)) }},
	} {
		x.begin()
		began := time.Now()
		x.flood(n, func(int) { f.send() })
		now := x.dropped(n, f.counter)
		sent, kept := now.ICMPErrors-x.before.ICMPErrors, now.ICMPLimited-x.before.ICMPLimited
		switch {
		case !f.answers && sent+kept != 0:
			t.Errorf("%s: %d answers, %d more kept back", f.name, sent, kept)
		case f.answers && sent+kept+now.DeviceDrops-x.before.DeviceDrops < uint64(n):
			t.Errorf("%s: %d answers and %d kept back for %d packets", f.name, sent, kept, n)
		case sent > inSeconds(1000, began):
			t.Errorf("%s: %d answers in %v", f.name, sent, time.Since(began))
		}
	}
	x.survived()
}

// inSeconds is the most of what is limited to so many in a second since it began: a second may have been under way.
func inSeconds(n uint64, began time.Time) uint64 {
	return n * (uint64(time.Since(began)/time.Second) + 2)
}

// TestPingFlood: so many pings are answered in a second, and no more.
func TestPingFlood(t *testing.T) {
	x := newTarget(t, "")
	a := x.attacker()
	n := packets(50_000)
	began := time.Now()
	x.flood(n, func(int) { a.icmp(ip.ICMPEchoRequest, 0, []byte{0, 1, 0, 1}) })
	now := x.until("the pings to be read", func(now *space.Counters) bool {
		return now.Pings+x.drops(now, "pings_limited")+now.DeviceDrops-x.before.DeviceDrops >= uint64(n)
	})
	if now.Pings > inSeconds(20_000, began) {
		t.Errorf("%d pings were answered in %v", now.Pings, time.Since(began))
	}
	x.survived()
}
