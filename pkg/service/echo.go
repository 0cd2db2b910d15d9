package service

import (
	"io"
	"net"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Echo sends back what it is sent (RFC 862), and closes when the peer has.
type Echo struct{}

// Ready implements stack.Handler.
func (Echo) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Ended != 0 {
		return
	}
	for p := c.Next(); len(p) > 0; p = c.Next() {
		n := c.Write(p)
		if n == 0 {
			return // Writable will follow
		}
		c.Consume(n)
	}
	closeAfterPeer(c)
}

// ServeConn implements ConnService. The text goes from the receive ring to the send ring.
func (Echo) ServeConn(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(c, c)
}

// Discard throws away what it is sent (RFC 863), and closes when the peer has.
type Discard struct{}

// Ready implements stack.Handler.
func (Discard) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Ended != 0 {
		return
	}
	for p := c.Next(); len(p) > 0; p = c.Next() {
		c.Consume(len(p))
	}
	closeAfterPeer(c)
}

// ServeConn implements ConnService.
func (Discard) ServeConn(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(io.Discard, c)
}

// closeAfterPeer closes a connection whose peer has closed, once all has been read.
func closeAfterPeer(c stack.Conn) {
	if c.EOF() {
		c.Close()
	}
}
