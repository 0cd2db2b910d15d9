package lib

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// road is what lies between a stack and its device. in is for packets to the stack, out for packets from it: each may
// change the packet, and drops it by returning false; nil lets all pass. Every queue's goroutine calls them.
type road struct {
	in, out func(p *link.Packet) bool
}

// wrap is for a plan: it puts the road before each queue. With single the stack is offered no offload, so that it sends
// each segment by itself.
func (r *road) wrap(single bool) func(*link.Link) *link.Link {
	return func(l *link.Link) *link.Link {
		laid := *l
		if single {
			laid.Superframe, laid.Checksum = 0, false
		}
		laid.Queues = nil
		for _, q := range l.Queues {
			laid.Queues = append(laid.Queues, &lane{q, r})
		}
		return &laid
	}
}

type lane struct {
	link.Device
	*road
}

// Read implements link.Device.
func (d *lane) Read(b *link.Batch) error {
	if err := d.Device.Read(b); err != nil || d.in == nil {
		return err
	}
	b.Packets = slices.DeleteFunc(b.Packets, func(p link.Packet) bool { return !d.in(&p) })
	return nil
}

// Write implements link.Device. What is changed is a copy of the packet's head: p is the stack's.
func (d *lane) Write(p *link.Packet) error {
	if d.out == nil {
		return d.Device.Write(p)
	}
	q := *p
	q.Head = slices.Clone(p.Head)
	if !d.out(&q) {
		return nil
	}
	return d.Device.Write(&q)
}

// tcpHeader is the TCP header within a packet's head; nil for other packets.
func tcpHeader(p *link.Packet) []byte {
	if h := p.Head; len(h) >= ip.HeaderLen && h[0]>>4 == 4 && h[9] == ip.ProtoTCP {
		return h[int(h[0]&0xf)*4:]
	}
	return nil
}

// headers is how long those of a TCP packet are, IP's and TCP's.
func headers(p *link.Packet) int {
	h := tcpHeader(p)
	return len(p.Head) - len(h) + int(h[12]>>4)*4
}

// segments is how many segments of the wire a TCP packet stands for.
func segments(p *link.Packet) int {
	if p.GSOSize == 0 {
		return 1
	}
	return (p.Len() - headers(p) + int(p.GSOSize) - 1) / int(p.GSOSize)
}

// setTOS changes a packet's type of service, and its header's checksum.
func setTOS(p *link.Packet, tos uint8) {
	h := p.Head[:int(p.Head[0]&0xf)*4]
	h[1], h[10], h[11] = tos, 0, 0
	binary.BigEndian.PutUint16(h[10:], ^ip.Fold(ip.Sum(h, 0)))
}

// settings are the defaults with changes.
func settings(change func(*tcp.Settings)) *tcp.Settings {
	s := tcp.Defaults()
	change(&s)
	return &s
}

// The two ways in which a connection with the kernel begins.
var openings = []struct {
	name   string
	weDial bool
}{{"we dial", true}, {"the kernel dials", false}}

// pair opens a connection between the stack, with settings for our end, and the TCP of the kernel that has the address at.
func (h *host) pair(t *testing.T, s *netspace, at netip.Addr, weDial bool, set *tcp.Settings) (*socket.Conn, *net.TCPConn) {
	t.Helper()
	if weDial {
		l := s.listen(addrPort(at, 0))
		remote := l.Addr().(*net.TCPAddr).AddrPort()
		ours, theirs := meet(t, l, func() (net.Conn, error) {
			return (&socket.Dialer{Stack: h.Stack, TCP: set}).DialAddr(t.Context(), remote)
		})
		return ours.(*socket.Conn), theirs.(*net.TCPConn)
	}
	l := h.listenWith(t, stack.ListenConfig{Port: 80, TCP: set})
	defer l.Close()
	theirs, ours := meet(t, l, s.dialer(addrPort(h.addr, 80)))
	return ours.(*socket.Conn), theirs.(*net.TCPConn)
}

// listenWith listens on the host's address; the listener is closed with the test.
func (h *host) listenWith(t *testing.T, cfg stack.ListenConfig) *socket.Listener {
	t.Helper()
	cfg.Prefix = netip.PrefixFrom(h.addr, 32)
	l := must[*socket.Listener](t)(socket.ListenWith(h.Stack, cfg))
	t.Cleanup(func() { l.Close() })
	return l
}

// info is Info of a connection that is not over.
func info(t *testing.T, c *socket.Conn) tcp.Info {
	t.Helper()
	i, ok := c.Info()
	if !ok {
		t.Fatal("the connection is over")
	}
	return i
}

// control calls f with the descriptor of a connection of the kernel's.
func control(t *testing.T, c *net.TCPConn, f func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		var failed error
		if err = raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err == nil {
			err = failed
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kernelInfo is the kernel's TCP_INFO.
func kernelInfo(t *testing.T, c *net.TCPConn) (i *unix.TCPInfo) {
	t.Helper()
	control(t, c, func(fd int) (err error) {
		i, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err
	})
	return i
}
