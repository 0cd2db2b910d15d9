package tcptest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Random is the world of a recipe: hosts, paths, users with their plans, and misfortunes.
type Random struct {
	*World
	Recipe      *Recipe
	Connections int // that were dialled

	users  []*User
	conns  map[*User]*ConnRecipe
	calls  map[callKey][]CallRecipe
	number map[int]*Host
}

// callKey names one of a connection's users.
type callKey struct {
	conn   int
	server bool
}

// Options of a random world that are not the recipe's.
type Options struct {
	Verbose bool // keep the transcript
	Export  bool // encode and decode connections at random turns
	// Alter is called with the world before it begins; nil does nothing.
	Alter func(m *Random)
}

// NewRandom is the world of a seed.
func NewRandom(seed uint64, o Options) *Random { return Draw(seed).Build(o) }

// Build makes the world.
func (r *Recipe) Build(o Options) *Random {
	m := &Random{
		World: NewWorld(r.World.Seed), Recipe: r, conns: map[*User]*ConnRecipe{}, calls: map[callKey][]CallRecipe{}, number: map[int]*Host{},
	}
	m.Log.Verbose, m.Strict, m.CheckEvery, m.MostSteps = o.Verbose, true, r.World.CheckEvery, 10_000_000
	if o.Export {
		m.Export = rand.New(rand.NewPCG(r.World.Seed, 0x6578706f))
	}
	for i := range r.Calls {
		k := callKey{r.Calls[i].Conn, r.Calls[i].Server}
		m.calls[k] = append(m.calls[k], r.Calls[i])
	}
	for i := range r.Hosts {
		m.host(&r.Hosts[i])
	}
	for i := range r.Paths {
		m.path(&r.Paths[i])
	}
	for i := range r.Conns {
		c := &r.Conns[i]
		m.After(c.At, func() { m.dial(c) })
	}
	for i := range r.Faults {
		f := &r.Faults[i]
		m.After(f.At, func() { m.strike(f) })
	}
	if o.Alter != nil {
		o.Alter(m)
	}
	return m
}

func (m *Random) host(h *HostRecipe) {
	host := m.Host(fmt.Sprintf("h%d", h.Number), HostOptions{
		Number: byte(h.Number), Queues: h.Queues, MTU: atLeast(h.MTU, leastMTU), Checksum: h.Checksum, Superframe: h.Superframe, Lag: h.Lag, Clock: h.Clock,
		chance: chanceOf(m.Recipe.World.Seed, uint64(h.Number)), TCP: h.TCP.settings(),
		Limits: stack.Limits{Memory: h.Memory, Orphans: h.Orphans, HalfOpen: h.HalfOpen, TimeWait: h.TimeWait, Fragments: h.Fragments, Connections: h.Conns},
	})
	m.number[h.Number] = host
	m.listen(host, &h.Listen)
}

func (m *Random) path(p *PathRecipe) {
	m.Connect(m.number[p.From], m.number[p.To], Path{
		Rate: p.Rate, Queue: p.Queue, Delay: p.Delay, Jitter: p.Jitter, Loss: p.Loss, Duplicate: p.Duplicate, Corrupt: p.Corrupt,
		MTU: atLeast(p.MTU, leastMTU), Fragment: atLeast(p.Fragment, leastFragment), Overlap: p.Overlap, Swallow: p.Swallow, Mark: p.Mark, ClearECN: p.ClearECN,
		chance: chanceOf(m.Recipe.World.Seed, uint64(p.From)<<16|uint64(p.To)<<8),
	})
}

const randomPort = 80

func (m *Random) listen(h *Host, r *ListenRecipe) {
	cfg := stack.ListenConfig{
		Port: randomPort, Backlog: r.Backlog, SourceBacklog: r.SourceBacklog, HalfOpen: r.HalfOpen, SourceHalfOpen: r.SourceHalfOpen,
		Connections: r.Conns, SourceConnections: r.SourceConns, FastOpen: r.FastOpen, TCP: r.TCP.own(),
	}
	if r.Admit {
		cfg.Admit = func(q *stack.Request) { m.admit(h, q) }
	}
	l := h.ListenWith(cfg)
	l.Accept = func(u *User) {
		m.serve(u)
		if cfg.Backlog > 0 || cfg.SourceBacklog > 0 {
			from := u.flow.Remote.Netip()
			m.After(mono.Duration(h.chance.draw(uint64(u.flow.RemotePort)).IntN(1000))*mono.Millisecond, func() { l.Taken(from) })
		}
	}
}

