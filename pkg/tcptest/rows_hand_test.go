package tcptest

import (
	"encoding/binary"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// byHand is a host whose peer is the test itself: it writes the peer's segments one by one, and sees all that the host
// sends at the instant when it is sent.
type byHand struct {
	*World
	t    *testing.T
	host *Host
	peer *Host // has the peer's address; its stack sees nothing
	l    *Listener
	user *User // of the connection, at the host
	path *Path // from the peer

	flow   stack.Flow // as the peer sees it
	iss    seq.Num    // of the peer
	irs    seq.Num    // of the host
	ack    seq.Num    // what the peer has acknowledged, or will next
	high   int        // the end of what the peer has sent
	window uint16     // that the peer offers
	opt    tcp.Options
	stamps bool   // the peer's segments carry timestamps
	tsval  uint32 // of the host's last segment
	tos    uint8  // of the peer's next segments
	got    []got
}

// got is one segment, or superframe, of the host.
type got struct {
	at mono.Time
	tcp.Segment
	packet []byte
	gso    uint16
}

// allOptions is what a modern SYN offers.
var allOptions = tcp.Options{Has: tcp.HasMSS | tcp.HasTimestamps | tcp.HasSACKPermitted | tcp.HasWindowScale, MSS: 1460, WindowScale: 7}

// newHand returns a host that listens on port 80, and nothing open yet. The peer's SYN will carry opt.
func newHand(t *testing.T, o HostOptions, opt tcp.Options) *byHand {
	p := &byHand{World: NewWorld(1), t: t, iss: 1_000_000, window: 60_000 >> min(opt.WindowScale, 14), opt: opt}
	p.Log.Verbose = true
	p.host, p.peer = p.Host("host", o), p.Host("peer", HostOptions{})
	p.path = p.Connect(p.peer, p.host, Path{})
	p.Connect(p.host, p.peer, Path{Whole: true, Filter: func(f *Frame) Verdict {
		if f.TCP {
			p.watch.arrived(p.peer, f)
			g := got{at: p.now, Segment: f.Seg, packet: f.Packet, gso: f.GSO}
			g.ECN = f.Packet[1] & 3
			if g.Options.Has&tcp.HasTimestamps != 0 {
				p.tsval = g.Options.TSVal
			}
			p.got = append(p.got, g)
		}
		return Lose // the peer's own stack is not to answer
	}})
	p.l = p.host.Listen(80, 0)
	p.l.Accept = func(u *User) { p.user = u }
	p.flow = stack.Flow{Local: p.peer.addr, Remote: p.host.addr, LocalPort: 5000, RemotePort: 80}
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

// hand is newHand with the connection open: dialled by the peer if the host is passive, else by the host. A round trip
// takes no time.
func hand(t *testing.T, passive bool, o HostOptions, opt tcp.Options) *byHand {
	t.Helper()
	p := newHand(t, o, opt)
	p.open(passive, 0)
	return p
}

// open is the handshake; the peer takes d for its part of it.
func (p *byHand) open(passive bool, d mono.Duration) {
	p.t.Helper()
	if passive {
		p.syn(tcp.SYN)
		p.take()
		p.Run(d)
		p.reply()
	} else {
		p.user = p.host.Dial(p.peer, 5000, 0)
		p.Run(0)
		g := p.one()
		p.flow.RemotePort = g.SrcPort
		p.take()
		p.Run(d)
		p.syn(tcp.SYN | tcp.ACK)
	}
	p.take()
	if p.user == nil || p.user.Events&tcp.Opened == 0 {
		p.t.Fatal("not opened")
	}
}

// syn sends the peer's SYN, with flags besides.
func (p *byHand) syn(flags tcp.Flags) {
	p.send(tcp.Segment{Seq: p.iss, Flags: flags, Window: p.window << min(p.opt.WindowScale, 14), Options: p.opt})
	p.stamps = p.opt.Has&tcp.HasTimestamps != 0
}

// take forgets and returns what the host has sent, and acknowledges it at the peer's next segment.
func (p *byHand) take() []got {
	all := p.got
	p.got = nil
	for i := range all {
		if all[i].Flags&tcp.SYN != 0 {
			p.irs, p.ack = all[i].Seq, all[i].Seq
			p.stamps = p.stamps && all[i].Options.Has&tcp.HasTimestamps != 0
		}
		if all[i].Flags&tcp.RST == 0 {
			p.ack = seq.Max(p.ack, all[i].End())
		}
	}
	return all
}

// one demands that the host has sent one segment, and returns it.
func (p *byHand) one() got {
	p.t.Helper()
	if len(p.got) != 1 {
		p.t.Fatalf("%d segments, not 1", len(p.got))
	}
	return p.got[0]
}

// silent demands that the host has sent nothing since take.
func (p *byHand) silent() {
	p.t.Helper()
	if len(p.got) != 0 {
		p.t.Errorf("%d segments, and none was due: %v", len(p.got), p.got[0].Flags)
	}
}

// fill completes a segment of the peer's with what it leaves out: ports, ACK, window, timestamps.
func (p *byHand) fill(g *tcp.Segment) {
	g.SrcPort, g.DstPort = p.flow.LocalPort, p.flow.RemotePort
	if g.Flags&tcp.ACK != 0 && g.Ack == 0 {
		g.Ack = p.ack
	}
	if g.Window == 0 {
		g.Window = p.window
	}
	if p.stamps && g.Flags&tcp.RST == 0 {
		g.Options.Has |= tcp.HasTimestamps
	}
	if g.Options.Has&tcp.HasTimestamps == 0 {
		return
	}
	if g.Options.TSVal == 0 {
		g.Options.TSVal = uint32(int64(p.now) / int64(ms))
	}
	if g.Flags&tcp.ACK != 0 && g.Options.TSEcr == 0 {
		g.Options.TSEcr = p.tsval
	}
}

// send sends a segment of the peer's, which must be as TCP allows, and lets the host take it.
func (p *byHand) send(g tcp.Segment) {
	p.t.Helper()
	p.fill(&g)
	p.World.send(p.peer, p.packet(&g), 0)
	p.Run(0)
}

// inject has a segment arrive that the peer has not sent.
func (p *byHand) inject(g tcp.Segment) {
	p.t.Helper()
	p.fill(&g)
	p.Log.note("%v seq %d, injected", g.Flags, g.Seq-p.iss)
	p.arrive(p.packet(&g))
}

// arrive has a packet arrive.
func (p *byHand) arrive(packet []byte) {
	f := &Frame{Src: p.peer, Dst: p.host, Packet: packet}
	p.After(0, func() { p.host.receive(f) })
	p.Run(0)
}

func (p *byHand) packet(g *tcp.Segment) []byte { return build(p.flow, g, p.tos) }

// build is the packet of a segment.
func build(f stack.Flow, g *tcp.Segment, tos uint8) []byte {
	b := make([]byte, ip.HeaderLen+tcp.MaxHeaderLen, ip.HeaderLen+tcp.MaxHeaderLen+len(g.Text))
	n := g.Put(b[ip.HeaderLen:], 0)
	b = append(b[:ip.HeaderLen+n], g.Text...)
	seg := b[ip.HeaderLen:]
	binary.BigEndian.PutUint16(seg[16:], ^ip.Fold(ip.Sum(seg, ip.PseudoSum(f.Local, f.Remote, ip.ProtoTCP, len(seg)))))
	h := ip.Header{Src: f.Local, Dst: f.Remote, Proto: ip.ProtoTCP, TTL: 64, TOS: tos, DF: true, Len: len(b)}
	h.Put(b)
	return b
}

// reply acknowledges all that was taken.
func (p *byHand) reply() { p.t.Helper(); p.send(tcp.Segment{Seq: p.seq(p.high), Flags: tcp.ACK}) }

// text sends n bytes from place at of the peer's stream. What was not sent before it is lost.
func (p *byHand) text(at, n int) {
	p.t.Helper()
	if at > p.high {
		g := p.piece(p.high, at-p.high)
		p.fill(&g)
		p.path.Filter = func(*Frame) Verdict { return Lose }
		p.World.send(p.peer, p.packet(&g), 0)
		p.path.Filter = nil
	}
	p.high = max(p.high, at+n)
	p.send(p.piece(at, n))
}

func (p *byHand) piece(at, n int) tcp.Segment {
	b := make([]byte, n)
	out := newPattern(p.flow, uint64(at))
	out.fill(b)
	return tcp.Segment{Seq: p.seq(at), Flags: tcp.ACK, Text: b}
}

// seq is the sequence number of place at of the peer's stream.
func (p *byHand) seq(at int) seq.Num { return p.iss.Add(1 + uint32(at)) }

// write has the host's user write n bytes.
func (p *byHand) write(n int) { p.user.Write(n); p.Run(0) }

// place is where in the host's stream a number lies.
func (p *byHand) place(n seq.Num) int { return int(int32(n - p.irs - 1)) }

// selects acknowledges the host's stream up to place ack, and the pieces [from, to) beyond it.
func (p *byHand) selects(ack int, pieces ...[2]int) {
	p.t.Helper()
	g := tcp.Segment{Seq: p.seq(p.high), Flags: tcp.ACK, Ack: p.irs.Add(1 + uint32(ack))}
	for _, s := range pieces {
		g.Options.SACK[g.Options.Blocks] = tcp.Block{From: p.irs.Add(1 + uint32(s[0])), To: p.irs.Add(1 + uint32(s[1]))}
		g.Options.Blocks++
	}
	p.send(g)
}

// drops is how many segments the host has dropped for a reason.
func (p *byHand) drops(d tcp.Drop) int { return int(p.host.Stack.Counters(0).TCP[d]) }

// tap shows every frame of a path to see, before what else is to become of it.
func tap(p *Path, see func(f *Frame)) {
	next := p.Filter
	p.Filter = func(f *Frame) Verdict {
		see(f)
		if next == nil {
			return Pass
		}
		return next(f)
	}
}

// mangle changes a segment on its way, as a middlebox does.
func mangle(f *Frame, edit func(g *tcp.Segment, tos *uint8)) {
	g, tos := f.Seg, f.Packet[1]
	edit(&g, &tos)
	f.Packet = build(f.Flow, &g, tos)
}

// roles runs f for a host that dials and for one that listens.
func roles(t *testing.T, f func(t *testing.T, passive bool)) {
	t.Run("active", func(t *testing.T) { f(t, false) })
	t.Run("passive", func(t *testing.T) { f(t, true) })
}
