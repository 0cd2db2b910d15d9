package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
)

// measured are segments as they are seen most.
var measured = []struct {
	name string
	seg  Segment
}{
	{"SYN", Segment{Flags: SYN, Window: 65535, Options: Options{
		Has: HasMSS | HasSACKPermitted | HasTimestamps | HasWindowScale, MSS: 1460, WindowScale: 7, TSVal: 1 << 20,
	}}},
	{"ACK", Segment{Flags: ACK, Seq: 1, Ack: 1 << 31, Window: 502, Options: Options{Has: HasTimestamps, TSVal: 1 << 20, TSEcr: 1 << 21}}},
	{"SACK", Segment{Flags: ACK, Seq: 1, Ack: 1 << 31, Window: 502, Options: Options{
		Has: HasTimestamps, TSVal: 1 << 20, TSEcr: 1 << 21, Blocks: 3, SACK: [4]Block{{10, 20}, {30, 40}, {50, 60}},
	}}},
	{"text", Segment{Flags: ACK | PSH, Seq: 1, Ack: 1 << 31, Window: 502, Text: make([]byte, 1448),
		Options: Options{Has: HasTimestamps, TSVal: 1 << 20, TSEcr: 1 << 21}}},
}

// wireOf is the segment as it lies on the wire between two addresses, with its checksum.
func wireOf(g *Segment, src, dst ip.Addr) []byte {
	b := make([]byte, MaxHeaderLen)
	b = append(b[:g.Put(b, 0)], g.Text...)
	sum := ^ip.Fold(ip.Sum(b, ip.PseudoSum(src, dst, ip.ProtoTCP, len(b))))
	b[16], b[17] = byte(sum>>8), byte(sum)
	return b
}

var (
	hereAddr  = ip.V4([4]byte{10, 7, 0, 2})
	thereAddr = ip.V4([4]byte{10, 7, 0, 1})
)

func TestCodecAllocatesNothing(t *testing.T) {
	out := make([]byte, MaxHeaderLen)
	for _, m := range measured {
		b := wireOf(&m.seg, thereAddr, hereAddr)
		var g Segment
		if a := testing.AllocsPerRun(100, func() {
			if !ChecksumOK(thereAddr, hereAddr, b) || g.Parse(b) != DropNone || g.Put(out, 0) != len(b)-len(g.Text) {
				t.Fatal("not as it was put")
			}
		}); a != 0 {
			t.Errorf("%s: %v allocations", m.name, a)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, m := range measured {
		b.Run(m.name, func(b *testing.B) {
			wire := wireOf(&m.seg, thereAddr, hereAddr)
			var g Segment
			b.ReportAllocs()
			for b.Loop() {
				if g.Parse(wire) != DropNone {
					b.Fatal()
				}
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, m := range measured {
		b.Run(m.name, func(b *testing.B) {
			out := make([]byte, MaxHeaderLen)
			b.ReportAllocs()
			for b.Loop() {
				m.seg.Put(out, 0)
			}
		})
	}
}

// The checksum of a segment, where no device has verified it.
func BenchmarkChecksumOK(b *testing.B) {
	for _, m := range measured {
		if m.name != "ACK" && m.name != "text" {
			continue
		}
		b.Run(m.name, func(b *testing.B) {
			wire := wireOf(&m.seg, thereAddr, hereAddr)
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				if !ChecksumOK(thereAddr, hereAddr, wire) {
					b.Fatal()
				}
			}
		})
	}
}

// SipHash, by which the tables find each segment's flow, and the first sequence number of a connection.
func BenchmarkSecret(b *testing.B) {
	k := Secret{1, 2}
	f := Flow{Local: hereAddr, Remote: thereAddr, LocalPort: 80, RemotePort: 40000}
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.Hash(&f)
		}
	})
	b.Run("ISN", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.ISN(&f, 1e12)
		}
	})
}
