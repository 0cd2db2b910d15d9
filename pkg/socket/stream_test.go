package socket_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// noise is n random bytes from a seed; no WriterTo.
func noise(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

func hashOf(r io.Reader) (h [32]byte, n int64, err error) {
	sum := sha256.New()
	n, err = io.Copy(sum, r)
	return [32]byte(sum.Sum(nil)), n, err
}

// Both directions at once, by ReadFrom at one end and WriteTo at the other, in Copy.
func TestManyMegabytesArriveAsTheyWereSent(t *testing.T) {
	const size = 24 << 20
	eachShape(t, func(t *testing.T, w *wire) {
		c, s := w.pair()
		send := func(c *socket.Conn, seed uint64) {
			n, err := c.ReadFrom(noise(seed, size))
			if n != size || err != nil {
				t.Errorf("sent %d: %v", n, err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
		}
		receive := func(c *socket.Conn, seed uint64) {
			want, _, _ := hashOf(noise(seed, size))
			got, n, err := hashOf(c)
			if n != size || err != nil || got != want {
				t.Errorf("received %d of %d, equal %v: %v", n, size, got == want, err)
			}
		}
		within(t, "the transfer", func() {
			all(func() { send(c, 1) }, func() { send(s, 2) }, func() { receive(c, 2) }, func() { receive(s, 1) })
		})
	})
}

// Pieces of all sizes, written and read by plain calls, while the rings grow and wrap.
func TestPiecesOfAllSizes(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		c, s := w.pair()
		text := make([]byte, 3<<20)
		rand.NewChaCha8([32]byte{1}).Read(text)
		go func() {
			rng := rand.New(rand.NewPCG(1, 1))
			for p := text; len(p) > 0; {
				n, err := c.Write(p[:min(len(p), 1<<rng.IntN(19))])
				if err != nil {
					t.Error(err)
					break
				}
				p = p[n:]
			}
			c.CloseWrite()
		}()
		within(t, "reading", func() {
			rng := rand.New(rand.NewPCG(2, 2))
			var got []byte
			for {
				p := make([]byte, 1<<rng.IntN(19))
				n, err := s.Read(p)
				got = append(got, p[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, text) {
				t.Errorf("%d bytes of %d, or others", len(got), len(text))
			}
		})
	})
}

func TestHalfClosedBothWays(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		c, s := w.pair()
		for _, side := range [][2]*socket.Conn{{c, s}, {s, c}} {
			from, to := side[0], side[1]
			if _, err := from.Write([]byte("the last")); err != nil {
				t.Fatal(err)
			}
			if err := from.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if p, err := io.ReadAll(to); string(p) != "the last" || err != nil {
				t.Errorf("read %q: %v", p, err)
			}
		}
	})
}

// What comes after CloseRead is acknowledged, and a Write after it is as ever.
func TestCloseReadForgetsWhatStillComes(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		c, s := w.pair()
		if err := c.CloseRead(); err != nil {
			t.Fatal(err)
		}
		within(t, "writing to the deaf", func() {
			if _, err := s.Write(make([]byte, 8<<20)); err != nil {
				t.Error(err)
			}
		})
		for range 100 {
			if _, err := c.Write([]byte("still here")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(s, make([]byte, len("still here"))); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("read %d: %v", n, err)
		}
	})
}

