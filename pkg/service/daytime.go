package service

import (
	"time"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Daytime tells the date and time in a line and closes (RFC 867). Now is the clock.
type Daytime struct{ Now func() time.Time }

// Ready implements stack.Handler.
func (d Daytime) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Opened != 0 {
		c.Write([]byte(d.Now().Format("Monday, January 2, 2006 15:04:05-MST\r\n")))
		c.CloseWrite()
	}
	if e&tcp.Ended != 0 {
		return
	}
	for p := c.Next(); len(p) > 0; p = c.Next() {
		c.Consume(len(p))
	}
	closeAfterPeer(c)
}
