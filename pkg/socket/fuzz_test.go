package socket_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
)

// FuzzSocket has a client write to a server that echoes, over a link on which a byte of the input decides on each packet:
// it comes, is lost, comes twice, comes later than the next, or with a bit turned. The calls are of sizes that are drawn,
// and some have deadlines. Each end reads what the other has written and nothing else, whatever is lost.
func FuzzSocket(f *testing.F) {
	f.Add([]byte{}, []byte{1, 20, 255, 3})
	f.Add([]byte{0, 0, 0, 1, 0, 2, 0, 3, 4, 0, 0, 1, 1}, []byte{255, 255, 200, 130, 7})
	f.Add([]byte{1, 1, 1, 0, 4, 4, 2, 2, 3, 3, 0, 1, 3, 0, 1, 4}, []byte{60, 1, 1, 1, 250})
	f.Fuzz(func(t *testing.T, fates, calls []byte) {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{}
			l := &fuzzedLine{fates: fates[:min(len(fates), 200)]}
			w := newWire(t, shape{queues: 1, plain: true, wrap: func(d link.Device) link.Device { return &fuzzedDevice{g.wrap(d), l} }})
			c, s := w.pair()
			done := make(chan error, 1)
			go func() {
				_, err := io.Copy(s, s)
				s.CloseWrite()
				done <- err
			}()
			fuzzCalls(t, c, calls[:min(len(calls), 30)])
			if err := <-done; err != nil {
				t.Errorf("the echo: %v", err)
			}
			c.Close()
			s.Close()
		})
	})
}

// fuzzCalls writes as much as each byte says and reads it back, at once or with the rest. A read that misses its deadline
// is done again.
func fuzzCalls(t *testing.T, c *socket.Conn, calls []byte) {
	sent, got := 0, 0
	read := func(to int) {
		b := make([]byte, 9000)
		for got < to {
			n, err := c.Read(b[:min(len(b), to-got)])
			for i := range n {
				if b[i] != byte((got+i)*7)^byte((got+i)>>8) {
					t.Fatalf("byte %d is not what was written", got+i)
				}
			}
			if got += n; err == nil {
				continue
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("after %d of %d bytes: %v", got, sent, err)
			}
			c.SetReadDeadline(time.Time{})
		}
		c.SetReadDeadline(time.Time{})
	}
	for _, v := range calls {
		text := make([]byte, 1+int(v>>1)*int(v>>1))
		for i := range text {
			text[i] = byte((sent+i)*7) ^ byte((sent+i)>>8)
		}
		if n, err := c.Write(text); n != len(text) || err != nil {
			t.Fatalf("%d of %d bytes written: %v", n, len(text), err)
		}
		if sent += len(text); v&1 != 0 {
			c.SetReadDeadline(time.Now().Add(time.Duration(v) * time.Millisecond))
			read(sent)
		}
	}
	c.CloseWrite()
	read(sent)
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("after the end: %d, %v", n, err)
	}
}

// fuzzedLine decides on packets until its bytes are used up; then all come.
type fuzzedLine struct {
	fates []byte
	late  []byte // a packet held back
	lost  int    // in a row
}

// mostLost packets in a row may be lost: with more, a connection is rightly given up.
const mostLost = 4

// fuzzedDevice is the client's: what it writes meets its fate. The shard alone writes.
type fuzzedDevice struct {
	link.Device
	line *fuzzedLine
}

func (d *fuzzedDevice) Write(p *link.Packet) error {
	l, fate := d.line, byte(0)
	if len(l.fates) > 0 {
		fate, l.fates = l.fates[0], l.fates[1:]
	}
	if fate%5 == 0 || fate%5 == 2 || l.lost == mostLost {
		fate, l.lost = fate%5&2, 0
	} else {
		l.lost++
	}
	held := l.late
	l.late = nil
	whole := p.AppendTo(nil)
	switch fate % 5 {
	case 1:
		whole = nil
	case 2:
		d.Device.Write(&link.Packet{Head: whole})
	case 3:
		l.late, whole = whole, nil
	case 4:
		whole[int(fate>>3)%len(whole)] ^= 1 << (fate >> 5)
	}
	for _, b := range [...][]byte{whole, held} {
		if b != nil {
			if err := d.Device.Write(&link.Packet{Head: b}); err != nil {
				return err
			}
		}
	}
	return nil
}
