// Package cable is a wire in memory between any two TCPs: our stack takes an end of it as its link, another TCP is
// plugged in. What the wire does to packets comes by chance from a seed. It waits on channels alone, so that it works
// in a testing/synctest bubble. It is imported by tests alone.
package cable

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/fault"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Conditions are what a cable does to packets, in both directions.
type Conditions struct {
	Name string
	MTU  int // bytes; 0 is 1500
	fault.Faults
}

// Ordered tells whether every packet arrives, in the order of sending.
func (c *Conditions) Ordered() bool {
	return c.Loss == 0 && c.Corrupt == 0 && c.Reorder == 0 && c.Jitter == 0 && c.Duplicate == 0
}

// Cable is a wire with its two ends, links of one queue without offload.
type Cable struct {
	A, B *link.Link
	cut  atomic.Bool
	meet meeting
}

// New makes a cable.
func New(seed uint64, c Conditions) *Cable {
	w := &Cable{}
	// A queue holds more than the windows of a connection, so that the wire loses what Conditions say, and no more.
	w.A, w.B = pipe.New(1, pipe.Options{MTU: c.MTU, Plain: true, Packets: 32 << 10, Bytes: 32 << 20})
	harm := fault.Faults{Loss: c.Loss, Corrupt: c.Corrupt}
	c.Loss, c.Corrupt = 0, 0
	late, bad := fault.New(seed, fault.Faults{}, c.Faults), fault.New(seed+1<<32, fault.Faults{}, harm)
	for i, l := range []*link.Link{w.A, w.B} {
		road := late(l.Queues[0])
		l.Queues[0] = &end{Device: bad(road), road: road, cable: w, side: i}
		w.meet.ends[i] = l.Queues[0]
	}
	return w
}

// Cut makes the wire lose everything from now on.
func (w *Cable) Cut() { w.cut.Store(true) }

// end is a device at one end of a cable.
type end struct {
	link.Device // the road, with what is bad about it
	road        link.Device
	cable       *Cable
	side        int
	early       [][]byte // SYNs that wait for one from the other end
}

func (e *end) Read(b *link.Batch) error {
	if err := e.release(); err != nil {
		return err
	}
	return e.Device.Read(b)
}

func (e *end) Wait(until mono.Time) error {
	if err := e.release(); err != nil {
		return err
	}
	return e.Device.Wait(until)
}

// Write sends p. RSTs are delayed like other segments and never lost: a RST is not sent again, so that with any TCP a
// user who only reads would wait for ever.
func (e *end) Write(p *link.Packet) error {
	flags, from, to := segment(p.Head)
	switch {
	case e.cable.cut.Load():
		return nil
	case flags&tcp.RST != 0:
		return e.road.Write(p)
	case flags == tcp.SYN && e.cable.meet.alone(e.side, from, to):
		e.early = append(e.early, p.AppendTo(nil))
		return nil
	}
	return e.Device.Write(p)
}

// release sends the SYNs that have waited for one from the other end.
func (e *end) release() error {
	for i, p := range e.early {
		if _, from, to := segment(p); e.cable.meet.alone(e.side, from, to) {
			continue
		}
		e.early = slices.Delete(e.early, i, i+1)
		if err := e.Device.Write(&link.Packet{Head: p}); err != nil {
			return err
		}
		return e.release()
	}
	return nil
}

// segment is what is asked of a packet that begins with head: zeros where it carries no TCP.
func segment(head []byte) (flags tcp.Flags, from, to uint16) {
	if len(head) < ip.HeaderLen || head[9] != ip.ProtoTCP {
		return 0, 0, 0
	}
	at := int(head[0]&15) * 4
	if len(head) < at+tcp.HeaderLen {
		return 0, 0, 0
	}
	const controls = tcp.FIN | tcp.SYN | tcp.RST | tcp.ACK
	return tcp.Flags(head[at+13]) & controls, binary.BigEndian.Uint16(head[at:]), binary.BigEndian.Uint16(head[at+2:])
}

// meeting lets the SYNs of two ends that dial each other cross on the wire, however long after the other the second one
// dials. A SYN from a port below those that TCPs choose by themselves is one of such a pair.
type meeting struct {
	ends [2]link.Device
	mu   sync.Mutex
	seen map[[2]uint16]int // by the ports, the smaller one first: a bit for each side
}

const chosen = 10_000

// alone tells whether a SYN is one of a pair, and the other one has not been sent.
func (m *meeting) alone(side int, from, to uint16) bool {
	if from >= chosen {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = map[[2]uint16]int{}
	}
	key := [2]uint16{min(from, to), max(from, to)}
	before := m.seen[key]
	m.seen[key] |= 1 << side
	if m.seen[key] != 3 {
		return true
	}
	if before != 3 {
		m.ends[1-side].Wake()
	}
	return false
}
