package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/test/space"
)

// netspace is a namespace with a /sys that shows it.
type netspace struct {
	*space.Space
	t *testing.T
}

func newSpace(t *testing.T) *netspace {
	t.Helper()
	s, err := space.New(t, mountSys)
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	return &netspace{s, t}
}

// mountSys gives the calling thread mounts of its own, with a /sys that shows its network.
func mountSys() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	return nil
}

// output runs a command to its end and returns what it wrote to stdout and stderr.
func (s *netspace) output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out := &output{}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := s.Start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// command is output for a command that must succeed.
func (s *netspace) command(name string, args ...string) string {
	s.t.Helper()
	out, err := s.output(name, args...)
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// dial connects the kernel's TCP to addr.
func (s *netspace) dial(d net.Dialer, addr string) (*net.TCPConn, error) {
	var conn net.Conn
	err := s.Inside(func() (err error) {
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
func (s *netspace) listen(addr string) (*net.TCPListener, error) {
	var l net.Listener
	err := s.Inside(func() (err error) {
		l, err = net.Listen("tcp4", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener), nil
}
