package script

import (
	"encoding/binary"
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// flow is a connection as the script sees it, with what translates its numbers to those on the wire.
//
// The stack chooses its sequence numbers, timestamps and cookies, and a script can't know them. So numbers of segments are
// relative to those of the SYNs; the SYNs themselves have theirs as written, 0 most often. A timestamp that is expected
// from the stack stands for the one that it sends, where the peer echoes it.
type flow struct {
	local, remote netip.AddrPort
	ports         [2]uint16 // local and remote, as the script calls them

	ours, theirs numbers
	confirmed    bool    // the stack has acknowledged their SYN
	again        *uint32 // a later SYN of theirs, which may open the connection anew
	last         *sent   // the last segment

	stamps  map[uint32]uint32 // of the script to those of the stack
	clock   *stamp            // the first of them
	cookies map[string][]byte // of the script to those of the stack

	waiting []*sent // by the stack, and not yet expected
}

// numbers translate one side's sequence numbers.
type numbers struct {
	known        bool
	wire, script uint32 // of the SYN
}

// toWire and toScript translate a number in a SYN, which is as it is written, or in another segment.
func (n numbers) toWire(v uint32, syn bool) uint32 {
	if syn {
		v -= n.script
	}
	return v + n.wire
}

func (n numbers) toScript(v uint32, syn bool) uint32 {
	v -= n.wire
	if syn {
		v += n.script
	}
	return v
}

// stamp is a timestamp of the stack's, and when it was sent.
type stamp struct {
	at           mono.Time
	wire, script uint32
}

// sent is a packet that the stack has sent.
type sent struct {
	at      mono.Time
	bytes   []byte
	packet  ip.Packet
	segment tcp.Segment
	options []byte
	flow    *flow
}

// parseSent reads a packet of the stack's.
func parseSent(at mono.Time, b []byte) (*sent, string) {
	k := &sent{at: at, bytes: b}
	if d := k.packet.Parse(b); d != ip.DropNone {
		return nil, "a bad IP packet: " + d.String()
	}
	if k.packet.Proto != ip.ProtoTCP {
		return k, ""
	}
	body := k.packet.Payload
	if !tcp.ChecksumOK(k.packet.Src, k.packet.Dst, body) {
		return nil, "a segment with a bad checksum"
	}
	if d := k.segment.Parse(body); d != tcp.DropNone {
		return nil, "a bad segment: " + d.String()
	}
	k.options = body[tcp.HeaderLen : int(body[12]>>4)*4]
	return k, ""
}

// take notes what a segment of the stack's tells of the flow.
func (f *flow) take(k *sent) {
	g := &k.segment
	k.flow = f
	f.last = k
	if g.Flags&tcp.RST != 0 {
		return
	}
	if g.Flags&tcp.SYN != 0 && (!f.ours.known || f.ours.wire != uint32(g.Seq)) {
		f.open(g)
	}
	if g.Flags&tcp.ACK != 0 {
		f.confirmed = true
	}
}

// open is for a SYN of the stack's with a number of its own: the first, or that of a later connection with the same ports.
func (f *flow) open(g *tcp.Segment) {
	f.ours = numbers{known: true, wire: uint32(g.Seq)}
	f.stamps, f.clock = map[uint32]uint32{}, nil
	if f.again != nil && g.Flags&tcp.ACK != 0 && uint32(g.Ack) == *f.again+1 {
		f.theirs = numbers{known: true, wire: *f.again, script: *f.again}
	}
	if g.Flags&tcp.ACK == 0 {
		f.theirs, f.confirmed = numbers{}, false
	}
	f.again = nil
}

// heard notes what a SYN of the script's tells of the flow.
func (f *flow) heard(k *Packet) {
	if k.Flags&tcp.SYN == 0 {
		return
	}
	if seq := k.Range.From; f.confirmed {
		f.again = &seq
	} else {
		f.theirs = numbers{known: true, wire: seq, script: seq}
	}
}

// echo is the timestamp of the stack's that the script calls v: one that it has expected, or else one by the clock.
func (f *flow) echo(v uint32) uint32 {
	if w, ok := f.stamps[v]; ok {
		return w
	}
	if f.clock == nil {
		return v
	}
	return f.clock.wire + v - f.clock.script
}

// stamped notes that the script calls a timestamp of the stack's v.
func (f *flow) stamped(at mono.Time, v, wire uint32) {
	if f.stamps == nil {
		f.stamps = map[uint32]uint32{}
	}
	f.stamps[v] = wire
	if f.clock == nil {
		f.clock = &stamp{at, wire, v}
	}
}

// seqOf is the script's number for a segment's first. A RST for a segment without ACK has 0 (RFC 9293 section 3.10.7.1),
// which is relative to nothing.
func (f *flow) seqOf(g *tcp.Segment) uint32 {
	if g.Seq == 0 && g.Flags&(tcp.RST|tcp.ACK) == tcp.RST|tcp.ACK {
		return 0
	}
	return f.ours.toScript(uint32(g.Seq), g.Flags&tcp.SYN != 0)
}

// packet is a segment of the stack's as a script has it.
func (f *flow) packet(k *sent) *Packet {
	g := &k.segment
	win := g.Window
	p := &Packet{Flags: g.Flags, Window: &win}
	p.Range.From = f.seqOf(g)
	p.Range.To = p.Range.From + uint32(len(g.Text))
	if g.Flags&tcp.ACK != 0 {
		p.Ack = f.theirs.toScript(uint32(g.Ack), g.Flags&tcp.SYN != 0)
	}
	if g.Flags&tcp.URG != 0 {
		urg := g.Urgent
		p.Urgent = &urg
	}
	p.IP.ECN = [4]ECN{NoECN, ECT1, ECT0, CE}[k.packet.TOS&3]
	p.IP.TTL = k.packet.TTL
	p.Options = f.optionsOf(k)
	return p
}

// optionsOf reads the options of a segment of the stack's.
func (f *flow) optionsOf(k *sent) (list []TCPOption) {
	for b := k.options; len(b) > 0; {
		o := TCPOption{Kind: End}
		n := 1
		if b[0] > 1 {
			n = int(b[1])
		}
		v := b[min(2, n):n]
		switch {
		case b[0] == wireEnd:
		case b[0] == wireNop:
			o.Kind = Nop
		case b[0] == wireMSS && n == 4:
			o.Kind, o.Value = MSS, uint32(binary.BigEndian.Uint16(v))
		case b[0] == wireWindowScale && n == 3:
			o.Kind, o.Value = WindowScale, uint32(v[0])
		case b[0] == wireSACKPermitted && n == 2:
			o.Kind = SACKPermitted
		case b[0] == wireSACK:
			o.Kind, o.Blocks = SACK, f.blocksOf(v)
		case b[0] == wireTimestamps && n == 10:
			o.Kind, o.Value, o.Echo = Timestamps, binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
		case b[0] == wireFastOpen:
			o.Kind, o.Cookie = FastOpen, v
		default:
			o.Kind, o.Value, o.Cookie = Unknown, uint32(b[0]), v
		}
		list = append(list, o)
		b = b[n:]
	}
	return list
}

func (f *flow) blocksOf(v []byte) (list []Range) {
	for ; len(v) >= 8; v = v[8:] {
		from, to := binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
		list = append(list, Range{f.theirs.toScript(from, false), f.theirs.toScript(to, false)})
	}
	return list
}
