package tcptest

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// Random is a world of chance: hosts, paths, and users with their plans.
type Random struct {
	*World
	Connections int
	Calm        bool // little is lost, and all are polite: every connection must end well

	users []*User
}

// Options of a random world that are not the seed's.
type Options struct {
	Verbose bool // keep the transcript
	Export  bool // encode and decode connections at random turns
}

// NewRandom draws the world of a seed.
func NewRandom(seed uint64, o Options) *Random {
	r := &Random{World: NewWorld(seed)}
	r.Log.Verbose = o.Verbose
	if o.Export {
		r.Export = rand.New(rand.NewPCG(seed, 0x6578706f))
	}
	r.Calm = r.Rand.IntN(3) == 0
	r.drawHosts()
	r.drawPaths()
	r.drawUsers()
	return r
}

func (r *Random) drawHosts() {
	rnd := r.Rand
	for i := range 2 + rnd.IntN(2) {
		o := HostOptions{TCP: r.drawSettings(), Queues: 1 + rnd.IntN(2)}
		if rnd.IntN(4) == 0 {
			o.MTU = 256 + rnd.IntN(1300)
		}
		if o.Checksum = rnd.IntN(2) == 0; o.Checksum {
			o.Superframe = rnd.IntN(2) == 0
		}
		if rnd.IntN(2) == 0 {
			o.Lag = mono.Duration(rnd.IntN(2000)) * mono.Microsecond
		}
		if !r.Calm && rnd.IntN(8) == 0 {
			o.Limits.Memory = 1 << (13 + rnd.IntN(6))
		}
		if !r.Calm && rnd.IntN(8) == 0 {
			o.Limits.Orphans = o.Queues * (1 + rnd.IntN(3))
		}
		r.Host(string(rune('a'+i)), o)
	}
}

// drawSettings draws those of a host, of a listener, or of one connection.
func (r *Random) drawSettings() *tcp.Settings {
	rnd := r.Rand
	t := tcp.Defaults()
	t.Timestamps, t.WindowScale, t.SACK = rnd.IntN(2) == 0, rnd.IntN(4) != 0, rnd.IntN(2) == 0
	t.NoDelay = rnd.IntN(4) == 0
	t.ECN = tcp.ECN(rnd.IntN(4))
	t.MTUProbing = tcp.MTUProbing(rnd.IntN(3))
	t.UserTimeoutOption = rnd.IntN(4) == 0
	t.Congestion, _ = cc.ByName(cc.Names()[rnd.IntN(len(cc.Names()))])
	if rnd.IntN(3) == 0 {
		t.SendBufferMax, t.ReceiveBufferMax = 0, 0
		t.SendBuffer, t.ReceiveBuffer = 256+rnd.IntN(1<<(4+rnd.IntN(14))), 2048+rnd.IntN(1<<(4+rnd.IntN(14)))
	}
	if !r.Calm && rnd.IntN(6) == 0 {
		t.UserTimeout = mono.Duration(rnd.IntN(30_000)) * mono.Millisecond
	}
	return &t
}

func (r *Random) drawPaths() {
	for _, a := range r.hosts {
		for _, b := range r.hosts {
			if a != b {
				r.Connect(a, b, r.drawPath())
			}
		}
	}
}

func (r *Random) drawPath() Path {
	rnd := r.Rand
	p := Path{Delay: mono.Duration(rnd.IntN(1<<rnd.IntN(18))) * mono.Microsecond}
	if rnd.IntN(2) == 0 {
		p.Jitter = mono.Duration(rnd.IntN(1<<rnd.IntN(18))+1) * mono.Microsecond
	}
	if rnd.IntN(2) == 0 {
		p.Rate, p.Queue = int64(20_000+rnd.IntN(20_000_000)), 20_000+rnd.IntN(200_000)
	}
	if rnd.IntN(6) == 0 {
		p.MTU = 600 + rnd.IntN(900)
	}
	if rnd.IntN(4) != 0 {
		p.Loss = rnd.IntN(1 << rnd.IntN(9))
	}
	if rnd.IntN(2) == 0 {
		p.Duplicate = rnd.IntN(1 << rnd.IntN(8))
	}
	if rnd.IntN(2) == 0 {
		p.Corrupt = rnd.IntN(1 << rnd.IntN(6))
	}
	if r.Calm {
		p.Loss, p.Corrupt = min(p.Loss, 30), min(p.Corrupt, 10)
	}
	if rnd.IntN(3) == 0 {
		p.Filter = r.drawFilter()
	}
	return p
}

