package socket_test

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Writers whose peers read nothing stay within the stack's memory, but for what those write who begin at the same moment,
// and for a small ring each.
func TestWritersWithinMemory(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		const limit, crowd = 1 << 20, 50
		a, b := pipe.New(1, pipe.Options{Packets: 8192, Bytes: 16 << 20})
		server := newStack(t, a, "10.1.0.1/16", shape{})
		client, err := stack.New(stack.Config{
			Link: b, Addrs: []netip.Prefix{netip.MustParsePrefix("10.2.0.1/16")}, TCP: tcp.Defaults(), Strict: true,
			Limits: stack.Limits{Memory: limit},
		})
		if err != nil {
			t.Fatal(err)
		}
		client.Start()
		t.Cleanup(func() { client.Close(); server.Close() })
		l, err := socket.Listen(server, webPort)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for range crowd {
			c, err := socket.Dial(client, webPort)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go func() {
				for {
					if _, err := c.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			}()
			synctest.Wait() // those who begin at once are shown the same room
		}
		if n := client.Counters(0).Rings; n > limit+limit/2 {
			t.Errorf("%d bytes of rings, and %d are allowed", n, limit)
		}
	})
}
