package socket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Tests in this file take no time: they run in a bubble whose clock goes on when everybody waits.

// bubble runs f as a test in a bubble.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// gate is a link whose packets the test lets through, or not.
type gate struct {
	mu    sync.Mutex
	admit func(p *link.Packet) bool
}

func (g *gate) set(admit func(p *link.Packet) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.admit = admit
}

func (g *gate) wrap(d link.Device) link.Device { return &gatedDevice{d, g} }

type gatedDevice struct {
	link.Device
	g *gate
}

func (d *gatedDevice) Write(p *link.Packet) error {
	d.g.mu.Lock()
	ok := d.g.admit == nil || d.g.admit(p)
	d.g.mu.Unlock()
	if !ok {
		return nil
	}
	return d.Device.Write(p)
}

func nothing(*link.Packet) bool { return false }

func TestLostPacketIsSentAgain(t *testing.T) {
	for _, s := range shapes {
		bubble(t, s.String(), func(t *testing.T) {
			g := &gate{}
			s.wrap = g.wrap
			w := newWire(t, s)
			c, srv := w.pair()
			lost := 0
			g.set(func(p *link.Packet) bool {
				if p.Len() > 500 && lost < 3 {
					lost++
					return false
				}
				return true
			})
			start := time.Now()
			go func() {
				c.Write(make([]byte, 1000)) // alone in flight: only the timer can tell
				c.Read(make([]byte, 1))
				io.Copy(c, noise(7, 4<<20))
				c.CloseWrite()
			}()
			if _, err := io.ReadFull(srv, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d < 200*time.Millisecond {
				t.Errorf("it was sent again after %v, before RTO", d)
			}
			srv.Write([]byte("."))
			want, _, _ := hashOf(noise(7, 4<<20))
			if got, n, err := hashOf(srv); got != want || err != nil {
				t.Errorf("%d bytes, equal %v: %v", n, got == want, err)
			}
		})
	}
}

// Proves: RFC 9293 MUST-28
func TestKeepAliveAfterTwoHours(t *testing.T) {
	for _, answers := range []bool{true, false} {
		name := map[bool]string{true: "answered", false: "unanswered"}[answers]
		bubble(t, name, func(t *testing.T) {
			g := &gate{}
			w := newWire(t, shape{queues: 2, wrap: g.wrap})
			c, s := w.pair()
			s.SetKeepAlive(true)
			probes := 0
			g.set(func(*link.Packet) bool { probes++; return answers })
			start := time.Now()
			if answers {
				time.Sleep(24 * time.Hour)
				g.set(nil)
				if probes < 10 || probes > 14 {
					t.Errorf("%d answers to probes in a day", probes)
				}
				if _, err := c.Write([]byte("still here")); err != nil {
					t.Error(err)
				}
				return
			}
			_, err := s.Read(make([]byte, 1))
			if !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("read: %v", err)
			}
			if d, want := time.Since(start), 2*time.Hour+9*75*time.Second; d < want || d > want+time.Minute {
				t.Errorf("given up after %v, not %v", d, want)
			}
		})
	}
}

func TestKeepAliveTimes(t *testing.T) {
	bubble(t, "config", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 1, wrap: g.wrap})
		_, s := w.pair()
		g.set(nothing)
		start := time.Now()
		s.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 2 * time.Second, Count: 3})
		s.SetKeepAlive(false)
		s.SetKeepAlive(true) // the times stay
		_, err := s.Read(make([]byte, 1))
		if !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("read: %v", err)
		}
		if d, want := time.Since(start), 66*time.Second; d < want || d > want+time.Second {
			t.Errorf("given up after %v, not %v", d, want)
		}
	})
}

// A piece written behind another waits for no acknowledgment, which the peer delays, unless asked to.
func TestNagleIsOffByDefault(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		w := newWire(t, shapes[0])
		c, s := w.pair()
		send := func() time.Duration {
			start := time.Now()
			for range 100 {
				c.Write([]byte("piece"))
				io.ReadFull(s, make([]byte, 5))
			}
			return time.Since(start)
		}
		if d := send(); d != 0 {
			t.Errorf("100 pieces took %v", d)
		}
		c.SetNoDelay(false)
		if d := send(); d == 0 {
			t.Error("Nagle's algorithm is not on")
		}
	})
}

func TestTimeWaitLastsAMinute(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		w := newWire(t, shapes[0])
		c, s := w.pair()
		start := time.Now()
		c.Close()
		if p, err := io.ReadAll(s); len(p) > 0 || err != nil {
			t.Errorf("%q %v", p, err)
		}
		s.Close()
		synctest.Wait()
		if n := w.client.Counters(0); n.TimeWait != 1 || n.Conns != 0 {
			t.Errorf("%d connections, %d in TIME-WAIT", n.Conns, n.TimeWait)
		}
		for w.client.Counters(0).TimeWait > 0 {
			time.Sleep(time.Second)
		}
		if d := time.Since(start); d < time.Minute || d > time.Minute+2*time.Second {
			t.Errorf("TIME-WAIT lasted %v", d)
		}
	})
}

