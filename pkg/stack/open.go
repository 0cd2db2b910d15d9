package stack

import (
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// synArrived is for a SYN to the listener l, on which its hook decides if it has one.
func (s *shard) synArrived(l *Listener, h uint64, f *Flow, g *tcp.Segment, iss seq.Num) {
	if l.Admit != nil {
		s.ask(l, h, f, g, iss)
		return
	}
	s.openPassive(l, h, f, g, iss)
}

// openPassive answers a SYN to the listener l with iss as our first sequence number.
func (s *shard) openPassive(l *Listener, h uint64, f *Flow, g *tcp.Segment, iss seq.Num) {
	if !s.roomForHalf(l, f.Remote) {
		s.sendCookie(l, f, g)
		return
	}
	if s.openEarly(l, h, f, g, iss) {
		return
	}
	_, offset := s.stack.cfg.Secrets[0].ISN(f, s.now)
	s.workApart(f)
	c := &s.temp
	o := s.opening(l, f, iss, offset)
	o.FastOpen = l.FastOpen > 0 && g.Options.Has&tcp.HasFastOpen != 0
	c.OpenPassive(&s.env, s.now, o, g)
	s.counters.Delivered++
	r := ref(kindHalf | s.halves.alloc())
	rec := s.halves.at(r.index())
	rec.key, rec.owner = keyOf(f), s.listening(l)
	s.owners[rec.owner].conns++
	s.table.insert(h, r)
	s.present.add(h)
	l.countHalf(f.Remote, 1)
	s.sendAll(f, c)
	c.PackHalfOpen(&rec.tcp)
	s.wheel.arm(r, rec.tcp.Deadline())
}

// opening is what a connection to the listener l starts from.
func (s *shard) opening(l *Listener, f *Flow, iss seq.Num, offset uint32) tcp.Open {
	return tcp.Open{Profile: s.learn(l.profile), ISS: iss, TSOffset: offset, MSS: s.stack.mss(f.Remote)}
}

// deliverHalf hands a segment to a connection in SYN-RECEIVED, which becomes whole when its SYN is acknowledged.
func (s *shard) deliverHalf(r ref, h uint64, f *Flow, g *tcp.Segment) {
	rec := s.halves.at(r.index())
	c := &s.temp
	s.unpack(&rec.tcp)
	l := s.stack.listeners.Load().find(f.Local, f.LocalPort)
	if l != nil && s.queueFull(l, f, g) {
		return
	}
	d := c.Input(&s.env, s.now, g)
	s.verdict(d)
	s.reply(f)
	s.sendHalf(r, h, f, l)
}

// sendHalf sends what the unpacked connection in s.temp has to send, and packs it again, makes it whole, or lets it
// go.
func (s *shard) sendHalf(r ref, h uint64, f *Flow, l *Listener) {
	c := &s.temp
	if !c.Opened() {
		s.sendAll(f, c)
		if c.Released() {
			s.fail(f)
			s.dropHalf(r, h)
			return
		}
	}
	if c.PackHalfOpen(&s.halves.at(r.index()).tcp) {
		s.wheel.arm(r, s.halves.at(r.index()).tcp.Deadline())
		return
	}
	s.present.add(h) // before the other shards can miss it
	defer s.present.remove(h)
	s.dropHalf(r, h)
	if l == nil { // nobody listens any more
		c.Abort(&s.env, s.now)
		s.sendAll(f, c)
		c.Free(&s.env)
		return
	}
	s.accept(l, h, f, false)
}

func (s *shard) dropHalf(r ref, h uint64) {
	rec := s.halves.at(r.index())
	s.wheel.disarm(r)
	s.table.remove(h, r)
	s.present.remove(h)
	s.owners[rec.owner].listener.countHalf(rec.flow().Remote, -1)
	s.leave(rec.owner)
	s.halves.release(r.index())
}

// unpack makes s.temp what h was packed from.
func (s *shard) unpack(h *tcp.HalfOpen) {
	h.Unpack(&s.env, &s.temp)
	s.recorder.passing.count = 0
}

// halfTimeout is timeout for a half-open connection.
func (s *shard) halfTimeout(r ref) (due bool) {
	rec := s.halves.at(r.index())
	if rec.tcp.Deadline() > s.now {
		s.wheel.arm(r, rec.tcp.Deadline())
		return false
	}
	f := rec.flow()
	s.workApart(&f)
	s.unpack(&rec.tcp)
	s.temp.Timeout(&s.env, s.now)
	s.sendHalf(r, s.hash(&f), &f, nil)
	return true
}

// sendCookie answers a SYN without keeping anything of it.
func (s *shard) sendCookie(l *Listener, f *Flow, g *tcp.Segment) {
	_, offset := s.stack.cfg.Secrets[0].ISN(f, s.now)
	s.workApart(f)
	c := &s.temp
	c.OpenPassive(&s.env, s.now, s.opening(l, f, 0, offset), g)
	c.MakeCookie(&s.stack.cfg.Secrets[0], f, s.now)
	s.sendAll(f, c)
	s.counters.Delivered++
	s.counters.CookiesSent++
	l.cookies.Add(1)
	s.stack.cookies.Store(int64(s.now))
}

// cookiesExpire is how long after the last cookie an ACK is still looked at for one.
const cookiesExpire = 130 * mono.Second

// openCookie opens the connection whose cookie g acknowledges; false if it acknowledges none.
func (s *shard) openCookie(l *Listener, h uint64, f *Flow, g *tcp.Segment) bool {
	last := mono.Time(s.stack.cookies.Load())
	if last == 0 || s.now > last.Add(cookiesExpire) {
		return false
	}
	_, offset := s.stack.cfg.Secrets[0].ISN(f, s.now)
	s.workApart(f)
	c := &s.temp
	if !c.OpenCookie(&s.env, &s.stack.cfg.Secrets[0], f, s.now, s.opening(l, f, 0, offset), g) {
		return false
	}
	if s.queueFull(l, f, g) {
		c.Free(&s.env)
		return true
	}
	d := c.Input(&s.env, s.now, g)
	s.verdict(d)
	s.reply(f)
	if !c.Opened() {
		c.Free(&s.env)
		return true
	}
	s.counters.CookiesTaken++
	s.accept(l, h, f, false)
	return true
}

// accept makes the connection in s.temp one of the listener's; early, if its handshake is not over.
func (s *shard) accept(l *Listener, h uint64, f *Flow, early bool) {
	s.counters.Accepted++
	l.accepted.Add(1)
	if l.Backlog > 0 || l.SourceBacklog > 0 {
		l.waiting.Add(1)
	}
	if l.SourceBacklog > 0 {
		s.stack.sources.backlog(l.id, f.Remote).Add(1)
	}
	o := s.listening(l)
	i := s.adopt(f, h, o)
	rec := s.conns.at(i)
	rec.tcp = s.temp
	s.current = i
	if !early {
		s.record(Note{Kind: Transitions, State: fsm.SynRcvd, Event: fsm.SYNAcked, To: fsm.Established})
	}
	rec.early, rec.counted = early, l.Connections > 0 || l.SourceConnections > 0
	if rec.early || rec.counted { // the listener keeps its place though the connection be given to another handler
		rec.listener = o
		s.owners[o].conns++
	}
	if rec.counted {
		l.open.Add(1)
		s.stack.sources.connections(l.id, f.Remote).Add(1)
	}
	s.settle(i)
}

// uncount is for a connection that is over and counted against its listener's limits.
func (s *shard) uncount(rec *record) {
	rec.counted = false
	l := s.owners[rec.listener].listener
	l.open.Add(-1)
	s.stack.sources.connections(l.id, rec.flow().Remote).Add(-1)
	s.leaveListener(rec)
}

// leaveListener gives up the listener's place once nothing is counted there any more.
func (s *shard) leaveListener(rec *record) {
	if !rec.early && !rec.counted {
		s.leave(rec.listener)
		rec.listener = 0
	}
}

// adopt makes room for a connection of flow f, in the table and present.
func (s *shard) adopt(f *Flow, h uint64, owner uint32) uint32 {
	i := s.conns.alloc()
	rec := s.conns.at(i)
	rec.key, rec.owner = keyOf(f), owner
	s.stack.conns.Add(1)
	s.owners[owner].conns++
	s.table.insert(h, ref(kindConn|i))
	s.present.add(h)
	return i
}

// listening returns the place of a listener's handler.
func (s *shard) listening(l *Listener) uint32 {
	o := s.byListener[l]
	if o == 0 {
		o = s.newOwner(owner{handler: l.handler, listener: l})
		s.byListener[l] = o
	}
	return o
}

func (s *shard) newOwner(o owner) uint32 {
	if k := len(s.freeOwners); k > 0 {
		i := s.freeOwners[k-1]
		s.freeOwners = s.freeOwners[:k-1]
		s.owners[i] = o
		return i
	}
	s.owners = append(s.owners, o)
	return uint32(len(s.owners) - 1)
}

// leave takes a connection from its handler; a handler without connections is forgotten.
func (s *shard) leave(o uint32) {
	if s.owners[o].conns--; s.owners[o].conns == 0 {
		delete(s.byListener, s.owners[o].listener)
		s.owners[o] = owner{}
		s.freeOwners = append(s.freeOwners, o)
	}
}

// The ports that dial chooses from (Linux's ip_local_port_range). Each shard has those that are its number modulo
// the number of shards, so that no two shards choose the same.
const (
	firstPort = 32768
	lastPort  = 60999
)

// dial opens a connection actively.
func (s *shard) dial(f Flow, o tcp.Open, h Handler) (Conn, error) {
	if s.inbox.closed.Load() { // also when the device has failed
		return Conn{}, ErrClosed
	}
	if s.stack.conns.Load() >= int64(s.stack.limits.Load().Connections) {
		return Conn{}, ErrNoCapacity
	}
	if f.LocalPort == 0 && !s.choosePort(&f) {
		return Conn{}, ErrNoPort
	}
	hash := s.hash(&f)
	if r := s.table.find(hash, keyOf(&f)); r != 0 {
		return Conn{}, ErrAddrInUse
	}
	o.ISS, o.TSOffset = s.stack.cfg.Secrets[0].ISN(&f, s.now)
	s.learn(o.Profile)
	o.MSS = s.stack.mss(f.Remote)
	if o.FastOpen {
		k, _ := s.stack.cookieJar.find(f.Remote)
		o.Early = k.mss
	}
	s.counters.Opened++
	i := s.adopt(&f, hash, s.newOwner(owner{handler: h}))
	rec := s.conns.at(i)
	s.work(i)
	rec.tcp.OpenActive(&s.env, s.now, o)
	Conn{s, i}.called(CallOpen, 0)
	s.touch(i)
	return Conn{s, i}, nil
}

// choosePort finds a port that is free for the flow (RFC 6056 section 3.3.4 in spirit: a search that begins at a
// secret place and goes on from there).
func (s *shard) choosePort(f *Flow) bool {
	n := uint32(len(s.stack.shards))
	span := (lastPort - firstPort + 1) / n
	f.LocalPort = 1
	start, _ := bits.Mul32(uint32(s.hash(f)>>32), span)
	for k := range span {
		f.LocalPort = uint16(firstPort + (start+s.port+k)%span*n + (n+uint32(s.id)-firstPort%n)%n)
		if f.LocalPort <= lastPort && s.table.find(s.hash(f), keyOf(f)) == 0 {
			s.port += k + 1
			return true
		}
	}
	return false
}

// deliverWait hands a segment to a connection in TIME-WAIT.
func (s *shard) deliverWait(r ref, h uint64, f *Flow, g *tcp.Segment) {
	rec := s.waits.at(r.index())
	c := &s.temp
	rec.tcp.Unpack(&s.env, s.now, c)
	if iss, ok := c.Reusable(g); ok {
		if l := s.stack.listeners.Load().find(f.Local, f.LocalPort); l != nil {
			c.Reincarnate(&s.env, s.now)
			s.dropWait(r, h)
			s.synArrived(l, h, f, g, iss)
			return
		}
	}
	before := c.Deadline()
	s.verdict(c.Input(&s.env, s.now, g))
	s.reply(f)
	s.sendAll(f, c)
	c.PackTimeWait(&rec.tcp)
	if c.Deadline() != before {
		s.unlinkWait(r)
		s.linkWait(r)
	}
}

// parkWait keeps a connection that has reached TIME-WAIT as the few words that are left to know of it.
func (s *shard) parkWait(i uint32) bool {
	rec := s.conns.at(i)
	var t tcp.TimeWait
	if !rec.tcp.PackTimeWait(&t) {
		return false
	}
	f := rec.flow()
	h := s.hash(&f)
	s.present.add(h) // before forget takes it away: the other shards must not miss it in between
	s.forget(i)
	r := ref(kindWait | s.waits.alloc())
	w := s.waits.at(r.index())
	w.key, w.tcp = keyOf(&f), t
	s.table.insert(h, r)
	s.linkWait(r)
	if s.waits.live > s.stack.limits.Load().TimeWait/len(s.stack.shards) {
		s.counters.TimeWaitEvicted++
		first := s.first
		f = s.waits.at(first.index()).flow()
		s.dropWait(first, s.hash(&f))
	}
	return true
}

// waitSteps bounds the search for a TIME-WAIT's place in the order of their ends.
const waitSteps = 64

// linkWait puts a TIME-WAIT where it belongs by its end: last, but where the user has let go of the connection only during
// the wait. Then it may have to end later than it should, so as not to be looked for among millions.
func (s *shard) linkWait(r ref) {
	w := s.waits.at(r.index())
	at := s.last
	for k := 0; k < waitSteps && at != 0 && s.waits.at(at.index()).tcp.Deadline(s.now) > w.tcp.Deadline(s.now); k++ {
		at = s.waits.at(at.index()).before
	}
	w.before, w.after = at, s.first
	if at != 0 {
		before := s.waits.at(at.index())
		w.tcp.NotBefore(&before.tcp)
		w.after = before.after
		before.after = r
	} else {
		s.first = r
	}
	if w.after != 0 {
		s.waits.at(w.after.index()).before = r
	} else {
		s.last = r
	}
}

func (s *shard) unlinkWait(r ref) {
	w := s.waits.at(r.index())
	if w.before != 0 {
		s.waits.at(w.before.index()).after = w.after
	} else {
		s.first = w.after
	}
	if w.after != 0 {
		s.waits.at(w.after.index()).before = w.before
	} else {
		s.last = w.before
	}
}

func (s *shard) dropWait(r ref, h uint64) {
	s.unlinkWait(r)
	s.table.remove(h, r)
	s.present.remove(h)
	s.waits.release(r.index())
}

// expireWaits ends the TIME-WAITs whose 2 MSL are over.
func (s *shard) expireWaits() {
	for n := 0; s.first != 0 && n < maxMoves/actMoves; n++ {
		w := s.waits.at(s.first.index())
		if w.tcp.Deadline(s.now) > s.now {
			return
		}
		f := w.flow()
		s.workApart(&f)
		w.tcp.Unpack(&s.env, s.now, &s.temp)
		s.temp.Timeout(&s.env, max(s.now, s.temp.Deadline()))
		s.dropWait(s.first, s.hash(&f))
	}
}
