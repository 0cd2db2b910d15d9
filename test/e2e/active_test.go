package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tun"
	"github.com/tcpd-project/tcpd/test/space"
)

// TestManyOpenedByUs: 10,000 connections that we opened are idle until the device has forgotten which queue each
// belongs to (after 3 s), and are more than it remembers (4,096). What the peer then sends comes on any queue, and
// must find its connection all the same.
func TestManyOpenedByUs(t *testing.T) {
	need(t)
	big(t)
	const crowd, text = 10_000, 100
	s := newSpace(t)
	st := startStack(t, s)
	l := must[*net.TCPListener](t)(s.Listen("0.0.0.0:0"))
	remote := netip.AddrPortFrom(netip.MustParseAddr(hostIP), l.Addr().(*net.TCPAddr).AddrPort().Port())

	kernel := map[string]net.Conn{} // by our address
	accepted := make(chan error, 1)
	go func() {
		l.SetDeadline(time.Now().Add(time.Minute))
		for range crowd {
			c, err := l.Accept()
			if err != nil {
				accepted <- err
				return
			}
			kernel[c.RemoteAddr().String()] = c
		}
		accepted <- nil
	}()
	ours := make([]*socket.Conn, crowd)
	space.InParallel(t, crowd, 64, func(i int) (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ours[i], err = (&socket.Dialer{Stack: st}).DialAddr(ctx, remote)
		return err
	})
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}

	<-time.After(5 * time.Second) // the idleness is what is tested
	for i, c := range ours {
		k := kernel[c.LocalAddr().String()]
		if _, err := k.Write(payload(uint64(i), text)); err != nil {
			t.Fatalf("connection %d, the kernel's end: %v", i, err)
		}
	}
	space.InParallel(t, crowd, 64, func(i int) error {
		got := make([]byte, text)
		ours[i].SetReadDeadline(deadline())
		if _, err := io.ReadFull(ours[i], got); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if string(got) != string(payload(uint64(i), text)) {
			return fmt.Errorf("connection %d has another one's text", i)
		}
		return nil
	})
	for i := range st.Shards() {
		if c := st.Counters(i); c.Resets > 0 {
			t.Errorf("shard %d sent %d RSTs", i, c.Resets)
		}
	}
	for _, k := range kernel {
		k.Close()
	}
}

// startStack runs a stack of the library's on a device of two queues, as a program that embeds it does.
func startStack(t *testing.T, s *netspace) *stack.Stack {
	t.Helper()
	var dev *tun.Tun
	err := s.Inside(func() (err error) {
		dev, err = tun.Open(tun.Config{Name: device, Host: netip.MustParsePrefix(hostIP + "/24"), Queues: 2})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	st := must[*stack.Stack](t)(stack.New(stack.Config{
		Link:    dev.Link(),
		Addrs:   []netip.Prefix{netip.MustParsePrefix(daemonIP + "/32")},
		Secrets: [2]tcp.Secret{{1, 2}, {3, 4}},
		Strict:  true,
	}))
	st.Start()
	t.Cleanup(func() { st.Close() })
	return st
}
