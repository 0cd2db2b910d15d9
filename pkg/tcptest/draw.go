package tcptest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// drawing is a recipe in the making.
type drawing struct {
	*Recipe
	*rand.Rand
	size size
}

// size is how large a world is.
type size struct {
	hosts, conns int
	span         int // in which the connections are dialled, ms
}

// Draw draws the recipe of a seed.
func Draw(seed uint64) *Recipe {
	d := &drawing{Recipe: &Recipe{World: WorldRecipe{Seed: seed}}, Rand: rand.New(rand.NewPCG(seed, 0x74637064))}
	d.World.Calm = d.one(3)
	d.drawSize()
	for n := range d.size.hosts {
		d.drawHost(n + 1)
	}
	for n := range d.size.conns {
		d.drawConn(n + 1)
	}
	d.drawPaths()
	d.drawFaults()
	return d.Recipe
}

// one is true once in so many times.
func (d *drawing) one(in int) bool { return d.IntN(in) == 0 }

// upTo draws a number below a power of two that is drawn, too: small ones are as likely as large ones.
func (d *drawing) upTo(log int) int { return d.IntN(1 << d.IntN(log+1)) }

// ms draws a time of less than so many milliseconds.
func (d *drawing) ms(below int) mono.Duration { return mono.Duration(d.IntN(below)) * mono.Millisecond }

// drawSize: most worlds are small, and most connections are in the others.
func (d *drawing) drawSize() {
	switch k := d.IntN(100); {
	case k < 60:
		d.size = size{2 + d.IntN(2), 1 + d.IntN(6), 5_000}
	case k < 85:
		d.size = size{2 + d.IntN(9), 8 + d.IntN(50), 20_000}
	case k < 95:
		d.size = size{2 + d.IntN(4), 100 + d.IntN(500), 60_000}
	default:
		d.size = size{8 + d.IntN(43), 100 + d.IntN(900), 60_000}
	}
	if n := d.size.conns / d.size.hosts; n > 4 {
		d.World.CheckEvery = 1 + d.IntN(n)
	}
}

func (d *drawing) drawHost(number int) {
	h := HostRecipe{Number: number, TCP: d.drawSettings(), Listen: d.drawListener()}
	if d.one(2) {
		h.Queues = 2
	}
	if d.one(4) {
		h.MTU = leastMTU + d.IntN(1300)
	}
	if h.Checksum = d.one(2); h.Checksum {
		h.Superframe = d.one(2)
	}
	if d.one(2) {
		h.Lag = mono.Duration(d.IntN(2000)) * mono.Microsecond
	}
	if d.one(4) {
		h.Clock = mono.Duration(d.upTo(42)) // more than an hour
	}
	if !d.World.Calm {
		d.drawLimits(&h)
	}
	d.Hosts = append(d.Hosts, h)
}

// drawLimits draws budgets that run out.
func (d *drawing) drawLimits(h *HostRecipe) {
	queues := max(h.Queues, 1)
	if d.one(8) {
		h.Memory = 1 << (13 + d.IntN(6))
	}
	if d.one(8) {
		h.Orphans = queues * (1 + d.IntN(3))
	}
	if d.one(8) {
		h.HalfOpen = 1 + d.IntN(4)
		if d.one(4) {
			h.HalfOpen = -1
		}
	}
	if d.one(8) {
		h.TimeWait = queues * (1 + d.IntN(3))
	}
	if d.one(8) {
		h.Fragments = queues * 2048 << d.IntN(4)
	}
	if d.one(12) {
		h.Conns = 1 + d.upTo(8)
	}
}

// drawSettings draws those of a host, of a listener, or of one connection.
func (d *drawing) drawSettings() SettingsRecipe {
	s := SettingsRecipe{
		Own: true, NoTimestamps: d.one(2), NoWindowScale: d.one(4), NoSACK: d.one(2), NoDelay: d.one(4), ECN: d.IntN(4), MTUProbing: d.IntN(3),
		UserTimeoutOption: d.one(4), Congestion: cc.Names()[d.IntN(len(cc.Names()))],
	}
	s.Unpaced = d.one(4)
	if d.one(20) {
		s.MSS = 48 + d.upTo(10)
	}
	if d.one(3) {
		s.SendBuffer, s.ReceiveBuffer = leastSend+d.upTo(17), leastReceive+d.upTo(17)
	}
	if !d.World.Calm && d.one(6) {
		s.UserTimeout = d.ms(30_000)
	}
	return s
}

