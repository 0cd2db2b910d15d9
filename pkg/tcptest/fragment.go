package tcptest

import "github.com/tcpd-project/tcpd/pkg/ip"

// pieces is a datagram that a router has split: what of it has reached the host.
type pieces struct {
	whole  *Frame
	id     uint16
	came   []bool
	left   int  // pieces that have not come
	spoilt bool // one was corrupted
}

// mayCorrupt reports whether a bit of the frame may be changed: one, in all pieces of a datagram, for the checksum is not
// sure to show two.
func (f *Frame) mayCorrupt() bool {
	if f.part == nil {
		return true
	}
	may := !f.part.spoilt
	f.part.spoilt = true
	return may
}

// fragment splits a packet as a router does that knows no better than to (RFC 791 section 3.2): DF or not. By chance one
// piece more comes that overlaps two others, as no honest sender makes them (RFC 5722).
func (p *Path) fragment(f *Frame) []*Frame {
	p.id++
	f.split = true
	d := &pieces{whole: f, id: p.id}
	var list []*Frame
	add := func(b []byte, index int) {
		list = append(list, &Frame{Src: f.Src, Dst: f.Dst, Packet: append([]byte(nil), b...), part: d, index: index})
	}
	packet := append([]byte(nil), f.Packet...)
	packet[6] &^= 0x40 // DF
	ip.Split(packet, p.Fragment, p.id, func(b []byte) {
		add(b, d.left)
		d.left++
	})
	d.came = make([]bool, d.left)
	if p.chance.perMille(p.Overlap) {
		packet = append(packet[:0], f.Packet...)
		packet[6] &^= 0x40
		ip.Split(packet, p.Fragment-8, p.id, func(b []byte) {
			if len(list) == d.left && p.chance.IntN(2) == 0 {
				add(b, -1)
			}
		})
	}
	p.chance.Shuffle(len(list), func(i, j int) {
		if p.Jitter > 0 {
			list[i], list[j] = list[j], list[i]
		}
	})
	return list
}

// read notes that a host has read a piece, and returns the datagram if that was the last one: then the host may have it
// whole, and begins anew with pieces that come twice.
func (f *Frame) read() *Frame {
	d := f.part
	if f.corrupted || f.index < 0 || d.came[f.index] {
		return nil
	}
	d.came[f.index] = true
	if d.left--; d.left > 0 {
		return nil
	}
	clear(d.came)
	d.left = len(d.came)
	return d.whole
}
