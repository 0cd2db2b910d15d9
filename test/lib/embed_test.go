package lib

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tun"
	"github.com/tcpd-project/tcpd/test/space"
)

// TestDescriptorOfTheEmbedder: a program that has opened and configured its TUN itself gives its descriptor to a
// stack. With the stack the device goes, and every goroutine.
func TestDescriptorOfTheEmbedder(t *testing.T) {
	need(t)
	for _, vnetHeader := range []bool{false, true} {
		t.Run(fmt.Sprintf("virtio headers %v", vnetHeader), func(t *testing.T) {
			s := newSpace(t)
			before := goleak.IgnoreCurrent()
			var fd int
			s.must(func() (err error) {
				fd, err = openTUN("mine", vnetHeader)
				return err
			})
			s.ip("address add " + kernelNet.String() + " dev mine")
			s.ip("link set mine up")
			st := must[*stack.Stack](t)(startStack(stack.Config{
				Link:  must[*link.Link](t)(tun.FromFD(fd, vnetHeader, 1500)),
				Addrs: []netip.Prefix{netip.PrefixFrom(ourIP, 32)},
			}))
			l := must[*socket.Listener](t)(socket.Listen(st, addrPort(ourIP, 80)))
			theirs, ours := meet(t, l, s.dialer(addrPort(ourIP, 80)))
			if err := carryBoth(ours, theirs, random(1, 1<<20), random(2, 1<<20)); err != nil {
				t.Error(err)
			}
			ours.Close()
			theirs.Close()
			stopStack(t, st)
			if s.HasDevice("mine") {
				t.Error("the device is left")
			}
			if err := unix.Close(fd); err == nil {
				t.Error("the descriptor was left open")
			}
			goleak.VerifyNone(t, before)
		})
	}
}

// TestManyStacks: stacks in one process, each on a TUN of its own, know nothing of each other, and talk to each other
// and to the kernel like hosts on a network. One that ends resets its connections and leaves the others alone; with
// the last one every goroutine has gone.
func TestManyStacks(t *testing.T) {
	need(t)
	const stacks = 4
	s := newSpace(t)
	s.forward()
	before := goleak.IgnoreCurrent()
	var hosts [stacks]*host
	for i := range hosts {
		router := netip.AddrFrom4([4]byte{10, 7, byte(i), 1})
		hosts[i] = startHost(t, s, plan{
			tun:   tun.Config{Name: fmt.Sprintf("tcpd%d", i), Host: netip.PrefixFrom(router, 24)},
			addrs: []netip.Prefix{netip.PrefixFrom(router.Next(), 32)},
		})
	}
	talks := everyPair(t, s, hosts[:])
	round := func(seed uint64) {
		t.Helper()
		space.InParallel(t, len(talks), len(talks), func(i int) error {
			k := talks[i]
			if err := carryBoth(k.ends[0], k.ends[1], random(seed, 256<<10), random(seed+uint64(i), 256<<10)); err != nil {
				return fmt.Errorf("%v to %v: %w", k.ends[0].LocalAddr(), k.ends[0].RemoteAddr(), err)
			}
			return nil
		})
	}
	round(1)

	gone := hosts[1]
	gone.close(t, s)
	var rest []talk
	for _, k := range talks {
		alive := 0
		for i, h := range k.hosts {
			if h == gone {
				continue
			}
			if alive++; slices.Contains(k.hosts[:], gone) {
				if _, err := k.ends[i].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%v, whose peer's stack has ended: %v", k.ends[i].LocalAddr(), err)
				}
			}
		}
		if alive == len(k.hosts) {
			rest = append(rest, k)
		}
	}
	talks = rest
	round(2)

	for _, k := range talks {
		k.ends[0].Close()
		k.ends[1].Close()
	}
	for _, h := range hosts {
		h.close(t, s)
	}
	goleak.VerifyNone(t, before)
}

// talk is a connection between two hosts; the kernel is nil.
type talk struct {
	hosts [2]*host
	ends  [2]duplex
}

// everyPair connects the kernel and each host to each host, themselves too.
func everyPair(t *testing.T, s *netspace, hosts []*host) (talks []talk) {
	t.Helper()
	for _, h := range hosts {
		at := addrPort(h.addr, 80)
		l := h.listen(t, at)
		a, b := meet(t, l, s.dialer(at))
		talks = append(talks, talk{[2]*host{nil, h}, [2]duplex{a, b}})
		for _, from := range hosts {
			a, b := meet(t, l, from.dialer(netip.AddrPort{}, at))
			talks = append(talks, talk{[2]*host{from, h}, [2]duplex{a, b}})
		}
	}
	return talks
}
