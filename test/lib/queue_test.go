package lib

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
)

// The kernel's router, and a host behind it that the kernel's TCP plays.
const farDevice = "far0"

var farIP = netip.MustParseAddr("10.8.0.2")

// farAway is a namespace behind s, whose kernel routes. The wire between takes packets of mtu bytes.
func farAway(t *testing.T, s *netspace, mtu int) *netspace {
	t.Helper()
	far := newSpace(t)
	s.forward()
	s.join(far, farDevice, mtu)
	s.ip("address add 10.8.0.1/24 dev " + farDevice)
	s.ip("link set " + farDevice + " up")
	far.ip("address add 10.8.0.2/24 dev " + farDevice)
	far.ip("link set " + farDevice + " up")
	far.ip("route add default via 10.8.0.1")
	return far
}

// TestFragmentsComeOnAnotherQueue: fragments carry no ports, so the kernel puts them on a queue without regard to
// where their connection lives. Here every fragment comes on the other shard's queue: that shard makes segments of
// them and finds that they are not its own.
func TestFragmentsComeOnAnotherQueue(t *testing.T) {
	need(t)
	const text = 4 << 20
	for shard := range uint16(2) {
		t.Run(fmt.Sprintf("to shard %d", shard), func(t *testing.T) {
			s := newSpace(t)
			const wide = 9000
			far := farAway(t, s, wide)
			far.sysctl("net/ipv4/ip_no_pmtu_disc", "1") // segments without DF, so that the router may cut them up
			h := startHost(t, s, plan{wrap: func(l *link.Link) *link.Link {
				l = steer(l, func(p []byte) int {
					if isFragment(p) {
						return int(1 - shard)
					}
					return int(shard)
				})
				l.MTU = wide // the segments that we ask for do not fit the device
				return l
			}})
			c, peer := h.join(t, far, 40_000+shard)
			if err := carry(peer, c, random(uint64(shard), text)); err != nil {
				t.Error(err)
			}
			n := h.totals()
			whole := n.Fragments.Completed.Datagrams
			t.Logf("%d datagrams made of fragments, %d packets sent on; drops: %v", whole, n.Forwarded, n.drops)
			if whole < text/wide || n.Forwarded < whole || n.Resets != 0 {
				t.Errorf("%d datagrams made of fragments, %d packets sent on, %d RSTs", whole, n.Forwarded, n.Resets)
			}
		})
	}
}

// TestTooBigComesOnAnotherQueue: a router says that a segment does not fit its next hop (RFC 1191). ICMP has no ports
// either, and comes on the other shard's queue.
func TestTooBigComesOnAnotherQueue(t *testing.T) {
	need(t)
	const text, narrow = 4 << 20, 1000
	for shard := range uint16(2) {
		t.Run(fmt.Sprintf("to shard %d", shard), func(t *testing.T) {
			s := newSpace(t)
			far := farAway(t, s, narrow)
			far.ip("link set " + farDevice + " mtu 1500") // its TCP offers more than the way takes
			var icmp atomic.Uint64
			h := startHost(t, s, plan{wrap: func(l *link.Link) *link.Link {
				return steer(l, func(p []byte) int {
					if isICMP(p) {
						icmp.Add(1)
						return int(1 - shard)
					}
					return int(shard)
				})
			}})
			c, peer := h.join(t, far, 40_000+shard)
			const options = 12 // timestamps
			if i, ok := c.Info(); !ok || i.SendMSS != 1460-options {
				t.Errorf("SendMSS is %d before the first segment", i.SendMSS)
			}
			if err := carry(c, peer, random(uint64(shard), text)); err != nil {
				t.Error(err)
			}
			i, _ := c.Info()
			n := h.totals()
			t.Logf("%d ICMP errors, SendMSS %d, %d segments sent again; %d packets sent on, drops: %v",
				icmp.Load(), i.SendMSS, i.Retransmits, n.Forwarded, n.drops)
			if i.SendMSS != narrow-40-options {
				t.Errorf("SendMSS is %d, want %d", i.SendMSS, narrow-40-options)
			}
			if icmp.Load() == 0 || n.Forwarded < icmp.Load() {
				t.Errorf("%d ICMP errors have come, %d packets were sent on", icmp.Load(), n.Forwarded)
			}
		})
	}
}

// join connects us, from a local port, to the kernel's TCP far away.
func (h *host) join(t *testing.T, far *netspace, port uint16) (*socket.Conn, net.Conn) {
	t.Helper()
	at := addrPort(farIP, 8000)
	ours, theirs := meet(t, far.listen(at), h.dialer(addrPort(h.addr, port), at))
	return ours.(*socket.Conn), theirs
}
