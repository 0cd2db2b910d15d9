package tun

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// The calls on the way of a packet go to the kernel without telling the scheduler (RawSyscall): they do not block.
// That saves less than a tenth of an empty read. Only parking tells it.

func sysRead(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

func sysWritev(fd int, iov []unix.Iovec) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	return errno
}

// sysYield lets other threads have the processor, if any wait for it.
func sysYield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// appendPart appends b to iov, unless b is empty.
func appendPart(iov []unix.Iovec, b []byte) []unix.Iovec {
	if len(b) == 0 {
		return iov
	}
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return append(iov, v)
}

// sysPark waits for readiness until a time, leaving the processor to other goroutines.
func sysPark(fds []unix.PollFd, until mono.Time) (int, unix.Errno) {
	var left *unix.Timespec
	if until != mono.Never {
		ts := unix.NsecToTimespec(max(int64(until-mono.Now()), 0))
		left = &ts
	}
	n, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)),
		uintptr(unsafe.Pointer(left)), 0, 0, 0)
	return int(n), errno
}
