package wire

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link/pcap"
)

// newCapture begins a capture in a file of the test's own.
func newCapture(t *testing.T) (r *pcap.Recorder, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "wire.pcapng")
	r = must[*pcap.Recorder](t)(pcap.Create(path))
	t.Cleanup(func() { r.Close() })
	return r, path
}

// remark is what tshark's experts say of one segment.
type remark struct {
	frame int // its number in the capture, from 1 on
	items []item
}

type item struct{ name, message string }

// tshark reads a capture, with every checksum looked at, and returns what it prints of the segments that filter
// accepts. Text is no protocol of its own, whatever it looks like.
func tshark(t *testing.T, path, filter string, args ...string) []byte {
	t.Helper()
	args = append(args, "-r", path, "-n", "-Q", "-Y", filter, "-d", "tcp.port==1-65535,data",
		"-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, complaint.String())
	}
	return out
}

// tsharkRemarks is what tshark's experts say.
func tsharkRemarks(t *testing.T, path, filter string) []remark {
	t.Helper()
	return must[[]remark](t)(parsePDML(tshark(t, path, "_ws.expert && "+filter, "-T", "pdml")))
}

// segment is a TCP segment as tshark shows it, with sequence numbers relative to the SYN.
type segment struct {
	ours                   bool
	stream                 uint64
	seq, next, length, ack uint64
}

// tsharkSegments are all packets of a capture, also the few that are not TCP: frame n is at n-1.
func tsharkSegments(t *testing.T, path string) (all []segment) {
	t.Helper()
	out := tshark(t, path, "frame", "-T", "fields", "-E", "separator=,", "-e", "ip.src", "-e", "tcp.stream",
		"-e", "tcp.seq", "-e", "tcp.nxtseq", "-e", "tcp.len", "-e", "tcp.ack")
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ",")
		if len(f) != 6 {
			t.Fatalf("tshark prints %q", line)
		}
		all = append(all, segment{f[0] == ourIP.String(), number(f[1]), number(f[2]), number(f[3]), number(f[4]), number(f[5])})
	}
	return all
}

// number is 0 for what a packet has not.
func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// field is an element of PDML, where protocols have fields, and fields have fields.
type field struct {
	Name   string  `xml:"name,attr"`
	Show   string  `xml:"show,attr"`
	Fields []field `xml:"field"`
}

type packet struct {
	Protocols []field `xml:"proto"`
}

func parsePDML(text []byte) (remarks []remark, err error) {
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return remarks, nil
		}
		if err != nil {
			return remarks, fmt.Errorf("pdml: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "packet" {
			continue
		}
		var p packet
		if err := d.DecodeElement(&p, &start); err != nil {
			return remarks, fmt.Errorf("pdml: %w", err)
		}
		remarks = append(remarks, p.remark())
	}
}

func (p *packet) remark() (r remark) {
	for _, proto := range p.Protocols {
		proto.visit(func(f *field) {
			switch f.Name {
			case "frame.number":
				r.frame = int(number(f.Show))
			case "_ws.expert":
				r.items = append(r.items, f.item())
			}
		})
	}
	return r
}

func (f *field) visit(see func(*field)) {
	see(f)
	for i := range f.Fields {
		f.Fields[i].visit(see)
	}
}

// item reads what stands under an expert's remark: its name, and the words for it.
func (f *field) item() (i item) {
	for _, sub := range f.Fields {
		switch {
		case sub.Name == "_ws.expert.message":
			i.message = sub.Show
		case !strings.HasPrefix(sub.Name, "_ws.expert."):
			i.name = sub.Name
		}
	}
	return i
}