// drawListener draws a listener's budgets and settings, and a hook.
func (d *drawing) drawListener() ListenRecipe {
	var l ListenRecipe
	crowd := d.size.conns / d.size.hosts
	if d.one(4) && !(d.World.Calm && crowd > 3) { // where many wait some give up
		l.Backlog, l.SourceBacklog = d.IntN(4+crowd), d.IntN(3+crowd/4)
	}
	if !d.World.Calm && d.one(4) { // a cookie is lost on a client whose segments overtake each other
		l.HalfOpen, l.SourceHalfOpen = 1+d.IntN(3), d.IntN(3)
	}
	if !d.World.Calm && d.one(12) {
		l.Conns, l.SourceConns = 1+d.upTo(6), d.upTo(4)
	}
	if d.one(4) {
		l.TCP = d.drawSettings()
	}
	if d.one(3) {
		l.FastOpen = 1 + d.upTo(5)
	}
	l.Admit = d.one(6)
	return l
}

func (d *drawing) drawConn(number int) {
	from := d.IntN(d.size.hosts)
	to := (from + 1 + d.IntN(d.size.hosts-1)) % d.size.hosts
	c := ConnRecipe{Number: number, From: from + 1, To: to + 1, At: d.ms(d.size.span)}
	if d.one(4) {
		c.TCP = d.drawSettings()
	}
	c.FastOpen = d.one(4)
	if !d.World.Calm && d.one(4) {
		c.Port = 1000 + d.IntN(6) // others may use it, too
	}
	c.Client, c.Server = d.drawUser(), d.drawUser()
	d.Conns = append(d.Conns, c)
	d.drawCalls(number, false)
	d.drawCalls(number, true)
	if !d.World.Calm && d.one(20) { // both open at once
		c.Port, c.ToPort = 2000+d.IntN(100), 2000+d.IntN(100)
		back := c
		back.Number += d.size.conns
		back.From, back.To, back.Port, back.ToPort = c.To, c.From, c.ToPort, c.Port
		d.Conns[len(d.Conns)-1] = c
		d.Conns = append(d.Conns, back)
	}
}

// drawUser: in a world of many connections most are short.
func (d *drawing) drawUser() UserRecipe {
	log := 17
	if d.size.conns > 60 {
		log = 12
	}
	u := UserRecipe{Total: d.upTo(log), Chunk: 1 + d.upTo(15), Hasty: !d.World.Calm && d.one(8)}
	switch {
	case d.one(4):
		u.Total = 0
	case !d.World.Calm && d.one(40*max(1, d.size.conns/6)):
		u.Total = d.IntN(3_000_000)
	}
	if d.one(2) {
		u.Pause = d.ms(200)
		u.Chunk = max(u.Chunk, u.Total/50)
	}
	if d.one(4) {
		u.ReadPause, u.ReadMost = mono.Millisecond+d.ms(3000), 1+d.upTo(17)
		if d.World.Calm {
			u.ReadMost = max(u.ReadMost, 1<<log/8) // or the window is closed for so long that a lost update costs the connection
		}
	}
	if d.one(5) {
		u.Urgent = 1 + d.IntN(6)
	}
	if d.one(8) {
		u.Record = 1 + d.IntN(4)
	}
	return u
}

// drawCalls draws what a user does besides.
func (d *drawing) drawCalls(conn int, server bool) {
	call := func(do string, at mono.Duration) *CallRecipe {
		d.Calls = append(d.Calls, CallRecipe{Conn: conn, Server: server, At: at, Do: do})
		return &d.Calls[len(d.Calls)-1]
	}
	at := func() mono.Duration { return d.ms(1+d.upTo(20)) / 16 }
	if d.one(3) {
		for range 1 + d.IntN(6) {
			when := at()
			if d.one(2) {
				when = 0
			}
			d.drawOption(call, when)
		}
	}
	if d.one(10) {
		call(callPause, at()).For = d.ms(10_000)
	}
	if d.World.Calm {
		return
	}
	if d.one(6) {
		call(callUserTimeout, 0).For = d.ms(20_000)
	}
	if d.one(3) {
		call([]string{callClose, callAbort, callCloseRead, callCloseWrite}[d.IntN(4)], at())
	}
}

// drawOption draws a call that ends nothing, or not soon.
func (d *drawing) drawOption(call func(string, mono.Duration) *CallRecipe, at mono.Duration) {
	switch d.IntN(7) {
	case 0:
		call(callSendBuffer, at).N = int64(leastSend + d.upTo(17))
	case 1:
		if !d.World.Calm { // a slow reader's window would stay closed for longer than the peer's patience
			call(callRecvBuffer, at).N = int64(4096 + d.IntN(1<<17))
		}
	case 2:
		call(callKeepAlive, at).For = mono.Duration(d.IntN(30)) * mono.Second
	case 3:
		call(callCork, at).N = int64(d.IntN(2))
	case 4:
		call(callQuickAck, at).N = int64(d.IntN(2))
	case 5:
		call(callFinTimeout, at).For = mono.Millisecond + d.ms(60_000)
	case 6:
		call(callNoDelay, at).N = int64(d.IntN(2))
	}
}

