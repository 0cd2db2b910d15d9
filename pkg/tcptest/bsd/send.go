package bsd

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Send is write and send.
func (s *Sockets) Send(fd int, p []byte, flags int) (n int, err error) {
	return s.SendMsg(fd, [][]byte{p}, flags, netip.AddrPort{})
}

// SendTo is sendto; to is looked at only with MSG_FASTOPEN, as in Linux.
func (s *Sockets) SendTo(fd int, p []byte, flags int, to netip.AddrPort) (n int, err error) {
	return s.SendMsg(fd, [][]byte{p}, flags, to)
}

// SendMsg is writev and sendmsg. On a blocking descriptor n and ErrBlocked tell that n bytes were taken, and that the
// rest has to wait.
func (s *Sockets) SendMsg(fd int, iov [][]byte, flags int, to netip.AddrPort) (n int, err error) {
	k, err := s.socket(fd)
	if err != nil {
		return 0, err
	}
	if k.deferred || flags&unix.MSG_FASTOPEN != 0 {
		return k.sendEarly(iov, flags, to)
	}
	switch {
	case k.phase == connecting && !k.opened && !k.ended && !k.wrShut:
		return 0, k.wait(flags)
	case k.phase == unconnected, k.phase == listening, k.err != 0, k.sendShut():
		if e := k.takeError(); e != 0 {
			return 0, e
		}
		return 0, unix.EPIPE
	}
	return k.send(iov, flags)
}

// send queues what there is room for, and sends what may go.
func (k *socket) send(iov [][]byte, flags int) (n int, err error) {
	text := slices.Concat(iov...)
	if flags&unix.MSG_OOB != 0 && len(text) > 0 {
		k.on(func(c stack.Conn) {
			k.flush(c)
			c.Urge(len(text))
		})
	}
	if n = k.take(text, flags); n == len(text) {
		return n, nil
	}
	k.noSpace = true
	if k.sendShut() || k.err != 0 {
		if n == 0 {
			return 0, unix.EPIPE
		}
		return n, nil
	}
	if err = k.wait(flags); err == unix.EAGAIN && n > 0 {
		err = nil
	}
	k.asleep = err == ErrBlocked
	return n, err
}

// connectLater is connect with TCP_FASTOPEN_CONNECT: the SYN waits for the first write, to take its text along.
func (k *socket) connectLater(a netip.AddrPort) error {
	k.deferred, k.remote, k.phase = true, a, connecting
	return nil
}

// sendEarly opens a connection with text (RFC 7413).
func (k *socket) sendEarly(iov [][]byte, flags int, to netip.AddrPort) (n int, err error) {
	if k.deferred {
		to, k.phase = k.remote, unconnected
	}
	switch {
	case k.phase == connecting && !k.opened && !k.ended:
		return 0, unix.EALREADY
	case k.phase == connecting:
		if err := k.connecting(); err != nil {
			return 0, err
		}
		return 0, unix.EISCONN
	case k.phase == connected:
		return 0, unix.EISCONN
	case k.phase == listening:
		return 0, unix.EISCONN
	case !to.IsValid():
		return 0, unix.EDESTADDRREQ
	}
	if err := k.dial(to, true, func(c stack.Conn) { n = c.Write(slices.Concat(iov...)) }); err != nil {
		return 0, err
	}
	k.phase = connecting
	if n == 0 && !k.opened {
		return 0, k.inProgress(flags)
	}
	return n, nil
}

// inProgress is what a connect gets that has begun.
func (k *socket) inProgress(flags int) error {
	if err := k.wait(flags); err == ErrBlocked {
		return err
	}
	return unix.EINPROGRESS
}

// offerSpace tells those who wait for room to write that there is some.
func (k *socket) offerSpace() {
	if k.noSpace && k.writable() {
		k.noSpace = false
		k.wake(unix.EPOLLOUT | unix.EPOLLWRNORM)
	}
}

// notSentLowat is TCP_NOTSENT_LOWAT in bytes; 0: there is no limit.
func (k *socket) notSentLowat() int {
	if v := k.options.value(unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); v != 0 {
		return int(uint32(v))
	}
	return k.sockets.opt.NotSentLowat
}
