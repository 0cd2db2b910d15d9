package socket

import "github.com/tcpd-project/tcpd/pkg/stack"

// WriteUrgent is Write for text that the peer's user is told of before he comes to it (RFC 6093): the text stays in line.
func (c *Conn) WriteUrgent(p []byte) (n int, err error) {
	if err := c.out.lock.acquire(&c.out.deadline, c.writable); err != nil {
		return 0, err
	}
	defer c.out.lock.release()
	if err := c.writable(); err != nil {
		return 0, err
	}
	c.do(func(sc stack.Conn) { sc.Urge(len(p)) }) // before any of it can be sent
	return c.write(p)
}

// Urgent delivers a word when the peer has announced urgent text that has not been read.
func (c *Conn) Urgent() <-chan struct{} { return c.urgent }

// UrgentLeft is how many bytes, of those unread or still to come, the peer has called urgent.
func (c *Conn) UrgentLeft() (n int) {
	c.do(func(sc stack.Conn) { n = sc.UrgentLeft() })
	return n
}
