package tcptest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

const (
	ms     = mono.Millisecond
	second = mono.Second
	rtt    = 20 * ms // of a pair
)

// pair is two hosts: a opens, b listens on port 80. Every segment takes half an RTT.
type pair struct {
	*World
	t      *testing.T
	a, b   *Host
	ab, ba *Path
	l      *Listener
	c, s   *User // the connection's users at a and at b
	sent   []sent
}

// sent is one segment of the wire, at the time when it was sent.
type sent struct {
	at   mono.Time
	host *Host
	tcp.Segment
	lost bool
}

// newPair returns a pair; options are those of both hosts.
func newPair(t *testing.T, o ...HostOptions) *pair {
	p := &pair{World: NewWorld(1), t: t}
	p.Log.Verbose, p.Strict = true, true
	if len(o) == 0 {
		o = []HostOptions{{}}
	}
	p.a, p.b = p.Host("a", o[0]), p.Host("b", o[len(o)-1])
	p.ab, p.ba = p.Join(p.a, p.b, Path{Delay: rtt / 2})
	p.filter(nil)
	p.l = p.b.Listen(80, 0)
	p.l.Accept = func(u *User) { p.s = u }
	t.Cleanup(func() {
		if p.err != nil {
			t.Errorf("%v", p.err)
		}
		if t.Failed() {
			t.Logf("\n%v", p.Log)
		}
	})
	return p
}

// filter loses the segments for which lose says so; all are noted.
func (p *pair) filter(lose func(s *sent) bool) {
	f := func(f *Frame) Verdict {
		s := sent{at: p.now, host: f.Src, Segment: f.Seg}
		if f.TCP && lose != nil && lose(&s) {
			s.lost = true
		}
		p.sent = append(p.sent, s)
		if s.lost {
			return Lose
		}
		return Pass
	}
	p.ab.Filter, p.ba.Filter = f, f
}

// loseOnce loses the first segment that host sends and that is so.
func (p *pair) loseOnce(host *Host, is func(s *sent) bool) {
	done := false
	p.filter(func(s *sent) bool {
		if done || s.host != host || !is(s) {
			return false
		}
		done = true
		return true
	})
}

// has reports whether exactly these of the flags SYN, FIN, RST and ACK are set.
func has(f tcp.Flags) func(s *sent) bool {
	return func(s *sent) bool { return s.Flags&(tcp.SYN|tcp.FIN|tcp.RST|tcp.ACK) == f }
}

// dial opens the connection and waits until both users have it.
func (p *pair) dial() {
	p.t.Helper()
	p.c = p.a.Dial(p.b, 80, 0)
	p.Run(5 * second)
	if p.s == nil || p.c.Events&tcp.Opened == 0 {
		p.t.Fatal("not opened")
	}
}

// count is how many segments host has sent that are so; all without is.
func (p *pair) count(host *Host, is func(s *sent) bool) (n int) {
	for i := range p.sent {
		if s := &p.sent[i]; s.host == host && (is == nil || is(s)) {
			n++
		}
	}
	return n
}

// times is when host sent segments that are so.
func (p *pair) times(host *Host, is func(s *sent) bool) (at []mono.Time) {
	for i := range p.sent {
		if s := &p.sent[i]; s.host == host && is(s) {
			at = append(at, s.at)
		}
	}
	return at
}

// saw demands that the transcript contains the transitions, in this order.
func (p *pair) saw(transitions ...string) {
	p.t.Helper()
	left := transitions
	for _, line := range p.Log.Lines() {
		if len(left) > 0 && strings.HasSuffix(line, left[0]) {
			left = left[1:]
		}
	}
	if len(left) > 0 {
		p.t.Errorf("did not see %q", left[0])
	}
}

// never demands that no line of the transcript contains text.
func (p *pair) never(text string) {
	p.t.Helper()
	if i := slices.IndexFunc(p.Log.Lines(), func(l string) bool { return strings.Contains(l, text) }); i >= 0 {
		p.t.Errorf("unexpected: %s", p.Log.Lines()[i])
	}
}

// read demands what the users have read.
func (p *pair) read(c, s uint64) {
	p.t.Helper()
	if p.c.Read != c || p.s.Read != s {
		p.t.Errorf("a has read %d bytes and b %d, not %d and %d", p.c.Read, p.s.Read, c, s)
	}
}

// end closes what is open, and demands that everything ends.
func (p *pair) end() {
	p.t.Helper()
	p.c.Close()
	p.s.Close()
	p.over()
}

// over demands that everything ends by itself.
func (p *pair) over() {
	p.t.Helper()
	p.RunOut(1_000_000, 24*3600*second)
	p.CheckIdle()
}

// open is a pair with a connection.
func open(t *testing.T, o ...HostOptions) *pair {
	t.Helper()
	p := newPair(t, o...)
	p.dial()
	p.sent = nil
	return p
}

func settings(f func(s *tcp.Settings)) HostOptions {
	s := tcp.Defaults()
	f(&s)
	return HostOptions{TCP: &s}
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// nextSeq is where u's next text will be, or its FIN, when all it wrote has been sent.
func (p *pair) nextSeq(u *User) seq.Num {
	return seq.Num(u.Info().InitialSend).Add(1 + uint32(u.Wrote))
}

// port is the local port of a user.
func port(u *User) string { return fmt.Sprint(u.flow.LocalPort) }
