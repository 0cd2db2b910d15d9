package lib

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tun"
	"github.com/tcpd-project/tcpd/test/space"
)

// everywhere is a host that has every address of a prefix, which the kernel routes to it.
func everywhere(t *testing.T, s *netspace, prefix netip.Prefix) *host {
	t.Helper()
	return startHost(t, s, plan{tun: tun.Config{Routes: []netip.Prefix{prefix}}, addrs: []netip.Prefix{prefix}})
}

// addresses are n addresses of a prefix, the first and the last among them where a host may have those; none is of
// the network between the kernel and us.
func addresses(prefix netip.Prefix, seed uint64, n int) (all []netip.Addr) {
	r := rand.New(rand.NewPCG(seed, 0))
	first := prefix.Masked().Addr().As4()
	last := first
	for bit := prefix.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	for a := netip.AddrFrom4(first); len(all) < n; {
		if ip.FromNetip(a).IsUnicast() && !kernelNet.Contains(a) {
			all = append(all, a)
		}
		next := first
		for i := range next {
			next[i] |= byte(r.Uint32()) & (last[i] ^ first[i])
		}
		a = netip.AddrFrom4(next)
	}
	if a := netip.AddrFrom4(last); ip.FromNetip(a).IsUnicast() {
		all[n-1] = a
	}
	return all
}

var wholePrefixes = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/16"), netip.MustParsePrefix("0.0.0.0/0")}

// TestEveryAddressOfAPrefix: a listener for a prefix, on every port, takes what the kernel connects to any address
// and port of it, and its connections tell which.
func TestEveryAddressOfAPrefix(t *testing.T) {
	need(t)
	for _, prefix := range wholePrefixes {
		t.Run(prefix.String(), func(t *testing.T) {
			s := newSpace(t)
			h := everywhere(t, s, prefix)
			l := must[*socket.Listener](t)(socket.ListenWith(h.Stack, stack.ListenConfig{Prefix: prefix}))
			answering := make(chan error, 1)
			go func() { answering <- tellLocalAddr(l) }()
			called := addresses(prefix, 1, 500)
			space.InParallel(t, len(called), 16, func(i int) error {
				at := addrPort(called[i], uint16(1+i*131))
				c, err := s.dial(at)
				if err != nil {
					return err
				}
				defer c.Close()
				if err := c.SetDeadline(deadline()); err != nil {
					return err
				}
				told, err := io.ReadAll(c)
				if want := at.String() + " from " + c.LocalAddr().String(); err != nil || string(told) != want {
					return fmt.Errorf("%q, %v; want %q", told, err, want)
				}
				return nil
			})
			l.Close()
			if err := <-answering; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

// tellLocalAddr writes to each connection which it is, until the listener is closed.
func tellLocalAddr(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c, "%v from %v", c.LocalAddr(), c.RemoteAddr())
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
	}
}

// TestDialFromAnyAddressOfAPrefix: the kernel's listener sees the address and, where one was asked for, the port that
// we dialled from.
func TestDialFromAnyAddressOfAPrefix(t *testing.T) {
	need(t)
	for _, prefix := range wholePrefixes {
		t.Run(prefix.String(), func(t *testing.T) {
			s := newSpace(t)
			h := everywhere(t, s, prefix)
			l := s.listen(addrPort(kernelIP, 8000))
			for i, a := range addresses(prefix, 2, 200) {
				local := addrPort(a, uint16(i%2*(1+i*131))) // every other one has no port
				c, err := h.dial(local, addrPort(kernelIP, 8000))
				if err != nil {
					t.Fatalf("from %v: %v", local, err)
				}
				peer := must[net.Conn](t)(l.Accept())
				seen := peer.RemoteAddr().(*net.TCPAddr).AddrPort()
				if seen.String() != c.LocalAddr().String() || seen.Addr() != a || local.Port() != 0 && seen != local {
					t.Errorf("dialled from %v: the kernel sees %v, we %v", local, seen, c.LocalAddr())
				}
				if again, err := h.dial(seen, addrPort(kernelIP, 8000)); !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("again from %v: %v, %v", seen, again, err)
				}
				if err := errors.Join(peer.Close(), c.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDialFromNowhere: an address that is not the stack's, or that no host may have, is no end of a connection.
func TestDialFromNowhere(t *testing.T) {
	need(t)
	for _, c := range []struct{ prefix, local string }{
		{"198.18.0.0/16", "198.19.0.1"},
		{"198.18.0.0/16", "10.7.0.1"},
		{"0.0.0.0/0", "255.255.255.255"},
		{"0.0.0.0/0", "224.0.0.1"},
		{"0.0.0.0/0", "0.0.0.0"}, // none is chosen where none can be
	} {
		t.Run(c.local+" of "+c.prefix, func(t *testing.T) {
			s := newSpace(t)
			h := everywhere(t, s, netip.MustParsePrefix(c.prefix))
			s.listen(addrPort(kernelIP, 8000))
			_, err := h.dial(addrPort(netip.MustParseAddr(c.local), 0), addrPort(kernelIP, 8000))
			if !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("%v, want EADDRNOTAVAIL", err)
			}
			if n := h.totals(); n.Conns != 0 || n.Opened != 0 {
				t.Errorf("%d connections opened, %d there", n.Opened, n.Conns)
			}
		})
	}
}
