package socket_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Ten peers come to a queue of three; the others wait, though they believe themselves connected, until there is room.
func TestBacklogIsBoundedAndLosesNone(t *testing.T) {
	for _, s := range shapes {
		bubble(t, s.String(), func(t *testing.T) {
			const peers, backlog = 10, 3
			w := newWire(t, s)
			l, err := socket.ListenWith(w.server, stack.ListenConfig{Prefix: netip.MustParsePrefix("10.1.0.1/32"), Port: 80, Backlog: backlog})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var answered atomic.Int32
			for range peers {
				c := w.dial(webPort)
				defer c.Close()
				go func() {
					c.Write([]byte("x"))
					if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
						answered.Add(1)
					}
				}()
			}
			synctest.Wait()
			if n := l.Stats().Waiting; n < backlog || n >= backlog+s.queues {
				t.Errorf("%d connections wait, not %d", n, backlog)
			}
			for range peers {
				c, err := l.AcceptConn()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.CopyN(c, c, 1); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			if n := answered.Load(); n != peers {
				t.Errorf("%d peers of %d were answered", n, peers)
			}
			if n := l.Stats().Waiting; n != 0 {
				t.Errorf("%d connections still wait", n)
			}
		})
	}
}

func (w *wire) listenPrefix(prefix string, port uint16) *socket.Listener {
	w.Helper()
	l, err := socket.ListenWith(w.server, stack.ListenConfig{Prefix: netip.MustParsePrefix(prefix), Port: port, Backlog: 16})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { l.Close() })
	return l
}

// Proves: RFC 9293 MUST-43
func TestMostSpecificListenerWins(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		anywhere := w.listenPrefix("0.0.0.0/0", 0)
		anywhere80 := w.listenPrefix("0.0.0.0/0", 80)
		net3 := w.listenPrefix("10.1.3.0/24", 0)
		net380 := w.listenPrefix("10.1.3.0/24", 80)
		host := w.listenPrefix("10.1.3.7/32", 0)
		host80 := w.listenPrefix("10.1.3.7/32", 80)
		for _, x := range []struct {
			to string
			by *socket.Listener
		}{
			{"10.1.3.7:80", host80}, {"10.1.3.7:81", host}, {"10.1.3.8:80", net380}, {"10.1.3.8:81", net3},
			{"10.1.4.1:80", anywhere80}, {"10.1.4.1:65535", anywhere}, {"10.1.255.254:1", anywhere},
		} {
			c := w.dial(netip.MustParseAddrPort(x.to))
			s, err := x.by.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if got := s.LocalAddr().String(); got != x.to {
				t.Errorf("the peer called %s, not %s", x.to, got)
			}
			if s.RemoteAddr().String() != c.LocalAddr().String() || c.RemoteAddr().String() != x.to {
				t.Errorf("%s: the ends disagree: %v %v", x.to, s.RemoteAddr(), c.LocalAddr())
			}
			c.Close()
			s.Close()
		}
	})
}

func TestListenOnTheUnspecifiedAddress(t *testing.T) {
	w := newWire(t, shapes[0])
	l := w.listen(netip.MustParseAddrPort("0.0.0.0:80"))
	c := w.dial(netip.MustParseAddrPort("10.1.77.77:80"))
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, at := range []string{"10.9.0.1:80", "[2001:db8::1]:80"} {
		if _, err := socket.Listen(w.server, netip.MustParseAddrPort(at)); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("listen on %s: %v", at, err)
		}
	}
}

// Port 0 is a free one, as with net.
func TestListenOnAFreePort(t *testing.T) {
	w := newWire(t, shapes[0])
	seen := map[string]bool{}
	for range 3 {
		l := w.listen(netip.AddrPortFrom(webPort.Addr(), 0))
		at := netip.MustParseAddrPort(l.Addr().String())
		if at.Port() < 49152 || seen[at.String()] {
			t.Errorf("%v, where there is %v", at, seen)
		}
		seen[at.String()] = true
		c := w.dial(at)
		if got, err := l.Accept(); err != nil || got.LocalAddr().String() != at.String() {
			t.Errorf("accepted at %v: %v", got, err)
		}
		c.Close()
	}
	if _, err := socket.Dial(w.client, netip.AddrPortFrom(webPort.Addr(), 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("another port: %v", err)
	}
	if _, err := socket.Listen(w.server, netip.MustParseAddrPort("10.9.0.1:0")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("another's address: %v", err)
	}
}

func TestCloseResetsQueuedConnections(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		l := w.listen(webPort)
		first := w.dial(webPort)
		accepted, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		var queued []*socket.Conn
		for range 20 {
			queued = append(queued, w.dial(webPort))
		}
		l.Close()
		within(t, "reading", func() {
			for _, c := range queued {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read: %v", err)
				}
				c.Close()
			}
			go echo(accepted)
			if _, err := first.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
				t.Error("an accepted connection was closed with its listener:", err)
			}
			first.Close()
		})
	})
}

// A listener that retires loses nobody: who waits is accepted after it, and then the one that has taken its place has the port.
func TestRetire(t *testing.T) {
	for _, s := range shapes {
		bubble(t, s.String(), func(t *testing.T) {
			w := newWire(t, s)
			l := w.listen(webPort)
			queued := w.dial(webPort)
			defer queued.Close()
			synctest.Wait() // the handshake is over at both ends
			l.Retire()
			next := w.listen(webPort)
			late := w.dial(webPort)
			defer late.Close()
			within(t, "accepting", func() {
				for i, l := range []*socket.Listener{l, next} {
					c, err := l.AcceptConn()
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					if want := []*socket.Conn{queued, late}[i].LocalAddr(); c.RemoteAddr().String() != want.String() {
						t.Errorf("listener %d has %v, not %v", i, c.RemoteAddr(), want)
					}
				}
			})
			for range 2 {
				if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("with nobody left, it accepts: %v", err)
				}
				l.Close()
			}
		})
	}
}

// TestCloseAfterRetire: who waits then is reset.
func TestCloseAfterRetire(t *testing.T) {
	for _, s := range shapes {
		bubble(t, s.String(), func(t *testing.T) {
			w := newWire(t, s)
			l := w.listen(webPort)
			queued := w.dial(webPort)
			defer queued.Close()
			synctest.Wait() // the handshake is over at both ends
			l.Retire()
			l.Close()
			within(t, "reading", func() {
				if _, err := queued.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read: %v", err)
				}
			})
		})
	}
}

// Listeners come and go while peers call: each connection is accepted, reset or refused, and none is left over.
func TestCloseWhileConnectionsComeIn(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		stop := make(chan struct{})
		call := func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := socket.Dial(w.client, webPort)
				if err != nil {
					if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
						t.Error(err)
					}
					continue
				}
				c.Read(make([]byte, 1)) // until the server ends it
				c.Close()
			}
		}
		within(t, "calling", func() {
			all(call, call, call, call, func() {
				defer close(stop)
				for range 200 {
					l, err := socket.Listen(w.server, webPort)
					if err != nil {
						t.Error(err)
						return
					}
					c, err := l.Accept()
					if err == nil {
						c.Close()
					}
					l.Close()
				}
			})
		})
		awaitNone(t, w)
	})
}

// awaitNone waits until neither stack has a connection, TIME-WAIT apart.
func awaitNone(t *testing.T, w *wire) {
	t.Helper()
	within(t, "the end of all connections", func() {
		for conns(w.server)+conns(w.client) > 0 && !t.Failed() {
		}
	})
}

var _ net.Listener = (*socket.Listener)(nil)
