// Package pcap is a Middleware that records every packet of a link in a pcapng file, as tshark reads it.
package pcap

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Recorder is a capture. Each device that it wraps is an interface of the file, and each packet bears its
// direction. Packets are IP without a link header (LINKTYPE_RAW), superframes whole, checksums finished.
type Recorder struct {
	mu      sync.Mutex
	ng      *pcapgo.NgWriter
	file    io.Closer // nil when the writer is the caller's
	wrapped int
	dirty   bool // something is not flushed yet
	closed  bool
	err     error // the first failure; nothing is recorded after it
	origin  time.Time
	from    mono.Time // the monotonic time of origin
	scratch link.Packet
}

// New starts a capture on w.
func New(w io.Writer) (*Recorder, error) {
	ng, err := pcapgo.NewNgWriterInterface(w, queue(0), pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: "tcpd"},
	})
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	if err := ng.Flush(); err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	return &Recorder{ng: ng, origin: time.Now(), from: mono.Now()}, nil
}

// Create starts a capture in a file, which Close closes. A file that is there is overwritten.
func Create(path string) (*Recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	r, err := New(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	r.file = f
	return r, nil
}

func queue(n int) pcapgo.NgInterface {
	return pcapgo.NgInterface{
		Name:                fmt.Sprintf("queue %d", n),
		LinkType:            layers.LinkTypeRaw,
		TimestampResolution: 9, // nanoseconds
	}
}

// Middleware wraps d; it is a link.Middleware.
func (r *Recorder) Middleware(d link.Device) link.Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.wrapped
	r.wrapped++
	if id > 0 { // the writer has made the first one
		if _, err := r.ng.AddInterface(queue(id)); err != nil {
			r.fail(err)
		}
	}
	return &device{Device: d, recorder: r, id: id}
}

// Close ends the capture; it returns the first failure to record. Devices go on without it.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	r.flush()
	r.closed = true
	if r.file != nil {
		if err := r.file.Close(); err != nil {
			r.fail(err)
		}
	}
	return r.err
}

func (r *Recorder) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("pcap: %w", err)
	}
}

func (r *Recorder) flush() {
	if r.dirty && !r.closed && r.err == nil {
		if err := r.ng.Flush(); err != nil {
			r.fail(err)
		}
	}
	r.dirty = false
}

// record writes p to the file; p stays as it is.
func (r *Recorder) record(id int, p *link.Packet, at mono.Time, direction *pcapgo.NgEpbFlags) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.err != nil {
		return
	}
	s := &r.scratch
	bytes := p.AppendTo(s.Head[:0])
	*s = *p
	s.Head, s.Body = bytes, [2][]byte{}
	s.FinishChecksum()
	info := gopacket.CaptureInfo{
		Timestamp:      r.origin.Add(at.Sub(r.from)),
		CaptureLength:  len(bytes),
		Length:         len(bytes),
		InterfaceIndex: id,
	}
	if err := r.ng.WritePacketWithOptions(info, bytes, pcapgo.NgPacketOptions{Flags: direction}); err != nil {
		r.fail(err)
	}
	r.dirty = true
}

// device records what passes.
type device struct {
	link.Device
	recorder *Recorder
	id       int
}

// Read records what was read.
func (d *device) Read(b *link.Batch) error {
	err := d.Device.Read(b)
	if len(b.Packets) == 0 {
		return err
	}
	now := mono.Now()
	for i := range b.Packets {
		d.recorder.record(d.id, &b.Packets[i], now, &inbound)
	}
	return err
}

// Write records what the inner device took, at the time before it did: an answer may be recorded first.
func (d *device) Write(p *link.Packet) error {
	now := mono.Now()
	if err := d.Device.Write(p); err != nil {
		return err
	}
	d.recorder.record(d.id, p, now, &outbound)
	return nil
}

// Wait first lets the file have everything, so that it can be followed.
func (d *device) Wait(until mono.Time) error {
	d.recorder.mu.Lock()
	d.recorder.flush()
	d.recorder.mu.Unlock()
	return d.Device.Wait(until)
}

var (
	inbound  = pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	outbound = pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionOutbound}
)
