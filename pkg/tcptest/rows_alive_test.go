package tcptest

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// A keep-alive probe is one octet before SND.NXT, so that it must be answered (section 3.8.4). A peer that answers is
// asked again after the idle time; one that does not, every interval, and count times.
//
// Proves: RFC 9293 MUST-27, MUST-29, SHLD-12, MAY-5
func TestKeepAliveProbes(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		p := hand(t, passive, HostOptions{}, allOptions)
		p.Run(3600 * second)
		p.silent() // off by default (MUST-25)
		p.user.Do(func(c stack.Conn) { c.SetKeepAlive(60*second, 10*second, 3) })
		p.Run(0)
		for range 5 {
			p.Run(59 * second)
			p.silent()
			p.Run(1002 * ms)
			if g := p.one(); g.Seq != p.ack-1 || g.Flags != tcp.ACK || len(g.Text) != 0 {
				t.Errorf("%v at SND.NXT%+d with %d bytes", g.Flags, int32(g.Seq-p.ack), len(g.Text))
			}
			p.take()
			p.reply()
		}
		p.Run(60*second + 25*second)
		if len(p.got) != 3 || !p.user.Held {
			t.Errorf("%d probes", len(p.got))
		}
		p.Run(10 * second)
		if p.user.Held || p.user.Events&tcp.TimedOut == 0 {
			t.Errorf("events %b", p.user.Events)
		}
	})
}

// Into a window that is closed for an hour one octet goes again and again, ever more rarely; nobody gives up while the
// peer answers, and all goes when it opens.
//
// Proves: RFC 9293 MUST-36, MUST-37, SHLD-30
func TestZeroWindowForAnHour(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := allOptions
		o.WindowScale = 0
		p := newHand(t, HostOptions{}, o)
		p.window = 4000
		p.open(passive, 0)
		p.write(10_000)
		p.Run(second)
		p.take()
		p.closed()
		from, probes := p.now, 0
		gap, last := mono.Duration(0), p.now
		for p.err == nil && p.now.Sub(from) < 3600*second {
			p.Run(100 * ms)
			for _, g := range p.got {
				if len(g.Text) > 1 {
					t.Fatalf("%d bytes into a closed window", len(g.Text))
				}
				probes++
				gap, last = g.at.Sub(last), g.at
			}
			if len(p.got) > 0 {
				p.got = nil
				p.closed()
			}
		}
		if probes < 25 || probes > 45 || gap < 119*second || !p.user.Held {
			t.Errorf("%d probes, the last after %v", probes, gap)
		}
		p.Run(ms)
		p.reply()
		for range 5 {
			p.Run(second)
			p.take()
			p.reply()
		}
		if n := p.place(p.ack); n != 10_000 {
			t.Errorf("%d of 10,000 bytes have come", n)
		}
	})
}

// closed acknowledges all that was taken, with a closed window.
func (p *byHand) closed() {
	g := tcp.Segment{Seq: p.seq(p.high), Flags: tcp.ACK}
	window := p.window
	p.window = 0
	p.inject(g)
	p.window = window
}

// A connection closed with text unsent ends, though the peer answers its probes and keeps the window closed: by
// OrphanTimeout, with a RST.
func TestCloseIntoZeroWindow(t *testing.T) {
	roles(t, func(t *testing.T, passive bool) {
		o := allOptions
		o.WindowScale = 0
		p := newHand(t, HostOptions{}, o)
		p.window = 1000
		p.open(passive, 0)
		p.write(10_000)
		p.Run(second)
		p.take()
		p.closed()
		p.user.Close()
		from := p.now
		for p.Run(0); p.err == nil && p.host.Stack.Counters(0).Conns > 0 && p.now.Sub(from) < 600*second; {
			if p.Run(10 * ms); len(p.got) > 0 && p.got[len(p.got)-1].Flags&tcp.RST == 0 {
				p.got = nil
				p.closed()
			}
		}
		if d := p.now.Sub(from); d < 60*second || d > 61*second || len(p.got) == 0 || p.got[len(p.got)-1].Flags&tcp.RST == 0 {
			t.Errorf("over after %v", d)
		}
	})
}
