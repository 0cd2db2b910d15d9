package attack

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
)

// TestSACKShapes: what made kernels panic or crawl. A peer with the smallest MSS and the largest window lets much be sent in
// very small segments, and acknowledges every other one of them, or every other byte (CVE-2019-11477, 11478, 11479). What
// the scoreboard keeps of that is bounded, and no segment is smaller than 48 bytes with its options.
func TestSACKShapes(t *testing.T) {
	const flight = 50_000 // bytes
	x := newTarget(t, "offload: off")
	resident := x.RSS()
	for _, f := range []struct {
		name string
		mss  uint16
		step uint32 // from one block to the next, bytes
		size uint32 // of a block
	}{
		{"every other segment", 8, 2 * 48, 48}, {"every other byte", 8, 2, 1}, {"every other byte of large segments", 1460, 2, 1},
		{"blocks that grow into each other", 8, 1, 3},
	} {
		c := x.attacker().open(peer(4000), chargenPort, 65535, tcp.Options{
			Has: tcp.HasMSS | tcp.HasSACKPermitted | tcp.HasWindowScale, MSS: f.mss, WindowScale: 14,
		})
		una := c.inFlight(flight, max(f.mss, tcp.MinMSS))
		blocks := 0
		for at := una + 1; at.Add(4*f.step).Less(c.ack) && blocks < packets(20_000); blocks += 4 {
			g := c.segment(tcp.ACK, "")
			g.Ack, g.Options.Blocks = una, 4
			for i := range g.Options.SACK {
				g.Options.SACK[i] = tcp.Block{From: at, To: at.Add(f.size)}
				at = at.Add(f.step)
			}
			c.send(c.local, c.remote, g)
			if blocks%4000 == 2000 {
				x.honest.round()
			}
		}
		if now := x.Counters(); now.ListBytes > 512<<10 {
			t.Errorf("%s: %d bytes of lists", f.name, now.ListBytes)
		}
		c.ack = una // and then as if nothing had come
		c.say(tcp.ACK, "")
		c.await("the first text again", func(g *tcp.Segment) bool { return g.Seq == una && len(g.Text) > 0 })
		c.say(tcp.RST, "")
		t.Logf("%s: %d blocks for %d bytes in flight, %d kB resident", f.name, blocks, flight, x.RSS())
	}
	if now := x.Counters(); now.SACKIgnored == 0 {
		t.Error("all blocks were heeded, however many")
	}
	if grown := x.RSS() - resident; grown > 32<<10 && !space.Race {
		t.Errorf("%d kB more are resident", grown)
	}
	x.survived()
}

// inFlight has the daemon send so much that its window grows beyond n bytes, and then leaves n of them unacknowledged, or
// what there is when the first comes again; in segments of mss bytes at most. It returns SND.UNA. What is lost on the way
// here is acknowledged, too: nobody needs it.
func (c *client) inFlight(n uint32, mss uint16) (una seq.Num) {
	c.t.Helper()
	for read, end := uint32(0), c.ack; read < 9*n; {
		g := c.await("text", func(g *tcp.Segment) bool { return len(g.Text) > 0 && (end.Less(g.End()) || g.Seq == una) })
		if len(g.Text) > int(mss) {
			c.t.Fatalf("a segment of %d bytes, the MSS is %d", len(g.Text), mss)
		}
		if c.ack = end; !end.Less(g.End()) {
			return una
		}
		end = g.End()
		c.ack = end
		if read += uint32(len(g.Text)); read < 8*n {
			c.say(tcp.ACK, "")
			una = end
		}
	}
	return una
}
