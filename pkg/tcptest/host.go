package tcptest

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// HostOptions say what kind of host it is; the zero value is one with the defaults, on a link without offload.
type HostOptions struct {
	Number     byte           // the address is 10.0.0.Number; the next that is free if 0
	Queues     int            // 1 if 0
	MTU        int            // 1500 if 0
	Superframe bool           // the link takes superframes
	Checksum   bool           // the link finishes checksums
	Lag        mono.Duration  // the longest time from the arrival of a packet to the turn that takes it in
	TCP        *tcp.Settings  // tcp.Defaults() if nil
	Secrets    *[2]tcp.Secret // drawn from the world if nil
	Clock      mono.Duration  // how far the host's clock is ahead of the world's
	Limits     stack.Limits
	Routes     []stack.Route
	Addrs      []netip.Prefix  // what the stack answers for; its own address if nil
	Wrap       link.Middleware // around each queue; none if nil
	chance     *chance
	// Steer chooses a queue for a packet; random if nil.
	Steer func(f *Frame, queues int) int
}

// Host is a stack with its link. It may vanish, stack and all, and come back with another one.
type Host struct {
	Name  string
	Addr  netip.Addr
	Stack *stack.Stack // nil while the host is gone

	world  *World
	opt    HostOptions
	addr   ip.Addr
	chance *chance // for its secrets, its lag, and the queues of what arrives
	queues []*queue
	due    []mono.Time   // when each shard is to be turned, by the world's clock
	paths  [256]*Path    // to the others, by the last byte of their address
	ahead  mono.Duration // of the world's clock
	checks int           // turns since the stack was held against its invariants
	boots  int           // stacks that it has had

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
	if opt.Number == 0 {
		opt.Number = byte(len(w.hosts) + 1)
	}
	if opt.MTU == 0 {
		opt.MTU = 1500
	}
	h := &Host{Name: name, Addr: netip.AddrFrom4([4]byte{10, 0, 0, opt.Number}), world: w, opt: opt, chance: opt.chance, ahead: opt.Clock}
	if h.chance == nil {
		h.chance = &chance{Rand: w.Rand}
	}
	h.addr = ip.FromNetip(h.Addr)
	w.hosts = append(w.hosts, h)
	w.numbered[opt.Number] = h
	h.boot()
	return h
}

// boot gives the host a stack that knows of nothing.
func (h *Host) boot() {
	l := &link.Link{MTU: h.opt.MTU, Checksum: h.opt.Checksum}
	if h.opt.Superframe {
		l.Superframe = link.MaxPacket
	}
	h.queues, h.due = nil, nil
	for i := range max(h.opt.Queues, 1) {
		q := &queue{host: h, id: i}
		h.queues = append(h.queues, q)
		h.due = append(h.due, mono.Never)
		if h.opt.Wrap != nil {
			l.Queues = append(l.Queues, h.opt.Wrap(q))
		} else {
			l.Queues = append(l.Queues, q)
		}
	}
	r := h.chance.draw(uint64(h.world.now))
	cfg := stack.Config{
		Link: l, Addrs: []netip.Prefix{netip.PrefixFrom(h.Addr, 32)}, TCP: tcp.Defaults(),
		Secrets: [2]tcp.Secret{{r.Uint64(), r.Uint64()}, {r.Uint64(), r.Uint64()}},
		Limits:  h.opt.Limits, Routes: h.opt.Routes, Now: h.now, Strict: true,
		Watches: []stack.Watch{{Kinds: stack.Transitions, Tracer: h}},
	}
	if h.opt.Addrs != nil {
		cfg.Addrs = h.opt.Addrs
	}
	if h.opt.TCP != nil {
		cfg.TCP = *h.opt.TCP
	}
	if h.opt.Secrets != nil {
		cfg.Secrets = *h.opt.Secrets
	}
	h.secrets = cfg.Secrets
	s, err := stack.New(cfg)
	if err != nil {
		panic(err) // the options of a test are wrong
	}
	h.Stack = s
	h.boots++
}

// at is the host that has the address, or else a prefix around it; nil if there is none.
func (w *World) at(a ip.Addr) (host *Host) {
	if h := w.numbered[a[15]]; h != nil && h.addr == a {
		return h
	}
	for _, h := range w.hosts {
		for _, p := range h.opt.Addrs {
			if p.Contains(a.Netip()) {
				host = h
			}
		}
	}
	return host
}

// vanish has the host go without a word: nothing is left of its stack, and nobody is told.
func (h *Host) vanish() {
	w := h.world
	h.Stack, h.queues, h.due = nil, nil, nil
	for _, u := range w.users {
		if u.Host == h {
			u.Held = false
		}
	}
	w.watch.vanished(h)
	w.Log.note("      %s vanishes", h.Name)
}

// jump sets the host's clock forward, as when it was suspended and did not notice.
func (h *Host) jump(by mono.Duration) {
	h.ahead += by
	for q := range h.due {
		h.due[q] = h.world.now
	}
	h.world.Log.note("      %s: the clock jumps by %v", h.Name, by)
}

// now is the host's clock.
func (h *Host) now() mono.Time { return h.world.now.Add(h.ahead) }

// Trace implements stack.Tracer.
func (h *Host) Trace(e *stack.Event) {
	h.world.Log.transition(h, e.Flow, e.State, e.Event, e.To)
	if e.State == fsm.Listen {
		h.world.watch.opened(e.Flow)
	}
}

// wake has a shard turned within the host's lag.
func (h *Host) wake(q int) {
	lag := mono.Duration(0)
	if h.opt.Lag > 0 {
		lag = mono.Duration(h.chance.draw(uint64(h.world.now) + uint64(q)<<56).Int64N(int64(h.opt.Lag)))
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
			w.failAs(fmt.Sprint("panic: ", r), "%s: panic: %v", h.Name, r)
			if w.Log.Verbose {
				w.Log.note("%s", stackTrace())
			}
		}
	}()
	next, err := h.Stack.Turn(q)
	w.watch.turned()
	if err != nil {
		w.failAs(kindOf(err), "%s: %v", h.Name, err)
		return
	}
	if next != mono.Never {
		h.due[q] = min(h.due[q], max(next.Add(-h.ahead), w.now))
	}
	if h.checks++; h.checks >= w.CheckEvery {
		h.check("")
	}
	if w.Export != nil && w.Export.IntN(8*max(1, w.CheckEvery)) == 0 {
		n, err := h.Stack.Reload()
		w.Exports += n
		if err != nil {
			w.failAs(kindOf(err), "%s: exported and imported: %v", h.Name, err)
		}
		h.check("exported and imported: ")
	}
}

// check holds the stack against its invariants.
func (h *Host) check(when string) {
	h.checks = 0
	if err := h.Stack.Check(); err != nil {
		h.world.failAs(kindOf(err), "%s: %s%v", h.Name, when, err)
	}
}

// kindOf is an error without its numbers.
func kindOf(err error) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
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
		if f.part != nil {
			f = f.read()
		}
		if f != nil {
			q.host.world.watch.arrived(q.host, f)
		}
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
func (q *queue) Wake() {
	if q.id < len(q.host.queues) && q.host.queues[q.id] == q { // else it is of a stack that has vanished
		q.host.wake(q.id)
	}
}

// Close is link.Device's.
func (q *queue) Close() error { q.closed = true; return nil }
