// Package space is what the tests on real devices share: network namespaces that end with the test, however it ends,
// what those tests need of the machine, and running many things at once in them. It is imported by tests alone.
package space

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Space is a network namespace without a name, kept by one thread. Processes are children of that thread and die
// with it, and the namespace goes with the last of them: even a test binary that panics leaves nothing.
type Space struct {
	t    testing.TB
	file *os.File
	work chan func()
}

// New makes a namespace for the length of the test, with its loopback device up. What setup does is done by the
// thread that keeps the namespace, within it, before anything else runs there.
func New(t testing.TB, setup func() error) (*Space, error) {
	s := &Space{t: t, work: make(chan func())}
	made := make(chan error)
	go s.keep(made, setup)
	if err := <-made; err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		s.file.Close()
		close(s.work)
	})
	return s, nil
}

// keep makes the namespace and runs what it is given within. The thread is never unlocked, so it ends with keep.
func (s *Space) keep(made chan<- error, setup func() error) {
	runtime.LockOSThread()
	err := s.make(setup)
	made <- err
	if err != nil {
		return
	}
	for f := range s.work {
		f()
	}
}

func (s *Space) make(setup func() error) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace: %w", err)
	}
	if err := setup(); err != nil {
		return err
	}
	if err := setUp("lo"); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	var err error
	s.file, err = os.Open(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
	return err
}

// setUp sets a device of the calling thread's namespace up.
func setUp(device string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return err
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// FD is a descriptor of the namespace, open until the test ends.
func (s *Space) FD() int { return int(s.file.Fd()) }

// Do runs f on the keeper's thread.
func (s *Space) Do(f func() error) error {
	done := make(chan error, 1)
	s.work <- func() { done <- f() }
	return <-done
}

// Inside runs f in the namespace on a thread of its own, which ends with it.
func (s *Space) Inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(s.FD(), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// Start starts a process in the namespace; it is killed when the keeper's thread ends.
func (s *Space) Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s.Do(cmd.Start)
}

// HasDevice tells whether the namespace has a device of that name.
func (s *Space) HasDevice(name string) bool {
	s.t.Helper()
	var devices []net.Interface
	err := s.Inside(func() (err error) {
		devices, err = net.Interfaces()
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.ContainsFunc(devices, func(d net.Interface) bool { return d.Name == name })
}
