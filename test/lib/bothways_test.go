package lib

import (
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tun"
)

// TestBothWaysWithOurselves: two ends of ours, with the kernel as the router between them, send to each other at once. The
// windows of both are rounded down to their scale, and each ACK must be taken all the same, or both ends wait for ever. How
// full a window is when an ACK goes is a matter of chance: there are many connections, each of a little more than a window.
func TestBothWaysWithOurselves(t *testing.T) {
	need(t)
	s := newSpace(t)
	s.forward()
	h := startHost(t, s, plan{tun: tun.Config{Queues: 1}, wrap: new(road).wrap(true)})
	l := h.listen(t, addrPort(ourIP, 80))
	text := random(5, 300_000)
	for i := range 100 {
		a, b := meet(t, l, h.dialer(netip.AddrPort{}, addrPort(ourIP, 80)))
		if err := carryBoth(a, b, text, text); err != nil {
			t.Fatalf("connection %d: %v; %v", i+1, err, h.totals().drops)
		}
		a.Close()
		b.Close()
	}
}
