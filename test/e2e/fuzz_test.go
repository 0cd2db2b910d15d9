package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/test/space"
)

// growth is how many kB a daemon may have gained after all mutants: half-open connections and caches, no leak.
const growth = 64 << 10

// TestMutants writes mutated packets straight into the TUN's reader, past the kernel's own checks. The daemon
// survives, honest service goes on beside it, and every packet is accounted for.
func TestMutants(t *testing.T) {
	need(t)
	s := newSpace(t)
	d := startDaemon(t, s)
	honest := startHonest(t, d)
	w := openWire(t, s)
	before := 0
	for seed := range uint64(fewer(*seeds)) {
		m := newMutator(seed)
		for i := range *mutants {
			if err := w.write(m.packet()); err != nil {
				t.Fatal(err)
			}
			if i%500 == 499 {
				honest.round() // let the readers catch up
			}
		}
		c := d.Counters()
		c.Check(t)
		t.Logf("seed %d: %d packets read, %d delivered, %d kB resident, drops %v",
			seed, c.PacketsRead, c.Delivered, d.RSS(), c.Drops)
		if before == 0 {
			before = d.RSS()
		}
	}
	honest.stop()
	if after := d.RSS(); after > before+growth {
		t.Errorf("%d kB resident after the first seed, %d kB after the last", before, after)
	}
}

// fewer is what -short leaves of n seeds.
func fewer(n int) int {
	if testing.Short() {
		return 1
	}
	return n
}

// honest is a kernel's connection that echoes all the while.
type honest struct {
	t      *testing.T
	rounds chan struct{}
	end    chan struct{}
	ended  chan error
	once   sync.Once
}

func startHonest(t *testing.T, d *daemon) *honest {
	t.Helper()
	h := &honest{t: t, rounds: make(chan struct{}), end: make(chan struct{}), ended: make(chan error, 1)}
	c := d.dial(echoPort)
	go func() { h.ended <- h.echo(c) }()
	t.Cleanup(h.stop)
	return h
}

func (h *honest) echo(c net.Conn) error {
	for i := uint64(0); ; i++ {
		c.SetDeadline(deadline())
		if err := space.RoundTrip(c, payload(i, 1+int(i*7919%20000))); err != nil {
			return fmt.Errorf("honest echo, round %d: %w", i, err)
		}
		select {
		case <-h.end:
			return nil
		case h.rounds <- struct{}{}:
		default:
		}
	}
}

// round waits for a round of the echo to end.
func (h *honest) round() {
	h.t.Helper()
	select {
	case <-h.rounds:
	case err := <-h.ended:
		h.ended <- err
		h.t.Fatal(err)
	}
}

// stop ends the echo, which must have gone well up to now.
func (h *honest) stop() {
	h.once.Do(func() {
		close(h.end)
		if err := <-h.ended; err != nil {
			h.t.Error(err)
		}
	})
}

// mutator makes packets that are wrong in one way or another, or nearly right.
type mutator struct{ *rand.Rand }

func newMutator(seed uint64) mutator { return mutator{rand.New(rand.NewPCG(seed, 0))} }

func pick[T any](m mutator, values ...T) T { return values[m.IntN(len(values))] }

func (m mutator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return b
}

// packet is a segment to the daemon from nowhere.
func (m mutator) packet() []byte {
	g := segment{
		src:     netip.AddrPortFrom(netip.MustParseAddr(hostIP), pick(m, 1, 1024, uint16(m.Uint32()))),
		dst:     netip.AddrPortFrom(netip.MustParseAddr(daemonIP), pick(m, httpPort, httpPort, httpPort, uint16(m.Uint32()))),
		seq:     pick(m, 0, 1, 1<<31, 1<<32-1, m.Uint32()),
		ack:     pick(m, 0, 1, 1<<32-1, m.Uint32()),
		flags:   byte(m.Uint32()),
		window:  pick[uint16](m, 0, 1, 65535),
		options: m.options(),
		data:    m.bytes(pick(m, 0, 0, 1, 100, 1400)),
	}
	t := g.putTCP()
	binary.BigEndian.PutUint16(t[18:], pick[uint16](m, 0, 1, 65535)) // urgent pointer
	t[12] |= byte(m.IntN(2))                                         // the ninth flag
	sumTCP(g.src.Addr(), g.dst.Addr(), t)
	p := putIP(g.src.Addr(), g.dst.Addr(), unix.IPPROTO_TCP, t)
	p[8] = pick[byte](m, 1, 64, 255)
	if m.IntN(4) == 0 {
		binary.BigEndian.PutUint16(p[4:], pick(m, 1, uint16(m.Uint32())))
		binary.BigEndian.PutUint16(p[6:], pick[uint16](m, 0, 1, 2, 7)<<13|pick[uint16](m, 0, 1, 185, 8191))
	}
	sumIP(p)
	return m.spoil(p)
}

