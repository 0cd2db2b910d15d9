package socket_test

import (
	"io"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

const small = 64

// echoOnce sends a small piece and reads it back.
func echoOnce(tb testing.TB, c *socket.Conn, p []byte) {
	if _, err := c.Write(p); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(c, p); err != nil {
		tb.Fatal(err)
	}
}

// Read and Write allocate nothing once a connection has its rings, nor does the shard for them.
func TestEchoAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools forget things at random")
	}
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			w := newWire(t, s)
			l := w.listen(webPort)
			var ends []*socket.Conn
			for range 3 { // which take rings from each other
				c, srv := w.pairBy(l)
				go func() {
					p := make([]byte, small)
					for {
						n, err := srv.Read(p)
						if err != nil {
							return
						}
						srv.Write(p[:n])
					}
				}()
				ends = append(ends, c)
			}
			p := make([]byte, small)
			round := func() {
				for _, c := range ends {
					echoOnce(t, c, p)
				}
			}
			for range 3000 {
				round()
			}
			if n := testing.AllocsPerRun(2000, round); n != 0 {
				t.Errorf("%v allocations for %d echoes", n, len(ends))
			}
		})
	}
}

func BenchmarkEcho64(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String(), func(b *testing.B) {
			c, srv := newWire(b, s).pair()
			go echo(onlyReadWriter{srv})
			p := make([]byte, small)
			b.ReportAllocs()
			for b.Loop() {
				echoOnce(b, c, p)
			}
		})
	}
}

type onlyReadWriter struct{ c *socket.Conn }

func (o onlyReadWriter) Read(p []byte) (int, error)  { return o.c.Read(p) }
func (o onlyReadWriter) Write(p []byte) (int, error) { return o.c.Write(p) }
func (o onlyReadWriter) Close() error                { return o.c.Close() }

func BenchmarkBulk(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String(), func(b *testing.B) {
			c, srv := newWire(b, s).pair()
			done := make(chan struct{})
			go func() {
				defer close(done)
				io.Copy(io.Discard, onlyReadWriter{srv})
			}()
			p := make([]byte, 256<<10)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			c.CloseWrite()
			<-done
		})
	}
}

// One connection after the other, opened, accepted and closed by both ends.
func BenchmarkConnect(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.String(), func(b *testing.B) {
			w := newWire(b, s)
			l := w.listen(webPort)
			b.ReportAllocs()
			for b.Loop() {
				c := w.dial(webPort)
				srv, err := l.AcceptConn()
				if err != nil {
					b.Fatal(err)
				}
				c.SetLinger(0)
				c.Close()
				srv.Close()
			}
		})
	}
}
