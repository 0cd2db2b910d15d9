package tcp

import (
	"encoding/binary"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// Flags are the control bits of a segment (RFC 9293 section 3.1, RFC 9768 section 4).
type Flags uint16

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// String lists the bits that are set, SYN,ACK for instance.
func (f Flags) String() string {
	var set []string
	for i, name := range [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"} {
		if f&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ",")
}

// HeaderLen is the length of the TCP header without options, MaxHeaderLen with as many as fit, in bytes.
const (
	HeaderLen    = 20
	MaxHeaderLen = 60
)

// Segment is a parsed TCP segment. Text aliases the bytes that were parsed.
type Segment struct {
	SrcPort, DstPort uint16
	Seq, Ack         seq.Num
	Flags            Flags
	Window           uint16 // as in the header, not scaled
	Urgent           uint16
	Options          Options
	Text             []byte
	// ECN is the field of that name in the IP header (RFC 3168 section 5).
	ECN uint8
	// Parts is how many segments of the wire a superframe stands for; 0 and 1 both mean one.
	Parts uint16
}

// Len is SEG.LEN: the text in bytes, and one each for SYN and FIN (section 3.4).
func (g *Segment) Len() uint32 {
	n := uint32(len(g.Text))
	if g.Flags&SYN != 0 {
		n++
	}
	if g.Flags&FIN != 0 {
		n++
	}
	return n
}

// End is the sequence number after the segment's last.
func (g *Segment) End() seq.Num { return g.Seq.Add(g.Len()) }

// Option kinds (RFC 9293 section 3.1, RFC 2018, RFC 7323).
const (
	optEnd           = 0
	optNop           = 1
	optMSS           = 2
	optWindowScale   = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
	optUserTimeout   = 28
	optFastOpen      = 34
)

// Has says which options a segment carries.
type Has uint8

// The options that are understood.
const (
	HasMSS Has = 1 << iota
	HasWindowScale
	HasSACKPermitted
	HasTimestamps
	HasFastOpen
	HasUserTimeout
)

// Block is a run of sequence numbers, [From, To).
type Block struct{ From, To seq.Num }

// Options is what a segment's options say. Fields whose bit in Has is clear are zero.
type Options struct {
	Has          Has
	Blocks       uint8 // how many of SACK are set
	WindowScale  uint8 // shift count, at most 14 (RFC 7323 section 2.3)
	MSS          uint16
	TSVal, TSEcr uint32
	SACK         [4]Block // newest first (RFC 2018 section 4)
	FastOpen     FastOpenCookie
	UserTimeout  uint16 // seconds, or with the highest bit minutes (RFC 5482 section 2)
}

// Parse reads the segment b, header and text. The checksum is the caller's (ChecksumOK): only he knows the addresses
// and what the device has verified.
func (g *Segment) Parse(b []byte) Drop {
	if len(b) < HeaderLen {
		return DropShort
	}
	off := int(b[12]>>4) * 4
	if off < HeaderLen || off > len(b) {
		return DropDataOffset
	}
	*g = Segment{
		SrcPort: binary.BigEndian.Uint16(b),
		DstPort: binary.BigEndian.Uint16(b[2:]),
		Seq:     seq.Num(binary.BigEndian.Uint32(b[4:])),
		Ack:     seq.Num(binary.BigEndian.Uint32(b[8:])),
		Flags:   Flags(b[12]&1)<<8 | Flags(b[13]),
		Window:  binary.BigEndian.Uint16(b[14:]),
		Urgent:  binary.BigEndian.Uint16(b[18:]),
		Text:    b[off:],
	}
	if off == HeaderLen {
		return DropNone
	}
	if d := g.Options.parse(b[HeaderLen:off]); d != DropNone {
		return d
	}
	if g.Flags&SYN == 0 {
		g.Options.Has &^= HasFastOpen
		g.Options.FastOpen = FastOpenCookie{}
	} else { // nothing can have come before it
		g.Options.Blocks, g.Options.SACK = 0, [4]Block{}
	}
	return DropNone
}

// onlyTimestamps is how nearly every segment's options begin: NOP, NOP, timestamps.
const onlyTimestamps = optNop<<24 | optNop<<16 | optTimestamps<<8 | 10

func (o *Options) parse(b []byte) Drop {
	if len(b) == 12 && binary.BigEndian.Uint32(b) == onlyTimestamps {
		o.timestamps(b[4:])
		return DropNone
	}
	for len(b) > 0 {
		switch b[0] {
		case optEnd:
			return DropNone
		case optNop:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return DropOptionLength // MUST-7
		}
		o.take(b[0], b[2:b[1]])
		b = b[b[1]:]
	}
	return DropNone
}

// take notes one option; v is its value. An option that is unknown, or whose length is not its kind's, is passed
// over (MUST-6).
func (o *Options) take(kind byte, v []byte) {
	switch {
	case kind == optMSS && len(v) == 2:
		o.Has |= HasMSS
		o.MSS = binary.BigEndian.Uint16(v)
	case kind == optWindowScale && len(v) == 1:
		o.Has |= HasWindowScale
		o.WindowScale = min(v[0], maxWindowScale)
	case kind == optSACKPermitted && len(v) == 0:
		o.Has |= HasSACKPermitted
	case kind == optTimestamps && len(v) == 8:
		o.timestamps(v)
	case kind == optUserTimeout && len(v) == 2:
		o.Has |= HasUserTimeout
		o.UserTimeout = binary.BigEndian.Uint16(v)
	case kind == optFastOpen:
		o.FastOpen.take(o, v)
	case kind == optSACK && len(v)%8 == 0:
		for ; len(v) > 0 && int(o.Blocks) < len(o.SACK); v = v[8:] {
			o.SACK[o.Blocks] = Block{seq.Num(binary.BigEndian.Uint32(v)), seq.Num(binary.BigEndian.Uint32(v[4:]))}
			o.Blocks++
		}
	}
}

func (o *Options) timestamps(v []byte) {
	o.Has |= HasTimestamps
	o.TSVal, o.TSEcr = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
}

// maxWindowScale is the largest shift count (RFC 7323 section 2.3).
const maxWindowScale = 14

// put writes the options, padded to whole words, and returns their length in bytes. In a SYN the order is Linux's:
// MSS, SACK permitted, timestamps, NOP, window scale.
func (o *Options) put(b []byte) int {
	n := 0
	if o.Has&HasMSS != 0 {
		b[n], b[n+1] = optMSS, 4
		binary.BigEndian.PutUint16(b[n+2:], o.MSS)
		n += 4
	}
	if o.Has&HasTimestamps != 0 {
		b[n], b[n+1] = optNop, optNop
		if o.Has&HasSACKPermitted != 0 {
			b[n], b[n+1] = optSACKPermitted, 2
		}
		b[n+2], b[n+3] = optTimestamps, 10
		binary.BigEndian.PutUint32(b[n+4:], o.TSVal)
		binary.BigEndian.PutUint32(b[n+8:], o.TSEcr)
		n += 12
	} else if o.Has&HasSACKPermitted != 0 {
		b[n], b[n+1], b[n+2], b[n+3] = optNop, optNop, optSACKPermitted, 2
		n += 4
	}
	if o.Has&HasWindowScale != 0 {
		b[n], b[n+1], b[n+2], b[n+3] = optNop, optWindowScale, 3, o.WindowScale
		n += 4
	}
	if k := int(o.Blocks); k > 0 {
		b[n], b[n+1], b[n+2], b[n+3] = optNop, optNop, optSACK, byte(2+8*k)
		n += 4
		for _, s := range o.SACK[:k] {
			binary.BigEndian.PutUint32(b[n:], uint32(s.From))
			binary.BigEndian.PutUint32(b[n+4:], uint32(s.To))
			n += 8
		}
	}
	if o.Has&HasUserTimeout != 0 {
		b[n], b[n+1] = optUserTimeout, 4
		binary.BigEndian.PutUint16(b[n+2:], o.UserTimeout)
		n += 4
	}
	if o.Has&HasFastOpen != 0 {
		n += o.FastOpen.put(b[n:])
	}
	return n
}

// Put writes the segment's header with its options into b (MaxHeaderLen bytes always suffice) and returns the
// header's length. The text is not written. The checksum field holds pseudo, the folded sum of the pseudo-header:
// what a device that finishes checksums expects.
func (g *Segment) Put(b []byte, pseudo uint16) int {
	n := HeaderLen + g.Options.put(b[HeaderLen:])
	binary.BigEndian.PutUint16(b, g.SrcPort)
	binary.BigEndian.PutUint16(b[2:], g.DstPort)
	binary.BigEndian.PutUint32(b[4:], uint32(g.Seq))
	binary.BigEndian.PutUint32(b[8:], uint32(g.Ack))
	b[12], b[13] = byte(n/4)<<4|byte(g.Flags>>8), byte(g.Flags)
	binary.BigEndian.PutUint16(b[14:], g.Window)
	binary.BigEndian.PutUint16(b[16:], pseudo)
	binary.BigEndian.PutUint16(b[18:], g.Urgent)
	return n
}

// ChecksumOK verifies the checksum of the segment b, header and text (MUST-3).
func ChecksumOK(src, dst ip.Addr, b []byte) bool {
	return ip.Fold(ip.Sum(b, ip.PseudoSum(src, dst, ip.ProtoTCP, len(b)))) == 0xffff
}
