package bsd

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Close is close(2). With SO_LINGER it returns ErrBlocked until the peer has acknowledged all, or the time is over.
func (s *Sockets) Close(fd int) error {
	switch f := s.files[fd].(type) {
	case nil:
		return unix.EBADF
	case *socket:
		if f.linger() {
			return ErrBlocked
		}
		f.let()
		delete(s.all, f)
	}
	s.release(fd)
	return nil
}

// linger begins, or goes on, to wait for the peer to acknowledge all; false when there is nothing to wait for any more.
func (k *socket) linger() bool {
	l := k.options.linger
	switch {
	case !k.held || !k.opened || l.Onoff == 0 || l.Linger == 0 || k.waiting() > 0:
		return false
	case k.lingers == 0:
		k.wrShut = true
		k.on(func(c stack.Conn) {
			k.flush(c)
			c.CloseWrite()
		})
		k.lingers = k.sockets.now().Add(time.Duration(l.Linger) * time.Second)
	}
	return k.held && !k.finished && k.sockets.now() < k.lingers
}

// let lets go of the connection.
func (k *socket) let() {
	k.unlisten()
	if k.options.linger.Onoff != 0 && k.options.linger.Linger == 0 {
		k.abort()
		return
	}
	k.on(func(c stack.Conn) {
		k.flush(c)
		k.held = false
		if len(k.left) > 0 {
			c.Abort() // unread text that the connection does not know of any more
			return
		}
		c.Close()
	})
}

// Shutdown is shutdown(2).
func (s *Sockets) Shutdown(fd, how int) error {
	k, err := s.socket(fd)
	switch {
	case err != nil:
		return err
	case how != unix.SHUT_RD && how != unix.SHUT_WR && how != unix.SHUT_RDWR:
		return unix.EINVAL
	case k.phase == listening:
		if how != unix.SHUT_WR {
			k.disconnect()
		}
		return nil
	case !k.held || k.tcpInfo().State == unix.BPF_TCP_TIME_WAIT:
		k.wake(0)
		return unix.ENOTCONN
	case k.tcpInfo().State == unix.BPF_TCP_SYN_SENT:
		k.disconnect()
		return nil
	}
	k.rdShut = k.rdShut || how != unix.SHUT_WR
	k.wrShut = k.wrShut || how != unix.SHUT_RD
	k.on(k.shut)
	k.wake(0)
	return nil
}

// shut carries out what has been shut. What has been read-shut alone is still received, as in Linux; with both directions
// shut, text that arrives later is answered by a RST (RFC 1122 section 4.2.2.13).
func (k *socket) shut(c stack.Conn) {
	if k.wrShut {
		k.flush(c)
		c.CloseWrite()
	}
	if k.rdShut && k.wrShut {
		k.keep(c)
		c.CloseRead()
	}
}
