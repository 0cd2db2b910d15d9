package main

// #include "calls.h"
import "C"

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// blocked is what a call returns that has to wait.
const blocked = C.BLOCKED

// code is what C gets of a result and an error.
func code(n int, err error) C.long {
	var errno syscall.Errno
	switch {
	case err == nil:
		return C.long(n)
	case err == bsd.ErrBlocked:
		return blocked
	case errors.As(err, &errno):
		return -C.long(errno)
	}
	return -C.long(unix.EIO)
}

// bytesAt are the n bytes that C has at p.
func bytesAt(p unsafe.Pointer, n int) []byte {
	if p == nil || n <= 0 {
		return nil
	}
	return unsafe.Slice((*byte)(p), n)
}

const sizeofAddr = unix.SizeofSockaddrInet4

// address reads a struct sockaddr_in; AF_UNSPEC is the zero address.
func address(p unsafe.Pointer, n C.uint) (netip.AddrPort, error) {
	b := bytesAt(p, int(n))
	switch {
	case len(b) < 2:
		return netip.AddrPort{}, unix.EINVAL
	case binary.NativeEndian.Uint16(b) == unix.AF_UNSPEC:
		return netip.AddrPort{}, nil
	case binary.NativeEndian.Uint16(b) != unix.AF_INET:
		return netip.AddrPort{}, unix.EAFNOSUPPORT
	case len(b) < 8:
		return netip.AddrPort{}, unix.EINVAL
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), nil
}

// putAddress writes one, as far as there is room for it.
func putAddress(p unsafe.Pointer, n *C.uint, a netip.AddrPort) {
	if p == nil || n == nil {
		return
	}
	var b [sizeofAddr]byte
	binary.NativeEndian.PutUint16(b[:], unix.AF_INET)
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if a.Addr().Is4() {
		ip := a.Addr().As4()
		copy(b[4:], ip[:])
	}
	copy(bytesAt(p, int(*n)), b[:])
	*n = sizeofAddr
}

//export tcpdOurs
func tcpdOurs(fd C.int) C.int {
	if sockets != nil && sockets.Has(int(fd)) {
		return 1
	}
	return 0
}

//export tcpdSocket
func tcpdSocket(domain, typ, protocol C.int) C.long {
	if err := begin(); err != nil {
		return code(0, err)
	}
	return code(sockets.Socket(int(domain), int(typ), int(protocol)))
}

//export tcpdBind
func tcpdBind(fd C.int, sa unsafe.Pointer, n C.uint) C.long {
	a, err := address(sa, n)
	if err != nil {
		return code(0, err)
	}
	return code(0, sockets.Bind(int(fd), a))
}

//export tcpdListen
func tcpdListen(fd, backlog C.int) C.long { return code(0, sockets.Listen(int(fd), int(backlog))) }

//export tcpdAccept
func tcpdAccept(fd C.int, sa unsafe.Pointer, n *C.uint) C.long {
	k, peer, err := sockets.Accept(int(fd), 0)
	if err == nil {
		putAddress(sa, n, peer)
	}
	return code(k, err)
}

//export tcpdConnect
func tcpdConnect(fd C.int, sa unsafe.Pointer, n C.uint) C.long {
	a, err := address(sa, n)
	if err != nil {
		return code(0, err)
	}
	return code(0, sockets.Connect(int(fd), a))
}

//export tcpdFcntl
func tcpdFcntl(fd, cmd C.int, arg C.long) C.long {
	return code(sockets.Fcntl(int(fd), int(cmd), int(arg)))
}

//export tcpdIoctl
func tcpdIoctl(fd C.int, request C.ulong, arg *C.int) C.long {
	in := 0
	if arg != nil {
		in = int(*arg)
	}
	v, err := sockets.Ioctl(int(fd), uint(request), in)
	if err == nil && arg != nil && request != bsd.FIONBIO {
		*arg = C.int(v)
	}
	return code(0, err)
}

//export tcpdClose
func tcpdClose(fd C.int) C.long { return code(0, sockets.Close(int(fd))) }

//export tcpdShutdown
func tcpdShutdown(fd, how C.int) C.long { return code(0, sockets.Shutdown(int(fd), int(how))) }

//export tcpdGetsockopt
func tcpdGetsockopt(fd, level, name C.int, value unsafe.Pointer, n *C.uint) C.long {
	if n == nil {
		return code(0, unix.EFAULT)
	}
	tcpdTurn() // what is told of times is as of now
	k, err := sockets.Getsockopt(int(fd), int(level), int(name), bytesAt(value, int(*n)))
	if err == nil {
		*n = C.uint(k)
	}
	return code(0, err)
}

//export tcpdSetsockopt
func tcpdSetsockopt(fd, level, name C.int, value unsafe.Pointer, n C.uint) C.long {
	return code(0, sockets.Setsockopt(int(fd), int(level), int(name), bytesAt(value, int(n))))
}

//export tcpdPoll
func tcpdPoll(fds unsafe.Pointer, n C.ulong) C.long {
	return code(sockets.Poll(unsafe.Slice((*unix.PollFd)(fds), int(n))), nil)
}

//export tcpdEpollCreate
func tcpdEpollCreate(size C.int) C.long {
	if size <= 0 {
		return code(0, unix.EINVAL)
	}
	if err := begin(); err != nil {
		return code(0, err)
	}
	return code(sockets.EpollCreate())
}

//export tcpdEpollCtl
func tcpdEpollCtl(ep, op, fd C.int, e unsafe.Pointer) C.long {
	var event unix.EpollEvent
	if e != nil {
		event = *(*unix.EpollEvent)(e)
	}
	return code(0, sockets.EpollCtl(int(ep), int(op), int(fd), event))
}

//export tcpdEpollWait
func tcpdEpollWait(ep C.int, list unsafe.Pointer, most C.int) C.long {
	if most <= 0 {
		return code(0, unix.EINVAL)
	}
	return code(sockets.EpollWait(int(ep), unsafe.Slice((*unix.EpollEvent)(list), int(most))))
}
