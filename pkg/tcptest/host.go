package tcptest

import (
	"fmt"
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// HostOptions say what kind of host it is; the zero value is one with the defaults, on a link without offload.
type HostOptions struct {
	Queues     int            // 1 if 0
	MTU        int            // 1500 if 0
	Superframe bool           // the link takes superframes
	Checksum   bool           // the link finishes checksums
	Lag        mono.Duration  // the longest time from the arrival of a packet to the turn that takes it in
	TCP        *tcp.Settings  // tcp.Defaults() if nil
	Secrets    *[2]tcp.Secret // drawn from the world if nil
	Limits     stack.Limits
	Routes     []stack.Route
	Addrs      []netip.Prefix // what the stack answers for; its own address if nil
	// Steer chooses a queue for a packet; random if nil.
	Steer func(f *Frame, queues int) int
}

// Host is a stack with its link.
type Host struct {
	Name  string
	Addr  netip.Addr
	Stack *stack.Stack

	world  *World
	opt    HostOptions
	addr   ip.Addr
	queues []*queue
	due    []mono.Time // when each shard is to be turned

	secrets [2]tcp.Secret
}

// queue is a link.Device: what the paths have brought and the shard has not read.
type queue struct {
	host   *Host
	id     int
	frames []*Frame
	closed bool
}

// Host adds a host; its address is 10.0.0.n.
func (w *World) Host(name string, opt HostOptions) *Host {
	n := byte(len(w.hosts) + 1)
	h := &Host{Name: name, Addr: netip.AddrFrom4([4]byte{10, 0, 0, n}), world: w, opt: opt}
	h.addr = ip.FromNetip(h.Addr)
	l := &link.Link{MTU: opt.MTU, Checksum: opt.Checksum}
	if l.MTU == 0 {
		l.MTU = 1500
	}
	h.opt.MTU = l.MTU
	if opt.Superframe {
		l.Superframe = link.MaxPacket
	}
	for i := range max(opt.Queues, 1) {
		q := &queue{host: h, id: i}
		h.queues = append(h.queues, q)
		h.due = append(h.due, mono.Never)
		l.Queues = append(l.Queues, q)
	}
	cfg := stack.Config{
		Link: l, Addrs: []netip.Prefix{netip.PrefixFrom(h.Addr, 32)}, TCP: tcp.Defaults(),
		Secrets: [2]tcp.Secret{{w.Rand.Uint64(), w.Rand.Uint64()}, {w.Rand.Uint64(), w.Rand.Uint64()}},
		Limits:  opt.Limits, Routes: opt.Routes, Trace: h, Now: w.Now, Strict: true,
	}
	if opt.Addrs != nil {
		cfg.Addrs = opt.Addrs
	}
	if opt.TCP != nil {
		cfg.TCP = *opt.TCP
	}
	if opt.Secrets != nil {
		cfg.Secrets = *opt.Secrets
	}
	h.secrets = cfg.Secrets
	s, err := stack.New(cfg)
	if err != nil {
		panic(err) // the options of a test are wrong
	}
	h.Stack = s
	w.hosts = append(w.hosts, h)
	return h
}

// at is the host that has the address, or else a prefix around it; nil if there is none.
func (w *World) at(a ip.Addr) (host *Host) {
	for _, h := range w.hosts {
		if h.addr == a {
			return h
		}
		for _, p := range h.opt.Addrs {
			if p.Contains(a.Netip()) {
				host = h
			}
		}
	}
	return host
}

// Transition is the stack.Tracer.
func (h *Host) Transition(f stack.Flow, from fsm.State, e fsm.Event, to fsm.State) {
	h.world.Log.transition(h, f, from, e, to)
}

// wake has a shard turned within the host's lag.
func (h *Host) wake(q int) {
	lag := mono.Duration(0)
	if h.opt.Lag > 0 {
		lag = mono.Duration(h.world.Rand.Int64N(int64(h.opt.Lag)))
	}
	h.due[q] = min(h.due[q], h.world.now.Add(lag))
}

// turn runs one turn of a shard and holds the stack against its invariants.
func (h *Host) turn(q int) {
	w := h.world
	h.due[q] = mono.Never
	w.Turns++
	defer func() {
		if r := recover(); r != nil {
			w.fail("%s: panic: %v", h.Name, r)
			if w.Log.Verbose {
				w.Log.note("%s", stackTrace())
			}
		}
	}()
	next, err := h.Stack.Turn(q)
	if err != nil {
		w.fail("%s: %v", h.Name, err)
		return
	}
	h.due[q] = min(h.due[q], max(next, w.now))
	if err := h.Stack.Check(); err != nil {
		w.fail("%s: %v", h.Name, err)
	}
	if w.Export != nil && w.Export.IntN(8) == 0 {
		n, err := h.Stack.Reload()
		w.Exports += n
		if err == nil {
			err = h.Stack.Check()
		}
		if err != nil {
			w.fail("%s: exported and imported: %v", h.Name, err)
		}
	}
}

// Read is link.Device's.
func (q *queue) Read(b *link.Batch) error {
	b.Reset()
	n := 0
	for ; n < len(q.frames); n++ {
		room := b.Room()
		if room == nil {
			break
		}
		f := q.frames[n]
		p := b.Add(room, 0, copy(room, f.Packet))
		p.GSOSize = f.GSO
		q.host.world.watch.arrived(q.host, f)
	}
	q.frames = append(q.frames[:0], q.frames[n:]...)
	return nil
}

// Write is link.Device's.
func (q *queue) Write(p *link.Packet) error {
	h := q.host
	if (p.NeedsChecksum && !h.opt.Checksum) || (p.GSOSize != 0 && !h.opt.Superframe) {
		h.world.fail("%s uses an offload that the link does not have", h.Name)
	}
	if n := p.Len(); n > link.MaxPacket || n > h.opt.MTU && p.GSOSize == 0 {
		h.world.fail("%s sends %d bytes over an MTU of %d", h.Name, n, h.opt.MTU)
	}
	p.FinishChecksum()
	h.world.send(h, p.AppendTo(nil), p.GSOSize)
	return nil
}

// Wait is never called: the shard is turned by hand.
func (q *queue) Wait(mono.Time) error { return fmt.Errorf("tcptest: nobody waits here") }

// Wake is link.Device's.
func (q *queue) Wake() { q.host.wake(q.id) }

// Close is link.Device's.
func (q *queue) Close() error { q.closed = true; return nil }
