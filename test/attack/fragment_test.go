package attack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/test/space"
)

// fragment sends a fragment: n bytes at offset, and whether more follow.
func (a *attacker) fragment(src netip.Addr, proto uint8, id uint16, offset, n int, more bool) {
	a.t.Helper()
	h := ip.Header{Src: ip.FromNetip(src), Dst: ip.FromNetip(daemonIP), Proto: proto, TTL: 64, ID: id, Len: ip.HeaderLen + n}
	clear(a.out[:h.Len])
	h.Put(a.out[:])
	a.out[ip.HeaderLen+12] = 5 << 4 // of a TCP header without options
	field := uint16(offset / 8)
	if more {
		field |= 1 << 13
	}
	a.refragment(h.Len, field)
}

// refragment sends the n bytes of a packet with another fragment field.
func (a *attacker) refragment(n int, field uint16) {
	a.t.Helper()
	head := a.out[:ip.HeaderLen]
	binary.BigEndian.PutUint16(head[6:], field)
	binary.BigEndian.PutUint16(head[10:], 0)
	binary.BigEndian.PutUint16(head[10:], ^ip.Fold(ip.Sum(head, 0)))
	a.write(a.out[:n])
}

// TestFragments: fragments that no honest sender makes condemn their datagram, each for a reason with a name.
func TestFragments(t *testing.T) {
	x := newTarget(t, "")
	a := x.attacker()
	n := packets(2000)
	type piece struct {
		offset, n int
		more      bool
	}
	for _, f := range []struct {
		name    string
		counter string
		proto   uint8
		pieces  []piece
	}{
		{"teardrop", "ip_fragment_overlap", ip.ProtoUDP, []piece{{0, 40, true}, {24, 16, false}}},
		{"one within the other", "ip_fragment_overlap", ip.ProtoTCP, []piece{{0, 400, true}, {200, 16, true}}},
		{"over the header", "ip_fragment_tiny", ip.ProtoTCP, []piece{{0, 24, true}, {8, 16, false}}},
		{"a header in two", "ip_fragment_tiny", ip.ProtoTCP, []piece{{0, 16, true}}},
		{"ping of death", "ip_fragment_beyond", ip.ProtoICMP, []piece{{65528, 1400, false}}},
		{"nothing", "ip_fragment_length", ip.ProtoUDP, []piece{{800, 0, false}}},
		{"no multiple of eight", "ip_fragment_length", ip.ProtoUDP, []piece{{800, 9, true}}},
		{"two ends", "ip_fragment_end", ip.ProtoUDP, []piece{{800, 8, false}, {808, 8, false}}},
		{"the same again, but for its bytes", "ip_fragment_end", ip.ProtoUDP, []piece{{800, 8, false}, {1600, 8, true}}},
		{"after its datagram was dropped", "ip_fragment_condemned", ip.ProtoUDP, []piece{{0, 16, true}, {8, 16, true}, {800, 8, true}}},
	} {
		x.begin()
		x.flood(n, func(i int) {
			src := a.anybody().Addr()
			for _, p := range f.pieces {
				a.fragment(src, f.proto, uint16(i), p.offset, p.n, p.more)
			}
		})
		x.dropped(n, f.counter)
	}

	x.begin()
	for i := range 129 {
		a.fragment(peerIP, ip.ProtoUDP, 1, 16*i, 8, true)
	}
	x.dropped(1, "ip_fragment_many")
	x.survived()
}

// TestFragmentFlood: first fragments of datagrams that never become whole take the memory that is set for them, and no
// more: the oldest go, so that a datagram of an honest host becomes whole all the same.
func TestFragmentFlood(t *testing.T) {
	const memory, least = 256 << 10, 384 + 1400 // bytes, and of a datagram
	space.Need(t, "ping")
	x := newTarget(t, "limits: {fragments: 256KiB}")
	a := x.attacker()
	n := packets(10_000)
	x.flood(n, func(i int) { a.fragment(a.anybody().Addr(), ip.ProtoUDP, uint16(i), 0, 1400, true) })
	now := x.dropped(n, "ip_fragment_held")
	if now.FragmentBytes > memory || now.FragmentsHeld > memory/least || now.DatagramsEvicted+now.FragmentsHeld < uint64(n) {
		t.Errorf("%d fragments are held in %d bytes, %d datagrams are gone", now.FragmentsHeld, now.FragmentBytes, now.DatagramsEvicted)
	}
	x.space.Command("ping", "-n", "-c", "2", "-i", "0.1", "-s", "4000", daemonIP.String())
	if now := x.Counters(); now.DatagramsCompleted != 2 {
		t.Errorf("%d datagrams became whole", now.DatagramsCompleted)
	}
	x.survived()
}
