package tcptest

import (
	"net/netip"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// User is the user of one connection. Those of random worlds follow their Plan; those of a script have none, and do
// what they are told. What is read is compared with what the peer's user writes.
type User struct {
	Host   *Host
	Events tcp.Events // all that were signalled
	Wrote  uint64
	Read   uint64
	EOF    bool // all was read
	Held   bool // the connection is ours to call
	Paused bool // leaves text unread
	ReadAt int  // the most to read each time; 0: all
	Fault  error

	world *World
	conn  stack.Conn
	peer  *User // at the other end, if it is known
	many  bool  // there have been several: late segments have opened the connection again by its SYN cookie
	flow  stack.Flow
	want  uint64 // to be written by now
	plan  *plan
	deaf  bool
	heard func(tcp.Events) // is told, too; nil: nobody
	out   pattern
	in    pattern
	// ownsWindow: the algorithm sends what it takes for lost without waiting for more than one acknowledgment.
	ownsWindow bool
	// records are the ends of those that the connection knows of, as places in the stream.
	records []uint64
}

// flowOf names the connection from its host's side.
func flowOf(c stack.Conn) stack.Flow {
	l, r := c.LocalAddr(), c.RemoteAddr()
	return stack.Flow{Local: ip.FromNetip(l.Addr()), Remote: ip.FromNetip(r.Addr()), LocalPort: l.Port(), RemotePort: r.Port()}
}

func reverse(f stack.Flow) stack.Flow {
	return stack.Flow{Local: f.Remote, Remote: f.Local, LocalPort: f.RemotePort, RemotePort: f.LocalPort}
}

// hold makes the connection this user's.
func (u *User) hold(c stack.Conn) {
	u.conn, u.Held, u.flow = c, true, flowOf(c)
	u.out, u.in = newPattern(u.flow, 0), newPattern(reverse(u.flow), 0)
	u.world.users[u.flow] = u
}

// Dial opens a connection to port of to, from a port of ours (0: any). The user has it after the next turn.
func (h *Host) Dial(to *Host, port, from uint16) *User {
	u := &User{Host: h, world: h.world}
	h.dial(u, to, port, from)
	return u
}

// DialWith opens a connection to port of to as cfg says.
func (h *Host) DialWith(cfg stack.DialConfig, to *Host, port uint16) *User {
	u := &User{Host: h, world: h.world}
	cfg.Remote = netip.AddrPortFrom(to.Addr, port)
	h.dialWith(cfg, u)
	return u
}

func (h *Host) dial(u *User, to *Host, port, from uint16) {
	h.dialWith(stack.DialConfig{Local: netip.AddrPortFrom(h.Addr, from), Remote: netip.AddrPortFrom(to.Addr, port)}, u)
}

func (h *Host) dialWith(cfg stack.DialConfig, u *User) {
	err := h.Stack.Dial(cfg, u, func(c stack.Conn, err error) {
		if err != nil {
			u.Fault = err
			return
		}
		u.hold(c)
		if u.plan != nil {
			u.plan.begin(u)
		}
		if u.Held {
			u.write()
		}
	})
	if err != nil {
		u.Fault = err
	}
}

// Listener hands out the users of the connections that it accepts.
type Listener struct {
	*stack.Listener
	Host  *Host
	Users []*User
	// Accept is called for each before it hears of anything; nil does nothing.
	Accept func(u *User)
}

// Listen listens on a port.
func (h *Host) Listen(port uint16, backlog int) *Listener {
	return h.ListenWith(stack.ListenConfig{Port: port, Backlog: backlog})
}

// ListenWith listens on the host's address as cfg says.
func (h *Host) ListenWith(cfg stack.ListenConfig) *Listener {
	l := &Listener{Host: h}
	cfg.Prefix = netip.PrefixFrom(h.Addr, 32)
	sl, err := h.Stack.Listen(cfg, l)
	if err != nil {
		panic(err) // the test is wrong
	}
	l.Listener = sl
	return l
}

// Ready makes a user for a connection just opened.
func (l *Listener) Ready(c stack.Conn, e tcp.Events) {
	u := &User{Host: l.Host, world: l.Host.world}
	l.Users = append(l.Users, u)
	u.hold(c)
	if u.peer = u.world.users[reverse(u.flow)]; u.peer != nil {
		u.peer.many = u.peer.peer != nil
		u.peer.peer = u
	}
	c.SetHandler(u)
	if l.Accept != nil {
		l.Accept(u)
	}
	if u.plan != nil {
		u.plan.begin(u)
	}
	if u.Held {
		u.Ready(c, e)
	}
}

// Ready is stack.Handler's.
func (u *User) Ready(c stack.Conn, e tcp.Events) {
	w := u.world
	if !u.Held && e&tcp.Ended == 0 {
		w.fail("%s hears %b of a connection that it does not hold", u.Host.Name, e)
	}
	u.Events |= e
	if e&tcp.Opened != 0 && u.peer == nil {
		u.peer = w.users[reverse(u.flow)] // both have opened at once, or nobody has heard of the peer's user yet
	}
	if e&tcp.Ended != 0 {
		u.Paused, u.ReadAt = false, 0 // the last chance
	}
	if u.Held {
		u.read()
	}
	if e&tcp.Ended != 0 {
		u.Held = false
	}
	if u.Held && e&(tcp.Opened|tcp.Writable) != 0 {
		u.write()
	}
	if u.plan != nil {
		u.plan.heard(u, e)
	}
	if u.heard != nil {
		u.heard(e)
	}
}

// Do has f run on the connection's shard in its next turn, unless it is gone by then.
func (u *User) Do(f func(c stack.Conn)) {
	if !u.Held {
		return
	}
	u.conn.Post(stack.NewTask(func() {
		if u.Held {
			f(u.conn)
			u.conn.Flush()
		}
	}))
}

// Write has n bytes more written, as there is room.
func (u *User) Write(n int) {
	u.want += uint64(n)
	u.Do(func(stack.Conn) { u.write() })
}

func (u *User) write() {
	var b [4096]byte
	for u.Wrote < u.want {
		chunk := b[:min(u.want-u.Wrote, uint64(len(b)))]
		p := u.out
		p.fill(chunk)
		n := u.put(chunk)
		if n < len(chunk) {
			return
		}
	}
}

// put writes text, some of it as urgent and as the end of a record if the plan is so.
func (u *User) put(text []byte) int {
	var urgent, record bool
	if u.plan != nil {
		urgent, record = u.plan.piece()
	}
	if urgent {
		u.conn.Urge(len(text))
	}
	n := u.conn.Write(text)
	u.Wrote += uint64(n)
	u.out.at += uint64(n)
	if record && u.conn.EndRecord() {
		u.records = append(u.records, u.Wrote)
	}
	return n
}

// read reads what may be read, and compares it.
func (u *User) read() {
	left := u.ReadAt
	for p := u.conn.Next(); len(p) > 0 && !u.Paused; p = u.conn.Next() {
		if u.ReadAt > 0 {
			p = p[:min(len(p), left)]
			left -= len(p)
		}
		if len(p) == 0 {
			break
		}
		if k := u.in.compare(p); k >= 0 {
			u.world.fail("%s reads a wrong byte at %d of %d", u.Host.Name, u.Read+uint64(k), u.flow.LocalPort)
			return
		}
		u.Read += uint64(len(p))
		u.conn.Consume(len(p))
	}
	peer := u.peer
	if peer == nil {
		peer = u.world.users[reverse(u.flow)]
	}
	if u.many {
		peer = nil
	}
	if n := uint64(u.conn.UrgentLeft()); n > 0 && peer != nil && peer.plan != nil && !u.deaf && u.Read+n > peer.want {
		u.world.fail("%s:%d has read %d bytes and is told of %d urgent ones, of %d", u.Host.Name, u.flow.LocalPort, u.Read, n, peer.want)
	}
	if !u.EOF && u.conn.EOF() {
		u.EOF = true
		if peer != nil && !u.deaf && peer.Wrote != u.Read {
			u.world.fail("%s:%d read %d bytes up to EOF, and %d were written", u.Host.Name, u.flow.LocalPort, u.Read, peer.Wrote)
		}
	}
}

// Resume reads what was left unread.
func (u *User) Resume() {
	u.Paused = false
	u.Do(func(stack.Conn) {
		u.read()
		if u.plan != nil {
			u.plan.heard(u, 0)
		}
	})
}

// CloseWrite sends a FIN after all that was written.
func (u *User) CloseWrite() { u.Do(stack.Conn.CloseWrite) }

// Close lets go of the connection.
func (u *User) Close() {
	u.Do(func(c stack.Conn) { u.close(c) })
}

func (u *User) close(c stack.Conn) {
	c.Close()
	u.Held = false
}

// Abort resets the connection.
func (u *User) Abort() {
	u.Do(func(c stack.Conn) {
		c.Abort()
		u.Held = false
	})
}

// Info describes the connection, which must be held.
func (u *User) Info() tcp.Info { return u.conn.Info() }
