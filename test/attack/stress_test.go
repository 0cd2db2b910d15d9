package attack

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
)

// crowd opens n connections from the peer's address.
func (a *attacker) crowd(n int, port, window uint16, syn tcp.Options) []*client {
	a.t.Helper()
	list := make([]*client, n)
	for i := range list {
		list[i] = a.open(peer(2000+i), port, window, syn)
	}
	return list
}

// TestClosedWindows is sockstress: clients who ask for a lot and take none of it, but for the octet that probes their windows.
// What is queued for them is within the memory that is set; while others have too little, those who have taken next to nothing
// for long are reset (RFC 6429 section 3).
func TestClosedWindows(t *testing.T) {
	const memory = 8 << 20
	x := newTarget(t, "limits: {memory: 8MiB}")
	a := x.attacker()
	crowd := map[netip.AddrPort]*client{}
	text := strings.Repeat("x", 1400)
	for _, c := range a.crowd(1000, echoPort, 0, plain) {
		crowd[c.local] = c
		for range 6 {
			c.say(tcp.ACK|tcp.PSH, text)
		}
	}
	now := x.Counters()
	if now.RingBytes > memory || now.ListBytes > memory/8 {
		t.Errorf("%d bytes of rings and %d of lists, of %d", now.RingBytes, now.ListBytes, memory)
	}
	for late, n := deadline(), 0; now.MemoryAborted == 0; n++ {
		to, g, ok := a.heard(late)
		if !ok {
			t.Fatal("nobody was reset")
		}
		if c := crowd[to]; c != nil && len(g.Text) > 0 {
			c.ack = g.End()
			c.say(tcp.ACK, "")
		}
		if n%1000 == 0 {
			now = x.Counters()
		}
	}
	x.survived()
}

// Who asks for a text without an end and takes none of it makes the daemon keep no text.
func TestClosedWindowsOfChargen(t *testing.T) {
	x := newTarget(t, "")
	x.attacker().crowd(1000, chargenPort, 0, plain)
	if now := x.Counters(); now.RingBytes > x.before.RingBytes+64<<10 {
		t.Errorf("%d bytes of rings, %d before", now.RingBytes, x.before.RingBytes)
	}
	x.survived()
}

// TestConnectionFlood: connections that are opened and then idle are as many as the limits say, of all, of a listener, and of
// an address; those beyond are not answered, and come in when there is room.
func TestConnectionFlood(t *testing.T) {
	const each, all = 20, 60
	x := newTarget(t, "listeners: [{port: 9, connections: 60, source_connections: 20}]")
	a := x.attacker()
	crowd := a.crowd(each, discardPort, 65535, plain)
	x.until("them to be open", func(now *space.Counters) bool { return now.Listeners[discardPort].Accepted == each })
	for i := range 10 {
		a.open(peer(4000+i), discardPort, 65535, plain)
	}
	x.dropped(10, "connections_full_of_source")
	var late *client
	for range all + 10 {
		late = a.open(a.anybody(), discardPort, 65535, plain)
	}
	now := x.dropped(each+10, "connections_full")
	if got := now.Connections - x.before.Connections; got != all {
		t.Errorf("%d connections are open, the limit is %d", got, all)
	}
	x.honest.round()
	for _, c := range crowd {
		c.say(tcp.RST, "")
	}
	x.until("them to go", func(now *space.Counters) bool { return now.Connections-x.before.Connections <= all-each })
	late.say(tcp.ACK|tcp.PSH, "late") // its handshake has been over for it all the while
	late.await("an ACK", func(g *tcp.Segment) bool { return g.Ack == late.seq })
	x.survived()
}

// TestOneByteWindows is the other half of sockstress: a window that is a byte wide, once it has been a large one, is only
// probed from time to time (RFC 9293 section 3.8.6.2.1), however often it is told.
func TestOneByteWindows(t *testing.T) {
	x := newTarget(t, "offload: off")
	c := x.attacker().open(peer(4000), chargenPort, 8000, plain)
	for range 8000 / 1460 {
		c.await("text", func(g *tcp.Segment) bool { return len(g.Text) > 0 && g.Seq == c.ack })
	}
	began := time.Now()
	before := x.Counters()
	c.window = 1
	n := packets(5000)
	x.flood(n, func(int) { c.say(tcp.ACK, "") })
	now := x.until("the ACKs to be read", func(now *space.Counters) bool { return now.PacketsRead >= before.PacketsRead+uint64(n) })
	honest := now.Delivered - before.Delivered - uint64(n)
	probes := uint64(time.Since(began)/(200*time.Millisecond)) + 2
	if sent := now.PacketsWritten - before.PacketsWritten; sent > 2*honest+probes {
		t.Errorf("%d packets were sent: up to %d to the honest client, and %d too many for %d ACKs", sent, 2*honest, sent-2*honest-probes, n)
	}
	x.survived()
}

// TestSlowHandshakes: who begins and does not go on is forgotten, and who goes on late is served.
func TestSlowHandshakes(t *testing.T) {
	x := newTarget(t, "tcp: {synack_retries: 1}")
	a := x.attacker()
	n := packets(400)
	for range n {
		a.send(a.anybody(), addr(httpPort), tcp.Segment{Flags: tcp.SYN, Window: 65535, Options: plain})
	}
	x.until("half-open connections", func(now *space.Counters) bool { return now.HalfOpen >= n*9/10 })
	late := a.slowly(echoPort)
	now := x.until("them to be gone", func(now *space.Counters) bool { return now.HalfOpen == 0 })
	if answers := now.PacketsWritten - x.before.PacketsWritten; answers > uint64(2*n)+2*(now.Delivered-x.before.Delivered) {
		t.Errorf("%d packets for %d SYNs that nobody went on with", answers, n)
	}
	late.echoed("better late")
	x.survived()
}

