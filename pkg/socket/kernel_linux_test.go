package socket_test

import (
	"net"

	"golang.org/x/sys/unix"
)

// kernelEnded reports whether a connection of the kernel's is in CLOSED; unlike SO_ERROR, TCP_INFO leaves the error
// for the next call.
func kernelEnded(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	const closed = 7 // TCP_CLOSE
	state := uint8(closed)
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			state = info.State
		}
	})
	return state == closed
}
