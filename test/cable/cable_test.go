package cable

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/fault"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// packet is a segment with nothing but its ports and flags.
func packet(flags tcp.Flags, from, to uint16) []byte {
	p := make([]byte, ip.HeaderLen+tcp.HeaderLen)
	p[0], p[9] = 0x45, ip.ProtoTCP
	binary.BigEndian.PutUint16(p[20:], from)
	binary.BigEndian.PutUint16(p[22:], to)
	p[20+13] = byte(flags)
	return p
}

// come reads the flags of all segments that have arrived at an end.
func come(t *testing.T, end *link.Link) (flags []tcp.Flags) {
	t.Helper()
	b := link.NewBatch()
	if err := end.Queues[0].Read(b); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.Packets {
		f, _, _ := segment(p.Head)
		flags = append(flags, f)
	}
	return flags
}

func send(t *testing.T, end *link.Link, p []byte) {
	t.Helper()
	if err := end.Queues[0].Write(&link.Packet{Head: p}); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyRSTsAreSpared(t *testing.T) {
	w := New(1, Conditions{Faults: fault.Faults{Loss: 1}})
	for _, f := range []tcp.Flags{tcp.SYN, tcp.ACK, tcp.RST, tcp.RST | tcp.ACK, tcp.FIN | tcp.ACK} {
		send(t, w.A, packet(f, 40_000, 80))
	}
	if got := come(t, w.B); !slices.Equal(got, []tcp.Flags{tcp.RST, tcp.RST | tcp.ACK}) {
		t.Errorf("%v", got)
	}
	w.Cut()
	send(t, w.A, packet(tcp.RST, 40_000, 80))
	if got := come(t, w.B); got != nil {
		t.Errorf("by a broken wire: %v", got)
	}
}

func TestSYNsCross(t *testing.T) {
	w := New(1, Conditions{})
	send(t, w.A, packet(tcp.SYN, 40_000, 80))
	if got := come(t, w.B); len(got) != 1 {
		t.Errorf("a SYN to a listener: %v", got)
	}
	send(t, w.A, packet(tcp.SYN, 1000, 1001))
	send(t, w.A, packet(tcp.SYN, 1002, 1003))
	if got := come(t, w.B); got != nil {
		t.Errorf("before the other SYN: %v", got)
	}
	send(t, w.B, packet(tcp.SYN, 1001, 1000))
	if got := come(t, w.A); len(got) != 1 {
		t.Errorf("the other SYN: %v", got)
	}
	if got := come(t, w.B); len(got) != 1 {
		t.Errorf("the first SYN: %v", got)
	}
}

// TestPlug sends through two plugs, from one to the other and back from within.
func TestPlug(t *testing.T) {
	w := New(1, Conditions{})
	back := make(chan []byte)
	var b *Plug
	ready := make(chan struct{})
	a := Insert(w.A, func(p []byte) { back <- slices.Clone(p) })
	b = Insert(w.B, func(p []byte) {
		<-ready
		b.Send(p)
	})
	close(ready)
	defer b.Pull()
	defer a.Pull()
	for i := range 100 {
		want := packet(tcp.ACK, uint16(i), 80)
		a.Send(want)
		if got := <-back; !slices.Equal(got, want) {
			t.Fatalf("% x, not % x", got, want)
		}
	}
}
