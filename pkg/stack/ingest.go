package stack

import (
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// arrival is a packet on its way through the demultiplexer.
type arrival struct {
	ip.Packet
	raw      []byte // the whole IP packet
	verified bool   // nobody need check the TCP checksum
	gso      uint16 // payload bytes of each segment of a superframe, or 0
	hash     uint64 // of its flow; 0: not known
	asked    uint64 // the shards that have looked for its connection, as bits
}

// ingest takes one packet from the device; hash is its flow's, or 0.
func (s *shard) ingest(p *link.Packet, hash uint64) {
	a := arrival{raw: p.Head, verified: p.NeedsChecksum || p.Verified, gso: p.GSOSize, hash: hash}
	s.counters.Read++
	s.lends = true
	s.dispatch(&a)
	s.lends, s.raw = false, nil
}

// dispatch takes a packet in; it has been counted as read.
func (s *shard) dispatch(a *arrival) {
	if s.heard != 0 {
		s.workApart(&Flow{}) // so far
		s.raw = a.raw
	}
	if d := a.Parse(a.raw); d != ip.DropNone {
		s.dropIP(d)
		return
	}
	if !s.stack.ours(a.Dst) {
		s.foreign(a, DropNotOurs)
		return
	}
	if a.Fragment() {
		whole, d := s.frags.Add(int64(s.now), &a.Packet)
		if whole == nil {
			s.dropIP(d)
			return
		}
		if d := a.Parse(whole); d != ip.DropNone {
			s.dropIP(d)
			return
		}
		a.raw, a.verified, s.lends = whole, false, false
	}
	switch a.Proto {
	case ip.ProtoTCP:
		s.segment(a)
	case ip.ProtoICMP:
		s.icmp(a)
	case ip.ProtoUDP:
		s.foreign(a, DropUDP)
	default:
		s.foreign(a, DropProtocol)
	}
}

// foreign is for packets that this stack has no use for.
func (s *shard) foreign(a *arrival, d Drop) {
	if s.takesForeign(a.raw) {
		s.counters.Delivered++
		return
	}
	s.drop(d)
	switch d {
	case DropUDP:
		s.unreachable(a, ip.CodePort)
	case DropProtocol:
		s.unreachable(a, ip.CodeProtocol)
	}
}

// segment parses and demultiplexes a TCP segment.
func (s *shard) segment(a *arrival) {
	if !a.verified && !tcp.ChecksumOK(a.Src, a.Dst, a.Payload) {
		s.dropTCP(tcp.DropChecksum)
		return
	}
	var g tcp.Segment
	if d := g.Parse(a.Payload); d != tcp.DropNone {
		s.dropTCP(d)
		return
	}
	g.ECN = a.TOS & 3
	if a.gso != 0 {
		g.Parts = uint16(min((len(g.Text)+int(a.gso)-1)/int(a.gso), 65535))
	}
	f := Flow{Local: a.Dst, Remote: a.Src, LocalPort: g.DstPort, RemotePort: g.SrcPort}
	switch {
	case g.SrcPort == 0 || g.DstPort == 0:
		s.dropTCP(tcp.DropPort)
		return
	case f.Local == f.Remote && f.LocalPort == f.RemotePort:
		s.drop(DropLAND)
		return
	}
	h := a.hash
	if h == 0 {
		h = s.hash(&f)
	}
	r := s.table.find(h, keyOf(&f))
	if r == 0 && s.sendOn(h, a) {
		return
	}
	s.counters.SegmentsRead += uint64(max(g.Parts, 1))
	if s.wanted(Arrivals|Verdicts, &f) {
		s.demuxWatched(h, r, a, &f, &g)
		return
	}
	s.demux(h, r, &f, &g)
}

// demux hands a segment to its connection, if it has one.
func (s *shard) demux(h uint64, r ref, f *Flow, g *tcp.Segment) {
	s.workApart(f)
	if r == 0 {
		s.noConnection(h, f, g)
		return
	}
	s.deliver(r, h, f, g)
}

// verdict counts what became of a segment.
func (s *shard) verdict(d tcp.Drop) {
	if d == tcp.DropNone {
		s.counters.Delivered++
	} else {
		s.dropTCP(d)
	}
}

// deliver hands a segment to its connection, of whichever size.
func (s *shard) deliver(r ref, h uint64, f *Flow, g *tcp.Segment) {
	switch r.kind() {
	case kindConn:
		s.current = r.index()
		s.deliverConn(r.index(), h, f, g)
	case kindHalf:
		s.deliverHalf(r, h, f, g)
	default:
		s.deliverWait(r, h, f, g)
	}
}

func (s *shard) deliverConn(i uint32, h uint64, f *Flow, g *tcp.Segment) {
	rec := s.conns.at(i)
	if rec.tcp.Over() { // since earlier in this turn: what it owes goes out, then there is no connection
		s.sendAll(f, &rec.tcp)
		s.noConnection(h, f, g)
		return
	}
	if iss, ok := rec.tcp.Reusable(g); ok {
		if l := s.stack.listeners.Load().find(f.Local, f.LocalPort); l != nil {
			rec.tcp.Reincarnate(&s.env, s.now)
			s.settle(i)
			s.finish(i)
			s.synArrived(l, h, f, g, iss)
			return
		}
	}
	if rec.tcp.ACKBefore(g) && rec.tcp.OutputACK(&s.env, s.now, &s.out) {
		s.send(f, &s.out)
	}
	d := rec.tcp.Input(&s.env, s.now, g)
	s.verdict(d)
	if d != tcp.DropNone {
		s.recordDrop(d, g)
	}
	if d == tcp.DropNone && g.Options.Has&tcp.HasFastOpen != 0 && g.Flags&tcp.ACK != 0 && g.Options.FastOpen.Len > 0 {
		s.stack.cookieJar.keep(f.Remote, &g.Options)
	}
	s.reply(f)
	s.settle(i)
}

// noConnection answers a segment that no shard has a connection for (RFC 9293 section 3.10.7.1), or a SYN to a
// listener.
func (s *shard) noConnection(h uint64, f *Flow, g *tcp.Segment) {
	if f.Local.IsMulticast() || f.Local.IsBroadcast() {
		s.drop(DropMulticast)
		return
	}
	l := s.stack.listeners.Load().find(f.Local, f.LocalPort)
	if l == nil {
		d := tcp.DropNoConnection
		if g.Flags&(tcp.SYN|tcp.ACK|tcp.RST) == tcp.SYN {
			d = tcp.DropRefused
		}
		if g.Flags&tcp.RST != 0 {
			d = tcp.DropRST
		}
		s.dropTCP(d)
		if r, ok := tcp.ResetFor(g); ok {
			s.sendBare(f, &r)
		}
		return
	}
	if s.recall(f, g) || s.openCookie(l, h, f, g) {
		return
	}
	d, open := tcp.InputListen(&s.env, g)
	if !open {
		s.dropTCP(d)
		s.reply(f)
		return
	}
	iss, _ := s.stack.cfg.Secrets[0].ISN(f, s.now)
	s.synArrived(l, h, f, g, iss)
}

// reply sends what the last call into tcp wanted answered at once.
func (s *shard) reply(f *Flow) {
	if s.env.ReplyDue {
		s.env.ReplyDue = false
		s.sendBare(f, &s.env.Reply)
	}
}
