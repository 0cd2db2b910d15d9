package tcptest

import (
	"math/rand/v2"

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
		t := tcp.Defaults()
		t.Timestamps, t.WindowScale, t.SACK = rnd.IntN(2) == 0, rnd.IntN(4) != 0, rnd.IntN(2) == 0
		t.NoDelay = rnd.IntN(4) == 0
		t.ECN = tcp.ECN(rnd.IntN(3))
		t.Congestion, _ = cc.ByName(cc.Names()[rnd.IntN(len(cc.Names()))])
		if rnd.IntN(3) == 0 {
			t.SendBufferMax, t.ReceiveBufferMax = 0, 0
			t.SendBuffer, t.ReceiveBuffer = 256+rnd.IntN(1<<(4+rnd.IntN(14))), 2048+rnd.IntN(1<<(4+rnd.IntN(14)))
		}
		o := HostOptions{TCP: &t, Queues: 1 + rnd.IntN(2)}
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
		r.Host(string(rune('a'+i)), o)
	}
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
	return p
}

const randomPort = 80

func (r *Random) drawUsers() {
	for _, h := range r.hosts {
		backlog := 0
		if r.Rand.IntN(4) == 0 {
			backlog = 1 + r.Rand.IntN(3)
		}
		l := h.Listen(randomPort, backlog)
		l.Accept = func(u *User) {
			r.give(u)
			if backlog != 0 {
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
		r.After(mono.Duration(r.Rand.IntN(5000))*mono.Millisecond, func() {
			u.Host.dial(u, r.hosts[to], randomPort, 0)
		})
	}
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
