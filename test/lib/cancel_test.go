package lib

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// TestDialEndsWithItsContext: a dial that is called off while its SYN is on the way leaves nothing. The peer is told
// nothing either, since it knows nothing; its late answer is refused, as one to a connection that never was (RFC 9293
// section 3.10.7.1).
func TestDialEndsWithItsContext(t *testing.T) {
	need(t)
	for _, c := range []struct {
		name string
		ctx  func() (ctx context.Context, end func())
		want error
	}{
		{"cancelled", func() (context.Context, func()) { return context.WithCancel(t.Context()) }, context.Canceled},
		{"deadline", func() (context.Context, func()) {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(500*time.Millisecond))
			_ = cancel // it ends by itself
			return ctx, func() {}
		}, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpace(t)
			s.forward()
			h := startHost(t, s, plan{})
			hole := openWire(t, s, "hole0", netip.MustParsePrefix("192.0.2.0/24"))
			ctx, end := c.ctx()
			dialled := make(chan error, 1)
			go func() {
				_, err := (&socket.Dialer{Stack: h.Stack}).DialContext(ctx, "tcp", "192.0.2.7:80")
				dialled <- err
			}()
			from, to, syn := hole.await(tcp.SYN)
			if n := h.totals(); n.Conns != 1 && c.want == context.Canceled {
				t.Errorf("%d connections while the SYN is on the way", n.Conns)
			}
			end()
			err := <-dialled
			var op *net.OpError
			late := c.want == context.DeadlineExceeded
			if !errors.Is(err, c.want) || !errors.As(err, &op) || op.Op != "dial" || op.Timeout() != late {
				t.Errorf("%#v, want %v", err, c.want)
			}
			if n := h.totals(); n.Conns != 0 || n.Resets != 0 || n.Ended != 1 || n.Rings != 0 {
				t.Errorf("%d connections are left, %d ended, %d bytes of rings; %d RSTs sent",
					n.Conns, n.Ended, n.Rings, n.Resets)
			}

			peer := endpoint{local: to, remote: from, seq: 1000, ack: uint32(syn.End())}
			if err := hole.send(&peer, tcp.SYN|tcp.ACK, nil); err != nil {
				t.Fatal(err)
			}
			for {
				_, _, g, err := hole.next()
				if err != nil {
					t.Fatal(err)
				}
				if g.Flags == tcp.SYN && g.Seq == syn.Seq {
					continue // sent again before the end
				}
				if g.Flags != tcp.RST || g.Seq != syn.End() {
					t.Errorf("the late SYN,ACK is answered by %v, SEQ %d; want RST, SEQ %d", g.Flags, g.Seq, syn.End())
				}
				break
			}
			stopStack(t, h.Stack)
			if err := h.Idle(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDialOfTheDead: the context has ended before the call: not even a SYN is sent.
func TestDialOfTheDead(t *testing.T) {
	need(t)
	s := newSpace(t)
	h := startHost(t, s, plan{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&socket.Dialer{Stack: h.Stack}).DialContext(ctx, "tcp", "10.7.0.1:80")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if n := h.totals(); n.Opened != 0 {
		t.Errorf("%d connections opened", n.Opened)
	}
}
