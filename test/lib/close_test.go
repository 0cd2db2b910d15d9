package lib

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tun"
	"github.com/tcpd-project/tcpd/test/play"
)

// kernelHost is the kernel's TCP in a namespace, at one of its addresses, as a host of plays.
type kernelHost struct {
	*netspace
	ip netip.Addr
}

func (k kernelHost) Differences() []play.Difference { return nil }

func (k kernelHost) Addr() netip.Addr { return k.ip }

func (k kernelHost) Listen(port uint16) (l net.Listener, err error) {
	err = k.Inside(func() (err error) {
		cfg := net.ListenConfig{KeepAlive: -1}
		cfg.SetMultipathTCP(false)
		l, err = cfg.Listen(context.Background(), "tcp", addrPort(k.ip, port).String())
		return err
	})
	return l, err
}

func (k kernelHost) Dial(ctx context.Context, local uint16, remote netip.AddrPort) (c net.Conn, err error) {
	err = k.Inside(func() (err error) {
		d := net.Dialer{KeepAlive: -1, LocalAddr: net.TCPAddrFromAddrPort(addrPort(k.ip, local))}
		c, err = d.DialContext(ctx, "tcp", remote.String())
		return err
	})
	return c, err
}

// pairing is two hosts for a play.
type pairing struct {
	name string
	a, b play.Host
}

// perform performs a play once, or twice with the parts exchanged, on ports of its own: base and the three behind it.
func (x *pairing) perform(t *testing.T, p *play.Play, base uint16, cut func()) {
	t.Helper()
	for i, exchanged := range []bool{false, true} {
		if exchanged && p.Even {
			break
		}
		if d := p.Check(play.Stage{
			A: x.a, B: x.b, Patience: longPatience, Cut: cut, Exchanged: exchanged, Port: base + 2*uint16(i),
		}); d != "" {
			t.Errorf("%s, %s, exchanged %v:\n%s", p.Name, x.name, exchanged, d)
		}
	}
}

// TestEveryEndAsInTheKernel: for every way in which a connection can begin and end, a program sees the same bytes, ends
// and errors whether its ends are the kernel's, over its loopback, or one of them is ours, or both.
func TestEveryEndAsInTheKernel(t *testing.T) {
	need(t)
	s := newSpace(t)
	s.forward() // we reach ourselves by the way of a router
	// One queue: of two, the kernel may put an ACK of ours to ourselves into one and the RST behind it into the other, and who
	// aborts before he is accepted has then never been there.
	h := startHost(t, s, plan{tun: tun.Config{Queues: 1}})
	loopback := kernelHost{s, netip.MustParseAddr("127.0.0.1")}
	kernel, ours := kernelHost{s, kernelIP}, play.Ours{Stack: h.Stack, IP: ourIP}
	for i, p := range play.All() {
		if p.Crossing || p.Cut {
			continue // on cables
		}
		t.Run(p.Name, func(t *testing.T) {
			for _, x := range []pairing{
				{"the kernel by itself", loopback, loopback}, {"we dial the kernel", ours, kernel},
				{"the kernel dials us", kernel, ours}, {"we dial ourselves", ours, ours},
			} {
				x.perform(t, &p, firstPort+4*uint16(i), nil)
			}
		})
	}
}

const (
	firstPort    = 5000         // for plays
	longPatience = 4 * patience // many plays are performed at a time, on wires that lose
)
