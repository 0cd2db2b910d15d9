package infer

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

var client, server = netip.MustParseAddrPort("10.7.0.1:40614"), netip.MustParseAddrPort("10.7.0.2:80")

// wire is a segment as the tests write it: "> SYN 0" from the client, "< SYN,ACK 0 1", "> PSH,ACK 1 1 100" with 100 bytes of text.
func wire(t *testing.T, line string) (from, to netip.AddrPort, data []byte) {
	t.Helper()
	var way, flags string
	var at, ack, text uint32
	if n, err := fmt.Sscan(line, &way, &flags, &at, &ack, &text); n < 3 {
		t.Fatalf("%q: %v", line, err)
	}
	g := tcp.Segment{Window: 1000}
	ours, theirs := seq.Num(0xfffffff0), seq.Num(7000)
	from, to = client, server
	if way == "<" {
		from, to, ours, theirs = to, from, theirs, ours
	}
	g.Seq, g.Ack = ours.Add(at), theirs.Add(ack)
	for name := range strings.SplitSeq(flags, ",") {
		g.Flags |= map[string]tcp.Flags{"SYN": tcp.SYN, "ACK": tcp.ACK, "FIN": tcp.FIN, "RST": tcp.RST, "PSH": tcp.PSH}[name]
	}
	g.SrcPort, g.DstPort = from.Port(), to.Port()
	head := make([]byte, ip.HeaderLen+tcp.MaxHeaderLen)
	n := g.Put(head[ip.HeaderLen:], 0)
	h := ip.Header{Src: ip.FromNetip(from.Addr()), Dst: ip.FromNetip(to.Addr()), Proto: ip.ProtoTCP, TTL: 64, Len: ip.HeaderLen + n + int(text)}
	h.Put(head)
	return from, to, append(head[:ip.HeaderLen+n], make([]byte, text)...)
}

// capture writes segments as pcapng.
func capture(t *testing.T, lines ...string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeRaw)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		_, _, data := wire(t, line)
		info := gopacket.CaptureInfo{Timestamp: time.Unix(int64(i), 0), CaptureLength: len(data), Length: len(data)}
		if err := w.WritePacket(info, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func spell(moves []Move) (text string) {
	for _, m := range moves {
		text += fmt.Sprintf(" %v", m.To)
	}
	return text
}

// TestFollow: what the two ends must have gone through.
func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name   string
		lines  []string
		moves  []string // of sender and receiver at each line
		client fsm.State
		server fsm.State
	}{
		{"a visit", []string{
			"> SYN 0", "< SYN,ACK 0 1", "> ACK 1 1", "> PSH,ACK 1 1 100", "< PSH,ACK 1 101 50", "> FIN,ACK 101 51", "< ACK 51 102", "< FIN,ACK 51 102", "> ACK 102 52",
		}, []string{
			" SYN-SENT|", " SYN-RECEIVED| ESTABLISHED", "| ESTABLISHED", "|", "|", " FIN-WAIT-1| CLOSE-WAIT", "| FIN-WAIT-2", " LAST-ACK| TIME-WAIT", "| CLOSED",
		}, fsm.TimeWait, fsm.Closed},
		{"closed at the same time", []string{
			"> SYN 0", "< SYN,ACK 0 1", "> ACK 1 1", "> FIN,ACK 1 1", "< FIN,ACK 1 1", "> ACK 2 2", "< ACK 2 2",
		}, []string{
			" SYN-SENT|", " SYN-RECEIVED| ESTABLISHED", "| ESTABLISHED", " FIN-WAIT-1| CLOSE-WAIT", " LAST-ACK| CLOSING", "| CLOSED", "| TIME-WAIT",
		}, fsm.TimeWait, fsm.Closed},
		{"called at the same time", []string{"> SYN 0", "< SYN 0", "> SYN,ACK 0 1", "< SYN,ACK 0 1"}, []string{
			" SYN-SENT|", " SYN-SENT| SYN-RECEIVED", "| ESTABLISHED", "| ESTABLISHED",
		}, fsm.Established, fsm.Established},
		{"refused", []string{"> SYN 0", "< RST,ACK 0 1"}, []string{" SYN-SENT|", "| CLOSED"}, fsm.Closed, fsm.Closed},
		{"out of order", []string{
			"> SYN 0", "< SYN,ACK 0 1", "> ACK 1 1", "> FIN,ACK 101 1", "> ACK 1 1 100", "< ACK 1 102",
		}, []string{" SYN-SENT|", " SYN-RECEIVED| ESTABLISHED", "| ESTABLISHED", " FIN-WAIT-1|", "| CLOSE-WAIT", "| FIN-WAIT-2"}, fsm.FinWait2, fsm.CloseWait},
		{"from the middle", []string{"> ACK 500 700 10", "< ACK 700 510", "< FIN,ACK 700 510", "> ACK 510 701"}, []string{"|", "|", " FIN-WAIT-1| CLOSE-WAIT", "| FIN-WAIT-2"}, fsm.CloseWait, fsm.FinWait2},
	} {
		var moves []string
		var last *Connection
		skipped, err := Follow(capture(t, c.lines...), func(s *Step) error {
			moves = append(moves, spell(s.Sender)+"|"+spell(s.Receiver))
			last = s.Connection
			return nil
		})
		if err != nil || skipped != 0 || last == nil {
			t.Fatalf("%s: %d skipped, %v", c.name, skipped, err)
		}
		if !slices.Equal(moves, c.moves) || last.ClientEnd.State != c.client || last.ServerEnd.State != c.server {
			t.Errorf("%s: they went %q to %v and %v, not %q", c.name, moves, last.ClientEnd.State, last.ServerEnd.State, c.moves)
		}
	}
}

// TestAgain: what was sent before is told from what was not, and ports may be used again.
func TestAgain(t *testing.T) {
	var again []int
	connections := map[*Connection]bool{}
	var sent uint64
	n := 0
	_, err := Follow(capture(t,
		"> SYN 0", "> SYN 0", "< SYN,ACK 0 1", "> ACK 1 1", "> ACK 1 1 100", "> ACK 101 1 100", "> ACK 1 1 100", "< ACK 1 201", "< RST,ACK 1 201",
		"> SYN 90000", "< SYN,ACK 90000 90001"), func(s *Step) error {
		if s.Again {
			again = append(again, n)
		}
		n++
		connections[s.Connection] = true
		if len(connections) == 1 {
			sent = s.Connection.ClientEnd.Sent
		}
		return nil
	})
	if err != nil || !slices.Equal(again, []int{1, 6}) || len(connections) != 2 || sent != 200 {
		t.Errorf("%v are sent again, of %d connections, %d bytes, %v", again, len(connections), sent, err)
	}
}

// TestNoCapture: what is none is refused, what is cut off is told of.
func TestNoCapture(t *testing.T) {
	for text, want := range map[string]string{"": "empty", "hello, I am no capture": "neither"} {
		if _, err := Follow(strings.NewReader(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	whole := capture(t, "> SYN 0", "< SYN,ACK 0 1").Bytes()
	n := 0
	if _, err := Follow(bytes.NewReader(whole[:len(whole)-10]), func(*Step) error { n++; return nil }); err == nil || n != 1 {
		t.Errorf("%d segments, %v", n, err)
	}
}