// fill writes until nothing more is taken, and returns how much was.
func fill(t *testing.T, c *socket.Conn) (n int) {
	t.Helper()
	for {
		c.SetWriteDeadline(time.Now().Add(time.Hour)) // of the bubble: nothing moves any more
		k, err := c.Write(make([]byte, 64<<10))
		n += k
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if k == 0 {
				c.SetWriteDeadline(time.Time{})
				return n
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuffersBoundWhatIsInFlight(t *testing.T) {
	const (
		small = 16 << 10
		large = 256 << 10
		unit  = 8 << 10 // a window is rounded up to its unit, several times over
	)
	for _, x := range []struct {
		name            string
		write, read     int
		atLeast, atMost int
	}{
		// A writer that waits is woken when a third of its buffer is free: so much of it may stay empty.
		{"both small", small, small, small, 2*small + unit},
		{"read buffer small", 0, small, large / 2, large + small + unit},
		{"write buffer small", small, 0, large, large + small + unit},
		{"less than the least", 1, 1, 4 << 10, 8<<10 + unit},
	} {
		bubble(t, x.name, func(t *testing.T) {
			w := newWire(t, shape{queues: 1, settings: func(s *tcp.Settings) {
				s.SendBuffer, s.SendBufferMax = large, large
				s.ReceiveBuffer, s.ReceiveBufferMax = large, large
			}})
			boundedBy(t, w, x.write, x.read, x.atLeast, x.atMost)
		})
	}
}

func boundedBy(t *testing.T, w *wire, write, read, atLeast, atMost int) {
	c, s := w.pair()
	if write != 0 {
		c.SetWriteBuffer(write)
	}
	if read != 0 {
		s.SetReadBuffer(read)
		drainWindow(t, c, s)
	}
	n := fill(t, c)
	if n < atLeast || n > atMost {
		t.Errorf("%d bytes were taken, not %d to %d", n, atLeast, atMost)
	}
	within(t, "reading them", func() {
		if _, err := io.ReadFull(s, make([]byte, n)); err != nil {
			t.Error(err)
		}
		all(func() { c.Write(make([]byte, 1<<20)) }, func() { io.ReadFull(s, make([]byte, 1<<20)) })
	})
}

// drainWindow uses up the window that was promised before the receive buffer became smaller: a promise is kept.
func drainWindow(t *testing.T, c, s *socket.Conn) {
	const promised = 1 << 20
	all(func() { c.Write(make([]byte, promised)) }, func() { io.ReadFull(s, make([]byte, promised)) })
}

func TestSettersReachTheConnection(t *testing.T) {
	c, _ := newWire(t, shapes[0]).pair()
	for name, err := range map[string]error{
		"SetNoDelay":         c.SetNoDelay(true),
		"SetKeepAlive":       c.SetKeepAlive(true),
		"SetKeepAlivePeriod": c.SetKeepAlivePeriod(time.Minute),
		"SetReadBuffer":      c.SetReadBuffer(1 << 30),
		"SetWriteBuffer":     c.SetWriteBuffer(1 << 30),
		"SetLinger":          c.SetLinger(5),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if i, ok := c.Info(); !ok || i.State.String() != "ESTABLISHED" {
		t.Errorf("%+v %v", i, ok)
	}
}

// Without window scaling the buffer is 65,535 bytes whatever was asked for, and the reader must not wait for more to
// be read before he tells of it.
func TestNoWindowScaling(t *testing.T) {
	w := newWire(t, shape{queues: 1, settings: func(s *tcp.Settings) { s.WindowScale = false }})
	c, s := w.pair()
	within(t, "the transfer", func() {
		for _, side := range [][2]*socket.Conn{{c, s}, {s, c}} {
			var got atomic.Int64
			all(
				func() { side[0].Write(make([]byte, 2<<20)) },
				func() {
					n, _ := io.CopyN(io.Discard, onlyReader{side[1]}, 2<<20)
					got.Store(n)
				})
			if got.Load() != 2<<20 {
				t.Errorf("%d bytes arrived", got.Load())
			}
		}
	})
}

type onlyReader struct{ io.Reader }

type badReader struct{}

func (badReader) Read(p []byte) (int, error) { return len(p) + 1, nil }

type badWriter struct{}

func (badWriter) Write(p []byte) (int, error) { return len(p) + 1, nil }

// A Reader or Writer that lies must not bring the shard to look outside the rings.
func TestLyingReadersAndWriters(t *testing.T) {
	c, s := newWire(t, shapes[0]).pair()
	if _, err := c.ReadFrom(badReader{}); err == nil {
		t.Error("the reader got away with it")
	}
	c.Write([]byte("text"))
	if _, err := s.WriteTo(badWriter{}); err == nil {
		t.Error("the writer got away with it")
	}
	p := make([]byte, 4)
	if _, err := io.ReadFull(s, p); err != nil || string(p) != "text" {
		t.Errorf("%q %v", p, err)
	}
}
