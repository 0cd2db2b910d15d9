package stack

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// ListenConfig says where to listen, and how.
type ListenConfig struct {
	Prefix netip.Prefix // the addresses
	Port   uint16       // 0: every port
	// Backlog is the most connections opened and not yet taken (Listener.Taken): while it is full, handshakes wait for
	// their last ACK to be sent again. 0: no limit, and Taken need not be called.
	Backlog int
	// HalfOpen is the most connections in SYN-RECEIVED; beyond it SYNs get cookies. 0: no limit but the stack's.
	HalfOpen int
	// SourceBacklog and SourceHalfOpen are what one remote address may take up of the two; 0: no limit. With a
	// SourceBacklog, too, Taken must be called.
	SourceBacklog, SourceHalfOpen int
	// Connections is the most connections open, and SourceConnections from one remote address, beyond which last ACKs are not
	// taken; 0: no limit. All these limits, and the stack's, are looked at before a connection is counted: shards that do so at
	// the same instant may exceed them by one each.
	Connections, SourceConnections int
	// TCP are the connections' settings, which begin with Stack.Settings, since the MSL must be the stack's; nil: the stack's.
	TCP *tcp.Settings
	// FastOpen is the most connections that a valid cookie has opened (RFC 7413) and whose handshakes are not over; beyond
	// it the text of SYNs is not taken. 0: no cookies are given, and none is taken.
	FastOpen int
	// Replace closes the listener that there is for the same addresses and port, in the same instant: no SYN finds nobody.
	Replace bool
	// Admit decides on each SYN before anything is answered; nil: all are accepted.
	Admit func(*Request)
}

// Listener is LISTEN for the addresses of a prefix, on one port or on every port.
type Listener struct {
	ListenConfig
	stack   *Stack
	id      uint16 // among the stack's
	handler Handler
	profile uint8
	closed  atomic.Bool

	waiting, halfOpen, deferred, early, open atomic.Int64
	accepted, cookies, full, tooGreedy       atomic.Uint64
}

// ListenerStats is how busy a listener is.
type ListenerStats struct {
	HalfOpen int // connections in SYN-RECEIVED
	Waiting  int // connections opened and not yet taken: the accept queue
	FastOpen int // connections opened by cookies whose handshakes are not over
	Deferred int // requests that have not been decided on

	Accepted   uint64 // connections opened
	Cookies    uint64 // SYNs answered by cookies, for want of room in HalfOpen, SourceHalfOpen or the stack's limit
	Full       uint64 // last ACKs not taken, because Backlog was full
	SourceFull uint64 // and because SourceBacklog was
}

// listeners is an immutable set: the exact ones by address and port, the others from the most to the least specific.
type listeners struct {
	exact map[netip.AddrPort]*Listener
	wide  []*Listener
}

// Listen hands connections to h. Where several listeners fit, the longest prefix wins, then the one with a port.
func (s *Stack) Listen(cfg ListenConfig, h Handler) (*Listener, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	cfg.Prefix = cfg.Prefix.Masked()
	if !s.overlaps(cfg.Prefix) {
		return nil, ErrNotOurs
	}
	profile, err := s.profile(cfg.TCP)
	if err != nil {
		return nil, err
	}
	l := &Listener{ListenConfig: cfg, stack: s, handler: h, profile: profile}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.listeners.Load().all()
	i := slices.IndexFunc(all, func(o *Listener) bool { return o.Prefix == cfg.Prefix && o.Port == cfg.Port })
	if i >= 0 && !cfg.Replace {
		return nil, ErrAddrInUse
	}
	s.lastListener++
	l.id = s.lastListener
	if i < 0 {
		s.listeners.Store(newListeners(append(all, l)))
		return l, nil
	}
	old := all[i]
	all[i] = l
	s.listeners.Store(newListeners(all))
	old.end()
	return l, nil
}

func (s *Stack) overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(s.cfg.Addrs, p.Overlaps)
}

// Close ends the listening; connections that are open stay, requests that nobody has decided on are cancelled.
func (l *Listener) Close() {
	s := l.stack
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed.Load() {
		return
	}
	rest := slices.DeleteFunc(s.listeners.Load().all(), func(o *Listener) bool { return o == l })
	s.listeners.Store(newListeners(rest))
	l.end()
}

// end is for a listener that is not among the stack's any more.
func (l *Listener) end() {
	l.closed.Store(true)
	if l.Admit == nil {
		return
	}
	for _, sh := range l.stack.shards {
		sh.post(NewTask(func() { sh.cancelRequests(l) }))
	}
}

