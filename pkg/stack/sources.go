package stack

import (
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// sources counts what each remote address takes up of each listener: in places that a keyed hash chooses, so that it
// is bounded whoever calls. Two that meet in one place are counted as one; nobody outside can make them meet.
type sources struct {
	key  tcp.Secret
	half [1 << 13]atomic.Int32
	wait [1 << 13]atomic.Int32
	open [1 << 13]atomic.Int32
}

// place is where a listener's connections of one address are counted.
func (c *sources) place(listener uint16, a ip.Addr) uint64 {
	return c.key.Hash(&Flow{Remote: a, LocalPort: listener}) % uint64(len(c.half))
}

func (c *sources) halfOpen(listener uint16, a ip.Addr) *atomic.Int32 {
	return &c.half[c.place(listener, a)]
}

func (c *sources) backlog(listener uint16, a ip.Addr) *atomic.Int32 {
	return &c.wait[c.place(listener, a)]
}

func (c *sources) connections(listener uint16, a ip.Addr) *atomic.Int32 {
	return &c.open[c.place(listener, a)]
}
