//go:build cgo

package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// offloads reports whether superframes are left whole up to a device of the namespace (GSO). Scripts turn that off on the
// device that would be the tool's (ethtool -K tun0 tso off gso off), of which there is only the name here. Where there is
// no such device nobody has.
func offloads(device string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	value := struct{ cmd, data uint32 }{unix.ETHTOOL_GGSO, 1} // struct ethtool_value
	var request struct {                                      // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	request.data = unsafe.Pointer(&value)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	return errno != 0 || value.data != 0
}