// options is a list of options, most of them none that anyone knows, with any length.
func (m mutator) options() []byte {
	var b []byte
	for range m.IntN(6) {
		kind := pick(m, 0, 1, 2, 3, 4, 5, 8, 30, 34, 69, 254, byte(m.Uint32()))
		if b = append(b, kind); kind < 2 {
			continue
		}
		length := pick(m, 0, 1, 2, 3, 4, 10, 40, 255, byte(m.Uint32()))
		b = append(append(b, length), m.bytes(min(max(int(length)-2, 0), 12))...)
	}
	b = append(b, make([]byte, 3)...)
	return b[:min(40, len(b)&^3)]
}

// spoil damages two packets of five, after the checksums were made.
func (m mutator) spoil(p []byte) []byte {
	switch r := m.Float64(); {
	case r < 0.15:
		p[m.IntN(len(p))] ^= 1 << m.IntN(8)
	case r < 0.25:
		p = p[:1+m.IntN(len(p)-1)]
	case r < 0.30:
		p[0] = pick[byte](m, 0x40, 0x41, 0x4f, 0x60, 0x55, 0)
	case r < 0.35:
		binary.BigEndian.PutUint16(p[2:], uint16(m.Uint32()))
	case r < 0.40:
		p[32] = pick[byte](m, 0, 0x10, 0xf0, 0x40)
	}
	return p
}

// TestMutantsNearby attacks established connections where it could hurt: round SND.UNA and RCV.NXT, as sniffed.
// They may end of it, or their text be spoilt; nothing else may.
func TestMutantsNearby(t *testing.T) {
	need(t)
	const rounds, crowd = 10, 64
	s := newSpace(t)
	d := startDaemon(t, s)
	honest := startHonest(t, d)
	before := 0
	for seed := range uint64(fewer(*seeds)) {
		m := newMutator(seed)
		for range rounds {
			v := newVictims(t, s, d, crowd)
			for i := range *mutants / rounds {
				if err := v.wire.write(m.nearby(v.pick(m))); err != nil {
					t.Fatal(err)
				}
				if i%500 == 499 {
					honest.round()
				}
			}
			v.close()
		}
		c := d.Counters()
		c.Check(t)
		t.Logf("seed %d: %d packets read, %d delivered, %d kB resident, drops %v",
			seed, c.PacketsRead, c.Delivered, d.RSS(), c.Drops)
		if before == 0 {
			before = d.RSS()
		}
	}
	honest.stop()
	if after := d.RSS(); after > before+growth {
		t.Errorf("%d kB resident after the first seed, %d kB after the last", before, after)
	}
	c := d.dial(echoPort)
	setDeadline(t, c, patience)
	if err := space.RoundTrip(c, payload(1, 100_000)); err != nil {
		t.Errorf("a new connection: %v", err)
	}
}

// victims are kernel's connections under attack, and what the wire shows of them.
type victims struct {
	wire  *wire
	conns []*net.TCPConn
	mu    sync.Mutex
	last  []segment // the daemon's last segment on each
	index map[netip.AddrPort]int
	done  chan struct{}
}

// newVictims opens connections that have echoed once, so that the wire shows where each stands.
func newVictims(t *testing.T, s *netspace, d *daemon, n int) *victims {
	t.Helper()
	v := &victims{wire: openWire(t, s), last: make([]segment, n), index: map[netip.AddrPort]int{}, done: make(chan struct{})}
	for i := range n {
		c := d.dial(echoPort)
		v.conns = append(v.conns, c)
		v.index[c.LocalAddr().(*net.TCPAddr).AddrPort()] = i
	}
	seen := make(chan struct{})
	go v.sniff(seen)
	for i, c := range v.conns {
		c.SetDeadline(deadline())
		if err := space.RoundTrip(c, payload(uint64(i), 1000)); err != nil {
			t.Fatal(err)
		}
		go discard(c)
	}
	select {
	case <-seen:
	case <-time.After(patience):
		t.Fatal("the wire does not show every connection")
	}
	return v
}

// sniff follows the connections, and closes seen when it has seen each of them.
func (v *victims) sniff(seen chan<- struct{}) {
	defer close(v.done)
	missing := len(v.last)
	for {
		g, err := v.wire.next()
		if err != nil {
			return
		}
		i, ok := v.index[g.dst]
		if !ok || g.src.Port() != echoPort || g.flags&rst != 0 {
			continue
		}
		v.mu.Lock()
		if !v.last[i].src.IsValid() {
			if missing--; missing == 0 {
				close(seen)
			}
		}
		v.last[i] = g
		v.mu.Unlock()
	}
}

// pick is the daemon's last segment on one of the connections.
func (v *victims) pick(m mutator) segment {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last[m.IntN(len(v.last))]
}

