package socket_test

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// hesitant takes pieces of what it is given, of the sizes that it is told; 0 is the end of its patience.
type hesitant struct {
	take chan int
	got  []byte
}

var errHesitant = errors.New("enough")

func (h *hesitant) Write(p []byte) (int, error) {
	n := min(<-h.take, len(p))
	if n == 0 {
		return 0, errHesitant
	}
	h.got = append(h.got, p[:n]...)
	if n < len(p) {
		return n, errHesitant
	}
	return n, nil
}

// fixed is a wire whose buffers do not grow.
func fixed(t *testing.T) *wire {
	return newWire(t, shape{queues: 1, settings: func(s *tcp.Settings) {
		s.SendBuffer, s.SendBufferMax = 2*fixedBuffer, 2*fixedBuffer // a writer may know of a third of it alone
		s.ReceiveBuffer, s.ReceiveBufferMax = fixedBuffer, fixedBuffer
	}})
}

const (
	fixedBuffer = 256 << 10
	fullFrame   = 32 * 1448 // bytes: full segments, which go as one
)

// lendTo opens a connection and has it lend text to a reader, that h holds up: all of it, or one of the two frames, if the
// other has come in pieces.
func (w *wire) lendTo(h *hesitant) (c, s *socket.Conn, text []byte, read chan error) {
	c, s = w.pair()
	all(func() { c.Write(make([]byte, 1<<20)) }, func() { io.ReadFull(s, make([]byte, 1<<20)) }) // the peer's window opens
	read = make(chan error, 1)
	go func() {
		_, err := s.WriteTo(h)
		read <- err
	}()
	text = make([]byte, 2*fullFrame) // half the window is open at least
	noise(1, int64(len(text))).Read(text)
	for p := text; len(p) > 0; p = p[fullFrame:] {
		synctest.Wait()
		if _, err := c.Write(p[:fullFrame]); err != nil {
			w.Error(err)
		}
	}
	synctest.Wait()
	if n, i := w.server.Counters(0).Rings, unread(w, s); n >= len(text)*3/4 || i != len(text) {
		w.Errorf("%d bytes of rings, %d of %d bytes of text unread", n, i, len(text))
	}
	return c, s, text, read
}

func unread(w *wire, c *socket.Conn) int {
	i, ok := c.Info()
	if !ok {
		w.Error("the connection is over")
	}
	return i.Unread
}

// What was lent is read in its order, whoever comes to read it, and what comes after it.
func TestLentTextIsReadInOrder(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &hesitant{take: make(chan int)}
		c, s, text, read := fixed(t).lendTo(h)
		h.take <- 1 << 20
		h.take <- 100
		if err := <-read; err != errHesitant {
			t.Errorf("read: %v", err)
		}
		got := h.got
		for _, n := range []int{1, 1000, 40_000} {
			p := make([]byte, n)
			n, err := s.Read(p)
			if err != nil {
				t.Error(err)
			}
			got = append(got, p[:n]...)
		}
		if _, err := c.Write([]byte("the end")); err != nil {
			t.Error(err)
		}
		c.CloseWrite()
		rest, err := io.ReadAll(s)
		if err != nil {
			t.Error(err)
		}
		if got = append(got, rest...); !bytes.Equal(got, append(text, "the end"...)) {
			t.Errorf("%d bytes, or others, not %d", len(got), len(text)+len("the end"))
		}
	})
}

// A peer who sends to a reader who holds what is lent to him is held up like any other.
func TestLentTextIsInTheWindow(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &hesitant{take: make(chan int)}
		c, _, text, read := fixed(t).lendTo(h)
		if n := fill(t, c) + len(text); n > 3*fixedBuffer+fixedBuffer/8 {
			t.Errorf("%d bytes were taken for buffers of %d and %d", n, 2*fixedBuffer, fixedBuffer)
		}
		h.take <- 0
		<-read
	})
}

// Of a connection that is closed, or half of it, everything lent comes back, though nobody reads it, and the peer of one
// closed hears that it was not read.
func TestLentTextComesBack(t *testing.T) {
	for _, x := range []struct {
		name  string
		close func(*socket.Conn) error
		reset bool
	}{{"Close", (*socket.Conn).Close, true}, {"CloseRead", (*socket.Conn).CloseRead, false}} {
		bubble(t, x.name, func(t *testing.T) {
			w := fixed(t)
			for i := range 10 { // or else there would soon be nothing to lend
				h := &hesitant{take: make(chan int)}
				c, s, _, read := w.lendTo(h)
				if i%2 == 0 { // the reader has gone
					h.take <- 100
					<-read
				}
				if err := x.close(s); err != nil {
					t.Error(err)
				}
				if i%2 != 0 { // he still holds it
					h.take <- 100
					<-read
				}
				s.Close()
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) != x.reset {
					t.Errorf("the peer's Read: %v", err)
				}
				c.Close()
			}
		})
	}
}
