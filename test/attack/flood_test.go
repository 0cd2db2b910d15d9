package attack

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
)

// flood sends n packets, with a round of the honest client between them now and then.
func (x *target) flood(n int, send func(i int)) {
	x.t.Helper()
	for i := range n {
		send(i)
		if i%(n/4+1) == n/8 {
			x.honest.round()
		}
	}
}

// dropped waits until n packets have been dropped for the reasons given since the attack began, or lost by the device
// before, and returns the counters then.
func (x *target) dropped(n int, reasons ...string) *space.Counters {
	x.t.Helper()
	return x.until(fmt.Sprintf("%d packets to be counted as %v", n, reasons), func(now *space.Counters) bool {
		sum := now.DeviceDrops - x.before.DeviceDrops
		for _, r := range reasons {
			sum += x.drops(now, r)
		}
		return sum >= uint64(n)
	})
}

// TestSYNFlood: SYNs from everywhere fill the half-open connections up to their limit, and no further; beyond it they
// are answered with cookies. Then nobody who guesses has a cookie.
func TestSYNFlood(t *testing.T) {
	const halfOpen = 1000
	x := newTarget(t, "limits: {half_open: 1000}")
	a := x.attacker()
	n := packets(20_000)
	resident := x.RSS()
	x.flood(n, func(int) {
		a.send(a.anybody(), addr(httpPort), tcp.Segment{Seq: seq.Num(a.Uint32()), Flags: tcp.SYN, Window: 65535, Options: plain})
	})
	now := x.until("the cookies", func(now *space.Counters) bool {
		return now.CookiesSent+halfOpen+now.DeviceDrops-x.before.DeviceDrops >= uint64(n)
	})
	if now.HalfOpen > halfOpen+1 { // the two shards may take the last place both
		t.Errorf("%d half-open connections, the limit is %d", now.HalfOpen, halfOpen)
	}
	if grown := x.RSS() - resident; grown > 32<<10 && !space.Race {
		t.Errorf("%d kB more are resident", grown)
	}

	x.begin()
	x.flood(n, func(int) {
		a.send(a.anybody(), addr(httpPort), tcp.Segment{Seq: seq.Num(a.Uint32()), Ack: seq.Num(a.Uint32()), Flags: tcp.ACK, Window: 65535})
	})
	now = x.dropped(n, "tcp_no_connection")
	if taken := now.Listeners[httpPort].Accepted; taken != 0 { // the odds are 1 to 2^28 for each
		t.Errorf("%d of %d guessed cookies were taken", taken, n)
	}
	x.survived()
}

// TestFloods: segments and messages that belong to nothing are counted under a name of their own. What they are answered
// with is never more than they were, and nothing is kept of them.
func TestFloods(t *testing.T) {
	const none, one = 0, 1 // answers
	tcpTo := func(port uint16, flags tcp.Flags) func(*attacker) {
		return func(a *attacker) {
			a.send(a.anybody(), addr(port), tcp.Segment{Seq: seq.Num(a.Uint32()), Ack: seq.Num(a.Uint32()), Flags: flags, Window: 65535})
		}
	}
	x := newTarget(t, "")
	a := x.attacker()
	n := packets(5000)
	for _, f := range []struct {
		name    string
		counter string
		answers uint64
		send    func(*attacker)
	}{
		{"ACKs to an open port", "tcp_no_connection", one, tcpTo(httpPort, tcp.ACK)},
		{"ACKs to a closed port", "tcp_no_connection", one, tcpTo(closedPort, tcp.ACK)},
		{"RSTs to an open port", "tcp_rst", none, tcpTo(httpPort, tcp.RST)},
		{"RSTs to a closed port", "tcp_rst", none, tcpTo(closedPort, tcp.RST)},
		{"FINs to an open port", "tcp_no_ack", none, tcpTo(httpPort, tcp.FIN)},
		{"FINs with ACK to an open port", "tcp_no_connection", one, tcpTo(httpPort, tcp.FIN|tcp.ACK)},
		{"FINs to a closed port", "tcp_no_connection", one, tcpTo(closedPort, tcp.FIN)},
		{"SYNs to a closed port", "tcp_refused", one, tcpTo(closedPort, tcp.SYN)},
		{"no flags at all", "tcp_no_ack", none, tcpTo(httpPort, 0)},
		{"all flags", "tcp_rst", none, tcpTo(httpPort, 1<<9-1)},
		{"port 0", "tcp_port_zero", none, tcpTo(0, tcp.SYN)},
	} {
		x.begin()
		x.flood(n, func(int) { f.send(a) })
		now := x.dropped(n, f.counter)
		if resets := now.ResetsSent - x.before.ResetsSent; resets > uint64(n)*f.answers {
			t.Errorf("%s: %d RSTs for %d packets", f.name, resets, n)
		}
		if now.HalfOpen != 0 || now.TimeWait != 0 || now.FragmentsHeld != 0 {
			t.Errorf("%s: something is kept: %+v", f.name, now)
		}
	}
	x.survived()
}
