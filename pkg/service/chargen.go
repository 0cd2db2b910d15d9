package service

import (
	"io"
	"net"
	"sync"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// The pattern of RFC 864: lines of 72 of the 95 printing characters and CR LF, each beginning one character further
// on. It repeats after 95 lines.
const (
	lineLength = 74
	firstChar  = ' '
	chars      = 95
	cycle      = chars * lineLength
	copies     = 1 + (tcp.MaxRepeat+cycle-1)/cycle
)

var pattern = makePattern()

// makePattern holds the cycle as often as it takes for a superframe to begin anywhere in the first.
func makePattern() []byte {
	b := make([]byte, 0, copies*cycle)
	for line := range copies * chars {
		for k := range lineLength - 2 {
			b = append(b, firstChar+byte((line+k)%chars))
		}
		b = append(b, '\r', '\n')
	}
	return b
}

// Chargen sends the pattern of RFC 864 for as long as the peer takes it, and throws away what it is sent.
type Chargen struct{}

// Ready implements stack.Handler.
func (Chargen) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Ended != 0 {
		return
	}
	for p := c.Next(); len(p) > 0; p = c.Next() {
		c.Consume(len(p))
	}
	if c.EOF() {
		c.Close()
		return
	}
	if e&tcp.Opened != 0 {
		c.Repeat(pattern, cycle)
	}
}

// ServeConn implements ConnService.
func (Chargen) ServeConn(c net.Conn) {
	var reading sync.WaitGroup
	defer reading.Wait()
	defer c.Close()
	reading.Go(func() {
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close() // ends the writing
	})
	for {
		if _, err := c.Write(pattern); err != nil {
			return
		}
	}
}
