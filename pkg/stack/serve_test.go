package stack_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// served is a stack of one queue, turned by hand, with clients who know just enough of TCP to open connections, to send
// text and to acknowledge what comes in order. They cost little beside the stack, in time and in memory.
type served struct {
	bench
	wire    link.Device // the clients' end
	heard   *link.Batch
	clients []client
	next    int // the client whose turn it is
	packet  ip.Packet
	segment tcp.Segment
	out     link.Packet
	head    [ip.HeaderLen + tcp.MaxHeaderLen]byte
	text    []byte

	packets int           // both ways
	moved   int           // bytes of text, both ways
	turning mono.Duration // spent in the stack's turns
}

type client struct {
	snd, rcv seq.Num
	stamp    uint32 // the latest of the stack's timestamps
}

const (
	servedPort = 7
	perAddress = 50000
	batch      = 64        // packets that a turn takes
	batchText  = 192 << 10 // and bytes
	mss        = 1448
)

// serve opens n connections to h.
func serve(tb testing.TB, h stack.Handler, n int) *served {
	v := &served{bench: bench{tb: tb, now: 1e12}, heard: link.NewBatch(), clients: make([]client, n), text: make([]byte, 64<<10)}
	clients, ours := pipe.New(1, pipe.Options{Packets: 1 << 16, Bytes: 64 << 20})
	v.wire = clients.Queues[0]
	settings := tcp.Defaults()
	settings.SendBuffer, settings.SendBufferMax = 64<<10, 0 // a thousand full ones fit the limit of memory, and the caches less
	v.b = v.hostWith(ours, addrB, settings, stack.Limits{})
	listenOn(tb, v.b, stack.ListenConfig{Port: servedPort}, h)
	for i := range n {
		v.send(i, tcp.SYN, 0)
		if i%batch == batch-1 || i == n-1 {
			v.turn()
			v.turn()
		}
	}
	for turns := 0; v.b.Counters(0).Conns < n; turns++ { // who is sent text at once acknowledges more than a turn takes
		if turns > 1000 {
			tb.Fatalf("%d connections of %d", v.b.Counters(0).Conns, n)
		}
		v.turn()
	}
	return v
}

// turn lets the stack take in what has been sent, and the clients what it answers.
func (v *served) turn() {
	from := mono.Now()
	_, err := v.b.Turn(0)
	v.turning += mono.Now().Sub(from)
	if err != nil {
		v.tb.Fatal(err)
	}
	v.now = v.now.Add(100 * mono.Microsecond)
	for {
		if err := v.wire.Read(v.heard); err != nil {
			v.tb.Fatal(err)
		}
		if len(v.heard.Packets) == 0 {
			return
		}
		for i := range v.heard.Packets {
			v.hear(v.heard.Packets[i].Head)
		}
	}
}

// hear acknowledges text and SYN at once.
func (v *served) hear(b []byte) {
	g := &v.segment
	if v.packet.Parse(b) != ip.DropNone || g.Parse(v.packet.Payload) != tcp.DropNone || g.Flags&(tcp.RST|tcp.FIN) != 0 {
		v.tb.Fatalf("% x", b[:min(len(b), 60)])
	}
	v.packets++
	v.moved += len(g.Text)
	to := v.packet.Dst.As4()
	i := (int(to[2])<<8|int(to[3]))*perAddress + int(g.DstPort) - 1
	k := &v.clients[i]
	k.stamp = g.Options.TSVal
	if g.Flags&tcp.SYN != 0 {
		k.rcv = g.Seq
	}
	if g.Len() > 0 && g.Seq == k.rcv {
		k.rcv = g.End()
		v.send(i, tcp.ACK, 0)
	}
}

// send sends a segment of client i, with n bytes of text: a superframe if that is more than the MSS.
func (v *served) send(i int, flags tcp.Flags, n int) {
	v.packets++
	v.moved += n
	k := &v.clients[i]
	g := tcp.Segment{SrcPort: uint16(i%perAddress + 1), DstPort: servedPort, Seq: k.snd, Ack: k.rcv, Flags: flags, Window: 65535}
	g.Options = tcp.Options{Has: tcp.HasTimestamps, TSVal: uint32(v.now / mono.Time(mono.Millisecond)), TSEcr: k.stamp}
	k.snd = k.snd.Add(uint32(n))
	if flags&tcp.SYN != 0 {
		k.snd = k.snd.Add(1)
		g.Options.Has |= tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted
		g.Options.MSS = 1460
	}
	at := i / perAddress
	from, to := ip.V4([4]byte{10, 128, byte(at >> 8), byte(at)}), ip.FromNetip(addrB)
	size := g.Put(v.head[ip.HeaderLen:], 0)
	binary.BigEndian.PutUint16(v.head[ip.HeaderLen+16:], ip.Fold(ip.PseudoSum(from, to, ip.ProtoTCP, size+n)))
	h := ip.Header{Src: from, Dst: to, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: ip.HeaderLen + size + n}
	h.Put(v.head[:])
	v.out = link.Packet{Head: v.head[:ip.HeaderLen+size], Body: [2][]byte{v.text[:n]}, NeedsChecksum: true, ChecksumStart: ip.HeaderLen}
	if n > mss {
		v.out.GSOSize = mss
	}
	if err := v.wire.Write(&v.out); err != nil {
		v.tb.Fatal(err)
	}
}

