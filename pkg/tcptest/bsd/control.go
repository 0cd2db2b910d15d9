package bsd

import "golang.org/x/sys/unix"

// Fcntl is fcntl(2), of F_GETFL and F_SETFL, where O_NONBLOCK counts, and of F_GETFD and F_SETFD.
func (s *Sockets) Fcntl(fd, cmd, arg int) (int, error) {
	if s.files[fd] == nil {
		return -1, unix.EBADF
	}
	k, _ := s.files[fd].(*socket)
	switch cmd {
	case unix.F_GETFD, unix.F_SETFD:
		return 0, nil
	case unix.F_GETFL:
		flags := unix.O_RDWR
		if k != nil && k.nonblock {
			flags |= unix.O_NONBLOCK
		}
		return flags, nil
	case unix.F_SETFL:
		if k != nil {
			k.nonblock = arg&unix.O_NONBLOCK != 0
		}
		return 0, nil
	}
	return -1, unix.EINVAL
}

// FIONBIO is the request of ioctl(2) that sets O_NONBLOCK.
const FIONBIO = 0x5421

// Ioctl is ioctl(2): SIOCINQ, SIOCOUTQ and SIOCOUTQNSD, whose value is the result, and FIONBIO.
func (s *Sockets) Ioctl(fd int, request uint, arg int) (int, error) {
	k, err := s.socket(fd)
	if err != nil {
		return -1, err
	}
	i, _ := k.inform()
	switch request {
	case FIONBIO:
		k.nonblock = arg != 0
		return 0, nil
	case unix.SIOCINQ, unix.SIOCOUTQ, unix.SIOCOUTQNSD:
	default:
		return -1, unix.ENOTTY
	}
	switch {
	case k.phase == listening:
		return -1, unix.EINVAL
	case !k.opened:
		return 0, nil
	case request == unix.SIOCINQ:
		a, b := k.unread()
		a, b, _ = k.urgent.bound(k.read, a, b, k.options.is(unix.SOL_SOCKET, unix.SO_OOBINLINE))
		return len(a) + len(b), nil
	case request == unix.SIOCOUTQNSD:
		return i.Unsent + k.queue.waiting(), nil
	}
	return i.Flight + i.Unsent + k.queue.waiting(), nil
}
