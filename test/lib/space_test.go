package lib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// space is a network namespace without a name, kept by one thread. Processes are children of that thread and die
// with it, and the namespace goes with the last of them: even a test binary that panics leaves nothing.
type space struct {
	t    *testing.T
	file *os.File
	work chan func()
}

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{t: t, work: make(chan func())}
	made := make(chan error)
	go s.keep(made)
	switch err := <-made; {
	case errors.Is(err, unix.EPERM):
		t.Skipf("needs network namespaces: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.file.Close()
		close(s.work)
	})
	return s
}

// keep makes the namespace and runs what it is given within. The thread is never unlocked, so it ends with keep.
func (s *space) keep(made chan<- error) {
	runtime.LockOSThread()
	err := s.make()
	made <- err
	if err != nil {
		return
	}
	for f := range s.work {
		f()
	}
}

func (s *space) make() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace: %w", err)
	}
	var err error
	if s.file, err = os.Open(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())); err != nil {
		return err
	}
	for _, c := range []string{"all", "default"} { // packets come from where no route leads back to
		if err := sysctl("net/ipv4/conf/"+c+"/rp_filter", "0"); err != nil {
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// do runs f on the keeper's thread.
func (s *space) do(f func() error) error {
	done := make(chan error, 1)
	s.work <- func() { done <- f() }
	return <-done
}

// inside runs f in the namespace on a thread of its own, which ends with it.
func (s *space) inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// must runs f in the namespace, where it has to succeed.
func (s *space) must(f func() error) {
	s.t.Helper()
	if err := s.inside(f); err != nil {
		s.t.Fatal(err)
	}
}

// sysctl sets a variable of the calling thread's namespace; a path beneath /proc/sys.
func sysctl(path, value string) error { return os.WriteFile("/proc/sys/"+path, []byte(value), 0) }

func (s *space) sysctl(path, value string) {
	s.t.Helper()
	s.must(func() error { return sysctl(path, value) })
}

// forward makes the kernel a router.
func (s *space) forward() {
	s.t.Helper()
	s.sysctl("net/ipv4/ip_forward", "1")
}

// ip runs the ip command in the namespace, with the words of line.
func (s *space) ip(line string) {
	s.t.Helper()
	cmd := exec.Command("ip", strings.Fields(line)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := s.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		s.t.Fatalf("ip %s: %v\n%s", line, err, out.String())
	}
}

// start starts a process in the namespace; it is killed when the keeper's thread ends.
func (s *space) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s.do(cmd.Start)
}

// join connects two namespaces by a wire: device here and device there, both with an MTU.
func (s *space) join(other *space, device string, mtu int) {
	s.t.Helper()
	s.must(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = device, mtu
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: device, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(other.file.Fd()),
		})
	})
}

// dial connects the kernel's TCP to addr.
func (s *space) dial(addr netip.AddrPort) (*net.TCPConn, error) {
	var conn net.Conn
	err := s.inside(func() (err error) {
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
func (s *space) dialer(addr netip.AddrPort) func() (net.Conn, error) {
	return func() (net.Conn, error) { return s.dial(addr) }
}

// listen opens a listener of the kernel's TCP, whose Accept does not wait for ever.
func (s *space) listen(addr netip.AddrPort) *net.TCPListener {
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

// hasDevice tells whether the namespace has a device of that name.
func (s *space) hasDevice(name string) bool {
	s.t.Helper()
	err := s.inside(func() error {
		_, err := netlink.LinkByName(name)
		return err
	})
	if err != nil && !errors.As(err, new(netlink.LinkNotFoundError)) {
		s.t.Fatal(err)
	}
	return err == nil
}

// tcpStat is one of the kernel's TCP counters in the namespace (RFC 4022), by its name in /proc/net/snmp.
func (s *space) tcpStat(name string) string {
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
