package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// proxied is a proxy to a listener of the kernel's on loopback.
type proxied struct {
	*wire
	t        *testing.T
	proxy    *Proxy
	upstream *net.TCPListener
	listener *socket.Listener
}

func newProxied(t *testing.T) *proxied {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := NewProxy(l.Addr().(*net.TCPAddr).AddrPort())
	w := newWire(t)
	return &proxied{wire: w, t: t, proxy: p, upstream: l, listener: w.serve(t, p, p.Admit)}
}

// accept is the server's end of the next connection.
func (p *proxied) accept() *net.TCPConn {
	p.t.Helper()
	c, err := p.upstream.AcceptTCP()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// pair is a connection through the proxy: the client's end, and the server's.
func (p *proxied) pair() (*socket.Conn, *net.TCPConn) {
	p.t.Helper()
	c := p.dial(p.t)
	return c, p.accept()
}

// half is what the ends of a connection have in common.
type half interface {
	net.Conn
	CloseWrite() error
	SetLinger(int) error
}

// sides are the ends of a connection in both orders.
func sides(c, s half) map[string][2]half {
	return map[string][2]half{"the client": {c, s}, "the server": {s, c}}
}

// TestProxyHalfClose: one side ends its text, and hears the other's until that has ended, too.
func TestProxyHalfClose(t *testing.T) {
	p := newProxied(t)
	for _, first := range []string{"the client", "the server"} {
		c, s := p.pair()
		ends := sides(c, s)[first]
		for i, size := range []int{3 << 20, 5 << 20} {
			from, to := ends[i], ends[1-i]
			text := payload(uint64(i), size)
			wrote := make(chan error, 1)
			go func() {
				_, err := from.Write(text)
				wrote <- errors.Join(err, from.CloseWrite())
			}()
			got, err := io.ReadAll(to)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s ends first: %d bytes of %d, or others: %v", first, len(got), size, err)
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
		}
	}
}

// TestProxyReset: a RST of either side is carried to the other, whatever the two are about.
func TestProxyReset(t *testing.T) {
	p := newProxied(t)
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for _, talk := range []bool{false, true} {
		for _, who := range []string{"the client", "the server"} {
			for range rounds {
				c, s := p.pair()
				p.reset(fmt.Sprintf("%s resets, text on its way: %v", who, talk), sides(c, s)[who], talk)
			}
		}
	}
}

// reset lets the first end reset the connection, and sees the second one told of it: as it is of nothing but a RST, as after
// a FIN it would be another error. If they talk, both write all the time.
func (p *proxied) reset(what string, ends [2]half, talk bool) {
	p.t.Helper()
	var running sync.WaitGroup
	told := make([]error, 2)
	if talk {
		running.Go(func() { writeOn(ends[0]) })
		running.Go(func() { told[0] = writeOn(ends[1]) })
		for _, e := range ends {
			if _, err := io.CopyN(io.Discard, e, 100_000); err != nil {
				p.t.Errorf("%s: %v", what, err)
			}
		}
	}
	abort(ends[0])
	_, told[1] = io.Copy(io.Discard, ends[1])
	running.Wait()
	if !errors.Is(errors.Join(told...), syscall.ECONNRESET) {
		p.t.Errorf("%s: the other one's errors are %v", what, told)
	}
}

// writeOn writes until it fails.
func writeOn(w io.Writer) error {
	for {
		if _, err := w.Write(pattern); err != nil {
			return err
		}
	}
}

// TestProxyRefused: what the server refuses, the proxy refuses.
func TestProxyRefused(t *testing.T) {
	p := newProxied(t)
	if err := p.upstream.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := socket.Dial(p.client, netip.AddrPortFrom(server, port))
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v, want a refusal", err)
		}
	}
}

// TestProxyWaitsForServer: a client is not answered before the server has accepted.
func TestProxyWaitsForServer(t *testing.T) {
	p := newProxied(t)
	p.fillQueue()
	d, at := socket.Dialer{Stack: p.client}, netip.AddrPortFrom(server, port)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := d.DialAddr(ctx, at); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, though the server says nothing", err)
	}
	go func() {
		for {
			s, err := p.upstream.Accept()
			if err != nil {
				return
			}
			go Echo{}.ServeConn(s)
		}
	}()
	c := p.dial(t)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// fillQueue takes the one place in the accept queue of the server, which says nothing to the next, then.
func (p *proxied) fillQueue() {
	p.t.Helper()
	raw, err := p.upstream.SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	var failed error
	if err := errors.Join(raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), 0) }), failed); err != nil {
		p.t.Fatal(err)
	}
	c, err := net.Dial("tcp4", p.upstream.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
}

// TestProxyForgets whom no client has come for: when he calls again, when too many wait, and at the end.
func TestProxyForgets(t *testing.T) {
	p := newProxied(t)
	held := func(n uint16) (flow, net.Conn) {
		c, err := net.DialTCP("tcp4", nil, p.upstream.Addr().(*net.TCPAddr))
		if err != nil {
			t.Fatal(err)
		}
		f := flow{netip.AddrPortFrom(server, port), netip.AddrPortFrom(client, n)}
		p.proxy.keep(f, c)
		return f, p.accept()
	}
	gone := func(c net.Conn) {
		t.Helper()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v, want a reset", err)
		}
	}
	f, first := held(1)
	_, again := held(1)
	gone(first)
	p.proxy.most = 2
	held(2)
	held(3)
	gone(again)
	if p.proxy.take(f) != nil {
		t.Error("who is not waited for comes after all")
	}
	f, last := held(4)
	if err := p.proxy.Close(); err != nil {
		t.Error(err)
	}
	gone(last)
	if p.proxy.take(f) != nil || len(p.proxy.waiting) != 0 {
		t.Error("closed, the proxy holds connections")
	}
}

// TestProxyClosed: an end while the server is being asked.
func TestProxyClosed(t *testing.T) {
	p := newProxied(t)
	p.fillQueue()
	ctx, cancel := context.WithCancel(t.Context())
	dialed := make(chan error, 1)
	go func() {
		_, err := (&socket.Dialer{Stack: p.client}).DialAddr(ctx, netip.AddrPortFrom(server, port))
		dialed <- err
	}()
	for p.listener.Stats().Deferred == 0 {
		runtime.Gosched()
	}
	if err := p.proxy.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-dialed; err == nil {
		t.Error("it is open")
	}
}