// Taken tells that a connection from source has left the accept queue.
func (l *Listener) Taken(source netip.Addr) {
	l.waiting.Add(-1)
	if l.SourceBacklog > 0 {
		l.stack.sources.backlog(l.id, ip.FromNetip(source)).Add(-1)
	}
}

// Waiting is the length of the accept queue.
func (l *Listener) Waiting() int { return int(l.waiting.Load()) }

// Stats is how busy the listener is.
func (l *Listener) Stats() ListenerStats {
	return ListenerStats{
		HalfOpen: int(l.halfOpen.Load()), Waiting: l.Waiting(), FastOpen: int(l.early.Load()), Deferred: int(l.deferred.Load()),
		Accepted: l.accepted.Load(), Cookies: l.cookies.Load(), Full: l.full.Load(), SourceFull: l.tooGreedy.Load(),
	}
}

// Listeners are those that listen now.
func (s *Stack) Listeners() []*Listener { return s.listeners.Load().all() }

// queueFull reports whether an ACK that completes a handshake must wait, for want of room for the connection.
func (s *shard) queueFull(l *Listener, f *Flow, g *tcp.Segment) bool {
	if g.Flags&(tcp.ACK|tcp.RST) != tcp.ACK {
		return false
	}
	d := s.noRoomToAccept(l, f)
	switch d {
	case DropNone:
		return false
	case DropBacklog:
		l.full.Add(1)
	case DropSourceBacklog:
		l.tooGreedy.Add(1)
	}
	s.drop(d)
	return true
}

// noRoomToAccept is why there is no room for one more connection of l from the peer of f, or DropNone: too many are open, or
// the accept queue is full.
func (s *shard) noRoomToAccept(l *Listener, f *Flow) Drop {
	c := s.stack.sources
	switch {
	case s.stack.conns.Load() >= int64(s.stack.limits.Load().Connections), l.Connections > 0 && l.open.Load() >= int64(l.Connections):
		return DropConnections
	case l.SourceConnections > 0 && int(c.connections(l.id, f.Remote).Load()) >= l.SourceConnections:
		return DropSourceConnections
	case l.Backlog > 0 && l.waiting.Load() >= int64(l.Backlog):
		return DropBacklog
	case l.SourceBacklog > 0 && int(c.backlog(l.id, f.Remote).Load()) >= l.SourceBacklog:
		return DropSourceBacklog
	}
	return DropNone
}

// roomForHalf reports whether one more half-open connection of this source may be kept.
func (s *shard) roomForHalf(l *Listener, source ip.Addr) bool {
	switch {
	case s.stack.halfOpen.Load() >= int64(s.stack.limits.Load().HalfOpen):
	case l.HalfOpen > 0 && l.halfOpen.Load() >= int64(l.HalfOpen):
	case l.SourceHalfOpen > 0 && int(s.stack.sources.halfOpen(l.id, source).Load()) >= l.SourceHalfOpen:
	default:
		return true
	}
	return false
}

// countHalf counts a half-open connection of a source in, or out.
func (l *Listener) countHalf(source ip.Addr, by int) {
	l.stack.halfOpen.Add(int64(by))
	l.halfOpen.Add(int64(by))
	if l.SourceHalfOpen > 0 {
		l.stack.sources.halfOpen(l.id, source).Add(int32(by))
	}
}

func newListeners(all []*Listener) *listeners {
	n := &listeners{exact: map[netip.AddrPort]*Listener{}}
	for _, l := range all {
		if l.Port != 0 && l.Prefix.IsSingleIP() {
			n.exact[netip.AddrPortFrom(l.Prefix.Addr(), l.Port)] = l
		} else {
			n.wide = append(n.wide, l)
		}
	}
	slices.SortStableFunc(n.wide, func(a, b *Listener) int {
		if d := b.Prefix.Bits() - a.Prefix.Bits(); d != 0 {
			return d
		}
		return int(b.Port) - int(a.Port)
	})
	return n
}

func (n *listeners) all() []*Listener {
	all := slices.Clone(n.wide)
	for _, l := range n.exact {
		all = append(all, l)
	}
	return all
}

// find returns the listener for a SYN to addr and port, or nil.
func (n *listeners) find(addr ip.Addr, port uint16) *Listener {
	if n.exact == nil {
		return nil
	}
	a := addr.Netip()
	if l := n.exact[netip.AddrPortFrom(a, port)]; l != nil {
		return l
	}
	for _, l := range n.wide {
		if (l.Port == port || l.Port == 0) && l.Prefix.Contains(a) {
			return l
		}
	}
	return nil
}
