package attack

import (
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// TestLAND: a SYN from the daemon's own address and port to themselves.
func TestLAND(t *testing.T) {
	x := newTarget(t, "")
	a := x.attacker()
	n := packets(5000)
	x.flood(n, func(i int) {
		a.send(addr(httpPort), addr(httpPort), tcp.Segment{Flags: tcp.Flags(1 << (i % 9)), Window: 65535})
	})
	if now := x.dropped(n, "land"); now.HalfOpen != 0 {
		t.Errorf("%d half-open connections", now.HalfOpen)
	}
	x.survived()
}

// TestMartians: addresses that no packet on a wire has (RFC 1122 section 3.2.1.3), as sources and as destinations.
func TestMartians(t *testing.T) {
	x := newTarget(t, "")
	a := x.attacker()
	n := packets(2000)
	for _, f := range []struct {
		src, dst, counter string
	}{
		{"0.0.0.0", "10.7.0.2", "ip_source"},
		{"0.255.1.2", "10.7.0.2", "ip_source"},
		{"127.0.0.1", "10.7.0.2", "ip_source"},
		{"224.0.0.1", "10.7.0.2", "ip_source"},
		{"239.255.255.255", "10.7.0.2", "ip_source"},
		{"240.0.0.1", "10.7.0.2", "ip_source"},
		{"255.255.255.255", "10.7.0.2", "ip_source"},
		{"10.7.0.1", "127.0.0.1", "ip_destination"},
		{"10.7.0.1", "0.0.0.0", "ip_destination"},
		{"10.7.0.1", "240.0.0.1", "ip_destination"},
		{"10.7.0.1", "255.255.255.255", "not_ours"},
		{"10.7.0.1", "224.0.0.1", "not_ours"},
		{"10.7.0.1", "10.7.0.3", "not_ours"},
		{"10.7.0.1", "10.7.0.255", "not_ours"},
	} {
		src, dst := netip.MustParseAddr(f.src), netip.MustParseAddr(f.dst)
		x.begin()
		x.flood(n, func(i int) {
			if i%2 == 0 {
				a.send(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, httpPort), tcp.Segment{Flags: tcp.SYN, Window: 65535})
			} else {
				a.datagram(src, dst, 1, []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0})
			}
		})
		if now := x.dropped(n, f.counter); now.HalfOpen != 0 {
			t.Errorf("%s to %s: %d half-open connections", f.src, f.dst, now.HalfOpen)
		}
	}
	x.survived()
}