// drawPaths draws both ways between all who talk to each other.
func (d *drawing) drawPaths() {
	crowd := map[[2]int]int{}
	for _, c := range d.Conns {
		crowd[[2]int{min(c.From, c.To), max(c.From, c.To)}]++
	}
	for a := 1; a <= d.size.hosts; a++ {
		for b := a + 1; b <= d.size.hosts; b++ {
			if n := crowd[[2]int{a, b}]; n > 0 {
				d.drawPath(a, b, n)
				d.drawPath(b, a, n)
			}
		}
	}
}

// drawPath draws one that n connections use.
func (d *drawing) drawPath(from, to, n int) {
	p := PathRecipe{From: from, To: to, Delay: mono.Duration(d.upTo(17)) * mono.Microsecond}
	if d.one(2) {
		p.Jitter = mono.Duration(d.upTo(17)+1) * mono.Microsecond
	}
	if d.one(2) {
		p.Rate, p.Queue = int64(20_000*n+d.IntN(20_000_000)), 20_000+d.IntN(200_000)
	}
	if d.one(6) {
		p.MTU = 600 + d.IntN(900)
	}
	if d.one(8) {
		p.Fragment = 500 + d.IntN(1000)
	}
	if !d.one(4) {
		p.Loss = d.upTo(8)
	}
	if d.one(2) {
		p.Duplicate = d.upTo(7)
	}
	if d.one(2) {
		p.Corrupt = d.upTo(5)
	}
	if d.one(9) {
		p.Mark = 1 + d.upTo(8)
	}
	p.ClearECN = d.one(9)
	if d.World.Calm {
		p.Loss, p.Corrupt = min(p.Loss, 30), min(p.Corrupt, 10)
	} else {
		d.drawNastyPath(&p)
	}
	d.Paths = append(d.Paths, p)
}

// drawNastyPath adds what makes connections fail.
func (d *drawing) drawNastyPath(p *PathRecipe) {
	if d.one(9) {
		p.Swallow = 576 + d.IntN(900) // to find that out takes longer than some wait
	}
	if p.Fragment != 0 && d.one(2) {
		p.Fragment = leastFragment + d.upTo(10)
	}
	if p.Fragment != 0 && d.one(2) {
		p.Overlap = d.upTo(8)
	}
}

// drawFaults draws misfortunes.
func (d *drawing) drawFaults() {
	if d.one(2) {
		return
	}
	for range 1 + d.IntN(2+d.size.hosts/2) {
		f := FaultRecipe{At: d.ms(2 * d.size.span), From: 1 + d.IntN(d.size.hosts)}
		longest := 120_000
		if d.World.Calm {
			longest = 10_000
		}
		f.For = d.ms(1 + d.IntN(longest))
		switch k := d.IntN(4); {
		case k == 0 && !d.World.Calm:
			f.Kind = faultVanish
			if d.one(4) {
				f.For = 0
			}
			d.comeBack(&f)
		case k == 1 && !d.World.Calm:
			f.Kind, f.For, f.By = faultJump, 0, mono.Second*mono.Duration(1+d.upTo(14))
		case k == 2:
			f.Kind, f.From, f.Some = faultPartition, 0, d.drawSome()
		default:
			p := d.Paths[d.IntN(len(d.Paths))]
			f.Kind, f.From, f.To = faultHole, p.From, p.To
		}
		d.Faults = append(d.Faults, f)
	}
}

// comeBack has a host that vanished dial again what it had dialled before, from the same ports.
func (d *drawing) comeBack(f *FaultRecipe) {
	if f.For == 0 {
		return
	}
	for _, c := range d.Conns {
		if c.From == f.From && c.At < f.At && d.one(4) {
			if c.Port == 0 {
				continue
			}
			c.Number += 10_000
			c.At = f.At + f.For + d.ms(2000)
			d.Conns = append(d.Conns, c)
		}
	}
}

// drawSome draws hosts for one side of a partition.
func (d *drawing) drawSome() string {
	var some []string
	for n := 1; n <= d.size.hosts; n++ {
		if d.one(2) {
			some = append(some, fmt.Sprint(n))
		}
	}
	return strings.Join(some, ",")
}
