package space

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// ForDaemon makes a namespace as New does, with a /sys that shows it: the daemon looks there for its device.
func ForDaemon(t testing.TB) *Space {
	t.Helper()
	s, err := New(t, mountSys)
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	return s
}

// sockets is where daemons have their control sockets.
const sockets = "/run/tcpd"

// mountSys gives the calling thread mounts of its own, with a /sys that shows its network, and a place for control sockets: those
// of daemons elsewhere, whose devices have the same names, lie in theirs.
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
	if err := os.MkdirAll(sockets, 0o755); err != nil {
		return fmt.Errorf("control sockets: %w", err)
	}
	if err := unix.Mount("tmpfs", sockets, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs for control sockets: %w", err)
	}
	return nil
}

// Output runs a command to its end, or for as long as the context lasts, and returns what it wrote to stdout and stderr.
func (s *Space) Output(ctx context.Context, name string, args ...string) (string, error) {
	out := &Buffer{}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := s.Start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// Command is Output for a command that must succeed, and soon.
func (s *Space) Command(name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	out, err := s.Output(ctx, name, args...)
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// Dial connects the kernel's TCP to addr.
func (s *Space) Dial(d net.Dialer, addr string) (*net.TCPConn, error) {
	var conn net.Conn
	err := s.Inside(func() (err error) {
		ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
		defer cancel()
		conn, err = d.DialContext(ctx, "tcp4", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// Listen opens a listener of the kernel's TCP.
func (s *Space) Listen(addr string) (*net.TCPListener, error) {
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

// Buffer is a buffer that one goroutine fills and others read.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what has been written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// RoundTrip sends p to an echo service and compares what comes back, both at once.
func RoundTrip(c net.Conn, p []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(p)
		sent <- err
	}()
	back := make([]byte, len(p))
	if _, err := io.ReadFull(c, back); err != nil {
		return errors.Join(fmt.Errorf("reading the echo: %w", err), <-sent)
	}
	if err := <-sent; err != nil {
		return err
	}
	if !bytes.Equal(p, back) {
		return fmt.Errorf("the echo of %d bytes differs", len(p))
	}
	return nil
}