func (v *victims) close() {
	v.wire.file.Close()
	<-v.done
	for _, c := range v.conns {
		c.SetLinger(0)
		c.Close()
	}
}

// nearby is a segment that might answer g, the daemon's last one, but for some offset.
func (m mutator) nearby(g segment) []byte {
	offset := func() uint32 {
		return pick(m, 0, 0, 0, 1, 1<<32-1, m.Uint32N(3000), -m.Uint32N(3000), 65535, 1<<31, m.Uint32())
	}
	a := segment{
		src:     g.dst,
		dst:     g.src,
		seq:     g.ack + offset(),
		ack:     g.end() + offset(),
		flags:   pick(m, ack, ack, psh|ack, fin|ack, rst, rst|ack, syn, syn|ack, byte(m.Uint32())),
		window:  pick[uint16](m, 0, 1, 100, 65535),
		options: m.known(g),
		data:    m.bytes(pick(m, 0, 0, 1, 100, 1400)),
	}
	p := a.put()
	if m.IntN(4) == 0 {
		return m.spoil(p)
	}
	return p
}

// known is options that would be taken: timestamps, SACK blocks round SND.UNA; or any others.
func (m mutator) known(g segment) []byte {
	switch m.IntN(4) {
	case 0:
		return nil
	case 1:
		return append([]byte{1, 1, 8, 10}, m.bytes(8)...)
	case 2:
		edge := func() uint32 {
			return g.end() + pick[uint32](m, 0, 0, 1<<31) + m.Uint32N(6000) - 3000 // the far side of the ring, too
		}
		b := binary.BigEndian.AppendUint32([]byte{1, 1, 5, 10}, edge())
		return binary.BigEndian.AppendUint32(b, edge())
	}
	return m.options()
}

// TestSACKRoundTheRing: a block that begins before SND.NXT and one that ends after SND.UNA are not yet a block within
// these: half the ring away both comparisons turn over.
func TestSACKRoundTheRing(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	honest := startHonest(t, d)
	w := openWire(t, s)
	for i, block := range [][2]uint32{
		{1<<31 - 100, 1<<32 - 300}, {1<<31 - 100, 100}, {1 << 31, 1}, {1, 1<<32 - 1}, {1 << 30, 3 << 30}, {1<<31 - 1, 1<<32 - 1},
	} {
		p := newPeer(w, 44000+uint16(i))
		p.options = []byte{2, 4, 5, 180, 1, 1, 4, 2} // MSS 1460, SACK permitted
		p.open(chargenPort)
		una := p.ack
		p.await("text in flight", func(g segment) bool { return len(g.data) > 0 })
		p.ack = una
		g := p.segment(ack, nil)
		g.options = binary.BigEndian.AppendUint32([]byte{1, 1, 5, 10}, una+block[0])
		g.options = binary.BigEndian.AppendUint32(g.options, una+block[1])
		if err := p.write(g.put()); err != nil {
			t.Fatal(err)
		}
		p.send(rst, nil)
		d.waitState(p.name(), "CLOSED")
	}
	honest.stop()
}

// TestAccounting sends packets that are wrong each in a known way: each is read, and dropped for a reason.
func TestAccounting(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	p := newPeer(openWire(t, s), 43000)
	p.open(echoPort)
	good := func() []byte { return p.segment(psh|ack, []byte("text")).put() }
	kinds := map[string]func() []byte{
		"IP checksum":   func() []byte { b := good(); b[10] ^= 1; return b },
		"TCP checksum":  func() []byte { b := good(); b[36] ^= 1; return b },
		"version":       func() []byte { b := good(); b[0] = 0x55; return b },
		"header length": func() []byte { b := good(); b[0] = 0x44; return b },
		"total length":  func() []byte { b := good(); b[2] = 0xff; sumIP(b); return b },
		"cut short":     func() []byte { return good()[:7] },
		"data offset": func() []byte {
			b := good()
			b[32] = 0x40
			sumTCP(p.local.Addr(), p.remote.Addr(), b[20:])
			return b
		},
		"not for us": func() []byte { b := good(); b[19] = 99; sumIP(b); return b },
	}
	const each = 100
	before := d.Counters()
	for range each {
		for _, kind := range kinds {
			if err := p.write(kind()); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := uint64(each * len(kinds))
	for late := deadline(); ; {
		now := d.Counters()
		now.Check(t)
		if now.Dropped() >= before.Dropped()+want {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("%d of %d packets dropped: %v", now.Dropped()-before.Dropped(), want, now.Drops)
		}
	}
	p.send(psh|ack, []byte("text")) // the connection has not noticed
	p.seq += 4
	if back := p.text(4); string(back) != "text" {
		t.Errorf("%q came back", back)
	}
}

// discard reads what a connection under attack still gets, to its end.
func discard(c net.Conn) {
	b := make([]byte, 1<<16)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}
