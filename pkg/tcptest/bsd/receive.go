package bsd

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Message is what recvmsg tells beside the text: msg_flags and the control messages.
type Message struct {
	Flags   int
	Control []Control
}

// Control is a control message.
type Control struct {
	Level, Type int
	Data        []byte
}

// Recv is read, recv and recvfrom: 0 and no error is the end of the text.
func (s *Sockets) Recv(fd int, p []byte, flags int) (n int, err error) {
	n, _, err = s.RecvMsg(fd, [][]byte{p}, flags)
	return n, err
}

// RecvMsg is readv and recvmsg.
func (s *Sockets) RecvMsg(fd int, iov [][]byte, flags int) (n int, m Message, err error) {
	k, err := s.socket(fd)
	switch {
	case err != nil:
		return 0, m, err
	case k.phase == listening:
		return 0, m, unix.ENOTCONN
	case flags&unix.MSG_ERRQUEUE != 0:
		return 0, m, unix.EAGAIN // there is none
	case flags&unix.MSG_OOB != 0:
		n, err = k.receiveUrgent(iov, flags)
		if n > 0 {
			m.Flags = unix.MSG_OOB
		}
		return n, m, err
	}
	want := 0
	for _, p := range iov {
		want += len(p)
	}
	n, err = k.receive(iov, want, flags)
	if err == nil && k.options.is(unix.IPPROTO_TCP, unix.TCP_INQ) {
		m.Control = append(m.Control, Control{unix.SOL_TCP, unix.TCP_CM_INQ, binary.NativeEndian.AppendUint32(nil, uint32(k.inq()))})
	}
	return n, m, err
}

// receive is tcp_recvmsg: text first, then the end or the error.
func (k *socket) receive(iov [][]byte, want, flags int) (n int, err error) {
	k.on(func(stack.Conn) {}) // what is due at this time comes first
	a, b := k.unread()
	a, b, skip := k.urgent.bound(k.read, a, b, k.options.is(unix.SOL_SOCKET, unix.SO_OOBINLINE))
	if skip && len(a) == 0 {
		k.consume(1)
		return k.receive(iov, want, flags)
	}
	peek := flags&unix.MSG_PEEK != 0
	have := len(a) + len(b)
	if have > 0 {
		if flags&unix.MSG_TRUNC != 0 {
			n = min(have, want)
		} else {
			n = gather(iov, a, b)
		}
		if !peek {
			k.consume(n)
		}
		if n == want || flags&unix.MSG_WAITALL == 0 || peek || skip || k.receiveShut() {
			return n, nil
		}
		if err := k.wait(flags); err == ErrBlocked {
			return n, err
		}
		return n, nil
	}
	return 0, k.nothing(flags)
}

// nothing is what a receive gets when there is no text.
func (k *socket) nothing(flags int) error {
	switch {
	case k.eof:
		return nil
	case k.err != 0:
		return k.takeError()
	case k.receiveShut():
		return nil
	case k.phase == unconnected:
		return unix.ENOTCONN
	}
	return k.wait(flags)
}

// unread is the text that has arrived in order, in up to two pieces, which are valid until the stack is turned.
func (k *socket) unread() (a, b []byte) {
	if len(k.left) > 0 || !k.held {
		return k.left, nil
	}
	if !k.opened {
		return nil, nil
	}
	ring, read, end := k.conn.ReceiveSpace()
	n := int(end.Sub(read))
	if n == 0 || len(ring) == 0 {
		return nil, nil
	}
	i := int(uint32(read)) & (len(ring) - 1)
	if i+n <= len(ring) {
		return ring[i : i+n], nil
	}
	return ring[i:], ring[:i+n-len(ring)]
}

// consume takes n bytes off the stream.
func (k *socket) consume(n int) {
	k.read += uint64(n)
	if len(k.left) > 0 {
		k.left = k.left[n:]
		return
	}
	k.on(func(c stack.Conn) { c.Consume(n) })
}

// gather copies a and b, one behind the other, into the pieces of iov.
func gather(iov [][]byte, a, b []byte) (n int) {
	for _, p := range iov {
		k := copy(p, a)
		a = a[k:]
		if len(a) == 0 {
			j := copy(p[k:], b)
			b = b[j:]
			k += j
		}
		n += k
	}
	return n
}

// waiting is how many bytes may be read, the urgent one aside.
func (k *socket) waiting() int {
	a, b := k.unread()
	return len(a) + len(b)
}

// inq is what TCP_CM_INQ tells: what is left to read, and 1 for the end.
func (k *socket) inq() int {
	n := k.waiting()
	if k.eof {
		n++
	}
	return n
}
