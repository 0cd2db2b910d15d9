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
	split     bool    // by a router
	end       *end    // who sent it
	life      int     // end's incarnation then
	part      *pieces // of a datagram that a router has split
	index     int     // which
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
	Fragment                 int  // larger packets are split, DF or not; 0: no limit
	Overlap                  int  // of split packets, those of which a piece comes that overlaps others
	Swallow                  int  // larger packets are lost without a word; 0: no limit
	Mark                     int  // of ECN-capable packets, those that are marked
	ClearECN                 bool // the ECN field is set to 0
	Whole                    bool // superframes stay whole; else each does by chance, in half of the cases
	// Filter decides before chance does; nil passes all.
	Filter func(f *Frame) Verdict

	chance *chance
	frames uint64 // that were no segments

	free mono.Time // when the rate has sent all before
	shut int       // how many faults let nothing through now
	id   uint16    // of the last datagram that was split
}

// Connect sets the path from a to b, or to addresses of nobody if b is nil.
func (w *World) Connect(a, b *Host, p Path) *Path {
	if p.chance == nil {
		p.chance = &chance{Rand: w.Rand}
	}
	a.paths[b.number()] = &p
	return &p
}

// number is the last byte of the address, or 0.
func (h *Host) number() byte {
	if h == nil {
		return 0
	}
	return h.opt.Number
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
	if f.TCP {
		if !w.Blind && !tcp.ChecksumOK(p.Src, p.Dst, p.Payload) {
			w.fail("%s sends a wrong checksum", h.Name)
		}
		w.Segments++
		w.watch.sent(f)
	}
	path := h.paths[f.Dst.number()]
	if path == nil {
		w.Log.frame(f, "nowhere")
		return
	}
	path.chance.draw(path.purpose(f))
	if f.GSO == 0 || path.keepsWhole() {
		path.carry(w, f)
		return
	}
	for _, f := range path.split(f) {
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
	if mark := p.stop(w, f); mark != "" {
		w.Log.frame(f, mark)
		return
	}
	wait, room := p.queue(w, len(f.Packet))
	if !room {
		w.Log.frame(f, "queue full")
		return
	}
	if p.Fragment == 0 || len(f.Packet) <= p.Fragment {
		w.Log.frame(f, p.deliver(w, f, wait))
		return
	}
	w.Log.frame(f, "split")
	for _, piece := range p.fragment(f) {
		if p.chance.perMille(p.Loss) {
			w.Log.frame(piece, "lost")
			continue
		}
		w.Log.frame(piece, p.deliver(w, piece, wait))
	}
}

// stop is why a frame goes no further than to the path's beginning, or "".
func (p *Path) stop(w *World, f *Frame) string {
	switch {
	case p.Filter != nil && p.Filter(f) == Lose:
		return "lost"
	case p.shut > 0:
		return "swallowed"
	case p.Swallow != 0 && f.largest() > p.Swallow:
		return "swallowed"
	case p.MTU != 0 && len(f.Packet) > p.MTU:
		p.refuse(w, f)
		if f.end != nil {
			f.end.tooBig(f)
		}
		return "too big"
	case p.chance.perMille(p.Loss):
		return "lost"
	case p.ClearECN:
		f.setECN(0)
	case p.Mark != 0 && f.Packet[1]&3 != 0 && p.chance.perMille(p.Mark):
		f.setECN(3)
	}
	return ""
}

// queue is how long n bytes take to get on their way, if there is room for them.
func (p *Path) queue(w *World, n int) (wait mono.Duration, room bool) {
	if p.Rate == 0 {
		return 0, true
	}
	p.free = max(p.free, w.now)
	wait = p.free.Sub(w.now)
	if p.Queue != 0 && int64(wait)*p.Rate/int64(mono.Second) > int64(p.Queue) {
		return 0, false
	}
	p.free = p.free.Add(mono.Duration(int64(n) * int64(mono.Second) / p.Rate))
	return p.free.Sub(w.now), true
}

// deliver has a frame arrive, perhaps twice, perhaps changed, and says so.
func (p *Path) deliver(w *World, f *Frame, wait mono.Duration) (mark string) {
	copies := 1
	if p.chance.perMille(p.Duplicate) {
		copies, mark = 2, "duplicated"
	}
	if p.chance.perMille(p.Corrupt) && f.mayCorrupt() {
		f.corrupted, mark = true, "corrupted"
		f.Packet = append([]byte(nil), f.Packet...)
		f.Packet[p.chance.IntN(len(f.Packet))] ^= 1 << p.chance.IntN(8)
	}
	for range copies {
		d := wait + p.Delay
		if p.Jitter > 0 {
			d += mono.Duration(p.chance.Int64N(int64(p.Jitter)))
		}
		w.events.push(event{at: w.now.Add(d), frame: f})
	}
	return mark
}

// purpose names a frame among those of the path: the so manieth of its flow.
func (p *Path) purpose(f *Frame) uint64 {
	if f.end == nil {
		p.frames++
		return p.frames
	}
	f.end.frames++
	return uint64(f.Flow.LocalPort)<<48 | uint64(f.Flow.RemotePort)<<32 | f.end.frames
}

// receive puts a frame into one of the host's queues.
func (h *Host) receive(f *Frame) {
	q, n := 0, len(h.queues)
	switch {
	case n == 0:
		return // it is gone
	case n > 1 && f.part != nil:
		q = int(f.part.id) % n // the pieces of a datagram come to the same
	case n > 1 && h.opt.Steer != nil:
		q = h.opt.Steer(f, n)
	case n > 1:
		q = h.chance.draw(^uint64(h.world.now)).IntN(n)
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

// keepsWhole decides whether a superframe stays whole.
func (p *Path) keepsWhole() bool {
	return p.Whole || p.MTU == 0 && p.Fragment == 0 && p.chance.IntN(2) == 0
}

// split turns a superframe into segments. Checksums are made new.
func (p *Path) split(f *Frame) []*Frame {
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

// largest is the largest packet on the wire that f stands for, in bytes.
func (f *Frame) largest() int {
	if f.GSO == 0 {
		return len(f.Packet)
	}
	return len(f.Packet) - len(f.Seg.Text) + int(f.GSO)
}

// setECN changes the ECN field of the IP header.
func (f *Frame) setECN(codepoint byte) {
	f.Packet = append([]byte(nil), f.Packet...)
	f.Packet[1] = f.Packet[1]&^3 | codepoint
	f.Packet[10], f.Packet[11] = 0, 0
	binary.BigEndian.PutUint16(f.Packet[10:], ^ip.Fold(ip.Sum(f.Packet[:ip.HeaderLen], 0)))
}