// round has the next clients, as many as a turn takes, send n bytes each, and takes what the stack answers, and what it says
// to the acknowledgments. With nothing to send it is one turn, in which the stack sends what it may.
func (v *served) round(n int) {
	if n > 0 {
		for range min(batch, batchText/n, len(v.clients)) {
			v.send(v.next, tcp.ACK|tcp.PSH, n)
			v.next = (v.next + 7919) % len(v.clients) // a prime: far from each other in memory
		}
		v.turn()
	}
	v.turn()
}

// visit has as many clients as a turn takes connect, ask for an echo, and reset.
func (v *served) visit() {
	for i := range batch {
		v.send(i, tcp.SYN, 0)
	}
	v.turn()
	v.turn()
	for i := range batch {
		v.send(i, tcp.ACK|tcp.PSH, 64)
	}
	v.turn()
	v.turn()
	for i := range batch {
		v.send(i, tcp.RST|tcp.ACK, 0)
	}
	v.turn()
}

// BenchmarkVisit is what a stack does for a connection that asks once. One operation is 64 of them at a time; turn-ns/conn leaves
// out what the clients take.
func BenchmarkVisit(b *testing.B) {
	v := serve(b, service.Echo{}, 0)
	v.clients = make([]client, batch)
	v.visit()
	v.turning = 0
	before := v.b.Counters(0)
	b.ReportAllocs()
	for b.Loop() {
		v.visit()
	}
	after := v.b.Counters(0)
	if n := after.Ended - before.Ended; n != uint64(b.N*batch) {
		b.Fatalf("%d connections have ended of %d", n, b.N*batch)
	}
	b.ReportMetric(float64(v.turning)/float64(b.N*batch), "turn-ns/conn")
}

// workloads are what clients may want of a stack.
var workloads = []struct {
	name    string
	handler stack.Handler
	text    int // what a client sends at a time, in bytes
	conns   []int
}{
	{"echo", service.Echo{}, 64, []int{1, 1000, 100_000, 1_000_000}},
	{"up", service.Discard{}, mss, []int{1, 1000, 100_000, 1_000_000}},
	{"up-superframes", service.Discard{}, 32 * mss, []int{1, 1000}},
	{"down", &source{text: make([]byte, 64<<10)}, 0, []int{1, 1000}}, // each has a ring: of more there would not be enough
	{"down-repeat", service.Chargen{}, 0, []int{1, 1000}},
}

// BenchmarkServe is what a stack does for clients who upload, download or want an echo. One operation is a round: a
// segment, or superframe, of 64 clients each and what comes of them, or a turn's worth of download. Packets and text are
// counted both ways; turn-ns/packet leaves out what the clients take.
func BenchmarkServe(b *testing.B) {
	for _, w := range workloads {
		for _, n := range w.conns {
			b.Run(fmt.Sprintf("%s/conns=%d", w.name, n), func(b *testing.B) {
				if testing.Short() && n > 1000 {
					b.Skip("shortened: more than 1,000 connections take a while to open")
				}
				v := serve(b, w.handler, n)
				for range 100 {
					v.round(w.text)
				}
				v.packets, v.moved, v.turning = 0, 0, 0
				b.ReportAllocs()
				for b.Loop() {
					v.round(w.text)
				}
				b.SetBytes(int64(v.moved / b.N))
				b.ReportMetric(float64(v.packets)/b.Elapsed().Seconds(), "packets/s")
				b.ReportMetric(float64(v.turning)/float64(v.packets), "turn-ns/packet")
			})
		}
	}
}

// What BenchmarkServe measures allocates nothing.
func TestServeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget things at random")
	}
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			v := serve(t, w.handler, 1000)
			for range 300 {
				v.round(w.text)
			}
			v.moved = 0
			if a := testing.AllocsPerRun(300, func() { v.round(w.text) }); a != 0 {
				t.Errorf("%v allocations a round", a)
			}
			if v.moved == 0 {
				t.Error("no text was moved")
			}
		})
	}
}
