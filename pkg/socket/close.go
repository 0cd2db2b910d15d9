package socket

import (
	"net"
	"os"
	"syscall"
	"time"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Close lets go of the connection: what was written is still sent. With text unread, or after SetLinger(0), the peer
// gets a RST. Calls under way fail with net.ErrClosed.
func (c *Conn) Close() error {
	if c.state.Or(closed)&closed != 0 {
		return c.fail("close", net.ErrClosed)
	}
	c.in.deadline.end()
	c.out.deadline.end()
	if d := time.Duration(c.until.Load()); d > 0 {
		c.linger(d)
	}
	again := false
	c.do(func(sc stack.Conn) { again = !c.letGo(sc, false) })
	if again {
		c.do(func(sc stack.Conn) { c.letGo(sc, true) })
	}
	c.in.forget()
	return nil
}

// letGo closes the connection on its shard. What is written and not yet sent is sent even before a RST, as far as the
// window allows, as from a kernel, which sends in the call of Write: so unless now is set, it reports false for a
// connection to be reset for which this turn has something to send.
func (c *Conn) letGo(sc stack.Conn, now bool) bool {
	i := sc.Info()
	linger := c.state.Load()&lingerZero != 0
	if (linger || i.Unread > 0) && i.Unsent > 0 && !now {
		return false
	}
	if linger {
		sc.Abort()
	} else {
		sc.Close()
	}
	c.gone = true
	return true
}

// linger sends the FIN and waits until the peer has acknowledged it, and with it all that was written; no longer than d.
// With text unread there is nothing to wait for: the peer gets a RST.
func (c *Conn) linger(d time.Duration) {
	waits := false
	c.do(func(sc stack.Conn) {
		if waits = sc.Info().Unread == 0; waits {
			sc.CloseWrite()
		}
	})
	if !waits {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.taken:
	case <-t.C:
	case <-c.conn.Closed():
	}
}

// abort is Close with a RST.
func (c *Conn) abort() {
	c.state.Or(lingerZero)
	c.Close() //nolint:errcheck // it is not closed yet
}

// CloseWrite sends a FIN after what was written; reading goes on.
func (c *Conn) CloseWrite() error {
	if err := c.shut(closedWrite); err != nil {
		return err
	}
	wake(c.out.ready)
	c.do(stack.Conn.CloseWrite)
	return nil
}

// CloseRead ends reading: Read returns io.EOF, and what still comes is acknowledged and forgotten.
func (c *Conn) CloseRead() error {
	if err := c.shut(closedRead); err != nil {
		return err
	}
	wake(c.in.ready)
	c.do(func(sc stack.Conn) {
		c.deaf = true
		sc.CloseRead()
	})
	c.in.forget()
	return nil
}

// shut notes that one half has been closed, on a connection that is not over.
func (c *Conn) shut(half status) error {
	switch s := c.state.Load(); {
	case s&closed != 0:
		return c.fail("close", net.ErrClosed)
	case s&sawEnd != 0:
		return c.fail("close", os.NewSyscallError("shutdown", syscall.ENOTCONN))
	}
	c.state.Or(half)
	return nil
}
