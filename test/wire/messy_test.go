package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/fault"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// messy is what each direction does to packets.
var messy = fault.Faults{Loss: 0.005, Duplicate: 0.005, Corrupt: 0.005, Reorder: 0.01, Late: time.Millisecond}

// TestMessyWire carries text between the kernel and the stack across a wire that loses, repeats, reorders and
// corrupts: every byte arrives as it was sent, and nothing that was damaged is taken. With superframes a fault hits up
// to 64 kB at once, without them single segments.
func TestMessyWire(t *testing.T) {
	need(t)
	for _, frames := range []struct {
		name    string
		offload tun.Offload
	}{{"superframes", tun.On}, {"segments", tun.Off}} {
		t.Run(frames.name, func(t *testing.T) {
			var toUs, toKernel damage
			h := startHost(t, frames.offload, toKernel.ofWrites, fault.New(*seed, messy, messy), toUs.ofReads)
			before := h.kernelCounters()
			for i, way := range []struct {
				name           string
				toUs, toKernel bool
			}{{"both ways at once", true, true}, {"to the stack", true, false}, {"from the stack", false, true}} {
				t.Run(way.name, func(t *testing.T) {
					theirs, ours := h.accept(t, uint16(80+i))
					transfer(t, theirs, ours, part(way.toUs), part(way.toKernel))
				})
			}
			h.checkDamage(t, before, &toUs, &toKernel)
		})
	}
}

func part(all bool) int64 {
	if all {
		return int64(size)
	}
	return 0
}

// transfer carries toUs bytes from the kernel and toKernel bytes to it, at the same time, each with an end behind it.
func transfer(t *testing.T, theirs, ours conn, toUs, toKernel int64) {
	t.Helper()
	sums := make(chan error, 2)
	go func() { sums <- carry(theirs, ours, *seed, toUs) }()
	go func() { sums <- carry(ours, theirs, *seed+1<<32, toKernel) }()
	began := time.Now()
	if err := errors.Join(<-sums, <-sums); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d bytes to the stack and %d from it in %.1f s, %.0f Mbit/s", toUs, toKernel, took.Seconds(),
		float64(toUs+toKernel)*8/1e6/took.Seconds())
}

// carry sends n bytes of a seed's stream and their end, and compares the hashes of what was sent and what arrived.
func carry(from, to conn, seed uint64, n int64) error {
	sent := make(chan error, 1)
	was, is := sha256.New(), sha256.New()
	go func() {
		_, err := io.CopyBuffer(writer{from, was}, io.LimitReader(random(seed), n), make([]byte, piece))
		sent <- errors.Join(err, from.CloseWrite())
	}()
	got, err := io.CopyBuffer(is, reader{to}, make([]byte, piece))
	if err != nil {
		return fmt.Errorf("%v read %d bytes of %d: %w", to.LocalAddr(), got, n, err)
	}
	if err := <-sent; err != nil { // which comes with an early end, too
		return fmt.Errorf("%v, of whose %d bytes %d have arrived: %w", from.LocalAddr(), n, got, err)
	}
	if got != n {
		return fmt.Errorf("%v read %d bytes of %d", to.LocalAddr(), got, n)
	}
	if a, b := sum(was), sum(is); a != b {
		return fmt.Errorf("%v sent %d bytes with the hash %s; %v read some with %s", from.LocalAddr(), n, a, to.LocalAddr(), b)
	}
	return nil
}

const piece = 256 << 10

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// writer writes to a connection and to the hash of what was written. It waits as long as something moves.
type writer struct {
	net.Conn
	hash hash.Hash
}

func (w writer) Write(p []byte) (int, error) {
	w.hash.Write(p)
	for wrote := 0; ; {
		if err := w.SetWriteDeadline(deadline()); err != nil {
			return wrote, err
		}
		n, err := w.Conn.Write(p[wrote:])
		if wrote += n; n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return wrote, err
		}
	}
}

// reader reads from a connection, and waits as long as something moves.
type reader struct{ conn net.Conn }

func (r reader) Read(p []byte) (int, error) {
	if err := r.conn.SetReadDeadline(deadline()); err != nil {
		return 0, err
	}
	return r.conn.Read(p)
}

