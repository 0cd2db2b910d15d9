package lib

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/test/space"
)

// netspace is a namespace whose kernel takes packets from anywhere.
type netspace struct {
	*space.Space
	t *testing.T
}

func newSpace(t *testing.T) *netspace {
	t.Helper()
	s, err := space.New(t, filterNothing)
	switch {
	case errors.Is(err, unix.EPERM):
		t.Skipf("needs network namespaces: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	return &netspace{s, t}
}

// filterNothing has the calling thread's namespace take packets from where no route leads back to.
func filterNothing() error {
	for _, c := range []string{"all", "default"} {
		if err := sysctl("net/ipv4/conf/"+c+"/rp_filter", "0"); err != nil {
			return err
		}
	}
	return nil
}

// must runs f in the namespace, where it has to succeed.
func (s *netspace) must(f func() error) {
	s.t.Helper()
	if err := s.Inside(f); err != nil {
		s.t.Fatal(err)
	}
}

// sysctl sets a variable of the calling thread's namespace; a path beneath /proc/sys.
func sysctl(path, value string) error { return os.WriteFile("/proc/sys/"+path, []byte(value), 0) }

func (s *netspace) sysctl(path, value string) {
	s.t.Helper()
	s.must(func() error { return sysctl(path, value) })
}

// forward makes the kernel a router.
func (s *netspace) forward() {
	s.t.Helper()
	s.sysctl("net/ipv4/ip_forward", "1")
}

// ip runs the ip command in the namespace, with the words of line.
func (s *netspace) ip(line string) {
	s.t.Helper()
	cmd := exec.Command("ip", strings.Fields(line)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := s.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		s.t.Fatalf("ip %s: %v\n%s", line, err, out.String())
	}
}

// join connects two namespaces by a wire: device here and device there, both with an MTU.
func (s *netspace) join(other *netspace, device string, mtu int) {
	s.t.Helper()
	s.must(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = device, mtu
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: device, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(other.FD()),
		})
	})
}

// dial connects the kernel's TCP to addr.
func (s *netspace) dial(addr netip.AddrPort) (*net.TCPConn, error) {
	var conn net.Conn
	err := s.Inside(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err = (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// dialer is how meet dials.
func (s *netspace) dialer(addr netip.AddrPort) func() (net.Conn, error) {
	return func() (net.Conn, error) { return s.dial(addr) }
}

// listen opens a listener of the kernel's TCP, whose Accept does not wait for ever.
func (s *netspace) listen(addr netip.AddrPort) *net.TCPListener {
	s.t.Helper()
	var l net.Listener
	s.must(func() (err error) {
		cfg := net.ListenConfig{KeepAlive: -1}
		cfg.SetMultipathTCP(false)
		l, err = cfg.Listen(context.Background(), "tcp", addr.String())
		return err
	})
	s.t.Cleanup(func() { l.Close() })
	if err := l.(*net.TCPListener).SetDeadline(deadline()); err != nil {
		s.t.Fatal(err)
	}
	return l.(*net.TCPListener)
}

// tcpStat is one of the kernel's TCP counters in the namespace (RFC 4022), by its name in /proc/net/snmp.
func (s *netspace) tcpStat(name string) string {
	s.t.Helper()
	var text []byte
	s.must(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case words[0] != "Tcp:":
		case names == nil:
			names = words
		default:
			for i, n := range names {
				if n == name {
					return words[i]
				}
			}
		}
	}
	s.t.Fatalf("the kernel has no counter %s", name)
	return ""
}