func TestPeerThatVanishes(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 1, wrap: g.wrap, settings: func(s *tcp.Settings) { s.Retries2 = 3 }})
		c, s := w.pair()
		g.set(nothing)
		var readErr, writeErr error
		all(
			func() { _, readErr = s.Read(make([]byte, 1)) },
			func() { _, writeErr = io.Copy(onlyWriter{s}, endless{}) },
		)
		timeouts := 0
		for _, err := range []error{readErr, writeErr} {
			if errors.Is(err, syscall.ETIMEDOUT) {
				timeouts++
			} else if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.EOF) { // as Linux has it for the second
				t.Errorf("%v", err)
			}
		}
		if timeouts != 1 {
			t.Errorf("the reason was told %d times: %v, %v", timeouts, readErr, writeErr)
		}
		c.Close()
	})
}

func TestDialToABlackHole(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 2, wrap: g.wrap, settings: func(s *tcp.Settings) { s.SynRetries = 2 }})
		g.set(nothing)
		_, err := socket.Dial(w.client, webPort)
		var ne net.Error
		if !errors.Is(err, syscall.ETIMEDOUT) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("dial: %v", err)
		}
		synctest.Wait() // the turn in which the user was told is over
		if n := conns(w.client); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func TestCancelledDialLeavesNothing(t *testing.T) {
	for _, s := range shapes {
		bubble(t, s.String(), func(t *testing.T) {
			g := &gate{}
			s.wrap = g.wrap
			w := newWire(t, s)
			g.set(nothing)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
			defer cancel()
			_, err := (&socket.Dialer{Stack: w.client}).DialContext(ctx, "tcp", webPort.String())
			var ne net.Error
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("dial: %v", err)
			}
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second/2, cancel)
			_, err = (&socket.Dialer{Stack: w.client}).DialContext(ctx, "tcp", webPort.String())
			if !errors.Is(err, context.Canceled) {
				t.Errorf("dial: %v", err)
			}
			synctest.Wait() // the turn in which the user was told is over
			if n := conns(w.client); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

// Both ends dial each other at once, and one is cancelled before it hears more than a SYN.
func TestCancelledDialInASimultaneousOpen(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 1, wrap: g.wrap})
		here, there := netip.AddrPortFrom(clientAddr, 1000), netip.AddrPortFrom(serverAddr, 2000)
		g.set(nothing)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		results := make(chan error, 2)
		for _, d := range []struct {
			d  socket.Dialer
			to netip.AddrPort
		}{{socket.Dialer{Stack: w.client, Local: here}, there}, {socket.Dialer{Stack: w.server, Local: there}, here}} {
			go func() {
				_, err := d.d.DialAddr(ctx, d.to)
				results <- err
			}()
		}
		for range 2 {
			if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("dial: %v", err)
			}
		}
		synctest.Wait() // the turn in which the user was told is over
		if n := conns(w.client) + conns(w.server); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func TestSimultaneousOpen(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 1, wrap: g.wrap})
		here, there := netip.AddrPortFrom(clientAddr, 1000), netip.AddrPortFrom(serverAddr, 2000)
		g.set(nothing)
		ends := make(chan *socket.Conn, 2)
		dial := func(d socket.Dialer, to netip.AddrPort) {
			c, err := d.DialAddr(t.Context(), to)
			if err != nil {
				t.Error(err)
			}
			ends <- c
		}
		go dial(socket.Dialer{Stack: w.client, Local: here}, there)
		synctest.Wait()
		g.set(nil)
		go dial(socket.Dialer{Stack: w.server, Local: there}, here)
		a, b := <-ends, <-ends
		all(func() { a.Write([]byte("hello")) }, func() {
			p := make([]byte, 5)
			if _, err := io.ReadFull(b, p); err != nil || string(p) != "hello" {
				t.Errorf("%q %v", p, err)
			}
		})
		a.Close()
		b.Close()
	})
}

// A reader that waits must not keep the bubble's clock from going on for another who waits for the same.
func TestWaitingReadersLetTimeGoOn(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		w := newWire(t, shapes[0])
		c, s := w.pair()
		time.AfterFunc(time.Hour, func() { s.Write([]byte("ab")) })
		read := func() {
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		}
		all(read, read)
	})
}

func TestDeadlineOfOneWhoWaitsForTheLock(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		w := newWire(t, shapes[0])
		c, _ := w.pair()
		never, end := io.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); c.ReadFrom(never) }()
		synctest.Wait()
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		if _, err := c.Write([]byte("x")); !isTimeout(err) {
			t.Errorf("write: %v", err)
		}
		if err := c.CloseWrite(); err != nil { // does not wait for ReadFrom
			t.Error(err)
		}
		end.Close()
		<-done
	})
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
