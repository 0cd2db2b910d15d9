package lib

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
)

const clonePath = "/dev/net/tun"

// openTUN makes a TUN of the test's own in the calling thread's namespace and returns its descriptor, nonblocking.
func openTUN(name string, vnetHeader bool) (int, error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if vnetHeader {
			flags |= unix.IFF_VNET_HDR
		}
		req.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// wire is a network behind a TUN of the test's own, to which the kernel routes: the test is all its hosts, and sends
// and answers, or does not, packet by packet.
type wire struct {
	t    *testing.T
	file *os.File
	buf  [1 << 16]byte
	out  [2048]byte
}

func openWire(t *testing.T, s *netspace, name string, network netip.Prefix) *wire {
	t.Helper()
	w := &wire{t: t}
	s.must(func() error {
		fd, err := openTUN(name, false)
		if err == nil {
			w.file = os.NewFile(uintptr(fd), name)
		}
		return err
	})
	t.Cleanup(func() { w.file.Close() })
	s.ip("link set " + name + " up txqueuelen 1000")
	s.ip("route add " + network.String() + " dev " + name)
	if err := w.file.SetDeadline(deadline()); err != nil {
		t.Fatal(err)
	}
	return w
}

// endpoint is one end of a connection made by hand, and what it sends next.
type endpoint struct {
	local, remote netip.AddrPort
	seq, ack      uint32 // SND.NXT, RCV.NXT
}

// send sends a segment at SND.NXT and does not move it. A SYN offers an MSS of 1460. A device that is full or down
// loses it, as wires do.
func (w *wire) send(e *endpoint, flags tcp.Flags, text []byte) error {
	g := tcp.Segment{Flags: flags, Window: 65535, Seq: seq.Num(e.seq), Ack: seq.Num(e.ack), Text: text}
	if flags&tcp.SYN != 0 {
		g.Options = tcp.Options{Has: tcp.HasMSS, MSS: 1460}
	}
	n := space.PutSegment(w.out[:], e.local, e.remote, &g, nil)
	_, err := w.file.Write(w.out[:n])
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EIO) {
		return nil
	}
	return err
}

// next reads on to the next TCP segment, whose bytes are there until the next one. The kernel and our stack have
// made it, so that it must be well made.
func (w *wire) next() (from, to netip.AddrPort, g tcp.Segment, err error) {
	for {
		n, err := w.file.Read(w.buf[:])
		if err != nil {
			return from, to, g, err
		}
		var p ip.Packet
		if w.buf[0]>>4 != 4 {
			continue // the kernel's own IPv6
		}
		if d := p.Parse(w.buf[:n]); d != ip.DropNone || p.Proto != ip.ProtoTCP {
			continue
		}
		if !tcp.ChecksumOK(p.Src, p.Dst, p.Payload) {
			return from, to, g, errors.New("a segment with a wrong checksum")
		}
		if d := g.Parse(p.Payload); d != tcp.DropNone {
			return from, to, g, errors.New("a malformed segment: " + d.String())
		}
		return addrPort(p.Src.Netip(), g.SrcPort), addrPort(p.Dst.Netip(), g.DstPort), g, nil
	}
}

// await is next for a segment with these flags, which must come before any other.
func (w *wire) await(flags tcp.Flags) (from, to netip.AddrPort, g tcp.Segment) {
	w.t.Helper()
	from, to, g, err := w.next()
	if err != nil {
		w.t.Fatalf("waiting for %v: %v", flags, err)
	}
	if g.Flags != flags {
		w.t.Fatalf("%v to %v: %v, want %v", from, to, g.Flags, flags)
	}
	return from, to, g
}
