package socket_test

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

func TestConnIsANetConn(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		l := w.listen(webPort)
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			client, server := w.pairBy(l)
			return client, server, func() { client.Close(); server.Close() }, nil
		})
	})
}
