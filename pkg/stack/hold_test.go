package stack_test

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// murmur reads everything, and answers what is short.
type murmur struct{}

func (murmur) Ready(c stack.Conn, _ tcp.Events) {
	for p := c.Next(); len(p) > 0; p = c.Next() {
		short := len(p) < 10
		c.Consume(len(p))
		if short {
			c.Write([]byte("yes"))
		}
	}
}

// TestACKsWaitWhilePacketsAreQueued: of what lies in the device's queue each peer hears in one ACK, when it has been read to the
// end or after a millisecond. Answers do not wait.
func TestACKsWaitWhilePacketsAreQueued(t *testing.T) {
	const senders = 3
	type turn struct{ acks, answers int }
	for _, c := range []struct {
		name   string
		queued int // turns full of packets, and a few more
		size   int // of each
		want   []turn
	}{
		{"none queued", 0, 1448, []turn{{3, 1}}},
		{"two turns", 2, 100, []turn{{0, 1}, {0, 0}, {3, 0}}},
		{"a millisecond", 14, 100, []turn{{0, 1}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {3, 0}, {}, {}, {}, {3, 0}}},
	} {
		v := serve(t, murmur{}, senders+1)
		for range 20 { // until ACKs may be delayed
			for i := range senders + 1 {
				v.send(i, tcp.ACK|tcp.PSH, 100)
			}
			v.turn()
			v.turn()
		}
		v.send(senders, tcp.ACK|tcp.PSH, 1)
		for k := range c.queued*batch + 2*senders {
			v.send(k%senders, tcp.ACK|tcp.PSH, c.size)
		}
		for k, want := range c.want {
			packets, text := v.packets, v.moved
			v.turn()
			answers := (v.moved - text) / len("yes")
			if got := (turn{v.packets - packets - 2*answers, answers}); got != want { // an answer is acknowledged at once
				t.Errorf("%s: turn %d: %+v, not %+v", c.name, k, got, want)
			}
		}
	}
}

// BenchmarkQueued is what a stack does with the uploads of a few clients, of which four turns' worth lie in the device's queue:
// that is one operation. Each ACK is a packet to be written, and lets its peer send as much as it tells of.
func BenchmarkQueued(b *testing.B) {
	const senders, segments = 16, 4 * batch
	v := serve(b, service.Discard{}, senders)
	v.packets, v.turning = 0, 0
	b.SetBytes(segments * mss)
	b.ReportAllocs()
	for b.Loop() {
		for k := range segments {
			v.send(k%senders, tcp.ACK|tcp.PSH, mss)
		}
		for range segments/batch + 1 {
			v.turn()
		}
	}
	b.ReportMetric(float64(v.packets)/float64(b.N*segments)-1, "ACKs/segment")
	b.ReportMetric(float64(v.turning)/float64(b.N*segments), "turn-ns/segment")
}
