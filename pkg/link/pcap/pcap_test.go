package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// segment is a TCP packet of n bytes of payload whose checksum is unfinished.
func segment(n int) *link.Packet {
	b := make([]byte, 40+n)
	b[0], b[8], b[9], b[32], b[33] = 0x45, 64, 6, 0x50, 0x10
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[10:], ^ip.Fold(ip.Sum(b[:20], 0)))
	b[21], b[23] = 80, 99
	for i := range n {
		b[40+i] = byte(i * 7)
	}
	binary.BigEndian.PutUint16(b[36:], ip.Fold(pseudo(b)))
	return &link.Packet{Head: b[:40], Body: [2][]byte{b[40 : 40+n/3], b[40+n/3:]}, NeedsChecksum: true, ChecksumStart: 20}
}

func pseudo(b []byte) uint32 { return ip.Sum(b[12:20], 6+uint32(len(b)-20)) }

func TestBothDirectionsAreRecorded(t *testing.T) {
	var file bytes.Buffer
	var start time.Time
	synctest.Test(t, func(t *testing.T) {
		start = time.Now()
		r, err := New(&file)
		if err != nil {
			t.Fatal(err)
		}
		a, b := pipe.New(2, pipe.Options{Steer: func([]byte, int) int { return 1 }})
		_ = r.Middleware(a.Queues[0])
		d := r.Middleware(a.Queues[1])
		big := segment(3000)
		big.GSOSize = 1000
		for _, p := range []*link.Packet{segment(5), big} {
			if err := d.Write(p); err != nil {
				t.Fatal(err)
			}
			if !p.NeedsChecksum {
				t.Error("the recorder changed what it recorded")
			}
		}
		time.Sleep(1500 * time.Nanosecond)
		_ = b.Queues[0].Write(segment(1))
		batch := link.NewBatch()
		_ = d.Read(batch)
		if len(batch.Packets) != 1 || !batch.Packets[0].NeedsChecksum {
			t.Errorf("read %+v", batch.Packets)
		}
		_ = d.Wait(mono.Now())
		if file.Len() < 3100 {
			t.Error("Wait has not flushed the file")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := d.Write(segment(5)); err != nil {
			t.Errorf("Write after the capture ended: %v", err)
		}
	})
	checkFile(t, &file, start)
}

// checkFile compares a file with what TestBothDirectionsAreRecorded did from start on.
func checkFile(t *testing.T, file io.Reader, start time.Time) {
	t.Helper()
	want := []struct {
		size      int
		direction pcapgo.NgEpbFlag
		after     time.Duration
	}{
		{45, pcapgo.NgEpbFlagDirectionOutbound, 0},
		{3040, pcapgo.NgEpbFlagDirectionOutbound, 0},
		{41, pcapgo.NgEpbFlagDirectionInbound, 1500},
	}
	ng, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		b, info, opts, err := ng.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != w.size || info.InterfaceIndex != 1 || opts.Flags.Direction != w.direction {
			t.Errorf("packet %d: %d bytes on %d, %v", i, len(b), info.InterfaceIndex, opts.Flags)
		}
		if d := info.Timestamp.Sub(start); d != w.after {
			t.Errorf("packet %d: at %v, not %v", i, d, w.after)
		}
		if ip.Fold(ip.Sum(b[20:], pseudo(b))) != 0xffff {
			t.Errorf("packet %d: wrong checksum", i)
		}
	}
	if i, err := ng.Interface(1); err != nil || i.LinkType != layers.LinkTypeRaw || i.Name != "queue 1" {
		t.Errorf("interface 1: %+v, %v", i, err)
	}
}

func TestTsharkIsContent(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	path := filepath.Join(t.TempDir(), "x.pcapng")
	r, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := pipe.New(1, pipe.Options{})
	d := r.Middleware(a.Queues[0])
	super := segment(20000)
	super.GSOSize = 1460
	for _, p := range []*link.Packet{segment(0), segment(7), super} {
		if err := d.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tshark, "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-T", "fields", "-e", "ip.checksum.status", "-e", "tcp.checksum.status", "-e", "tcp.len").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, line := range []string{"1\t1\t0\n", "1\t1\t7\n", "1\t1\t20000\n"} {
		if !strings.Contains(string(out), line) {
			t.Errorf("tshark says\n%swithout %q", out, line)
		}
	}
}

// broken fails after some bytes.
type broken struct{ left int }

func (w *broken) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

var errDisk = errors.New("disk is full")

func TestAFullDiskStopsTheCaptureAlone(t *testing.T) {
	r, err := New(&broken{left: 6000})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := pipe.New(1, pipe.Options{})
	d := r.Middleware(a.Queues[0])
	for range 20 {
		if err := d.Write(segment(1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); !errors.Is(err, errDisk) {
		t.Errorf("Close: %v", err)
	}
	if _, err := New(&broken{}); !errors.Is(err, errDisk) {
		t.Errorf("New: %v", err)
	}
}
