package lib

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// TestDeviceRemoved: the device is deleted beneath a running stack. Whoever embeds it learns so from Failed; whoever reads,
// writes or dials gets an error and not silence; Close works, and leaves no goroutine.
func TestDeviceRemoved(t *testing.T) {
	need(t)
	s := newSpace(t)
	before := goleak.IgnoreCurrent()
	var h *host
	s.must(func() (err error) {
		h, err = plan{}.open()
		return err
	})
	l := must[*socket.Listener](t)(socket.Listen(h.Stack, addrPort(ourIP, 80)))
	theirs, ours := meet(t, l, s.dialer(addrPort(ourIP, 80)))
	far := s.listen(addrPort(kernelIP, 8000))
	dialled, _ := meet(t, far, h.dialer(addrPort(ourIP, 0), addrPort(kernelIP, 8000)))
	if err := carryBoth(ours, theirs, random(1, 100_000), random(2, 100_000)); err != nil {
		t.Fatal(err)
	}

	reads, accepts := make(chan error, 2), make(chan error, 1)
	for _, c := range []duplex{ours, dialled} {
		go func() {
			_, err := c.Read(make([]byte, 1))
			reads <- err
		}()
	}
	go func() {
		_, err := l.Accept()
		accepts <- err
	}()
	s.ip("link delete " + device)

	for range h.Shards() {
		if err := receive(t, h.Failed(), "Failed"); !errors.Is(err, tun.ErrGone) {
			t.Errorf("Failed tells %v", err)
		}
	}
	for range 2 {
		if err := receive(t, reads, "Read"); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("the Read under way: %v", err)
		}
	}
	for _, c := range []duplex{ours, dialled} {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("another Read: %v", err)
		}
		if _, err := c.Write([]byte{1}); err == nil {
			t.Error("a Write succeeds")
		}
	}
	if _, err := h.dial(addrPort(ourIP, 0), addrPort(kernelIP, 8000)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a dial: %v", err)
	}
	ours.Close()
	if err := h.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := receive(t, accepts, "Accept"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the Accept under way: %v", err)
	}
	if err := h.dev.Close(); err != nil {
		t.Errorf("the device's Close: %v", err)
	}
	if err := h.Check(); err != nil {
		t.Error(err)
	}
	theirs.Close()
	goleak.VerifyNone(t, before)
}

// receive takes an error that must come.
func receive(t *testing.T, from <-chan error, what string) error {
	t.Helper()
	select {
	case err := <-from:
		return err
	case <-time.After(patience):
		t.Fatalf("%s keeps its caller waiting", what)
		return nil
	}
}

// TestLinkDown: while the link is down the kernel answers writes with EIO, which costs the packets and nothing else; when it
// is up again, connections of either side go on.
func TestLinkDown(t *testing.T) {
	need(t)
	s := newSpace(t)
	h := startHost(t, s, plan{})
	l := h.listen(t, addrPort(ourIP, 80))
	theirs, ours := meet(t, l, s.dialer(addrPort(ourIP, 80)))
	if err := carryBoth(ours, theirs, random(1, 100_000), random(2, 100_000)); err != nil {
		t.Fatal(err)
	}

	s.ip("link set " + device + " down")
	text := random(3, 200_000)
	wrote := make(chan error, 1)
	go func() {
		_, err := ours.Write(text)
		wrote <- err
	}()
	for late := deadline(); h.writeErrors() == 0; { // each sending again is one more
		if time.Now().After(late) {
			t.Fatal("no write has failed")
		}
	}
	s.ip("link set " + device + " up")
	if err := carry(discard{}, theirs, text); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if err := carryBoth(ours, theirs, random(4, 1<<20), random(5, 1<<20)); err != nil {
		t.Error(err)
	}
	if n := h.totals().Ended; n != 0 {
		t.Errorf("%d connections have ended", n)
	}
}

// writeErrors is how many packets the device has refused.
func (h *host) writeErrors() (n uint64) {
	for i := range h.Shards() {
		n += h.Counters(i).WriteErrors
	}
	return n
}
