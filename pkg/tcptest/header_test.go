package tcptest

import (
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Every packet of a connection has the time to live and the codepoint of its settings (MUST-48, MUST-49), and a user may
// change the codepoint as he goes (SHLD-21); it is handed to IP as it is (SHLD-22).
//
// Proves: RFC 9293 MUST-48, MUST-49, SHLD-21, SHLD-22
func TestHeaderFields(t *testing.T) {
	p := newPair(t, settings(func(s *tcp.Settings) { s.TTL, s.DSCP = 7, 46 }), HostOptions{})
	type field struct {
		from      *Host
		ttl, dscp byte
	}
	seen := map[field]int{}
	note := func(f *Frame) Verdict {
		seen[field{f.Src, f.Packet[8], f.Packet[1] >> 2}]++
		return Pass
	}
	p.ab.Filter, p.ba.Filter = note, note
	p.dial()
	p.c.Write(100)
	p.Run(second)
	if len(seen) != 2 || seen[field{p.a, 7, 46}] < 3 || seen[field{p.b, 64, 0}] < 2 {
		t.Errorf("at first: %v", seen)
	}
	clear(seen)
	p.c.Do(func(c stack.Conn) { c.SetDSCP(10) })
	p.c.Write(100)
	p.Run(second)
	if seen[field{p.a, 7, 10}] == 0 || seen[field{p.a, 7, 46}] != 0 {
		t.Errorf("after the change: %v", seen)
	}
	p.end()
}

// A connection is not opened to more than one host (MUST-46).
//
// Proves: RFC 9293 MUST-46
func TestDialToMany(t *testing.T) {
	p := newPair(t)
	for _, a := range []string{"224.0.0.1", "255.255.255.255", "0.0.0.0", "127.0.0.1", "::1"} {
		err := p.a.Stack.Dial(stack.DialConfig{Remote: netip.AddrPortFrom(netip.MustParseAddr(a), 80)}, &User{}, nil)
		if err != stack.ErrNotUnicast {
			t.Errorf("%s: %v", a, err)
		}
	}
	p.Run(second)
	if len(p.sent) != 0 {
		t.Errorf("%d packets were sent", len(p.sent))
	}
}

// The user is told when R1 retransmissions were not answered, before R2 ends the connection (SHLD-9), and not again before
// there is progress.
//
// Proves: RFC 9293 MUST-20, MUST-47, SHLD-9
func TestTroubled(t *testing.T) {
	p := open(t)
	told := 0
	p.c.heard = func(e tcp.Events) {
		if e&tcp.Troubled != 0 {
			told++
		}
	}
	silent := true
	p.filter(func(s *sent) bool { return silent })
	p.c.Write(100)
	p.Run(rtt)
	for told == 0 && p.Step() {
	}
	if n := len(p.times(p.a, withText)); n < 3 || n > 5 {
		t.Errorf("told after %d sendings", n)
	}
	p.Run(20 * second)
	silent = false
	p.Run(30 * second)
	if told != 1 || !p.c.Held {
		t.Errorf("told %d times; held: %v", told, p.c.Held)
	}
	silent = true
	p.c.Write(100)
	p.Run(20 * second)
	if told != 2 {
		t.Errorf("after progress told %d times in all", told)
	}
	silent = false
	p.Run(60 * second)
	p.end()
}
