package socket_test

import (
	"bytes"
	"io"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Text given to DialEarly arrives, whether it goes with the SYN, in part or not at all; and from the second time on a
// cookie opens the connection.
func TestDialEarly(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		at := stack.ListenConfig{Prefix: netip.PrefixFrom(serverAddr, 32), Port: 80, FastOpen: 10}
		l, err := socket.ListenWith(w.server, at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		sizes := []int{100, 0, 1, 100, 5000, 1 << 20}
		for _, n := range sizes {
			text := bytes.Repeat([]byte("early"), n)[:n]
			go func() {
				if s, err := l.Accept(); err == nil {
					io.Copy(s, s)
					s.Close()
				}
			}()
			within(t, "the connection", func() {
				var got bytes.Buffer
				read := make(chan struct{})
				c, err := (&socket.Dialer{Stack: w.client}).DialEarly(t.Context(), webPort, text)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				go func() {
					defer close(read)
					got.ReadFrom(c)
				}()
				c.CloseWrite()
				if <-read; !bytes.Equal(got.Bytes(), text) {
					t.Errorf("%d bytes came back of %d", got.Len(), n)
				}
			})
		}
		opened := uint64(0)
		for i := range w.server.Shards() {
			opened += w.server.Counters(i).FastOpens
		}
		if want := uint64(len(sizes) - 1); opened != want {
			t.Errorf("%d opened by cookie, not %d", opened, want)
		}
	})
}
