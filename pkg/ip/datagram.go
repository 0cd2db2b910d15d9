package ip

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxFragments is how many fragments a datagram may have: 65,535 bytes over an MTU of 576 make 119.
	maxFragments = 128
	// datagramCost is what a datagram costs besides its text, in bytes: the record, and its place in the map.
	datagramCost = 384
	pieceCost    = 6

	// tcpHeaderLen is the least that the first fragment of a TCP segment must hold, in bytes; more if its header has
	// options.
	tcpHeaderLen = 20
)

// key names the datagram a fragment belongs to (RFC 791 3.2).
type key struct {
	src, dst Addr
	id       uint16
	proto    uint8
}

// piece is one fragment that was kept. first is its offset in the datagram's payload, at its place in the text.
type piece struct{ first, size, at uint16 }

func (f piece) end() int { return int(f.first) + int(f.size) }

// datagram is what has come of one. Its pieces never overlap and lie within total; so it is whole when their sizes
// add up to total, and needs none of RFC 815's list of holes.
type datagram struct {
	key          key
	deadline     int64 // ns
	older, newer *datagram

	pieces []piece // in order of first
	text   []byte  // their bytes, in the order they came
	total  int     // payload bytes of the whole; 0: the last fragment has not come

	header    [maxHeader]byte // the first fragment's
	headerLen int             // 0: it has not come
	ecn       uint8           // bit c: a fragment came with ECN field c
	condemned bool            // dropped; kept only to know its further fragments
}

// cost is what g counts for, in bytes.
func (g *datagram) cost() int {
	return datagramCost + cap(g.text) + cap(g.pieces)*pieceCost
}

// top is the highest end of a piece.
func (g *datagram) top() int {
	if len(g.pieces) == 0 {
		return 0
	}
	return g.pieces[len(g.pieces)-1].end()
}

// whole reports whether nothing is missing.
func (g *datagram) whole() bool { return g.total != 0 && len(g.text) == g.total }

// check judges fragment p against what is there: DropNone when it belongs at pieces[i].
func (g *datagram) check(p *Packet) (i int, d Drop) {
	first, end := int(p.Offset), int(p.Offset)+len(p.Payload)
	switch {
	case len(p.Payload) == 0, p.MF && len(p.Payload)%8 != 0:
		return 0, DropFragmentLength
	case max(len(p.Header), g.headerLen)+max(end, g.top()) > maxDatagram:
		return 0, DropFragmentBeyond
	case tiny(p):
		return 0, DropFragmentTiny
	}
	for i < len(g.pieces) && g.pieces[i].end() <= first {
		i++
	}
	last := !p.MF
	switch {
	case i < len(g.pieces) && int(g.pieces[i].first) < end:
		if g.duplicate(g.pieces[i], p) {
			return i, DropFragmentDuplicate
		}
		return i, DropFragmentOverlap
	case last && (g.total != 0 || end < g.top()):
		return i, DropFragmentEnd
	case !last && g.total != 0 && end > g.total:
		return i, DropFragmentEnd
	case mixedECN(g.ecn | 1<<(p.TOS&3)):
		return i, DropFragmentECN
	case len(g.pieces) == maxFragments:
		return i, DropFragmentMany
	}
	return i, DropNone
}

// duplicate reports whether p is f again, to the byte. RFC 8200 4.5 allows to ignore such a fragment: a network may
// deliver twice, but it doesn't alter.
func (g *datagram) duplicate(f piece, p *Packet) bool {
	return f.first == p.Offset && int(f.size) == len(p.Payload) && p.MF == (f.end() != g.total) &&
		bytes.Equal(g.text[f.at:][:f.size], p.Payload)
}

// tiny reports whether p splits a TCP header between fragments or could write over one, to get past a filter that looks
// at first fragments (RFC 1858 3 and 4, RFC 3128 3). Filters judge by flags and options too, so the header is
// wanted whole.
func tiny(p *Packet) bool {
	switch {
	case p.Proto != ProtoTCP:
		return false
	case p.Offset != 0:
		return p.Offset < tcpHeaderLen
	case len(p.Payload) < tcpHeaderLen:
		return true
	}
	return int(p.Payload[12]>>4)*4 > len(p.Payload)
}

// mixedECN reports whether fragments of one datagram came both ECN-capable and not: RFC 3168 5.3 has the datagram
// dropped when one of the former is marked; like Linux, we don't wait for the mark.
func mixedECN(seen uint8) bool { return seen&1 != 0 && seen != 1 }

// insert keeps a copy of p at pieces[i].
func (g *datagram) insert(i int, p *Packet) {
	f := piece{first: p.Offset, size: uint16(len(p.Payload)), at: uint16(len(g.text))}
	g.text = append(g.text, p.Payload...)
	g.pieces = append(g.pieces, piece{})
	copy(g.pieces[i+1:], g.pieces[i:])
	g.pieces[i] = f
	g.ecn |= 1 << (p.TOS & 3)
	if !p.MF {
		g.total = f.end()
	}
	if p.Offset == 0 {
		g.headerLen = copy(g.header[:], p.Header)
	}
}

// appendTo appends the whole datagram to b: the first fragment's header, with the fragment's fields cleared, then the
// pieces in order.
func (g *datagram) appendTo(b []byte) []byte {
	const congestionExperienced = 3
	from := len(b)
	b = append(b, g.header[:g.headerLen]...)
	h := b[from:]
	binary.BigEndian.PutUint16(h[2:], uint16(g.headerLen+g.total))
	binary.BigEndian.PutUint16(h[6:], 0)
	if g.ecn&(1<<congestionExperienced) != 0 {
		h[1] |= congestionExperienced // RFC 3168 5.3: a mark on one fragment marks the datagram
	}
	putHeaderChecksum(h)
	for _, f := range g.pieces {
		b = append(b, g.text[f.at:][:f.size]...)
	}
	return b
}

// first returns the first fragment as it came, if it did.
func (g *datagram) first(p *Packet) bool {
	if g.headerLen == 0 {
		return false
	}
	f := g.pieces[0]
	*p = Packet{
		Src: g.key.src, Dst: g.key.dst, Proto: g.key.proto, ID: g.key.id,
		TOS: g.header[1], TTL: g.header[8], DF: g.header[6]&(flagDF>>8) != 0, MF: true,
		Header: g.header[:g.headerLen], Payload: g.text[f.at:][:f.size],
	}
	return true
}
