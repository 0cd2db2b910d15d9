package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// attachError says which queue could not be attached, why, and what to do.
func attachError(name string, queue int, err error) error {
	if name == "" {
		name = "a new device"
	}
	return withHint(fmt.Errorf("tun: attach %s queue %d: %w", name, queue, bare(err)), attachHint(err))
}

// configureError says which step failed, why, and what to do.
func configureError(step string, err error) error {
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = "run as root or give CAP_NET_ADMIN, or prepare the device beforehand"
	}
	return withHint(fmt.Errorf("tun: %s: %w", step, err), hint)
}

func withHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}

// bare returns err without the name of the system call, which says less than we do.
func bare(err error) error {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}

func attachHint(err error) string {
	var path *fs.PathError
	missing := errors.As(err, &path)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV) && missing, errors.Is(err, unix.ENXIO):
		return "load the driver (modprobe tun), make the node (mkdir -p /dev/net && mknod /dev/net/tun c 10 200), " +
			"or give it to the container (--device /dev/net/tun)"
	case errors.Is(err, fs.ErrPermission) && missing:
		return "run as root, or give the user access to " + clonePath + " (in a container: --device /dev/net/tun)"
	case errors.Is(err, fs.ErrPermission):
		return "run as root or give CAP_NET_ADMIN"
	case errors.Is(err, unix.EBUSY):
		return "another program uses this device: stop it or choose another name"
	case errors.Is(err, unix.EINVAL):
		return "this name belongs to a device that is not a TUN of this kind: choose another name"
	case errors.Is(err, unix.E2BIG):
		return "the device has no more queues: ask for fewer"
	}
	return ""
}
