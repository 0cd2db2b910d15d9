package lib

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// broken are the ways in which the router loses the peer, by the type of its route, and what a program is told when the
// connection is given up.
var broken = []struct {
	route string
	want  error
}{
	{"blackhole", syscall.ETIMEDOUT},
	{"unreachable", syscall.EHOSTUNREACH}, // the router tells that the host is
	{"prohibit", syscall.EHOSTUNREACH},    // and that it may not be reached
}

// giveUp is after how long a silent peer is given up: time for the router's answer.
const giveUp = 250 * time.Millisecond

const farRoute = "10.8.0.2/32"

// TestSilentPeer: the way to the peer breaks while there is text to send. The user time-out ends the connection, and the
// reason is the router's if it has told one (RFC 9293 section 3.8.3, RFC 5461).
func TestSilentPeer(t *testing.T) {
	need(t)
	for _, b := range broken {
		for _, o := range openings {
			t.Run(fmt.Sprintf("%s, %s", b.route, o.name), func(t *testing.T) {
				s := newSpace(t)
				far := farAway(t, s, 1500)
				h := startHost(t, s, plan{})
				ours, theirs := h.pair(t, far, farIP, o.weDial, nil)
				if err := carryBoth(ours, theirs, random(1, 10_000), random(2, 10_000)); err != nil {
					t.Fatal(err)
				}
				s.ip("route add " + b.route + " " + farRoute)
				endSilent(t, ours, b.want)
			})
		}
	}
}

// endSilent writes to a peer that is not there.
func endSilent(t *testing.T, c *socket.Conn, want error) {
	t.Helper()
	if err := c.SetUserTimeout(giveUp); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("is anybody there?")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, want) {
		t.Errorf("read: %v, want %v", err, want)
	}
	if _, err := c.Write([]byte{0}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after the end: %v, want %v", err, syscall.EPIPE)
	}
}

// TestOldReason: an ICMP error is no reason any more when there was progress after it.
func TestOldReason(t *testing.T) {
	need(t)
	s := newSpace(t)
	far := farAway(t, s, 1500)
	told := make(chan bool, 1)
	r := road{in: func(p *link.Packet) bool {
		if isICMP(p.Head) {
			select {
			case told <- true:
			default:
			}
		}
		return true
	}}
	h := startHost(t, s, plan{wrap: r.wrap(false)})
	ours, theirs := h.pair(t, far, farIP, true, nil)

	s.ip("route add unreachable " + farRoute)
	text := random(1, 10_000)
	if _, err := ours.Write(text); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatal("the router tells nothing")
	}
	if i := info(t, ours); i.ICMP != (tcp.ICMPError{Type: ip.ICMPUnreachable, Code: ip.CodeHost}) {
		t.Errorf("the last ICMP error is %+v", i.ICMP)
	}
	s.ip("route delete unreachable " + farRoute)
	if err := carry(discard{}, theirs, text); err != nil {
		t.Fatal(err)
	}
	if err := carry(theirs, ours, []byte{1}); err != nil { // and so the acknowledgment has come
		t.Fatal(err)
	}
	if i := info(t, ours); i.ICMP != (tcp.ICMPError{}) {
		t.Errorf("after progress the last ICMP error is %+v", i.ICMP)
	}

	s.ip("route add blackhole " + farRoute)
	endSilent(t, ours, syscall.ETIMEDOUT)
}

// discard writes nothing: the text is on its way already.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestDialOfTheSilent: the user time-out holds for a dial, too.
func TestDialOfTheSilent(t *testing.T) {
	need(t)
	for _, b := range broken {
		t.Run(b.route, func(t *testing.T) {
			s := newSpace(t)
			s.forward()
			h := startHost(t, s, plan{})
			s.ip("route add " + b.route + " " + farRoute)
			set := settings(func(s *tcp.Settings) { s.UserTimeout = giveUp })
			_, err := (&socket.Dialer{Stack: h.Stack, TCP: set}).DialAddr(t.Context(), addrPort(farIP, 80))
			if !errors.Is(err, b.want) {
				t.Errorf("%v, want %v", err, b.want)
			}
		})
	}
}
