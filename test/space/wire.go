package space

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// PacketSocket is a packet socket on a device of the namespace, without link headers: what is written goes straight to
// the device's reader, past all checks of the kernel; what is read is IPv4 of both ways. It is closed with the test.
func (s *Space) PacketSocket(device string) (*os.File, error) {
	var file *os.File
	err := s.Inside(func() error {
		link, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), device)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
			return err
		}
		const ipv4 = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8 // in network order
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: link.Index})
	})
	if file != nil {
		s.t.Cleanup(func() { file.Close() })
	}
	return file, err
}
