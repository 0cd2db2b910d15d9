package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

type judge func(context.Context, netip.Addr) bool

// listenGuarded is the README's example of the admission hook.
func listenGuarded(s *stack.Stack, allowed judge) (*socket.Listener, error) {
	l, err := socket.ListenWith(s, stack.ListenConfig{
		Prefix: netip.MustParsePrefix("10.7.0.2/32"),
		Port:   80,
		Admit: func(r *stack.Request) { // on a shard: it must not wait
			go func() {
				if allowed(r.Context(), r.Remote.Addr()) {
					r.Accept()
				} else {
					r.Refuse() // by a RST; RefuseICMP and Drop are other ways
				}
			}()
		},
	})
	return l, err
}

// TestReadmeAdmission: the example lets in whom it should, and nobody else.
func TestReadmeAdmission(t *testing.T) {
	friend, stranger := netip.MustParseAddr("10.7.0.9"), netip.MustParseAddr("10.7.0.10")
	c := config.Defaults()
	a, b := pipe.New(1, pipe.Options{})
	there, here := newStack(t, a, server, &c, 1), newStack(t, b, client, &c, 2)
	l, err := listenGuarded(there, func(_ context.Context, a netip.Addr) bool { return a == friend })
	if err != nil {
		t.Fatal(err)
	}
	dial := func(from netip.Addr) (*socket.Conn, error) {
		ctx, done := context.WithTimeout(t.Context(), patience)
		defer done()
		d := socket.Dialer{Stack: here, Local: netip.AddrPortFrom(from, 0)}
		return d.DialAddr(ctx, netip.AddrPortFrom(server.Addr(), config.PortHTTP))
	}
	if _, err := dial(stranger); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a stranger: %v", err)
	}
	out, err := dial(friend)
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := out.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	if got := l.Stats(); got.Accepted != 1 || got.Deferred != 0 {
		t.Errorf("%+v", got)
	}
}
