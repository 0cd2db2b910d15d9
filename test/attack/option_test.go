package attack

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
)

// TestMSSExtremes: whatever the peer says that it takes, segments are neither larger than the device's nor smaller than 48
// bytes with their options (CVE-2019-11479).
func TestMSSExtremes(t *testing.T) {
	const device = 1460
	x := newTarget(t, "offload: off")
	for i, mss := range []int{-1, 0, 1, 47, 48, 49, 535, 536, 1459, 1460, 1461, 32768, 65535} {
		syn, want := tcp.Options{Has: tcp.HasMSS, MSS: uint16(mss)}, min(max(mss, tcp.MinMSS), device)
		if mss < 0 { // it does not say (MUST-15)
			syn, want = tcp.Options{}, 536
		}
		c := x.attacker().open(peer(4000+i), chargenPort, 65535, syn)
		if g := c.await("text", func(g *tcp.Segment) bool { return len(g.Text) > 0 }); len(g.Text) != want {
			t.Errorf("MSS %d: a segment of %d bytes, want %d", mss, len(g.Text), want)
		}
		c.say(tcp.RST, "")
	}
	x.survived()
}

// TestWindowScaleExtremes: a shift count above 14 is 14 (RFC 7323 section 2.3), and a window that seems to be beyond all
// sequence numbers lets no more be sent than the rest allows.
func TestWindowScaleExtremes(t *testing.T) {
	x := newTarget(t, "offload: off")
	for i, f := range []struct {
		scale uint8
		text  int // of the first segment, where the window field says 1
	}{
		{0, 1}, {1, 2}, {7, 128}, {10, 1024}, {13, 1460}, {14, 1460}, {15, 1460}, {128, 1460}, {255, 1460},
	} {
		a := x.attacker()
		for k, window := range []uint16{1, 65535} {
			want := f.text
			if window == 65535 {
				want = 1460
			}
			c := a.scaled(4000+2*i+k, f.scale, window)
			if g := c.await("text", func(g *tcp.Segment) bool { return len(g.Text) > 0 }); len(g.Text) != want {
				t.Errorf("shift %d, window %d: a segment of %d bytes, want %d", f.scale, window, len(g.Text), want)
			}
			c.say(tcp.RST, "")
		}
	}
	x.survived()
}

// scaled opens a connection to chargen by a SYN with any shift count, legal or not, and closes its window at first, so that
// what the next segments say is what counts.
func (a *attacker) scaled(from int, scale uint8, window uint16) *client {
	a.t.Helper()
	c := a.begin(peer(from), chargenPort, 0, plain, 3, 3, scale, 1)
	c.window = window
	c.say(tcp.ACK, "")
	return c
}

// TestOptionLengths sends SYNs with options of every kind and every length, the illegal ones too. Those that end before they
// begin or beyond the header are dropped (MUST-7); what is merely unknown, or of another length than its kind, is passed
// over (MUST-6).
func TestOptionLengths(t *testing.T) {
	const area = 40 // bytes of options, the most there can be
	x := newTarget(t, "")
	a := x.attacker()
	syns, illegal := 0, 0
	step := 1
	if testing.Short() {
		step = 7
	}
	for kind := 2; kind < 256; kind += step {
		for length := range area + 5 {
			options := make([]byte, area)
			for i := range options {
				options[i] = 1 // no operation
			}
			options[0], options[1] = byte(kind), byte(length)
			for i := 2; i < min(length, area); i++ {
				options[i] = byte(a.Uint32())
			}
			a.send(a.anybody(), addr(httpPort), tcp.Segment{Flags: tcp.SYN, Window: 65535}, options...)
			syns++
			if length < 2 || length > area {
				illegal++
			}
		}
		if kind%64 == 2 {
			x.honest.round()
		}
	}
	x.dropped(illegal, "tcp_option_length")
	now := x.until("the others to be answered", func(now *space.Counters) bool {
		return uint64(now.HalfOpen)+now.CookiesSent >= uint64(syns-illegal)
	})
	if got := x.drops(now, "tcp_option_length"); got != uint64(illegal) {
		t.Errorf("%d of %d SYNs were dropped for their options, and %d should have been", got, syns, illegal)
	}
	x.survived()
}

// TestOptionLengthsInside: the same in a connection, on segments in good order: what is dropped has not been taken.
func TestOptionLengthsInside(t *testing.T) {
	x := newTarget(t, "")
	c := x.attacker().open(peer(4000), echoPort, 65535, plain)
	for kind := 2; kind < 256; kind++ {
		for _, length := range []byte{0, 1, 41, 255} {
			c.send(c.local, c.remote, c.segment(tcp.ACK|tcp.PSH, "evil"), byte(kind), length, 1, 1)
		}
		if kind%32 == 0 {
			c.echoed(fmt.Sprintf("after %d kinds", kind))
		}
	}
	x.dropped(4*254, "tcp_option_length")
	x.survived()
}
