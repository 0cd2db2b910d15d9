package tcptest

import (
	"encoding/binary"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Frame is one packet on its way, or one superframe.
type Frame struct {
	Src, Dst *Host
	Packet   []byte
	GSO      uint16
	TCP      bool        // Seg and Flow are set
	Seg      tcp.Segment // as it was sent
	Flow     stack.Flow  // as the sender sees it

	corrupted bool
	end       *end // who sent it
	life      int  // end's incarnation then
}

// Verdict is what becomes of a frame.
type Verdict uint8

// The verdicts.
const (
	Pass Verdict = iota
	Lose
)

// Path is one direction between two hosts; the zero value delivers at once. Chances are in a thousand.
type Path struct {
	Rate                     int64 // bytes a second; 0: no limit
	Delay, Jitter            mono.Duration
	Queue                    int // bytes that may wait for the rate; 0: no limit
	Loss, Duplicate, Corrupt int
	MTU                      int  // larger packets are answered by ICMP; 0: no limit
	Whole                    bool // superframes stay whole; else each does by chance, in half of the cases
	// Filter decides before chance does; nil passes all.
	Filter func(f *Frame) Verdict

	free mono.Time // when the rate has sent all before
}

// Connect sets the path from a to b.
func (w *World) Connect(a, b *Host, p Path) *Path {
	w.paths[[2]*Host{a, b}] = &p
	return &p
}

// Join sets the same path in both directions.
func (w *World) Join(a, b *Host, p Path) (there, back *Path) {
	return w.Connect(a, b, p), w.Connect(b, a, p)
}

// send takes what a host has sent.
func (w *World) send(h *Host, packet []byte, gso uint16) {
	f := &Frame{Src: h, Packet: packet, GSO: gso}
	var p ip.Packet
	if d := p.Parse(packet); d != ip.DropNone {
		w.fail("%s sends what is no packet: %v", h.Name, d)
		return
	}
	f.parse(&p)
	f.Dst = w.at(p.Dst)
	path := w.paths[[2]*Host{h, f.Dst}]
	if f.TCP {
		if !w.Blind && !tcp.ChecksumOK(p.Src, p.Dst, p.Payload) {
			w.fail("%s sends a wrong checksum", h.Name)
		}
		w.Segments++
		w.watch.sent(f)
	}
	if path == nil {
		w.Log.frame(f, "nowhere")
		return
	}
	for _, f := range path.split(w, f) {
		path.carry(w, f)
	}
}

func (f *Frame) parse(p *ip.Packet) {
	if p.Proto != ip.ProtoTCP || f.Seg.Parse(p.Payload) != tcp.DropNone {
		return
	}
	f.TCP = true
	f.Flow = stack.Flow{Local: p.Src, Remote: p.Dst, LocalPort: f.Seg.SrcPort, RemotePort: f.Seg.DstPort}
}

// carry sends one frame on its way.
func (p *Path) carry(w *World, f *Frame) {
	if p.Filter != nil && p.Filter(f) == Lose {
		w.Log.frame(f, "lost")
		return
	}
	if p.MTU != 0 && len(f.Packet) > p.MTU {
		w.Log.frame(f, "too big")
		p.refuse(w, f)
		return
	}
	if chance(w, p.Loss) {
		w.Log.frame(f, "lost")
		return
	}
	wait := mono.Duration(0)
	if p.Rate != 0 {
		p.free = max(p.free, w.now)
		wait = p.free.Sub(w.now)
		if p.Queue != 0 && int64(wait)*p.Rate/int64(mono.Second) > int64(p.Queue) {
			w.Log.frame(f, "queue full")
			return
		}
		p.free = p.free.Add(mono.Duration(int64(len(f.Packet)) * int64(mono.Second) / p.Rate))
		wait = p.free.Sub(w.now)
	}
	copies, mark := 1, ""
	if chance(w, p.Duplicate) {
		copies, mark = 2, "duplicated"
	}
	if chance(w, p.Corrupt) {
		f.corrupted, mark = true, "corrupted"
		f.Packet = append([]byte(nil), f.Packet...)
		f.Packet[w.Rand.IntN(len(f.Packet))] ^= 1 << w.Rand.IntN(8)
	}
	w.Log.frame(f, mark)
	for range copies {
		d := wait + p.Delay
		if p.Jitter > 0 {
			d += mono.Duration(w.Rand.Int64N(int64(p.Jitter)))
		}
		w.After(d, func() { f.Dst.receive(f) })
	}
}

func chance(w *World, perMille int) bool { return perMille > 0 && w.Rand.IntN(1000) < perMille }

// receive puts a frame into one of the host's queues.
func (h *Host) receive(f *Frame) {
	q := 0
	if n := len(h.queues); n > 1 {
		if h.opt.Steer != nil {
			q = h.opt.Steer(f, n)
		} else {
			q = h.world.Rand.IntN(n)
		}
	}
	h.queues[q].frames = append(h.queues[q].frames, f)
	h.wake(q)
}

// refuse answers a packet larger than the path's MTU as a router does (RFC 1191 section 4).
func (p *Path) refuse(w *World, f *Frame) {
	var q ip.Packet
	q.Parse(f.Packet)
	b := make([]byte, 600)
	b = b[:ip.Unreachable(b, &q, ip.CodeFragNeeded, ip.V4([4]byte{10, 0, 0, 254}))]
	icmp := b[ip.HeaderLen:]
	binary.BigEndian.PutUint16(icmp[6:], uint16(p.MTU))
	icmp[2], icmp[3] = 0, 0
	binary.BigEndian.PutUint16(icmp[2:], ^ip.Fold(ip.Sum(icmp, 0)))
	answer := &Frame{Src: f.Dst, Dst: f.Src, Packet: b}
	w.After(p.Delay, func() { f.Src.receive(answer) })
}

// split turns a superframe into segments, unless it stays whole. Checksums are made new.
func (p *Path) split(w *World, f *Frame) []*Frame {
	if f.GSO == 0 || p.Whole || p.MTU == 0 && w.Rand.IntN(2) == 0 {
		return []*Frame{f}
	}
	var list []*Frame
	head := len(f.Packet) - len(f.Seg.Text)
	for at := 0; at < len(f.Seg.Text); at += int(f.GSO) {
		n := min(int(f.GSO), len(f.Seg.Text)-at)
		b := append(append([]byte(nil), f.Packet[:head]...), f.Seg.Text[at:at+n]...)
		last := at+n == len(f.Seg.Text)
		part := &Frame{Src: f.Src, Dst: f.Dst, Packet: b, end: f.end, life: f.life}
		h := ip.Header{Src: f.Flow.Local, Dst: f.Flow.Remote, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: len(b)}
		h.Put(b)
		seg := b[ip.HeaderLen:]
		binary.BigEndian.PutUint32(seg[4:], uint32(f.Seg.Seq)+uint32(at))
		if !last {
			seg[13] &^= byte(tcp.FIN | tcp.PSH)
		}
		seg[16], seg[17] = 0, 0
		sum := ^ip.Fold(ip.Sum(seg, ip.PseudoSum(h.Src, h.Dst, ip.ProtoTCP, len(seg))))
		binary.BigEndian.PutUint16(seg[16:], sum)
		var q ip.Packet
		q.Parse(b)
		part.parse(&q)
		list = append(list, part)
	}
	return list
}
