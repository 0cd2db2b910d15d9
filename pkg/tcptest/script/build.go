package script

import (
	"encoding/binary"
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Option kinds on the wire (RFC 9293 section 3.1, RFC 7323, 2018, 7413, 6994).
const (
	wireEnd           = 0
	wireNop           = 1
	wireMSS           = 2
	wireWindowScale   = 3
	wireSACKPermitted = 4
	wireSACK          = 5
	wireTimestamps    = 8
	wireFastOpen      = 34
	wireExperiment    = 254
	fastOpenMagic     = 0xf989 // RFC 7413 section 4.1.1
)

// build makes the packet that a script has arrive on a flow. Options are laid down as written, and filled up to a whole
// word with their end. An error says why there can be no such packet.
func (f *flow) build(k *Packet) ([]byte, string) {
	if k.ICMP != nil {
		return f.buildICMP(k)
	}
	options := f.buildOptions(k)
	for len(options)%4 != 0 {
		options = append(options, wireEnd)
	}
	if len(options) > tcp.MaxHeaderLen-tcp.HeaderLen {
		return nil, "more than 40 bytes of options"
	}
	syn := k.Flags&tcp.SYN != 0
	b := make([]byte, ip.HeaderLen+tcp.HeaderLen, ip.HeaderLen+tcp.HeaderLen+len(options)+k.Range.Len())
	b = append(b, options...)
	offset := (len(b) - ip.HeaderLen) / 4
	b = append(b, make([]byte, k.Range.Len())...)
	if len(b) > maxPacket {
		return nil, "a packet of more than 65535 bytes"
	}
	s := b[ip.HeaderLen:]
	binary.BigEndian.PutUint16(s, f.remote.Port())
	binary.BigEndian.PutUint16(s[2:], f.local.Port())
	binary.BigEndian.PutUint32(s[4:], f.theirs.toWire(k.Range.From, syn))
	if k.Flags&tcp.ACK != 0 {
		binary.BigEndian.PutUint32(s[8:], f.ours.toWire(k.Ack, syn))
	}
	s[12], s[13] = byte(offset)<<4|byte(k.Flags>>8), byte(k.Flags)
	if k.Window != nil {
		binary.BigEndian.PutUint16(s[14:], *k.Window)
	}
	if k.Urgent != nil {
		binary.BigEndian.PutUint16(s[18:], *k.Urgent)
	}
	src, dst := ip.FromNetip(f.remote.Addr()), ip.FromNetip(f.local.Addr())
	binary.BigEndian.PutUint16(s[16:], ^ip.Fold(ip.Sum(s, ip.PseudoSum(src, dst, ip.ProtoTCP, len(s)))))
	f.putHeader(b, k, f.remote.Addr(), ip.ProtoTCP)
	return b, ""
}

const maxPacket = 65535

// putHeader writes the IP header of a packet to the stack.
func (f *flow) putHeader(b []byte, k *Packet, from netip.Addr, proto uint8) {
	h := ip.Header{Src: ip.FromNetip(from), Dst: ip.FromNetip(f.local.Addr()), Proto: proto, TTL: 64, DF: true, Len: len(b)}
	h.TOS = map[ECN]uint8{ECT0: 2, ECT01: 2, ECT1: 1, CE: 3}[k.IP.ECN]
	if k.IP.TTL != 0 {
		h.TTL = k.IP.TTL
	}
	h.Put(b)
}

func (f *flow) buildOptions(k *Packet) (b []byte) {
	for _, o := range k.Options {
		switch o.Kind {
		case End:
			b = append(b, wireEnd)
		case Nop:
			b = append(b, wireNop)
		case MSS:
			b = binary.BigEndian.AppendUint16(append(b, wireMSS, 4), uint16(o.Value))
		case WindowScale:
			b = append(b, wireWindowScale, 3, byte(o.Value))
		case SACKPermitted:
			b = append(b, wireSACKPermitted, 2)
		case SACK:
			b = append(b, wireSACK, byte(2+8*len(o.Blocks)))
			for _, r := range o.Blocks {
				b = binary.BigEndian.AppendUint32(b, f.ours.toWire(r.From, false))
				b = binary.BigEndian.AppendUint32(b, f.ours.toWire(r.To, false))
			}
		case Timestamps:
			b = binary.BigEndian.AppendUint32(append(b, wireTimestamps, 10), o.Value)
			b = binary.BigEndian.AppendUint32(b, f.echo(o.Echo))
		case FastOpen:
			c := f.cookie(o.Cookie)
			b = append(append(b, wireFastOpen, byte(2+len(c))), c...)
		case FastOpenExp:
			b = append(b, wireExperiment, byte(4+len(o.Cookie)))
			b = append(binary.BigEndian.AppendUint16(b, fastOpenMagic), o.Cookie...)
		}
	}
	return b
}

// cookie is the stack's cookie that the script calls c, or c.
func (f *flow) cookie(c []byte) []byte {
	if w, ok := f.cookies[string(c)]; ok {
		return w
	}
	return c
}

// buildICMP makes an error about a segment of the stack's: that of which the script tells the numbers, or the last.
func (f *flow) buildICMP(k *Packet) ([]byte, string) {
	typ, code, _ := icmpNumbers(k.ICMP)
	quote := make([]byte, ip.HeaderLen+8)
	switch q := k.ICMP.Quote; {
	case q != nil:
		syn := f.last != nil && f.last.segment.Flags&tcp.SYN != 0
		binary.BigEndian.PutUint32(quote[ip.HeaderLen+4:], f.ours.toWire(q.From, syn))
		f.putQuoted(quote, ip.HeaderLen+tcp.HeaderLen+q.Len())
	case f.last != nil:
		binary.BigEndian.PutUint32(quote[ip.HeaderLen+4:], uint32(f.last.segment.Seq))
		f.putQuoted(quote, len(f.last.bytes))
	default:
		return nil, "an ICMP error, but the stack has sent nothing"
	}
	b := make([]byte, ip.HeaderLen+8, ip.HeaderLen+8+len(quote))
	m := b[ip.HeaderLen:]
	m[0], m[1] = typ, code
	binary.BigEndian.PutUint16(m[6:], k.ICMP.MTU)
	b = append(b, quote...)
	m = b[ip.HeaderLen:]
	binary.BigEndian.PutUint16(m[2:], ^ip.Fold(ip.Sum(m, 0)))
	f.putHeader(b, k, f.remote.Addr(), ip.ProtoICMP)
	return b, ""
}

// putQuoted writes the IP header and the ports of a packet of the stack's that an error quotes.
func (f *flow) putQuoted(b []byte, length int) {
	h := ip.Header{Src: ip.FromNetip(f.local.Addr()), Dst: ip.FromNetip(f.remote.Addr()), Proto: ip.ProtoTCP, TTL: 63, DF: true, Len: length}
	h.Put(b)
	binary.BigEndian.PutUint16(b[ip.HeaderLen:], f.local.Port())
	binary.BigEndian.PutUint16(b[ip.HeaderLen+2:], f.remote.Port())
}
