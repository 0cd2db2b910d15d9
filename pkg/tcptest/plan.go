package tcptest

import (
	"math/rand/v2"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// plan is what the user of a random world does.
type plan struct {
	rand      *rand.Rand
	total     uint64
	chunk     int
	pause     mono.Duration // between chunks; 0: all at once
	readPause mono.Duration // between reads; 0: reads at once
	ending    ending
	endsAt    mono.Duration
	patience  mono.Duration // the user time-out; 0: that of the settings
	fidgets   bool          // sets options now and then
	urges     bool          // some of what he writes is urgent
	quiet     bool          // does nothing that may end a connection early

	closedWrite bool
}

// ending is how a user ends his connection.
type ending uint8

const (
	polite  ending = iota // closes the sending side when all is written, and the rest at EOF
	hasty                 // closes when all is written, read or not
	leaving               // closes at a time
	abort                 // aborts at a time
	deaf                  // closes the receiving side at a time, then is polite
	endings
)

// newPlan draws a plan.
func newPlan(r *rand.Rand, quiet bool) *plan {
	p := &plan{rand: r, quiet: quiet, total: uint64(r.IntN(1 << (4 + r.IntN(14)))), chunk: 1 + r.IntN(1<<(r.IntN(16)))}
	switch {
	case r.IntN(4) == 0:
		p.total = 0
	case !quiet && r.IntN(30) == 0:
		p.total = uint64(r.IntN(2_000_000))
	}
	if r.IntN(2) == 0 {
		p.pause = mono.Duration(r.IntN(200)) * mono.Millisecond
		p.chunk = max(p.chunk, int(p.total/50))
	}
	if r.IntN(4) == 0 {
		p.readPause = mono.Duration(1+r.IntN(3000)) * mono.Millisecond
	}
	if !quiet && r.IntN(2) == 0 {
		p.ending = ending(r.IntN(int(endings)))
	}
	p.endsAt = mono.Duration(r.IntN(1<<(10+r.IntN(10)))) * mono.Millisecond / 16
	if !quiet && r.IntN(6) == 0 {
		p.patience = mono.Duration(r.IntN(20_000)) * mono.Millisecond
	}
	p.fidgets, p.urges = r.IntN(3) == 0, r.IntN(5) == 0
	return p
}

// begin is called once the user holds the connection.
func (p *plan) begin(u *User) {
	if p.fidgets {
		p.fidget(u, u.conn)
	}
	if p.patience > 0 {
		u.conn.SetUserTimeout(p.patience)
	}
	u.Paused = p.readPause > 0
	if p.pause == 0 {
		u.want = p.total
	}
	p.tick(u)
	p.readTick(u)
	if p.ending == leaving || p.ending == abort || p.ending == deaf {
		u.world.After(p.endsAt, func() { u.Do(func(c stack.Conn) { p.end(u, c) }) })
	}
}

// tick writes the next chunk.
func (p *plan) tick(u *User) {
	if !u.Held || u.want >= p.total {
		return
	}
	u.world.After(p.pause, func() {
		u.want = min(p.total, u.want+uint64(p.chunk))
		u.Do(func(c stack.Conn) {
			u.write()
			if p.fidgets && p.rand.IntN(4) == 0 {
				p.fidget(u, c)
			}
			p.heard(u, 0)
		})
		p.tick(u)
	})
}

// readTick reads at times what arrives all the time.
func (p *plan) readTick(u *User) {
	if !u.Held || p.readPause == 0 {
		return
	}
	u.world.After(p.readPause, func() {
		u.Do(func(stack.Conn) {
			u.Paused, u.ReadAt = false, 1+p.rand.IntN(1<<(4+p.rand.IntN(14)))
			u.read()
			u.Paused = true
			p.heard(u, 0)
		})
		p.readTick(u)
	})
}

func (p *plan) fidget(u *User, c stack.Conn) {
	c.SetNoDelay(p.rand.IntN(2) == 0)
	switch p.rand.IntN(7) {
	case 0:
		c.SetBuffers(256+p.rand.IntN(1<<(4+p.rand.IntN(14))), 0)
	case 1:
		if p.quiet {
			break // a slow reader's window would stay closed for longer than the peer's patience
		}
		c.SetBuffers(0, 4096+p.rand.IntN(1<<17))
	case 2:
		c.SetKeepAlive(mono.Duration(p.rand.IntN(30))*mono.Second, 5*mono.Second, 5)
	case 3:
		c.SetCork(p.rand.IntN(2) == 0)
	case 4:
		c.SetQuickAck(p.rand.IntN(2) == 0)
	case 5:
		c.SetFinTimeout(mono.Duration(1+p.rand.IntN(60_000)) * mono.Millisecond)
	}
}

// heard looks whether it is time to close.
func (p *plan) heard(u *User, _ tcp.Events) {
	if !u.Held || u.Events&tcp.Opened == 0 {
		return
	}
	if u.Wrote >= p.total && !p.closedWrite {
		p.closedWrite = true
		if p.ending == hasty {
			u.close(u.conn)
			return
		}
		u.conn.CloseWrite()
	}
	if p.closedWrite && (u.EOF || p.ending == deaf && u.deaf) {
		u.close(u.conn)
	}
}

// end is the ending of who does not wait.
func (p *plan) end(u *User, c stack.Conn) {
	switch p.ending {
	case leaving:
		u.close(c)
	case abort:
		c.Abort()
		u.Held = false
	case deaf:
		u.deaf = true
		c.CloseRead()
		p.heard(u, 0)
	}
}