// drawFilter draws a middlebox: a black hole for large packets, one that marks, or one that clears the ECN field.
func (r *Random) drawFilter() func(*Frame) Verdict {
	kind := r.Rand.IntN(3)
	if r.Calm {
		kind = max(kind, 1) // to find a black hole out takes longer than some wait
	}
	switch kind {
	case 0:
		mtu := 576 + r.Rand.IntN(900)
		return func(f *Frame) Verdict {
			if f.largest() > mtu {
				return Lose
			}
			return Pass
		}
	case 1:
		marked := 1 + r.Rand.IntN(1<<r.Rand.IntN(9))
		return func(f *Frame) Verdict {
			if f.Packet[1]&3 != 0 && chance(r.World, marked) {
				f.setECN(3)
			}
			return Pass
		}
	}
	return func(f *Frame) Verdict {
		f.setECN(0)
		return Pass
	}
}

// largest is the largest packet on the wire that f stands for, in bytes.
func (f *Frame) largest() int {
	if f.GSO == 0 {
		return len(f.Packet)
	}
	return len(f.Packet) - len(f.Seg.Text) + int(f.GSO)
}

// setECN changes the ECN field of the IP header.
func (f *Frame) setECN(codepoint byte) {
	f.Packet = append([]byte(nil), f.Packet...)
	f.Packet[1] = f.Packet[1]&^3 | codepoint
	f.Packet[10], f.Packet[11] = 0, 0
	binary.BigEndian.PutUint16(f.Packet[10:], ^ip.Fold(ip.Sum(f.Packet[:ip.HeaderLen], 0)))
}

const randomPort = 80

func (r *Random) drawUsers() {
	for _, h := range r.hosts {
		cfg := r.drawListener()
		l := h.ListenWith(cfg)
		l.Accept = func(u *User) {
			r.give(u)
			if cfg.Backlog > 0 || cfg.SourceBacklog > 0 {
				from := u.flow.Remote.Netip()
				r.After(mono.Duration(r.Rand.IntN(1000))*mono.Millisecond, func() { l.Taken(from) })
			}
		}
	}
	for range 1 + r.Rand.IntN(6) {
		from := r.Rand.IntN(len(r.hosts))
		to := (from + 1 + r.Rand.IntN(len(r.hosts)-1)) % len(r.hosts)
		u := &User{Host: r.hosts[from], world: r.World}
		r.give(u)
		r.Connections++
		cfg := stack.DialConfig{Remote: netip.AddrPortFrom(r.hosts[to].Addr, randomPort)}
		if r.Rand.IntN(4) == 0 {
			cfg.TCP = r.drawSettings()
		}
		r.After(mono.Duration(r.Rand.IntN(5000))*mono.Millisecond, func() { u.Host.dialWith(cfg, u) })
	}
}

// drawListener draws a listener's budgets and settings, and a hook.
func (r *Random) drawListener() stack.ListenConfig {
	rnd := r.Rand
	cfg := stack.ListenConfig{Port: randomPort}
	if rnd.IntN(4) == 0 {
		cfg.Backlog, cfg.SourceBacklog = rnd.IntN(4), rnd.IntN(3)
	}
	if !r.Calm && rnd.IntN(4) == 0 { // a cookie is lost on a client whose segments overtake each other
		cfg.HalfOpen, cfg.SourceHalfOpen = 1+rnd.IntN(3), rnd.IntN(3)
	}
	if rnd.IntN(4) == 0 {
		cfg.TCP = r.drawSettings()
	}
	if rnd.IntN(6) == 0 {
		cfg.Admit = r.admit
	}
	return cfg
}

// admit decides on a request, at once or within some time.
func (r *Random) admit(q *stack.Request) {
	decide, within := (*stack.Request).Accept, 2000 // ms: a client that is heard late is not waited for much longer
	if !r.Calm {
		within = 10_000
		switch r.Rand.IntN(6) {
		case 0:
			decide = (*stack.Request).Refuse
		case 1:
			decide = (*stack.Request).Drop
		case 2:
			decide = func(q *stack.Request) bool { return q.RefuseICMP(ip.CodePort) }
		}
	}
	if r.Rand.IntN(2) == 0 {
		decide(q)
		return
	}
	r.After(mono.Duration(r.Rand.IntN(within))*mono.Millisecond, func() { decide(q) })
}

// give makes a plan for a user.
func (r *Random) give(u *User) {
	u.plan = newPlan(rand.New(rand.NewPCG(r.Rand.Uint64(), 1)), r.Calm)
	r.users = append(r.users, u)
}

// Finish runs the world to its end: until all users have had their time, then until nothing is left.
func (r *Random) Finish() error {
	r.Run(10 * 60 * mono.Second)
	for _, u := range r.users {
		if r.Calm && (u.Held || u.Events&tcp.Ended != 0 && !u.EOF && u.Events&tcp.Refused == 0) && r.err == nil {
			r.fail("%s: user of %d has not ended well: events %b, wrote %d of %d, read %d, held %v", u.Host.Name,
				u.flow.LocalPort, u.Events, u.Wrote, u.plan.total, u.Read, u.Held)
		}
		u.Do(func(c stack.Conn) { u.close(c) })
	}
	r.RunOut(2_000_000, 3600*mono.Second)
	r.CheckIdle()
	return r.err
}
