package stack_test

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Packets for a shard that does not come to taking them in are kept up to a number of packets and of bytes, and no further.
func TestForwardsAreBounded(t *testing.T) {
	for _, c := range []struct{ text, most int }{{1, 4096}, {60_000, (8 << 20) / 60_040}} {
		queue := 1
		la, lb := pipe.New(2, pipe.Options{MTU: 65535, Steer: func([]byte, int) int { return queue }})
		n := &bench{tb: t, now: 1e12}
		b := n.host(lb, addrB)
		listenOn(t, b, stack.ListenConfig{Port: 9}, &sink{})
		turn := func(shard int) {
			if _, err := b.Turn(shard); err != nil {
				t.Fatal(err)
			}
		}
		send := func(flags tcp.Flags, text int) {
			g := tcp.Segment{SrcPort: 4000, DstPort: 9, Flags: flags, Window: 65535}
			p := make([]byte, ip.HeaderLen+tcp.HeaderLen+text)
			g.Put(p[ip.HeaderLen:], 0)
			h := ip.Header{Src: ip.FromNetip(addrA), Dst: ip.FromNetip(addrB), Proto: ip.ProtoTCP, TTL: 64, Len: len(p)}
			h.Put(p)
			if err := la.Queues[0].Write(&link.Packet{Head: p, NeedsChecksum: true, ChecksumStart: ip.HeaderLen}); err != nil {
				t.Fatal(err)
			}
		}
		send(tcp.SYN, 0)
		turn(1) // the connection lives there
		queue = 0
		sent := c.most + 100
		for range sent {
			send(tcp.ACK, c.text)
			turn(0)
		}
		at0 := b.Counters(0)
		if at0.Forwarded != uint64(c.most) || at0.Stack[stack.DropForward] != 100 {
			t.Errorf("of %d packets with %d bytes of text %d were forwarded and %d dropped, want %d forwarded",
				sent, c.text, at0.Forwarded, at0.Stack[stack.DropForward], c.most)
		}
		turn(1) // now there is room again
		send(tcp.ACK, c.text)
		turn(0)
		if again := b.Counters(0); again.Forwarded != at0.Forwarded+1 {
			t.Errorf("nothing was forwarded once there was room")
		}
	}
}
