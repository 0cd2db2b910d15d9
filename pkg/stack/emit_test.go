package stack_test

import (
	"encoding/binary"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// sentTo notes whom each packet with text goes to.
type sentTo struct {
	link.Device
	packets []packetTo
}

type packetTo struct{ from, to uint16 }

func (s *sentTo) Write(p *link.Packet) error {
	if tcpHeader := p.Head[ip.HeaderLen:]; len(p.Body[0]) > 0 {
		s.packets = append(s.packets, packetTo{binary.BigEndian.Uint16(tcpHeader), binary.BigEndian.Uint16(tcpHeader[2:])})
	}
	return s.Device.Write(p)
}

// pong sends a byte for each that comes.
type pong struct{ got int }

func (p *pong) Ready(c stack.Conn, e tcp.Events) {
	n := 0
	for b := c.Next(); len(b) > 0; b = c.Next() {
		n += len(b)
		c.Consume(len(b))
	}
	if p.got += n; n > 0 || e&tcp.Opened != 0 {
		c.Write([]byte{0})
	}
}

// TestBulkComesLast: in a turn who has little to send goes first, those with much one after the other, and none of them is
// forgotten.
func TestBulkComesLast(t *testing.T) {
	const bulk, many, few = 5, 9, 7
	n := &bench{tb: t, now: 1e12}
	la, lb := pipe.New(1, pipe.Options{MTU: 1500, Packets: 4096, Bytes: 64 << 20})
	wire := &sentTo{Device: lb.Queues[0]}
	lb.Queues[0] = wire
	n.a, n.b = n.host(la, addrA), n.host(lb, addrB)
	listenOn(t, n.b, stack.ListenConfig{Port: many}, &source{text: make([]byte, 64<<10)})
	listenOn(t, n.b, stack.ListenConfig{Port: few}, &pong{})
	var sinks [bulk]sink
	for i := range sinks {
		dialTo(t, n.a, many, &sinks[i])
	}
	echo := &pong{}
	dialTo(t, n.a, few, echo)

	var half [bulk]uint64
	behind, busy := 0, 0
	for turn := range 500 {
		if turn == 250 {
			for i := range sinks {
				half[i] = sinks[i].got
			}
		}
		if _, err := n.a.Turn(0); err != nil {
			t.Fatal(err)
		}
		wire.packets = wire.packets[:0]
		if _, err := n.b.Turn(0); err != nil {
			t.Fatal(err)
		}
		n.now = n.now.Add(50 * mono.Microsecond)
		runs, seen := 0, map[uint16]bool{}
		for i, p := range wire.packets {
			if i == 0 || p != wire.packets[i-1] {
				runs++
			}
			if p.from == few && seen[many] {
				behind++
			}
			seen[p.from] = true
		}
		if distinct := len(destinations(wire.packets)); runs > distinct {
			t.Errorf("%d packets with text to %d peers change peers %d times: %v", len(wire.packets), distinct, runs, wire.packets)
		} else if distinct > 2 {
			busy++
		}
	}
	if behind > 0 {
		t.Errorf("%d answers came behind bulk transfers of their turn", behind)
	}
	if busy == 0 || echo.got < 100 {
		t.Errorf("%d turns sent to more than two, %d answers came", busy, echo.got)
	}
	for i := range sinks {
		if half[i] == 0 || sinks[i].got < half[i]*3/2 {
			t.Errorf("transfer %d got %d bytes, %d of them in the first half", i, sinks[i].got, half[i])
		}
	}
}

func destinations(packets []packetTo) map[packetTo]bool {
	m := map[packetTo]bool{}
	for _, p := range packets {
		m[p] = true
	}
	return m
}
