package lib

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tun"
	"github.com/tcpd-project/tcpd/test/play"
)

// The usual addresses: the kernel's, ours, and the device between them.
var (
	kernelNet = netip.MustParsePrefix("10.7.0.1/24")
	kernelIP  = kernelNet.Addr()
	ourIP     = netip.MustParseAddr("10.7.0.2")
)

const device = "tcpd0"

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// host is a stack on a TUN.
type host struct {
	*stack.Stack
	dev  *tun.Tun
	addr netip.Addr // the first of its own
}

// plan is what a host is to be; the zero plan is a device of two queues with the usual addresses.
type plan struct {
	tun   tun.Config
	addrs []netip.Prefix
	wrap  func(*link.Link) *link.Link // the device as the stack sees it
}

func (p *plan) fill() {
	if p.tun.Name == "" {
		p.tun.Name = device
	}
	if !p.tun.Host.IsValid() {
		p.tun.Host = kernelNet
	}
	if p.tun.Queues == 0 {
		p.tun.Queues = 2
	}
	if p.addrs == nil {
		p.addrs = []netip.Prefix{netip.PrefixFrom(ourIP, 32)}
	}
	if p.wrap == nil {
		p.wrap = func(l *link.Link) *link.Link { return l }
	}
}

// open makes the host, in the calling thread's namespace.
func (p plan) open() (*host, error) {
	p.fill()
	p.tun.Offload = tun.On
	dev, err := tun.Open(p.tun)
	if err != nil {
		return nil, err
	}
	st, err := startStack(stack.Config{Link: p.wrap(dev.Link()), Addrs: p.addrs})
	if err != nil {
		_ = dev.Close()
		return nil, err
	}
	return &host{st, dev, p.addrs[0].Addr()}, nil
}

// startStack starts a stack with secrets of its own that panics at what is impossible.
func startStack(cfg stack.Config) (*stack.Stack, error) {
	cfg.Secrets, cfg.Strict = secrets(), true
	st, err := stack.New(cfg)
	if err == nil {
		st.Start()
	}
	return st, err
}

func secrets() (s [2]tcp.Secret) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range s {
		for k := range s[i] {
			s[i][k] = binary.LittleEndian.Uint64(b[16*i+8*k:])
		}
	}
	return s
}

// startHost makes a host that is closed with the test, and leaves nothing.
func startHost(t *testing.T, s *netspace, p plan) *host {
	t.Helper()
	var h *host
	s.must(func() (err error) {
		h, err = p.open()
		return err
	})
	t.Cleanup(func() { h.close(t, s) })
	return h
}

// close ends the host, and looks for what must not be left.
func (h *host) close(t *testing.T, s *netspace) {
	t.Helper()
	stopStack(t, h.Stack)
	if err := h.dev.Close(); err != nil {
		t.Error(err)
	}
	if s.HasDevice(h.dev.Name()) {
		t.Errorf("%s is left", h.dev.Name())
	}
}

// stopStack closes a stack, in which then everything must be as its invariants say.
func stopStack(t *testing.T, st *stack.Stack) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-st.Failed():
		t.Errorf("a shard has failed: %v", err)
	default:
	}
	if err := st.Check(); err != nil {
		t.Error(err)
	}
}

// dialer is how meet dials from local, of which zero parts are chosen.
func (h *host) dialer(local, remote netip.AddrPort) func() (net.Conn, error) {
	return func() (net.Conn, error) { return h.dial(local, remote) }
}

func (h *host) dial(local, remote netip.AddrPort) (*socket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return (&socket.Dialer{Stack: h.Stack, Local: local}).DialAddr(ctx, remote)
}

// listen listens on one address; the listener is closed with the test.
func (h *host) listen(t *testing.T, at netip.AddrPort) *socket.Listener {
	t.Helper()
	l := must[*socket.Listener](t)(socket.Listen(h.Stack, at))
	t.Cleanup(func() { l.Close() })
	return l
}

// duplex is a connection of either TCP.
type duplex = play.Conn

// What plays and the other tests carry, and how.
var random, carry, carryBoth = play.Random, play.Carry, play.CarryBoth

// meet opens a connection to l and returns its two ends, which end with the test at the latest.
func meet(t *testing.T, l net.Listener, dial func() (net.Conn, error)) (dialled, accepted duplex) {
	t.Helper()
	if l, ok := l.(*net.TCPListener); ok {
		if err := l.SetDeadline(deadline()); err != nil {
			t.Fatal(err)
		}
	}
	var ends [2]duplex
	for i, open := range []func() (net.Conn, error){dial, l.Accept} {
		c := must[net.Conn](t)(open())
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(deadline()); err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(duplex)
	}
	return ends[0], ends[1]
}

// totals are the sums of all shards' counters that tests ask for.
type totals struct {
	stack.Counters
	drops map[string]uint64
}

func (h *host) totals() totals { return totalsOf(h.Stack) }

func totalsOf(st *stack.Stack) totals {
	sum := totals{drops: map[string]uint64{}}
	for i := range st.Shards() {
		c := st.Counters(i)
		sum.Read += c.Read
		sum.Forwarded += c.Forwarded
		sum.Resets += c.Resets
		sum.Ended += c.Ended
		sum.Opened += c.Opened
		sum.Conns += c.Conns
		sum.HalfOpen += c.HalfOpen
		sum.TimeWait += c.TimeWait
		sum.Rings += c.Rings
		sum.Fragments.Completed.Datagrams += c.Fragments.Completed.Datagrams
		for name, n := range c.Drops() {
			sum.drops[name] += n
		}
	}
	return sum
}
