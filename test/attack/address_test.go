package attack

import (
	"net/netip"
	"os"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
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

// TestOwnAddress: packets from the daemon's own address, but for the port, on a network whose router sends what is for it
// straight back. It talks to itself, but not for long: no answer has an answer that has an answer.
func TestOwnAddress(t *testing.T) {
	x := newTarget(t, "")
	if err := x.space.Inside(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }); err != nil {
		t.Fatal(err)
	}
	a := x.attacker()
	n := packets(2000)
	x.flood(n, func(i int) {
		a.send(netip.AddrPortFrom(daemonIP, uint16(2000+i)), addr(httpPort), tcp.Segment{Flags: tcp.SYN, Window: 65535, Options: plain})
		a.send(netip.AddrPortFrom(daemonIP, chargenPort), addr(echoPort), tcp.Segment{Flags: tcp.ACK, Window: 65535})
		a.datagram(daemonIP, daemonIP, ip.ProtoICMP, []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0})
		a.datagram(daemonIP, daemonIP, ip.ProtoUDP, []byte{0, 7, 0, 7, 0, 8, 0, 0})
	})
	x.dropped(n, "tcp_rst")
	now := x.until("silence", func(now *space.Counters) bool { return now.HalfOpen == 0 })
	if now.Listeners[httpPort].Accepted != 0 {
		t.Errorf("it has accepted %d connections of its own", now.Listeners[httpPort].Accepted)
	}
	// SYN,ACK, RST of it; RST; echo; unreachable: five answers to four packets.
	if sent, honest := now.PacketsWritten-x.before.PacketsWritten, 2*(now.Delivered-x.before.Delivered); sent > uint64(5*n)+honest {
		t.Errorf("%d packets were sent, up to %d of them to the honest client, for %d", sent, honest, 4*n)
	}
	x.survived()
}
