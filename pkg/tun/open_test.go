package tun

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ipCommand runs iproute2, whose words the warnings use.
func ipCommand(t testing.TB, line string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

func exists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

func TestDeviceIsAsConfigured(t *testing.T) {
	inNamespace(t)
	far := netip.MustParsePrefix("192.0.2.0/24")
	dev := mustOpen(t, Config{Queues: 2, MTU: 9000, TxQueueLen: 77, Offload: On,
		Routes: []netip.Prefix{far, netip.MustParsePrefix("10.7.0.128/25")}})
	l, err := netlink.LinkByName(dev.Name())
	if err != nil {
		t.Fatal(err)
	}
	if a := l.Attrs(); a.MTU != 9000 || a.TxQLen != 77 || a.Flags&net.FlagUp == 0 {
		t.Errorf("%+v", a)
	}
	if got := l.(*netlink.Tuntap); got.Queues != 2 || !got.NonPersist || got.Flags&netlink.TUNTAP_VNET_HDR == 0 {
		t.Errorf("%+v", got)
	}
	if got := dev.Link(); got.MTU != 9000 || len(got.Queues) != 2 || got.Superframe != 65535 || !got.Checksum {
		t.Errorf("%+v", got)
	}
	routes, err := netlink.RouteList(l, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	if len(routes) != 2 { // the part of Host's network needs none
		t.Errorf("routes: %v", routes)
	}
	for _, d := range dev.devices {
		flags, err := unix.FcntlInt(uintptr(d.fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("a child would inherit the queue: %x, %v", flags, err)
		}
	}
	if n, err := dev.Drops(); err != nil || n != 0 {
		t.Errorf("Drops: %d, %v", n, err)
	}
	if err := dev.Close(); err != nil || exists("tcpd0") {
		t.Errorf("after Close the device is there: %v", err)
	}
}

func TestKernelChoosesAName(t *testing.T) {
	inNamespace(t)
	dev, err := Open(Config{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if dev.Name() == "" || !exists(dev.Name()) {
		t.Errorf("name %q", dev.Name())
	}
}

func TestPersistentDeviceStaysAsItWas(t *testing.T) {
	inNamespace(t)
	ipCommand(t, "tuntap add dev tcpd0 mode tun multi_queue vnet_hdr")
	for _, added := range []string{"", "address add 10.7.0.1/24 dev tcpd0"} {
		if added != "" {
			ipCommand(t, added)
		}
		before := addresses(t)
		dev := mustOpen(t, Config{Queues: 3, Offload: On, Routes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if !exists("tcpd0") {
			t.Fatal("the device has gone")
		}
		if after := addresses(t); after != before {
			t.Errorf("addresses were %q, are %q", before, after)
		}
	}
}

func addresses(t *testing.T) string {
	t.Helper()
	l, err := netlink.LinkByName("tcpd0")
	if err != nil {
		t.Fatal(err)
	}
	all, err := netlink.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, a := range all {
		s = append(s, a.IPNet.String())
	}
	return strings.Join(s, " ")
}

func TestSingleQueueDeviceGivesPlainFrames(t *testing.T) {
	for _, kind := range []string{"", " vnet_hdr"} {
		inNamespace(t)
		ipCommand(t, "tuntap add dev tcpd0 mode tun"+kind)
		const line = "ip tuntap add dev tcpd0 mode tun multi_queue vnet_hdr"
		var warned []string
		dev := mustOpen(t, Config{Warn: func(s string) { warned = append(warned, s) }})
		if dev.Offloaded() || dev.Link().Superframe != 0 || !dev.Link().Checksum {
			t.Errorf("offload on a single queue: %+v", dev.Link())
		}
		if len(warned) != 1 || !strings.Contains(warned[0], line) {
			t.Errorf("warned %q", warned)
		}
		dev.Close()
		if !exists("tcpd0") {
			t.Error("the device has gone")
		}
		for _, cfg := range []Config{{Offload: On}, {Queues: 2}} {
			cfg.Name, cfg.Host = "tcpd0", host
			if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), line) {
				t.Errorf("%+v: %v", cfg, err)
			}
		}
	}
}

func TestMultiQueueDeviceWithoutHeadersGetsThem(t *testing.T) {
	inNamespace(t)
	ipCommand(t, "tuntap add dev tcpd0 mode tun multi_queue")
	if dev := mustOpen(t, Config{}); !dev.Offloaded() {
		t.Error("no offload")
	}
}

func TestNameIsTaken(t *testing.T) {
	inNamespace(t)
	ipCommand(t, "tuntap add dev tap0 mode tap")
	mustOpen(t, Config{Name: "busy"})
	single := mustSingle(t, "single")
	defer unix.Close(single)
	for _, c := range []struct {
		name  string
		errno syscall.Errno
		text  string
	}{
		{"lo", unix.EINVAL, "of type "},
		{"tap0", unix.EINVAL, "type tap"},
		{"busy", unix.EBUSY, "another program"},
		{"single", unix.EBUSY, "another program"},
	} {
		_, err := Open(Config{Name: c.name, Host: netip.MustParsePrefix("10.8.0.1/24"), Offload: Off})
		if !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// mustSingle makes a device of one queue without water.
func mustSingle(t *testing.T, name string) int {
	t.Helper()
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestConflictsNameTheInterface(t *testing.T) {
	inNamespace(t)
	ipCommand(t, "tuntap add dev lan mode tun")
	ipCommand(t, "address add 10.7.0.1/16 dev lan")
	ipCommand(t, "link set lan up")
	ipCommand(t, "route add 192.0.2.0/24 dev lan")
	ipCommand(t, "route add 10.9.0.0/25 dev lan")
	for _, c := range []struct{ host, route, want string }{
		{"10.7.0.1/24", "198.51.100.0/24", "address 10.7.0.1 is already on lan"},
		{"10.7.9.1/16", "198.51.100.0/24", "10.7.0.0/16 is already routed to lan"},
		{"10.8.0.1/24", "192.0.2.0/24", "192.0.2.0/24 is already routed to lan"},
	} {
		_, err := Open(Config{Name: "tcpd0", Host: netip.MustParsePrefix(c.host),
			Routes: []netip.Prefix{netip.MustParsePrefix(c.route)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
		if exists("tcpd0") {
			t.Error("the device was left behind")
		}
	}
	for host, want := range map[string]string{
		"10.9.0.1/24": "10.9.0.0/25, a part of 10.9.0.0/24, stays routed to lan",
		"10.7.9.1/24": "10.7.9.0/24 is taken out of 10.7.0.0/16, which is routed to lan",
	} {
		var warned string
		mustOpen(t, Config{Host: netip.MustParsePrefix(host), Warn: func(s string) { warned += s }}).Close()
		if warned != want {
			t.Errorf("%s: warned %q", host, warned)
		}
	}
}

// opener opens the prepared device without privileges, with a wish that it may not have fulfilled.
func opener() {
	dev, err := Open(Config{Name: "tcpd0", Host: host, Offload: On, MTU: 1400, Warn: func(s string) { println(s) }})
	if err == nil {
		println("opened with MTU", dev.Link().MTU)
	} else {
		println(err.Error())
	}
	_, err = Open(Config{Name: "tcpd1", Host: netip.MustParsePrefix("10.8.0.1/24")})
	println(err.Error())
}

func TestWithoutPrivileges(t *testing.T) {
	inNamespace(t)
	ipCommand(t, "tuntap add dev tcpd0 mode tun multi_queue vnet_hdr user 65534")
	ipCommand(t, "address add 10.7.0.1/24 dev tcpd0")
	ipCommand(t, "link set tcpd0 up txqueuelen 1000")
	node, err := os.Stat(clonePath)
	if err != nil {
		t.Fatal(err)
	}
	c := role(t, "opener")
	c.Stderr = nil
	cred := &syscall.Credential{Uid: 65534, Gid: 65534}
	want := []string{"stays 1500", "opened with MTU 1500", "run as root or give CAP_NET_ADMIN"}
	if node.Mode().Perm()&0o006 != 0o006 {
		want = []string{"/dev/net/tun: permission denied: run as root, or give the user access to /dev/net/tun"}
	}
	copyTo := t.TempDir() + "/test"
	if b, err := os.ReadFile("/proc/self/exe"); err != nil || os.WriteFile(copyTo, b, 0o755) != nil {
		t.Fatal(err)
	}
	for dir := copyTo; len(dir) > len(os.TempDir())+1; dir = dir[:strings.LastIndexByte(dir, '/')] {
		_ = os.Chmod(dir, 0o755)
	}
	c.Path, c.SysProcAttr, c.Dir = copyTo, &syscall.SysProcAttr{Credential: cred}, "/"
	out, err := c.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("needs a temporary directory that every user may enter")
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("no %q in %v\n%s", w, err, out)
		}
	}
}
