package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tun"
	"github.com/tcpd-project/tcpd/test/space"
)

// The addresses of the kernel and of the stack.
var (
	kernelNet = netip.MustParsePrefix("10.7.0.1/24")
	kernelIP  = kernelNet.Addr()
	ourIP     = netip.MustParseAddr("10.7.0.2")
)

// host is a stack on a TUN of one queue, in a namespace of its own with the kernel as the only peer.
type host struct {
	*stack.Stack
	t     *testing.T
	space *space.Space
	dev   *tun.Tun
}

// startHost makes a host whose packets pass through wires, the first of which is the nearest to the device. The host
// is closed with the test.
func startHost(t *testing.T, offload tun.Offload, wires ...link.Middleware) *host {
	t.Helper()
	s, err := space.New(t, func() error { return receiveBuffer(16 << 20) })
	switch {
	case errors.Is(err, unix.EPERM):
		t.Skipf("needs network namespaces: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	h := &host{t: t, space: s}
	h.inside(func() (err error) {
		h.dev, err = tun.Open(tun.Config{Name: "tcpd0", Host: kernelNet, Offload: offload, TxQueueLen: 10_000})
		return err
	})
	l := *h.dev.Link()
	q := l.Queues[0]
	for _, w := range wires {
		q = w(q)
	}
	l.Queues = []link.Device{q}
	h.Stack = must[*stack.Stack](t)(stack.New(stack.Config{
		Link: &l, Addrs: []netip.Prefix{netip.PrefixFrom(ourIP, 32)}, Strict: true,
	}))
	h.Start()
	t.Cleanup(h.close)
	return h
}

// receiveBuffer sets the size in bytes of the receive buffers of new connections in the calling thread's namespace.
func receiveBuffer(n int) error {
	return os.WriteFile("/proc/sys/net/ipv4/tcp_rmem", fmt.Appendf(nil, "4096 %d %d", n, n), 0)
}

// close ends the host; everything in it must then be as its invariants say.
func (h *host) close() {
	h.t.Helper()
	if err := errors.Join(h.Stack.Close(), h.dev.Close()); err != nil {
		h.t.Error(err)
	}
	select {
	case err := <-h.Failed():
		h.t.Errorf("a shard has failed: %v", err)
	default:
	}
	if err := h.Check(); err != nil {
		h.t.Error(err)
	}
}

// inside runs f in the namespace, where it has to succeed.
func (h *host) inside(f func() error) {
	h.t.Helper()
	if err := h.space.Inside(f); err != nil {
		h.t.Fatal(err)
	}
}

// conn is a connection of either TCP.
type conn interface {
	net.Conn
	CloseWrite() error
	SetReadBuffer(bytes int) error
}

// accept opens a connection from the kernel to the stack, and returns the kernel's end and ours.
func (h *host) accept(t *testing.T, port uint16) (theirs, ours conn) {
	t.Helper()
	at := netip.AddrPortFrom(ourIP, port)
	l := must[*socket.Listener](t)(socket.Listen(h.Stack, at))
	defer l.Close()
	var c net.Conn
	h.inside(func() (err error) {
		c, err = (&net.Dialer{KeepAlive: -1, Timeout: patience}).Dial("tcp4", at.String())
		return err
	})
	t.Cleanup(func() { c.Close() })
	o := must[*socket.Conn](t)(l.AcceptConn())
	t.Cleanup(func() { o.Close() })
	return c.(conn), o
}

// dial opens a connection from the stack to the kernel, and returns the kernel's end and ours.
func (h *host) dial(t *testing.T, port uint16) (theirs, ours conn) {
	t.Helper()
	at := netip.AddrPortFrom(kernelIP, port)
	var l net.Listener
	h.inside(func() (err error) {
		cfg := net.ListenConfig{KeepAlive: -1}
		cfg.SetMultipathTCP(false)
		l, err = cfg.Listen(t.Context(), "tcp4", at.String())
		return err
	})
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := must[*socket.Conn](t)((&socket.Dialer{Stack: h.Stack}).DialAddr(ctx, at))
	t.Cleanup(func() { o.Close() })
	c := must[net.Conn](t)(l.Accept())
	t.Cleanup(func() { c.Close() })
	return c.(conn), o
}

// kernelCounters are what the kernel counts in the namespace, by names such as Tcp.InErrs (RFC 4022 and Linux's own).
func (h *host) kernelCounters() map[string]uint64 {
	h.t.Helper()
	all := map[string]uint64{}
	for _, file := range []string{"snmp", "netstat"} {
		var text []byte
		h.inside(func() (err error) {
			text, err = os.ReadFile("/proc/thread-self/net/" + file)
			return err
		})
		addCounters(all, string(text))
	}
	return all
}

// addCounters reads pairs of lines, one of names and one of numbers.
func addCounters(all map[string]uint64, text string) {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if names == nil {
			names = words
			continue
		}
		for i, word := range words[1:] {
			n, _ := strconv.ParseUint(word, 10, 64) // one of them may be negative, and is not asked for
			all[strings.TrimSuffix(words[0], ":")+"."+names[i+1]] = n
		}
		names = nil
	}
}
