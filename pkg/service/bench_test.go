package service

import (
	"io"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/socket"
)

// each runs a benchmark both ways to a service.
func each(b *testing.B, v simple, run func(*testing.B, *socket.Conn)) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			w := newWire(b)
			way.listen(b, w, v)
			c := w.dialForEver(b)
			b.ReportAllocs()
			run(b, c)
		})
	}
}

func BenchmarkEcho64(b *testing.B) {
	each(b, Echo{}, func(b *testing.B, c *socket.Conn) {
		p := make([]byte, 64)
		for b.Loop() {
			if _, err := c.Write(p); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

const piece = 256 << 10

// BenchmarkEchoBulk sends and reads at once.
func BenchmarkEchoBulk(b *testing.B) {
	each(b, Echo{}, func(b *testing.B, c *socket.Conn) {
		ended := make(chan error, 1)
		p := make([]byte, piece)
		b.SetBytes(piece)
		go func() {
			q := make([]byte, piece)
			for {
				if _, err := c.Write(q); err != nil {
					ended <- err
					return
				}
			}
		}()
		for b.Loop() {
			if _, err := io.ReadFull(c, p); err != nil {
				b.Fatal(err)
			}
		}
		_ = c.Close()
		<-ended
	})
}

func BenchmarkDiscard(b *testing.B) {
	each(b, Discard{}, func(b *testing.B, c *socket.Conn) {
		p := make([]byte, piece)
		b.SetBytes(piece)
		for b.Loop() {
			if _, err := c.Write(p); err != nil {
				b.Fatal(err)
			}
		}
		if err := c.CloseWrite(); err != nil { // and all has been thrown away
			b.Fatal(err)
		}
		if _, err := c.Read(p); err != io.EOF {
			b.Fatal(err)
		}
	})
}

func BenchmarkChargen(b *testing.B) {
	each(b, Chargen{}, func(b *testing.B, c *socket.Conn) {
		p := make([]byte, piece)
		b.SetBytes(piece)
		for b.Loop() {
			if _, err := io.ReadFull(c, p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
