package service

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// TestServerClose: who is being served is not waited for, and nobody is served any more.
func TestServerClose(t *testing.T) {
	w := newWire(t)
	srv := NewServer(Echo{})
	served := make(chan error, 2)
	for _, p := range []uint16{port, port + 1} {
		l, err := socket.Listen(w.server, netip.AddrPortFrom(server, p))
		if err != nil {
			t.Fatal(err)
		}
		go func() { served <- srv.Serve(l) }()
	}
	c := w.dial(t)
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // it is being served
		t.Fatal(err)
	}
	if n := srv.Open(); n != 3 {
		t.Errorf("%d are open, not two listeners and a connection", n)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if n := srv.Open(); n != 0 {
		t.Errorf("%d are open still", n)
	}
	for range 2 {
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("serving ended with %v", err)
		}
	}
	expectEOF(t, c)
	l, err := socket.Listen(w.server, netip.AddrPortFrom(server, port))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(l); err != net.ErrClosed {
		t.Errorf("closed, it serves: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener that is not served is left open: %v", err)
	}
}
