package tun

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
)

// farAway are prefixes outside the network of host.
var farAway = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("198.51.100.0/24")}

// listening is a Config whose warnings come out of the channel.
func listening() (Config, <-chan string) {
	warned := make(chan string, 100)
	return Config{Routes: farAway, Warn: func(s string) { warned <- s }}, warned
}

// hear takes a warning that must come, and must say all of this.
func hear(t *testing.T, from <-chan string, says ...string) {
	t.Helper()
	select {
	case s := <-from:
		for _, w := range says {
			if !strings.Contains(s, w) {
				t.Errorf("warned %q, which says nothing of %q", s, w)
			}
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no warning")
	}
}

// routed is where tcpd0 is routed to, and whence.
func routed(t *testing.T) map[string]string {
	t.Helper()
	l, err := netlink.LinkByName("tcpd0")
	if err != nil {
		t.Fatal(err)
	}
	all, err := netlink.RouteList(l, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, r := range all {
		m[r.Dst.String()] = r.Src.String()
	}
	return m
}

// TestRoutesComeBack: somebody sets the device down and up. The kernel brings the route of the device's own network back,
// and forgets the others; each time they are added again.
func TestRoutesComeBack(t *testing.T) {
	inNamespace(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cfg, warned := listening()
	dev := mustOpen(t, cfg)
	before := routed(t)
	for range 3 {
		ipCommand(t, "link set tcpd0 down")
		if m := routed(t); len(m) != 0 {
			t.Fatalf("while it is down: %v", m)
		}
		ipCommand(t, "link set tcpd0 up")
		hear(t, warned, "tcpd0 has been down", farAway[0].String(), farAway[1].String(), "added again")
		if m := routed(t); len(m) != 3 || len(before) != 3 {
			t.Fatalf("before: %v, after: %v", before, m)
		}
		for to, from := range routed(t) {
			if before[to] != from {
				t.Errorf("%s has the source %s, and had %s", to, from, before[to])
			}
		}
	}
	dev.Close()
	if len(warned) != 0 {
		t.Errorf("warned of more: %q", <-warned)
	}
}

// TestRouteTakenAway: what somebody takes away while the device is up is not added again by what else changes: both are
// missing when it has been down.
func TestRouteTakenAway(t *testing.T) {
	inNamespace(t)
	cfg, warned := listening()
	mustOpen(t, cfg)
	ipCommand(t, "route del 192.0.2.1/32 dev tcpd0")
	ipCommand(t, "link set tcpd0 mtu 1400")
	ipCommand(t, "link set tcpd0 down")
	ipCommand(t, "link set tcpd0 up")
	hear(t, warned, farAway[0].String(), farAway[1].String())
}

// TestRoutesThatCannotComeBack: without the address, which is their source, the kernel does not take them; what to do is
// said.
func TestRoutesThatCannotComeBack(t *testing.T) {
	inNamespace(t)
	cfg, warned := listening()
	mustOpen(t, cfg)
	ipCommand(t, "link set tcpd0 down")
	ipCommand(t, "address del 10.7.0.1/24 dev tcpd0")
	ipCommand(t, "link set tcpd0 up")
	hear(t, warned, "tcpd0 has been down", farAway[0].String(), "ip route add")
}

// TestRoutesOfAPreparedDevice: they are taken back at the end, as they were added at first.
func TestRoutesOfAPreparedDevice(t *testing.T) {
	inNamespace(t)
	ipCommand(t, "tuntap add dev tcpd0 mode tun multi_queue vnet_hdr")
	cfg, warned := listening()
	dev := mustOpen(t, cfg)
	ipCommand(t, "link set tcpd0 down")
	ipCommand(t, "link set tcpd0 up")
	hear(t, warned, "added again")
	dev.Close()
	if m := routed(t); len(m) != 0 {
		t.Errorf("left: %v", m)
	}
}
