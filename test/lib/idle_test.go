package lib

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/test/space"
)

// TestIdleFlowsComeBackOnAnyQueue: 10,000 connections that we opened are more than the device remembers the queues
// of (4,096), and idle for longer than it remembers (3 s). What their peers then send finds its connection, whichever
// queue it comes on, and nobody takes it for a stray.
func TestIdleFlowsComeBackOnAnyQueue(t *testing.T) {
	need(t)
	crowd, text := 10_000, 64
	if testing.Short() {
		crowd = 1_000
	}
	needFiles(t, uint64(crowd)+1_000)
	s := newSpace(t)
	h := startHost(t, s, plan{})
	l := s.listen(addrPort(kernelIP, 8000))
	ours, theirs := make([]*socket.Conn, crowd), make([]net.Conn, crowd)
	accepted := acceptAll(l, crowd)
	space.InParallel(t, crowd, 64, func(i int) (err error) {
		ours[i], err = h.dial(addrPort(ourIP, 0), addrPort(kernelIP, 8000))
		return err
	})
	byAddr := <-accepted
	for i, c := range ours {
		if theirs[i] = byAddr[c.LocalAddr().String()]; theirs[i] == nil {
			t.Fatalf("the kernel has not accepted %v", c.LocalAddr())
		}
		defer theirs[i].Close()
	}

	// The idleness is what is tested, and the kernel forgets by its own clock, which no test can turn.
	idle := time.NewTimer(5 * time.Second)
	select {
	case <-idle.C:
	case <-t.Context().Done():
	}
	before := h.totals()
	for i, c := range theirs {
		if _, err := c.Write(random(uint64(i), text)); err != nil {
			t.Fatalf("connection %d, the kernel's end: %v", i, err)
		}
	}
	space.InParallel(t, crowd, 64, func(i int) error {
		got := make([]byte, text)
		if err := ours[i].SetReadDeadline(deadline()); err != nil {
			return err
		}
		if _, err := io.ReadFull(ours[i], got); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if !bytes.Equal(got, random(uint64(i), text)) {
			return fmt.Errorf("connection %d has another one's text", i)
		}
		return nil
	})
	after := h.totals()
	t.Logf("%d of %d packets were sent on to another shard; drops: %v",
		after.Forwarded-before.Forwarded, after.Read-before.Read, after.drops)
	if after.Forwarded == before.Forwarded {
		t.Error("every packet came to the right queue: the case was not met")
	}
	if after.Resets != 0 || after.Ended != 0 || after.Conns != crowd {
		t.Errorf("%d RSTs sent, %d connections over, %d open", after.Resets, after.Ended, after.Conns)
	}
	if sent, got := s.tcpStat("OutRsts"), s.tcpStat("EstabResets"); sent != "0" || got != "0" {
		t.Errorf("the kernel has sent %s RSTs, and lost %s connections to such", sent, got)
	}
	for _, name := range []string{"tcp_no_connection", "tcp_refused", "tcp_rst", "forward_full"} {
		if n := after.drops[name]; n != 0 {
			t.Errorf("%d packets dropped: %s", n, name)
		}
	}
}

// acceptAll accepts n connections and delivers them by the peer's address; fewer when that takes too long.
func acceptAll(l *net.TCPListener, n int) <-chan map[string]net.Conn {
	done := make(chan map[string]net.Conn, 1)
	go func() {
		conns := map[string]net.Conn{}
		for range n {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns[c.RemoteAddr().String()] = c
		}
		done <- conns
	}()
	return done
}
