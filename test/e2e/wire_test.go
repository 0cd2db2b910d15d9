package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a packet socket on the device: what is written goes straight to the daemon's reader, past all checks of
// the kernel; what is read is IPv4 of both ways.
type wire struct {
	t    *testing.T
	file *os.File
	buf  [1 << 16]byte
}

func openWire(t *testing.T, s *netspace) *wire {
	t.Helper()
	file, err := s.PacketSocket(device)
	if err != nil {
		t.Fatalf("packet socket: %v", err)
	}
	return &wire{t: t, file: file}
}

// write sends a packet. The device may be full or the packet too large for it: then it is lost, as on a wire.
func (w *wire) write(packet []byte) error {
	_, err := w.file.Write(packet)
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// segment is a TCP segment as seen on the wire.
type segment struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    byte
	window   uint16
	options  []byte
	data     []byte
	packet   []byte // the whole packet
}

const (
	fin byte = 1 << iota
	syn
	rst
	psh
	ack
)

// next reads on to the next TCP segment, whose bytes are there until the next one.
func (w *wire) next() (segment, error) {
	for {
		n, err := w.file.Read(w.buf[:])
		if err != nil {
			return segment{}, err
		}
		if g, ok := parse(w.buf[:n]); ok {
			return g, nil
		}
	}
}

// parse takes apart an IPv4 packet that the kernel or the daemon has made well.
func parse(p []byte) (g segment, ok bool) {
	if len(p) < 40 || p[0]>>4 != 4 || p[9] != unix.IPPROTO_TCP || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return g, false
	}
	t := p[int(p[0]&15)*4:]
	if len(t) < 20 || int(t[12]>>4)*4 > len(t) {
		return g, false
	}
	offset := int(t[12]>>4) * 4
	return segment{
		src:     netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:])), binary.BigEndian.Uint16(t)),
		dst:     netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:])), binary.BigEndian.Uint16(t[2:])),
		seq:     binary.BigEndian.Uint32(t[4:]),
		ack:     binary.BigEndian.Uint32(t[8:]),
		flags:   t[13],
		window:  binary.BigEndian.Uint16(t[14:]),
		options: t[20:offset],
		data:    t[offset:],
		packet:  p,
	}, true
}

// put makes the packet of g, with the checksums that it should have. Options are a multiple of four bytes.
func (g segment) put() []byte {
	return putIP(g.src.Addr(), g.dst.Addr(), unix.IPPROTO_TCP, g.putTCP())
}

func (g segment) putTCP() []byte {
	t := make([]byte, 20, 20+len(g.options)+len(g.data))
	binary.BigEndian.PutUint16(t, g.src.Port())
	binary.BigEndian.PutUint16(t[2:], g.dst.Port())
	binary.BigEndian.PutUint32(t[4:], g.seq)
	binary.BigEndian.PutUint32(t[8:], g.ack)
	t[12], t[13] = byte(5+len(g.options)/4)<<4, g.flags
	binary.BigEndian.PutUint16(t[14:], g.window)
	t = append(append(t, g.options...), g.data...)
	sumTCP(g.src.Addr(), g.dst.Addr(), t)
	return t
}

// sumTCP writes the checksum into the segment t.
func sumTCP(src, dst netip.Addr, t []byte) {
	t[16], t[17] = 0, 0
	pseudo := append(src.AsSlice(), dst.AsSlice()...)
	pseudo = append(pseudo, 0, unix.IPPROTO_TCP, byte(len(t)>>8), byte(len(t)))
	binary.BigEndian.PutUint16(t[16:], checksum(append(pseudo, t...)))
}

// putIP puts an IPv4 header before a payload.
func putIP(src, dst netip.Addr, protocol byte, data []byte) []byte {
	p := make([]byte, 20, 20+len(data))
	p[0], p[8], p[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(data)))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	sumIP(p)
	return append(p, data...)
}

// sumIP writes the checksum into the header of p.
func sumIP(p []byte) {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], checksum(p[:int(p[0]&15)*4]))
}

func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) > 0 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// fragment cuts p into IP fragments with size bytes of payload, a multiple of eight.
func fragment(p []byte, id uint16, size int) [][]byte {
	var out [][]byte
	for at := 20; at < len(p); at += size {
		end := min(at+size, len(p))
		f := append(append([]byte{}, p[:20]...), p[at:end]...)
		offset := uint16(at-20) / 8
		if end < len(p) {
			offset |= 0x2000
		}
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		binary.BigEndian.PutUint16(f[4:], id)
		binary.BigEndian.PutUint16(f[6:], offset)
		sumIP(f)
		out = append(out, f)
	}
	return out
}

// peer is a TCP client made by hand: it sends what the kernel would never send. Its address is nobody's, so the
// kernel passes the daemon's answers over in silence.
type peer struct {
	*wire
	local, remote netip.AddrPort
	seq, ack      uint32 // SND.NXT, RCV.NXT
	options       []byte // of its SYN
}

const peerIP = "10.7.0.77"

func newPeer(w *wire, port uint16) *peer {
	return &peer{wire: w, seq: uint32(port) << 12, local: netip.AddrPortFrom(netip.MustParseAddr(peerIP), port),
		options: []byte{2, 4, 5, 180}} // MSS 1460
}

// name is what the daemon's log calls the connection.
func (p *peer) name() string { return p.remote.String() + " " + p.local.String() }

// open shakes hands with a service.
func (p *peer) open(port uint16) {
	p.t.Helper()
	p.shake(port)
	p.send(ack, nil)
}

// shake is open up to the SYN,ACK, which is not answered.
func (p *peer) shake(port uint16) {
	p.t.Helper()
	p.remote = netip.AddrPortFrom(netip.MustParseAddr(daemonIP), port)
	p.write(segment{src: p.local, dst: p.remote, seq: p.seq, flags: syn, window: 65535, options: p.options}.put())
	p.seq++
	p.await("SYN,ACK", func(g segment) bool { return g.flags == syn|ack && g.ack == p.seq })
}

// send sends a segment at SND.NXT and does not move it.
func (p *peer) send(flags byte, data []byte) {
	p.t.Helper()
	if err := p.write(p.segment(flags, data).put()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) segment(flags byte, data []byte) segment {
	return segment{src: p.local, dst: p.remote, seq: p.seq, ack: p.ack, flags: flags, window: 65535, data: data}
}

// await reads up to a segment from the daemon that is as wanted, and moves RCV.NXT to its end.
func (p *peer) await(what string, ok func(segment) bool) segment {
	p.t.Helper()
	p.file.SetReadDeadline(time.Now().Add(patience))
	for {
		g, err := p.next()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", what, err)
		}
		if g.src == p.remote && g.dst == p.local && ok(g) {
			p.ack = g.end()
			return g
		}
	}
}

// end is the sequence number after g.
func (g segment) end() uint32 {
	return g.seq + uint32(len(g.data)) + uint32(g.flags&fin) + uint32(g.flags&syn>>1)
}

func (g segment) String() string {
	return fmt.Sprintf("%v > %v [%v] seq %d ack %d len %d", g.src, g.dst, flagNames(g.flags), g.seq, g.ack, len(g.data))
}

func flagNames(flags byte) (names string) {
	for i, name := range []string{"F", "S", "R", "P", "."} {
		if flags&(1<<i) != 0 {
			names += name
		}
	}
	return names
}
