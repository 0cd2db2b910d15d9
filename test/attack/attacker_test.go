package attack

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
)

// attacker writes packets straight into the device's reader, from whomever it likes, and sees all that the daemon sends.
type attacker struct {
	*rand.Rand
	t    *testing.T
	file *os.File
	in   [1 << 16]byte
	out  [1 << 16]byte
}

func (x *target) attacker() *attacker {
	x.t.Helper()
	file, err := x.space.PacketSocket(device)
	if err != nil {
		x.t.Fatalf("packet socket: %v", err)
	}
	return &attacker{Rand: rand.New(rand.NewPCG(*seed, 0)), t: x.t, file: file}
}

// write sends a packet, and again while the device is full.
func (a *attacker) write(packet []byte) {
	a.t.Helper()
	for late := deadline(); ; runtime.Gosched() {
		_, err := a.file.Write(packet)
		switch {
		case err == nil:
			return
		case !errors.Is(err, unix.ENOBUFS), time.Now().After(late):
			a.t.Fatal(err)
		}
	}
}

// send sends a segment. options are further ones, as they stand.
func (a *attacker) send(from, to netip.AddrPort, g tcp.Segment, options ...byte) {
	a.t.Helper()
	a.write(a.out[:space.PutSegment(a.out[:], from, to, &g, options)])
}

// anybody is an address and port that is nobody's.
func (a *attacker) anybody() netip.AddrPort {
	n := a.Uint32()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 64 + byte(n>>16)&63, byte(n >> 8), byte(n)}), uint16(1024+a.IntN(64512)))
}

// heard reads on to the next segment of the daemon's, whose bytes are there until the next one. false: there was none until
// the time given.
func (a *attacker) heard(until time.Time) (to netip.AddrPort, g tcp.Segment, ok bool) {
	a.t.Helper()
	if err := a.file.SetReadDeadline(until); err != nil {
		a.t.Fatal(err)
	}
	for {
		n, err := a.file.Read(a.in[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return to, g, false
		}
		if err != nil {
			a.t.Fatal(err)
		}
		var p ip.Packet
		if p.Parse(a.in[:n]) != ip.DropNone || p.Proto != ip.ProtoTCP || p.Fragment() || g.Parse(p.Payload) != tcp.DropNone {
			continue
		}
		if p.Src.Netip() == daemonIP {
			return netip.AddrPortFrom(p.Dst.Netip(), g.DstPort), g, true
		}
	}
}

// client is a client made by hand: it does what the kernel never would.
type client struct {
	*attacker
	local, remote netip.AddrPort
	seq, ack      seq.Num // SND.NXT, RCV.NXT
	window        uint16  // as its segments have it
	offered       uint32  // the daemon's window at the beginning, bytes
	strays        int     // ACKs without text that came while an echo was awaited
}

// plain is what a client offers who has nothing else in mind.
var plain = tcp.Options{Has: tcp.HasMSS | tcp.HasSACKPermitted, MSS: 1460}

// begin sends a SYN, with further options as they stand, and waits for its answer.
func (a *attacker) begin(from netip.AddrPort, port, window uint16, syn tcp.Options, options ...byte) *client {
	a.t.Helper()
	c := &client{attacker: a, local: from, remote: addr(port), seq: seq.Num(a.Uint32()), window: window}
	a.send(c.local, c.remote, tcp.Segment{Seq: c.seq, Flags: tcp.SYN, Window: window, Options: syn}, options...)
	c.seq++
	g := c.await("SYN,ACK", func(g *tcp.Segment) bool { return g.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN|tcp.ACK && g.Ack == c.seq })
	c.offered = uint32(g.Window)
	return c
}

// open opens a connection.
func (a *attacker) open(from netip.AddrPort, port, window uint16, syn tcp.Options) *client {
	a.t.Helper()
	c := a.begin(from, port, window, syn)
	c.say(tcp.ACK, "")
	return c
}

// peer is a port of the peer's.
func peer(port int) netip.AddrPort { return netip.AddrPortFrom(peerIP, uint16(port)) }

// await reads up to a segment that is as wanted, and moves RCV.NXT to its end.
func (c *client) await(what string, ok func(*tcp.Segment) bool) tcp.Segment {
	c.t.Helper()
	for late := deadline(); ; {
		to, g, there := c.heard(late)
		if !there {
			c.t.Fatalf("no %s for %v", what, c.local)
		}
		if to != c.local {
			continue
		}
		if ok(&g) {
			c.ack = g.End()
			return g
		}
		if len(g.Text) == 0 {
			c.strays++
		}
	}
}

// segment is the next one in good order.
func (c *client) segment(flags tcp.Flags, text string) tcp.Segment {
	return tcp.Segment{Seq: c.seq, Ack: c.ack, Flags: flags, Window: c.window, Text: []byte(text)}
}

// say sends text in good order.
func (c *client) say(flags tcp.Flags, text string) {
	c.t.Helper()
	c.send(c.local, c.remote, c.segment(flags, text))
	c.seq = c.seq.Add(uint32(len(text)))
}

// echoed reports that the daemon echoes a text, and nothing else.
func (c *client) echoed(text string) {
	c.t.Helper()
	at := c.ack
	c.strays = 0
	c.say(tcp.ACK|tcp.PSH, text)
	for got := 0; got < len(text); {
		g := c.await("echo", func(g *tcp.Segment) bool { return len(g.Text) > 0 && g.Seq == at.Add(uint32(got)) })
		if string(g.Text) != text[got:got+len(g.Text)] {
			c.t.Fatalf("the echo is %q", g.Text)
		}
		got += len(g.Text)
	}
	c.say(tcp.ACK, "")
}