// damage counts packets whose bytes do not fit their checksums.
type damage struct{ n atomic.Uint64 }

// ofReads counts those that are read.
func (d *damage) ofReads(inner link.Device) link.Device { return damagedReads{inner, d} }

// ofWrites counts those that are written.
func (d *damage) ofWrites(inner link.Device) link.Device { return damagedWrites{inner, d} }

func (d *damage) look(p *link.Packet) {
	if damaged(p) {
		d.n.Add(1)
	}
}

type damagedReads struct {
	link.Device
	*damage
}

func (d damagedReads) Read(b *link.Batch) error {
	err := d.Device.Read(b)
	for i := range b.Packets {
		d.look(&b.Packets[i])
	}
	return err
}

type damagedWrites struct {
	link.Device
	*damage
}

func (d damagedWrites) Write(p *link.Packet) error {
	d.look(p)
	return d.Device.Write(p)
}

// damaged tells whether p is no IPv4 packet, or has a wrong checksum. One with a checksum unfinished has met no fault.
func damaged(p *link.Packet) bool {
	if p.NeedsChecksum || p.Verified {
		return false
	}
	var g ip.Packet
	if g.Parse(p.Head) != ip.DropNone {
		return true
	}
	return g.Proto == ip.ProtoTCP && !tcp.ChecksumOK(g.Src, g.Dst, g.Payload)
}

// faulty are the stack's names of what a packet that no sender has made like this is dropped for.
var faulty = []string{
	"ip_checksum", "ip_version", "ip_version6", "ip_header_length", "ip_total_length", "ip_options",
	"tcp_short", "tcp_data_offset", "tcp_option_length", "tcp_checksum",
}

// checkDamage stops the host, which must have dropped every damaged packet for what was wrong with it, and no other;
// and so must the kernel have, of those that the device took.
func (h *host) checkDamage(t *testing.T, before map[string]uint64, toUs, toKernel *damage) {
	t.Helper()
	lost := must[uint64](t)(h.dev.Drops())
	if err := h.Stack.Close(); err != nil {
		t.Error(err)
	}
	c, k := observe.Collect(h.Stack, h.Stack.Listeners(), h.dev.Malformed(), lost), h.kernelCounters()
	var ours uint64
	for _, reason := range faulty {
		ours += c.Drops[reason]
	}
	for name := range k {
		k[name] -= before[name]
	}
	theirs := k["Tcp.InErrs"] + k["Ip.InHdrErrors"]
	t.Logf("%d damaged packets came to the stack, which dropped %d; %d left it, of which the kernel dropped %d",
		toUs.n.Load(), ours, toKernel.n.Load(), theirs)
	logCounters(t, &c, k)
	if ours != toUs.n.Load() || c.Drops["tcp_checksum"] == 0 {
		t.Errorf("%d damaged packets came, %d were dropped: %v", toUs.n.Load(), ours, c.Drops)
	}
	if theirs > toKernel.n.Load() || k["Tcp.InCsumErrors"] == 0 {
		t.Errorf("%d damaged packets left, the kernel dropped %d", toKernel.n.Load(), theirs)
	}
	if c.Impossible != 0 || c.NoMemory != 0 {
		t.Errorf("%d impossible events, %d times no memory", c.Impossible, c.NoMemory)
	}
}

func logCounters(t *testing.T, c *observe.Counters, k map[string]uint64) {
	t.Helper()
	t.Logf("the stack: %d packets read, %d written, %d lost for want of room; drops %v", c.PacketsRead, c.PacketsWritten,
		c.DeviceDrops, c.Drops)
	t.Logf("the kernel: %d segments in, %d with a wrong checksum, %d out, %d of these again, after %d time-outs; "+
		"D-SACKs: %d sent, %d received", k["Tcp.InSegs"], k["Tcp.InCsumErrors"], k["Tcp.OutSegs"], k["Tcp.RetransSegs"],
		k["TcpExt.TCPTimeouts"], k["TcpExt.TCPDSACKOldSent"]+k["TcpExt.TCPDSACKOfoSent"], k["TcpExt.TCPDSACKRecv"])
}
