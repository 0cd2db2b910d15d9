package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
)

// What is waiting when the stack closes returns, and no goroutine is left.
func TestClosingTheStackEndsEveryWait(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			synctest.Test(t, func(t *testing.T) { closeStack(t, s) })
		})
	}
}

func closeStack(t *testing.T, s shape) {
	g := &gate{}
	s.wrap = g.wrap
	w := newWire(t, s)
	c, _ := w.pair()
	l, err := socket.Listen(w.client, webPortOf(clientAddr))
	if err != nil {
		t.Fatal(err)
	}
	g.set(nothing)
	results := map[string]chan error{}
	start := func(name string, f func() error) {
		done := make(chan error, 1)
		results[name] = done
		go func() { done <- f() }()
	}
	start("read", func() error { _, err := c.Read(make([]byte, 1)); return err })
	start("read behind it", func() error { _, err := c.Read(make([]byte, 1)); return err })
	start("write", func() error { _, err := io.Copy(onlyWriter{c}, endless{}); return err })
	start("accept", func() error { _, err := l.Accept(); return err })
	start("dial", func() error { _, err := socket.Dial(w.client, webPort); return err })
	synctest.Wait()
	for name, done := range results {
		select {
		case err := <-done:
			t.Errorf("%s did not wait: %v", name, err)
		default:
		}
	}
	w.client.Close()
	for name, done := range results {
		want := error(syscall.ECONNABORTED)
		if name == "accept" || name == "dial" {
			want = net.ErrClosed
		}
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", name, err, want)
		}
	}
	afterClose(t, w, c, l)
}

// afterClose is what calls after the stack's Close return.
func afterClose(t *testing.T, w *wire, c *socket.Conn, l *socket.Listener) {
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("write: %v", err)
	}
	if _, ok := c.Info(); ok {
		t.Error("there is still a connection")
	}
	if err := c.SetNoDelay(true); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := socket.Listen(w.client, webPortOf(clientAddr)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen: %v", err)
	}
	if _, err := socket.Dial(w.client, webPort); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial: %v", err)
	}
}

// The peer of a stack that closes hears a RST.
func TestClosingTheStackResetsThePeers(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		c, _ := w.pair()
		w.server.Close()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v", err)
		}
	})
}

// A device that fails ends its connections, and those who would open new ones hear of it.
func TestDeviceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		w := newWire(t, shape{queues: 1, wrap: func(d link.Device) link.Device { return &frail{d, &broken} }})
		c, _ := w.pair()
		l, err := socket.Listen(w.client, netip.MustParseAddrPort("10.2.0.1:80"))
		if err != nil {
			t.Fatal(err)
		}
		broken.Store(true)
		c.Write([]byte("x")) // wakes the shard
		if err := <-w.client.Failed(); !errors.Is(err, errBroken) {
			t.Errorf("failed: %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
			t.Errorf("read: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) { // which waits until then
			t.Errorf("accept: %v", err)
		}
		if _, err := socket.Dial(w.client, webPort); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial: %v", err)
		}
		c.Close()
	})
}

var errBroken = errors.New("broken")

type frail struct {
	link.Device
	broken *atomic.Bool
}

func (d *frail) Read(b *link.Batch) error {
	if d.broken.Load() {
		return errBroken
	}
	return d.Device.Read(b)
}

// Two stacks in one process share nothing but what their users share.
func TestSeveralStacksInOneProcess(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	wires := make([]*wire, 5)
	for i := range wires {
		wires[i] = newWire(t, shapes[i%len(shapes)])
		l := wires[i].listen(webPort) // the same addresses everywhere
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			echo(c)
		}()
	}
	for i, w := range wires {
		c := w.dial(webPort)
		text := bytes.Repeat([]byte{byte(i)}, 100_000)
		go func() { c.Write(text); c.CloseWrite() }()
		if got, err := io.ReadAll(c); !bytes.Equal(got, text) || err != nil {
			t.Errorf("stack %d echoed %d bytes: %v", i, len(got), err)
		}
		c.Close()
	}
	for _, w := range wires {
		w.close()
	}
}

func TestForeignSeesUDP(t *testing.T) {
	seen := make(chan []byte, 1)
	w := newWire(t, shape{queues: 2, foreign: func(p []byte) bool {
		seen <- bytes.Clone(p)
		return true
	}})
	packet := []byte{
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 2, 0, 1, 10, 1, 0, 1,
		0, 9, 0, 7, 0, 8, 0, 0,
	}
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(packet[i])<<8 | uint32(packet[i+1])
	}
	sum = sum>>16 + sum&0xffff
	packet[10], packet[11] = byte(^sum>>8), byte(^sum)
	w.inject(packet)
	if got := <-seen; !bytes.Equal(got, packet) {
		t.Errorf("saw % x", got)
	}
	var n uint64
	for i := range w.server.Shards() {
		c := w.server.Counters(i)
		n += c.Delivered
	}
	if n != 1 {
		t.Errorf("%d packets were delivered", n)
	}
}
