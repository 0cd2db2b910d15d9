package service

import (
	"io"
	"net"
	"time"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

const (
	longestStall = 2 * time.Minute // how long a caller may leave the line unacknowledged, though he answers probes
	lineSpace    = 64              // bytes, enough for the longest day and month and a zone without a name
)

// Daytime tells the date and time in a line and closes (RFC 867). Now is the clock.
type Daytime struct{ Now func() time.Time }

// Ready implements stack.Handler.
//
// The line goes out with a FIN, but the connection is let go only when the line has been acknowledged: text that comes
// before is thrown away, as the RFC has it, where after Close it would bring a RST, and the line might be lost. Without
// Close, a caller who never closes would be kept in FIN-WAIT-2 for ever.
func (d Daytime) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Ended != 0 {
		return
	}
	for p := c.Next(); len(p) > 0; p = c.Next() {
		c.Consume(len(p))
	}
	switch {
	case e&tcp.Opened != 0:
		c.SetUserTimeout(longestStall)
		var line [lineSpace]byte
		c.Write(d.appendLine(line[:0]))
		c.CloseWrite()
	case e&tcp.Finished != 0, c.EOF():
		c.Close()
	}
}

// appendLine appends the line to b, so that a handler whose callers are many has no garbage from it.
func (d Daytime) appendLine(b []byte) []byte {
	return d.Now().AppendFormat(b, "Monday, January 2, 2006 15:04:05-MST\r\n")
}

// ServeConn implements ConnService. What the caller says is thrown away until he closes, or for a while.
func (d Daytime) ServeConn(c net.Conn) {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(longestStall)); err != nil {
		return
	}
	_, _ = c.Write(d.appendLine(nil))
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, c)
}
