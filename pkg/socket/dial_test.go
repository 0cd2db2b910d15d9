package socket_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Proves: RFC 9293 MUST-43
func TestDialFromAChosenEnd(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		l := w.listen(webPort)
		from := func(local string) (*socket.Conn, error) {
			d := socket.Dialer{Stack: w.client, Local: netip.MustParseAddrPort(local)}
			return d.DialAddr(context.Background(), webPort)
		}
		for _, local := range []string{"10.2.0.1:5000", "10.2.0.1:5001", "10.2.255.254:5000", "10.2.44.5:0", "0.0.0.0:77"} {
			c, err := from(local)
			if err != nil {
				t.Fatalf("from %s: %v", local, err)
			}
			defer c.Close()
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got := s.RemoteAddr().String()
			addr, port, _ := net.SplitHostPort(local)
			if !strings.HasPrefix(got, addr+":") && addr != "0.0.0.0" || !strings.HasSuffix(got, ":"+port) && port != "0" {
				t.Errorf("from %s: the server sees %s", local, got)
			}
			if got != c.LocalAddr().String() {
				t.Errorf("LocalAddr is %v, the server sees %s", c.LocalAddr(), got)
			}
		}
		if _, err := from("10.2.0.1:5000"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second time from the same end: %v", err)
		}
		if _, err := from("10.3.0.1:0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("from an address that is not ours: %v", err)
		}
	})
}

func TestDialContextTakesAddressesOnly(t *testing.T) {
	w := newWire(t, shapes[0])
	d := &socket.Dialer{Stack: w.client}
	for _, x := range []struct{ network, address string }{
		{"tcp", "localhost:80"}, {"tcp", "10.1.0.1"}, {"udp", "10.1.0.1:80"}, {"tcp6", "10.1.0.1:80"}, {"tcp", "[2001:db8::1]:80"},
	} {
		_, err := d.DialContext(context.Background(), x.network, x.address)
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("%s %s: %v", x.network, x.address, err)
		}
	}
	l := w.listen(webPort)
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	c, err := d.DialContext(context.Background(), "tcp", fmt.Sprintf("[::ffff:%v]:80", serverAddr))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestDialThatLeadsNowhere(t *testing.T) {
	w := newWire(t, shapes[0])
	for name, c := range map[string]struct {
		dialer socket.Dialer
		to     string
		want   string
	}{
		"no stack": {socket.Dialer{}, "10.1.0.1:80", "Dialer.Stack is not given"},
		"in part":  {socket.Dialer{Stack: w.client, TCP: &tcp.Settings{NoDelay: true}}, "10.1.0.1:80", "begin with tcp.Defaults(), or Stack.Settings"},
	} {
		if _, err := c.dialer.DialContext(t.Context(), "tcp", c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedNamesBothEnds(t *testing.T) {
	_, err := socket.Dial(newWire(t, shapes[2]).client, webPort)
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "10.1.0.1:80: connect: connection refused") {
		t.Error(err)
	}
}

// Cancelling at any moment leaves nothing, on either side.
func TestCancelAtAnyMoment(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		l := w.listen(webPort)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go echo(c)
			}
		}()
		for i := range 500 {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := (&socket.Dialer{Stack: w.client}).DialAddr(ctx, webPort)
				switch {
				case err == nil:
					c.Close()
				case !errors.Is(err, context.Canceled):
					t.Error(err)
				}
			}()
			for range i % 7 * 40 { // a little later each time
				select {
				case <-done:
				default:
				}
			}
			cancel()
			<-done
		}
		awaitNone(t, w)
	})
}
