package stack

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/ip"
)

// Listener is LISTEN for the addresses of a prefix, on one port or on every port.
type Listener struct {
	stack   *Stack
	prefix  netip.Prefix
	port    uint16
	handler Handler
	backlog int64        // most connections opened and not yet taken; 0: no limit
	waiting atomic.Int64 // opened and not yet taken
}

// listeners is an immutable set: the exact ones by address and port, the others from the most to the least specific.
type listeners struct {
	exact map[netip.AddrPort]*Listener
	wide  []*Listener
}

// Listen hands connections to addresses in prefix on port (0: every port) to h. Where several listeners fit, the
// longest prefix wins, then the one with a port. With a backlog the handler must call Taken for each connection that
// leaves the queue; while it is full, handshakes wait for their last ACK to be sent again.
func (s *Stack) Listen(prefix netip.Prefix, port uint16, backlog int, h Handler) (*Listener, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	prefix = prefix.Masked()
	if !s.overlaps(prefix) {
		return nil, ErrNotOurs
	}
	l := &Listener{stack: s, prefix: prefix, port: port, handler: h, backlog: int64(backlog)}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.listeners.Load()
	for _, o := range old.all() {
		if o.prefix == prefix && o.port == port {
			return nil, ErrAddrInUse
		}
	}
	s.listeners.Store(newListeners(append(old.all(), l)))
	return l, nil
}

func (s *Stack) overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(s.cfg.Addrs, p.Overlaps)
}

// Close ends the listening; connections that are open stay.
func (l *Listener) Close() {
	s := l.stack
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := slices.DeleteFunc(s.listeners.Load().all(), func(o *Listener) bool { return o == l })
	s.listeners.Store(newListeners(rest))
}

// Taken tells that a connection has left the accept queue.
func (l *Listener) Taken() { l.waiting.Add(-1) }

// Waiting is the length of the accept queue.
func (l *Listener) Waiting() int { return int(l.waiting.Load()) }

func newListeners(all []*Listener) *listeners {
	n := &listeners{exact: map[netip.AddrPort]*Listener{}}
	for _, l := range all {
		if l.port != 0 && l.prefix.IsSingleIP() {
			n.exact[netip.AddrPortFrom(l.prefix.Addr(), l.port)] = l
		} else {
			n.wide = append(n.wide, l)
		}
	}
	slices.SortStableFunc(n.wide, func(a, b *Listener) int {
		if d := b.prefix.Bits() - a.prefix.Bits(); d != 0 {
			return d
		}
		return int(b.port) - int(a.port)
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
		if (l.port == port || l.port == 0) && l.prefix.Contains(a) {
			return l
		}
	}
	return nil
}