// admit decides on a request, at once or within some time.
func (m *Random) admit(h *Host, q *stack.Request) {
	r := h.chance.draw(uint64(q.Remote.Port()) << 16)
	decide, within := (*stack.Request).Accept, 2000 // ms: a client that is heard late is not waited for much longer
	if !m.Recipe.World.Calm {
		within = 10_000
		switch r.IntN(6) {
		case 0:
			decide = (*stack.Request).Refuse
		case 1:
			decide = (*stack.Request).Drop
		case 2:
			decide = func(q *stack.Request) bool { return q.RefuseICMP(ip.CodePort) }
		}
	}
	if r.IntN(2) == 0 {
		decide(q)
		return
	}
	m.After(mono.Duration(r.IntN(within))*mono.Millisecond, func() { decide(q) })
}

// serve gives the user of a connection that was accepted the plan of who dialled it. One that nobody has dialled, as far as
// is known, has an idle user.
func (m *Random) serve(u *User) {
	c := m.conns[u.peer]
	if c == nil {
		c = &ConnRecipe{}
	}
	u.plan = newPlan(&c.Server, m.calls[callKey{c.Number, true}])
	u.ownsWindow = m.ownsWindow(u.Host, func(h *HostRecipe) *SettingsRecipe { return &h.Listen.TCP })
	m.users = append(m.users, u)
}

func (m *Random) dial(c *ConnRecipe) {
	h, to := m.number[c.From], m.number[c.To]
	if h.Stack == nil {
		return
	}
	u := &User{Host: h, world: m.World, plan: newPlan(&c.Client, m.calls[callKey{c.Number, false}])}
	u.ownsWindow = m.ownsWindow(h, func(*HostRecipe) *SettingsRecipe { return &c.TCP })
	m.users = append(m.users, u)
	m.conns[u] = c
	m.Connections++
	port := uint16(c.ToPort)
	if port == 0 {
		port = randomPort
	}
	h.dialWith(stack.DialConfig{
		Local: netip.AddrPortFrom(h.Addr, uint16(c.Port)), Remote: netip.AddrPortFrom(to.Addr, port), TCP: c.TCP.own(), FastOpen: c.FastOpen,
	}, u)
}

// ownsWindow reports that a connection's algorithm is BBR, which keeps a window of its own however much is lost. own are its
// settings, unless they are the host's.
func (m *Random) ownsWindow(on *Host, own func(h *HostRecipe) *SettingsRecipe) bool {
	for i := range m.Recipe.Hosts {
		if h := &m.Recipe.Hosts[i]; m.number[h.Number] == on {
			s := own(h)
			if !s.Own {
				s = &h.TCP
			}
			return strings.HasPrefix(s.Congestion, "bbr")
		}
	}
	return false
}

// strike has a misfortune happen, and end.
func (m *Random) strike(f *FaultRecipe) {
	h := m.number[f.From]
	switch f.Kind {
	case faultVanish:
		m.vanish(h, f.For)
	case faultJump:
		h.jump(f.By)
	case faultHole:
		m.shut([]*Path{h.paths[f.To]}, f.For)
	case faultPartition:
		m.shut(m.between(f.Some), f.For)
	}
}

// vanish has a host go, and come back after d, or never if that is 0.
func (m *Random) vanish(h *Host, d mono.Duration) {
	if h.Stack == nil {
		return
	}
	h.vanish()
	if d == 0 {
		return
	}
	m.After(d, func() {
		h.boot()
		m.Log.note("      %s is back", h.Name)
		for i := range m.Recipe.Hosts {
			if r := &m.Recipe.Hosts[i]; m.number[r.Number] == h {
				m.listen(h, &r.Listen)
			}
		}
	})
}

// shut lets nothing through paths for d.
func (m *Random) shut(paths []*Path, d mono.Duration) {
	for _, p := range paths {
		if p == nil {
			continue
		}
		p.shut++
		m.After(d, func() { p.shut-- })
	}
}

// between is the paths between some hosts and the others.
func (m *Random) between(some string) []*Path {
	inside := strings.Split(some, ",")
	var list []*Path
	for i := range m.Recipe.Paths {
		p := &m.Recipe.Paths[i]
		if slices.Contains(inside, fmt.Sprint(p.From)) != slices.Contains(inside, fmt.Sprint(p.To)) {
			list = append(list, m.number[p.From].paths[p.To])
		}
	}
	return list
}

// Finish runs the world to its end: until all users have had their time, then until nothing is left.
func (m *Random) Finish() error {
	m.Run(10 * 60 * mono.Second)
	for _, u := range m.users {
		if m.Recipe.World.Calm && m.err == nil && (u.Held || u.Events&tcp.Ended != 0 && !u.EOF && u.Events&tcp.Refused == 0) {
			m.failAs(fmt.Sprintf("not ended well: %b, held %v", u.Events, u.Held), "%s: user of %d has not ended well: events %b, wrote %d of %d, read %d, held %v",
				u.Host.Name, u.flow.LocalPort, u.Events, u.Wrote, u.plan.total, u.Read, u.Held)
		}
		u.Do(func(c stack.Conn) { u.close(c) })
	}
	m.RunOut(2_000_000, 3*3600*mono.Second)
	m.CheckIdle()
	return m.err
}
