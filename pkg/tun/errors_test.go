package tun

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAttachErrorsSayWhatToDo(t *testing.T) {
	open := func(errno unix.Errno) error { return &fs.PathError{Op: "open", Path: clonePath, Err: errno} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{unix.EPERM, "tun: attach tcpd0 queue 3: operation not permitted: run as root or give CAP_NET_ADMIN"},
		{os.NewSyscallError("ioctl", unix.EPERM),
			"tun: attach tcpd0 queue 3: operation not permitted: run as root or give CAP_NET_ADMIN"},
		{unix.EBUSY, "device or resource busy: another program uses this device"},
		{unix.EINVAL, "not a TUN"},
		{unix.E2BIG, "ask for fewer"},
		{open(unix.ENOENT), "open /dev/net/tun: no such file or directory: load the driver (modprobe tun)"},
		{open(unix.ENODEV), "modprobe tun"},
		{open(unix.EACCES), "permission denied: run as root, or give the user access to /dev/net/tun"},
		{errors.New("odd"), "tun: attach tcpd0 queue 3: odd"},
	} {
		err := attachError("tcpd0", 3, c.err)
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q has no %q", err, c.want)
		}
		var errno unix.Errno
		if errors.As(c.err, &errno) && !errors.Is(err, errno) {
			t.Errorf("%q has lost its errno", err)
		}
	}
	if err := configureError("set tcpd0 up", unix.EPERM); !strings.Contains(err.Error(), "CAP_NET_ADMIN, or prepare") {
		t.Error(err)
	}
}

func TestBadConfigIsToldWhole(t *testing.T) {
	_, err := Open(Config{
		Name:       "a/name:far too long",
		Host:       netip.MustParsePrefix("fe80::1/64"),
		Routes:     []netip.Prefix{{}, netip.MustParsePrefix("::/0")},
		MTU:        67,
		Queues:     256,
		TxQueueLen: -1,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"is 19 bytes long: an interface's name has at most 15", "no slash", "MTU 67 is outside 68 to 65535",
		"256 queues: a device has 1 to 255", "length -1 is negative", "host fe80::1/64 is not", "route ::/0 is not",
		"route invalid Prefix is not",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}
