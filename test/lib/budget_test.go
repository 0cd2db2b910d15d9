package lib

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// dialFrom connects the kernel's TCP from one of its addresses.
func (s *netspace) dialFrom(from netip.Addr, to netip.AddrPort) (c net.Conn, err error) {
	return c, s.Inside(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		d := net.Dialer{KeepAlive: -1, LocalAddr: net.TCPAddrFromAddrPort(addrPort(from, 0))}
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
}

// TestBacklogOfEachSource: while nobody accepts, one address fills only its part of the queue, and all together fill it.
// The others wait, though for the kernel they are connected; when there is room each comes in with its text.
func TestBacklogOfEachSource(t *testing.T) {
	need(t)
	const clients, backlog, ofSource = 12, 6, 4 // clients of each address
	s := newSpace(t)
	h := startHost(t, s, plan{tun: tun.Config{Queues: 1}})
	other := netip.MustParseAddr("10.7.0.9")
	s.ip("address add " + other.String() + "/32 dev " + device)
	l := h.listenWith(t, stack.ListenConfig{Port: 80, Backlog: backlog, SourceBacklog: ofSource})
	barrier := h.listen(t, addrPort(ourIP, 81))
	var all []net.Conn
	call := func(from netip.Addr) stack.ListenerStats {
		for range clients {
			c := must[net.Conn](t)(s.dialFrom(from, addrPort(ourIP, 80)))
			t.Cleanup(func() { c.Close() })
			all = append(all, c)
		}
		meet(t, barrier, s.dialer(addrPort(ourIP, 81))) // behind all that came, on the device's one queue
		return l.Stats()
	}
	if n := call(kernelIP); n.Waiting != ofSource || n.SourceFull < clients-ofSource || n.Full != 0 {
		t.Errorf("%d clients of one address: %+v", clients, n)
	}
	if n := call(other); n.Waiting != backlog || n.Full < clients-(backlog-ofSource) {
		t.Errorf("and %d of another: %+v", clients, n)
	}

	texts := map[string]string{}
	for i, c := range all {
		texts[c.LocalAddr().String()] = fmt.Sprintf("this is client %02d", i)
		if _, err := io.WriteString(c, texts[c.LocalAddr().String()]); err != nil {
			t.Fatal(err)
		}
	}
	for range all {
		c := must[net.Conn](t)(l.Accept())
		if n := l.Stats().Waiting; n > backlog {
			t.Errorf("%d connections wait", n)
		}
		want := texts[c.RemoteAddr().String()]
		delete(texts, c.RemoteAddr().String())
		if err := c.SetDeadline(deadline()); err != nil {
			t.Fatal(err)
		}
		if err := carry(discard{}, c, []byte(want)); err != nil || want == "" {
			t.Errorf("%v: %q: %v", c.RemoteAddr(), want, err)
		}
		c.Close()
	}
	if n := l.Stats(); n.Accepted != 2*clients || n.Waiting != 0 || n.HalfOpen != 0 {
		t.Errorf("in the end: %+v", n)
	}
}
