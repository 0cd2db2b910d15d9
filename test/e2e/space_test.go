package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// space is a network namespace without a name, kept by one thread. Processes are children of that thread and die
// with it, and the namespace goes with the last of them: even a test binary that panics leaves nothing.
type space struct {
	t    *testing.T
	path string // names the namespace for another process
	file *os.File
	work chan func()
}

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{t: t, work: make(chan func())}
	made := make(chan error)
	go s.keep(made)
	if err := <-made; err != nil {
		t.Fatalf("network namespace: %v", err)
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

// make gives the thread a network of its own, and a /sys that shows it.
func (s *space) make() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	s.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	var err error
	if s.file, err = os.Open(s.path); err != nil {
		return err
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

// start starts a process in the namespace; it is killed when the keeper's thread ends.
func (s *space) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s.do(cmd.Start)
}

// output runs a command to its end and returns what it wrote to stdout and stderr.
func (s *space) output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out := &output{}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := s.start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// command is output for a command that must succeed.
func (s *space) command(name string, args ...string) string {
	s.t.Helper()
	out, err := s.output(name, args...)
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// dial connects the kernel's TCP to addr.
func (s *space) dial(d net.Dialer, addr string) (*net.TCPConn, error) {
	var conn net.Conn
	err := s.inside(func() (err error) {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		conn, err = d.DialContext(ctx, "tcp4", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// listen opens a listener of the kernel's TCP.
func (s *space) listen(addr string) (*net.TCPListener, error) {
	var l net.Listener
	err := s.inside(func() (err error) {
		l, err = net.Listen("tcp4", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener), nil
}

// hasDevice tells whether the namespace has a device of that name.
func (s *space) hasDevice(name string) bool {
	s.t.Helper()
	err := s.inside(func() error {
		_, err := netlink.LinkByName(name)
		return err
	})
	var missing netlink.LinkNotFoundError
	if err != nil && !errors.As(err, &missing) {
		s.t.Fatal(err)
	}
	return err == nil
}
