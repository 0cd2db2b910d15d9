package tcptest

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// plan is what the user of a random world does: what his recipe says, and some calls.
type plan struct {
	UserRecipe
	calls []CallRecipe
	total uint64 // to be written

	pieces      int // written
	closedWrite bool
}

func newPlan(r *UserRecipe, calls []CallRecipe) *plan {
	p := &plan{UserRecipe: *r, calls: calls, total: uint64(r.Total)}
	if p.ReadPause > 0 {
		p.ReadPause = max(p.ReadPause, mono.Millisecond) // or he would read for ever, in no time
	}
	return p
}

// begin is called once the user holds the connection.
func (p *plan) begin(u *User) {
	u.Paused = p.ReadPause > 0
	for i := range p.calls {
		call := &p.calls[i]
		if call.At == 0 {
			p.call(u, u.conn, call)
			continue
		}
		u.world.After(call.At, func() { u.Do(func(c stack.Conn) { p.call(u, c, call) }) })
	}
	if !u.Held {
		return
	}
	if p.Pause == 0 {
		u.want = p.total
	}
	p.tick(u)
	p.readTick(u)
}

// tick writes the next chunk.
func (p *plan) tick(u *User) {
	if !u.Held || p.closedWrite || u.want >= p.total {
		return
	}
	u.world.After(p.Pause, func() {
		if p.closedWrite || u.want >= p.total { // a call has come between
			return
		}
		u.want = min(p.total, u.want+uint64(max(p.Chunk, 1)))
		u.Do(func(c stack.Conn) {
			u.write()
			p.heard(u, 0)
		})
		p.tick(u)
	})
}

// readTick reads at times what arrives all the time.
func (p *plan) readTick(u *User) {
	if !u.Held || p.ReadPause == 0 {
		return
	}
	u.world.After(p.ReadPause, func() {
		u.Do(func(stack.Conn) {
			u.Paused, u.ReadAt = false, max(p.ReadMost, 1)
			u.read()
			u.Paused = true
			p.heard(u, 0)
		})
		p.readTick(u)
	})
}

// piece reports whether the next piece that is written is urgent, and whether it ends a record.
func (p *plan) piece() (urgent, record bool) {
	p.pieces++
	return p.Urgent > 0 && p.pieces%p.Urgent == 0, p.Record > 0 && p.pieces%p.Record == 0
}

// heard looks whether it is time to close.
func (p *plan) heard(u *User, _ tcp.Events) {
	if !u.Held || u.Events&tcp.Opened == 0 {
		return
	}
	if u.Wrote >= p.total && !p.closedWrite {
		p.closedWrite = true
		if p.Hasty {
			u.close(u.conn)
			return
		}
		u.conn.CloseWrite()
	}
	if p.closedWrite && (u.EOF || u.deaf) {
		u.close(u.conn)
	}
}

// The calls that a user may make besides.
const (
	callClose       = "close"
	callAbort       = "abort"
	callCloseRead   = "closeread"
	callCloseWrite  = "closewrite"
	callPause       = "pause" // leaves text unread
	callNoDelay     = "nodelay"
	callCork        = "cork"
	callQuickAck    = "quickack"
	callSendBuffer  = "sendbuffer"
	callRecvBuffer  = "receivebuffer"
	callKeepAlive   = "keepalive"
	callUserTimeout = "usertimeout"
	callFinTimeout  = "fintimeout"
)

// call makes one of the calls.
func (p *plan) call(u *User, c stack.Conn, r *CallRecipe) {
	if !u.Held {
		return
	}
	u.world.Calls++
	switch r.Do {
	case callClose:
		u.close(c)
	case callAbort:
		c.Abort()
		u.Held = false
	case callCloseRead:
		u.deaf = true
		c.CloseRead()
		p.heard(u, 0)
	case callCloseWrite:
		p.total = u.Wrote
		p.heard(u, 0)
	case callPause:
		u.Paused = true
		u.world.After(r.For, u.Resume)
	default:
		p.setOption(c, r)
	}
}

// setOption makes one of the calls that end nothing.
func (p *plan) setOption(c stack.Conn, r *CallRecipe) {
	switch r.Do {
	case callNoDelay:
		c.SetNoDelay(r.N != 0)
	case callCork:
		c.SetCork(r.N != 0)
	case callQuickAck:
		c.SetQuickAck(r.N != 0)
	case callSendBuffer:
		c.SetBuffers(atLeast(int(r.N), leastSend), 0)
	case callRecvBuffer:
		c.SetBuffers(0, atLeast(int(r.N), leastReceive))
	case callKeepAlive:
		c.SetKeepAlive(r.For, 5*mono.Second, 5)
	case callUserTimeout:
		c.SetUserTimeout(r.For)
	case callFinTimeout:
		c.SetFinTimeout(r.For)
	}
}