// slowly opens a connection whose client acknowledges the SYN,ACK only when it comes again.
func (a *attacker) slowly(port uint16) *client {
	a.t.Helper()
	c := a.begin(peer(4000), port, 65535, plain)
	c.await("SYN,ACK once more", func(g *tcp.Segment) bool { return g.Flags&tcp.SYN != 0 })
	c.say(tcp.ACK, "")
	return c
}

// TestTinySegments: text costs the bytes that it has, however small the segments that bring it, unread and unsent.
func TestTinySegments(t *testing.T) {
	x := newTarget(t, "")
	c := x.attacker().open(peer(4000), echoPort, 0, plain)
	n := packets(20_000)
	x.flood(n, func(int) { c.say(tcp.ACK, "x") })
	c.await("an ACK of it all", func(g *tcp.Segment) bool { return g.Ack == c.seq })
	const honest = 2 * 4096
	if now := x.Counters(); now.RingBytes > 2*max(2048, 2*n)+honest {
		t.Errorf("%d bytes of rings for %d bytes of text, in each direction", now.RingBytes, n)
	}
	x.survived()
}

// TestTextOutOfOrder: every other byte makes a run of its own, of which a connection has so many and no more; and a byte at
// the window's far end takes a ring for all before it, but only while half of the memory is free.
func TestTextOutOfOrder(t *testing.T) {
	const memory, runs = 4 << 20, 4096
	x := newTarget(t, "limits: {memory: 4MiB}")
	a := x.attacker()
	c := a.open(peer(4000), discardPort, 65535, plain)
	n := runs + 1000
	x.flood(n, func(i int) {
		g := c.segment(tcp.ACK, "x")
		g.Seq = g.Seq.Add(uint32(1 + 2*i))
		a.send(c.local, c.remote, g)
	})
	if now := x.dropped(n-runs, "tcp_reorder_full"); now.ListBytes > 64<<10 {
		t.Errorf("%d bytes of lists", now.ListBytes)
	}

	x.begin()
	crowd := a.crowd(200, discardPort, 65535, plain)
	for _, c := range crowd {
		g := c.segment(tcp.ACK, "x")
		g.Seq = g.Seq.Add(c.offered - 1)
		a.send(c.local, c.remote, g)
	}
	now := x.dropped(len(crowd)-memory/2>>16-2, "tcp_reorder_full")
	if now.RingBytes > memory/2+2<<16 {
		t.Errorf("%d bytes of rings for text out of order, of %d", now.RingBytes, memory)
	}
	x.survived()
}

// TestTimeWaitFlood: beyond the limit of connections in TIME-WAIT the oldest go.
func TestTimeWaitFlood(t *testing.T) {
	const limit = 100
	x := newTarget(t, fmt.Sprintf("limits: {time_wait: %d}", limit))
	a := x.attacker()
	n := packets(1000)
	for i := range n {
		c := a.open(peer(2000+i), daytimePort, 65535, plain)
		c.await("FIN", func(g *tcp.Segment) bool { return g.Flags&tcp.FIN != 0 })
		c.say(tcp.ACK|tcp.FIN, "")
	}
	now := x.until("the oldest to go", func(now *space.Counters) bool { return now.TimeWaitEvicted+limit >= uint64(n) })
	if now.TimeWait > limit {
		t.Errorf("%d in TIME-WAIT", now.TimeWait)
	}
	x.survived()
}

// TestOrphanFlood: connections that we have closed and whose peers take nothing are reset beyond their limit.
func TestOrphanFlood(t *testing.T) {
	const limit = 50
	x := newTarget(t, fmt.Sprintf("limits: {orphans: %d}", limit))
	a := x.attacker()
	n := packets(500)
	for _, c := range a.crowd(n, echoPort, 0, plain) {
		c.say(tcp.ACK|tcp.FIN, "text that will not be taken back")
	}
	now := x.until("those beyond it to be reset", func(now *space.Counters) bool { return now.OrphansAborted+limit >= uint64(n) })
	if now.Orphans > limit+1 { // the honest client closes, too
		t.Errorf("%d orphans", now.Orphans)
	}
	x.survived()
}

// TestForgedFastOpen: text on a SYN is taken only with the cookie of its source (RFC 7413 section 5.1).
func TestForgedFastOpen(t *testing.T) {
	x := newTarget(t, "listeners: [{port: 7, fast_open: 16}]")
	a := x.attacker()
	n := packets(5000)
	x.flood(n, func(int) {
		cookie := append([]byte{34, 10}, make([]byte, 8)...)
		for i := range 8 {
			cookie[2+i] = byte(a.Uint32())
		}
		a.send(a.anybody(), addr(echoPort), tcp.Segment{Flags: tcp.SYN, Window: 65535, Options: plain, Text: []byte("text")}, append(cookie, 1, 1)...)
	})
	now := x.until("the SYNs to be answered", func(now *space.Counters) bool {
		return uint64(now.HalfOpen)+now.CookiesSent >= uint64(n)
	})
	if now.FastOpens != 0 {
		t.Errorf("%d forged cookies were taken", now.FastOpens)
	}
	x.survived()
}
