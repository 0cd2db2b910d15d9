package tun

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

const clonePath = "/dev/net/tun"

// attachment is the descriptors of a TUN's queues, and what the kernel made of our wishes.
type attachment struct {
	name string
	fds  []int
	vnet bool // packets carry virtio headers, and the device's offloads are on
}

func (a *attachment) close() {
	for _, fd := range a.fds {
		_ = unix.Close(fd)
	}
}

// attach opens the queues of cfg on the device, which it makes if there is none; found is the device as it is, nil
// if there is none. vnet asks for virtio headers and offloads.
//
// water cannot ask for IFF_VNET_HDR, but the first queue of a device decides for all: a primer attached before
// water's does.
func attach(cfg *Config, found *existing, vnet bool) (*attachment, error) {
	multi := found == nil || found.multiQueue
	a := &attachment{name: cfg.Name}
	if multi {
		fd, err := prime(cfg, found, vnet)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		if a.name, err = deviceName(fd); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Queues {
		fd, err := openWater(a.name, multi)
		if err != nil {
			a.close()
			return nil, attachError(cfg.Name, i, err)
		}
		a.fds = append(a.fds, fd)
		if found != nil && found.persistent { // water cleared it
			if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
				a.close()
				return nil, fmt.Errorf("tun: keep %s persistent: %w", cfg.Name, err)
			}
		}
	}
	if err := a.negotiate(vnet && multi); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// prime attaches a queue that decides on the device's flags.
func prime(cfg *Config, found *existing, vnet bool) (int, error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, attachError(cfg.Name, 0, &os.PathError{Op: "open", Path: clonePath, Err: err})
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE)
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	if found == nil {
		flags |= unix.IFF_TUN_EXCL // nobody may make it between our look and now
	}
	req, err := unix.NewIfreq(cfg.Name)
	if err == nil {
		req.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, attachError(cfg.Name, 0, err)
	}
	return fd, nil
}

// openWater attaches a queue through water, and takes a descriptor of water's open file.
//
// water's descriptor sits in the Go runtime's poller, where each packet would wake a second thread for nothing: an
// echo took 22 us that way, and takes 13. Children inherit it, too, and would keep the device alive. With a
// duplicate neither happens, and the open file is still the one that water made.
func openWater(name string, multi bool) (int, error) {
	// water's descriptor is not closed on exec: a child that is forked meanwhile would keep the queue.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dev, err := water.New(water.Config{
		DeviceType:             water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name, MultiQueue: multi},
	})
	if err != nil {
		return -1, err
	}
	defer dev.Close()
	return duplicate(dev.ReadWriteCloser)
}

func duplicate(file io.ReadWriteCloser) (int, error) {
	f, ok := file.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("tun: water's %T has no descriptor", file)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup := -1
	if cerr := raw.Control(func(fd uintptr) {
		dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil {
		return -1, cerr
	}
	return dup, err
}

// negotiate sets the device's offloads and reads back whether packets carry headers.
func (a *attachment) negotiate(vnet bool) error {
	offloads := 0
	if vnet {
		offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4
	}
	for _, fd := range a.fds {
		flags, err := deviceFlags(fd)
		if err != nil {
			return fmt.Errorf("tun: read the flags of %s: %w", a.name, err)
		}
		if on := flags&unix.IFF_VNET_HDR != 0; on != vnet {
			return fmt.Errorf("tun: %s: virtio headers are %v on a queue, not %v: %w", a.name, on, vnet, errNoOffload)
		}
	}
	if err := unix.IoctlSetInt(a.fds[0], unix.TUNSETOFFLOAD, offloads); err != nil && vnet {
		return fmt.Errorf("tun: switch on the offloads of %s: %w (%w)", a.name, errNoOffload, err)
	}
	a.vnet = vnet
	return nil
}

// errNoOffload: the kernel, or the device as it was prepared, cannot do it; plain frames may.
var errNoOffload = errors.New("no offload")

func deviceFlags(fd int) (uint16, error) {
	req, err := getIff(fd)
	if err != nil {
		return 0, err
	}
	return req.Uint16(), nil
}

func deviceName(fd int) (string, error) {
	req, err := getIff(fd)
	if err != nil {
		return "", err
	}
	return req.Name(), nil
}

func getIff(fd int) (*unix.Ifreq, error) {
	req, err := unix.NewIfreq("x") // overwritten
	if err != nil {
		return nil, err
	}
	return req, unix.IoctlIfreq(fd, unix.TUNGETIFF, req)
}
