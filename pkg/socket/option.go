package socket

import (
	"net"
	"os"
	"syscall"
	"time"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// set calls f on the shard for a setter. On a connection that is over it does nothing, and that is no error.
func (c *Conn) set(f func(stack.Conn)) error {
	if err := c.unlessClosed(); err != nil {
		return err
	}
	c.do(f)
	return nil
}

func (c *Conn) unlessClosed() error {
	if c.state.Load()&closed != 0 {
		return c.fail("set", net.ErrClosed)
	}
	return nil
}

// SetLinger says what Close does with what was written and is not yet acknowledged. Below 0, the default, it returns at
// once, and the text is sent in the background. With 0 it aborts the connection with a RST. Above 0 it waits until the peer
// has acknowledged all, for so many seconds at most; then, as with Linux, the rest is sent in the background.
func (c *Conn) SetLinger(sec int) error {
	if sec == 0 {
		c.state.Or(lingerZero)
	} else {
		c.state.And(^lingerZero)
	}
	c.until.Store(int64(max(sec, 0)) * int64(time.Second))
	return c.unlessClosed()
}

// SetUserTimeout sets how long the peer may make no progress before the connection is given up with ETIMEDOUT (Linux's
// TCP_USER_TIMEOUT): text unacknowledged, a window closed to text that waits, keep-alive probes unanswered. 0 leaves it to
// the number of time-outs.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	return c.set(func(sc stack.Conn) { sc.SetUserTimeout(d) })
}

// SetLinger2 sets how long FIN-WAIT-2 lasts after Close (Linux's TCP_LINGER2).
func (c *Conn) SetLinger2(d time.Duration) error {
	return c.set(func(sc stack.Conn) { sc.SetFinTimeout(d) })
}

// SetCork holds back all but full segments, or lets go of the rest (Linux's TCP_CORK). A piece waits 200 ms at most.
func (c *Conn) SetCork(on bool) error {
	return c.set(func(sc stack.Conn) { sc.SetCork(on) })
}

// SetQuickAck lets the next segments be acknowledged at once, or as usual (Linux's TCP_QUICKACK).
func (c *Conn) SetQuickAck(on bool) error {
	return c.set(func(sc stack.Conn) { sc.SetQuickAck(on) })
}

// SetDSCP sets the Differentiated Services codepoint (RFC 2474) of what is sent from now on: 0 to 63, otherwise it fails
// with EINVAL.
func (c *Conn) SetDSCP(codepoint int) error {
	if codepoint < 0 || codepoint > 63 {
		return c.fail("set", os.NewSyscallError("setsockopt", syscall.EINVAL))
	}
	return c.set(func(sc stack.Conn) { sc.SetDSCP(uint8(codepoint)) })
}

// SetNoDelay turns Nagle's algorithm off, which is the default whatever the stack's settings say, or on.
func (c *Conn) SetNoDelay(noDelay bool) error {
	return c.set(func(sc stack.Conn) { sc.SetNoDelay(noDelay) })
}

// keepAlive is how an idle connection is probed; times not set are the stack's.
type keepAlive struct {
	chosen         bool
	idle, interval time.Duration
	count          uint8
}

func (c *Conn) keepAliveTimes(sc stack.Conn) *keepAlive {
	k := &c.keep
	if !k.chosen {
		k.chosen = true
		k.idle, k.interval, k.count = sc.KeepAliveTimes()
	}
	return k
}

// SetKeepAlive turns the probing of an idle connection on, or off.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.set(func(sc stack.Conn) {
		if !on {
			sc.SetKeepAlive(0, 0, 0)
			return
		}
		k := c.keepAliveTimes(sc)
		sc.SetKeepAlive(k.idle, k.interval, k.count)
	})
}

// SetKeepAlivePeriod turns keep-alive on with d as both the idle time and the interval between probes.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: d, Count: -1})
}

// What net.KeepAliveConfig says of zero fields.
const (
	keepAliveTime  = 15 * time.Second
	keepAliveCount = 9
)

// SetKeepAliveConfig sets keep-alive as net.KeepAliveConfig describes it: zero fields are 15 s, 15 s and 9; negative
// ones leave what there is.
func (c *Conn) SetKeepAliveConfig(cfg net.KeepAliveConfig) error {
	if !cfg.Enable {
		return c.SetKeepAlive(false)
	}
	return c.set(func(sc stack.Conn) {
		k := c.keepAliveTimes(sc)
		choose(&k.idle, cfg.Idle)
		choose(&k.interval, cfg.Interval)
		switch {
		case cfg.Count == 0:
			k.count = keepAliveCount
		case cfg.Count > 0:
			k.count = uint8(min(cfg.Count, 255))
		}
		sc.SetKeepAlive(k.idle, k.interval, k.count)
	})
}

func choose(v *time.Duration, set time.Duration) {
	switch {
	case set == 0:
		*v = keepAliveTime
	case set > 0:
		*v = set
	}
}

// minBuffer is the least size of a buffer in bytes, as Linux has one.
const minBuffer = 4 << 10

// SetReadBuffer sets the most bytes of text kept unread: 4 KiB at least, and two units of the scaled window, since
// that of less would never open.
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.set(func(sc stack.Conn) {
		sc.SetBuffers(0, max(bytes, minBuffer, 2<<sc.Info().ReceiveScale))
		c.publish(sc)
	})
}

// SetWriteBuffer sets the most bytes of text queued, 4 KiB at least.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.set(func(sc stack.Conn) {
		sc.SetBuffers(max(bytes, minBuffer), 0)
		c.publish(sc)
	})
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.unlessClosed(); err != nil {
		return err
	}
	c.in.deadline.set(t)
	c.out.deadline.set(t)
	return nil
}

// SetReadDeadline sets the time after which Read fails with os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.unlessClosed(); err != nil {
		return err
	}
	c.in.deadline.set(t)
	return nil
}

// SetWriteDeadline sets the time after which Write fails with os.ErrDeadlineExceeded.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if err := c.unlessClosed(); err != nil {
		return err
	}
	c.out.deadline.set(t)
	return nil
}
