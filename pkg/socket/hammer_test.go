package socket_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Everything at once on one connection, by several goroutines of either side: for the race detector, and so that
// whatever happens every call returns, with an error that belongs there.
func TestHammer(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		l := w.listen(webPort)
		for round := range 12 {
			c, s := w.pairBy(l)
			within(t, "hammering", func() {
				var fs []func()
				for i, side := range []*socket.Conn{c, s} {
					for k := range 3 {
						seed := uint64(round*10 + i*3 + k)
						fs = append(fs, func() { hammerReads(t, side, seed) }, func() { hammerWrites(t, side, seed) })
					}
					fs = append(fs, func() { hammerOptions(side, uint64(round)) })
				}
				all(fs...)
			})
		}
		awaitNone(t, w)
	})
}

// fits complains of an error that no call on a connection with such users should have.
func fits(t *testing.T, err error) {
	for _, want := range []error{io.EOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ENOTCONN} {
		if errors.Is(err, want) {
			return
		}
	}
	if !isTimeout(err) {
		t.Errorf("%v", err)
	}
}

func hammerReads(t *testing.T, c *socket.Conn, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	for {
		var err error
		switch rng.IntN(20) {
		case 0:
			_, err = c.WriteTo(limited{rng.IntN(1 << 18)})
			if err == nil {
				err = io.EOF
			}
		default:
			_, err = c.Read(make([]byte, rng.IntN(1<<rng.IntN(18))))
		}
		if err == nil || isTimeout(err) || errors.Is(err, errEnough) {
			continue
		}
		fits(t, err)
		return
	}
}

var errEnough = errors.New("enough")

// limited takes n bytes at most.
type limited struct{ n int }

func (l limited) Write(p []byte) (int, error) {
	if len(p) > l.n {
		return l.n, errEnough
	}
	return len(p), errEnough
}

func hammerWrites(t *testing.T, c *socket.Conn, seed uint64) {
	defer c.Close()
	rng := rand.New(rand.NewPCG(seed, 4))
	for range 200 {
		var err error
		if n := rng.Int64N(1 << rng.IntN(18)); rng.IntN(20) == 0 {
			_, err = c.ReadFrom(noise(seed, n))
		} else {
			_, err = c.Write(make([]byte, n))
		}
		if err != nil && !isTimeout(err) {
			fits(t, err)
			return
		}
	}
	switch rng.IntN(4) {
	case 0:
		c.CloseWrite()
	case 1:
		c.CloseRead()
	case 2:
		c.SetLinger(0)
	}
}

func hammerOptions(c *socket.Conn, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	for {
		c.Info()
		c.SetReadBuffer(rng.IntN(1 << 20))
		c.SetWriteBuffer(rng.IntN(1 << 20))
		c.SetNoDelay(rng.IntN(2) == 0)
		c.SetKeepAlivePeriod(time.Second)
		c.SetReadDeadline(time.Now().Add(time.Duration(rng.Int64N(int64(time.Millisecond)))))
		if c.SetDeadline(time.Time{}) != nil {
			return
		}
	}
}

// A thousand connections at once, each echoing pieces of random sizes.
func TestAThousandConnections(t *testing.T) {
	crowd := 1000
	if raceEnabled { // which makes each step several times as long, and the crowd's a minute where the machine is busy
		crowd = 250
	}
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			s.settings = func(s *tcp.Settings) { s.ReceiveBuffer, s.SendBuffer = 64<<10, 64<<10 }
			w := newWire(t, s)
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
			within(t, "the crowd", func() {
				var fs []func()
				for i := range crowd {
					fs = append(fs, func() { echoes(t, w, uint64(i)) })
				}
				all(fs...)
			})
			awaitNone(t, w)
		})
	}
}

func echoes(t *testing.T, w *wire, seed uint64) {
	c, err := socket.Dial(w.client, webPort)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	rng := rand.New(rand.NewPCG(seed, 6))
	for range 5 {
		text := bytes.Repeat([]byte{byte(rng.Uint32())}, 1+rng.IntN(1<<rng.IntN(15)))
		got := make([]byte, len(text))
		all(func() { c.Write(text) }, func() { _, err = io.ReadFull(c, got) })
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("connection %d: %v", seed, err)
			return
		}
	}
	c.CloseWrite()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("connection %d ended with %d, %v", seed, n, err)
	}
}
