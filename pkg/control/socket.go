package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// systemDir is where root's sockets lie.
const systemDir = "/run/tcpd"

// mode is the socket's: for its owner and its group. Who may write to it may stop the daemon.
const mode = 0o660

// longestPath is what the kernel has room for in an address, in bytes.
const longestPath = 107

// suffix is what the names of sockets end with.
const suffix = ".sock"

// Path is where the socket of the daemon lies that serves a device, if nobody says otherwise: in /run/tcpd, or in
// $XDG_RUNTIME_DIR/tcpd for who is not root.
func Path(device string) (string, error) {
	if os.Geteuid() == 0 {
		return filepath.Join(systemDir, device+suffix), nil
	}
	dir := userDir()
	if dir == "" {
		return "", errors.New("control: not root, and XDG_RUNTIME_DIR is not set: say where the socket is to lie")
	}
	return filepath.Join(dir, device+suffix), nil
}

// userDir is where the user's sockets lie, or "".
func userDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "tcpd")
	}
	return ""
}

// ErrInUse is in the chain of the error when another daemon listens on the socket.
var ErrInUse = errors.New("another daemon listens there")

// Listen opens the socket, with the directory that it lies in. A socket on which nobody listens is replaced, what is not a
// socket never.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > longestPath {
		return nil, fmt.Errorf("control: %s: the path of a socket has at most %d bytes", path, longestPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := makeRoom(path); err != nil {
		return nil, fmt.Errorf("control: %s: %w", path, err)
	}
	l, err := (&net.ListenConfig{Control: restrict}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil { // the group, which the umask may have left out
		_ = l.Close()
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}

// restrict sets the mode before the socket has a name: there is no moment in which others may connect.
func restrict(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), mode) }); e != nil {
		return e
	}
	return err
}

// makeRoom removes a socket that a daemon which was killed has left.
func makeRoom(path string) error {
	i, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case i.Mode().Type() != fs.ModeSocket:
		return errors.New("there is something that is not a socket")
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w: choose another path", ErrInUse)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Find returns the socket of the daemon that runs, if it is the only one.
func Find() (string, error) { return find(places()) }

// All are the sockets of the daemons that run, and that may be asked.
func All() []string {
	alive, _ := sockets(places())
	return alive
}

// places are the directories in which sockets lie.
func places() []string {
	dirs := []string{systemDir}
	if dir := userDir(); dir != "" && dir != systemDir { // XDG_RUNTIME_DIR=/run makes them one, as for a service with a user of its own
		dirs = append(dirs, dir)
	}
	return dirs
}

// sockets are those at which a daemon listens, and those that we may not ask.
func sockets(dirs []string) (alive, closed []string) {
	for _, dir := range dirs {
		found, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)) // fails at bad patterns alone
		for _, path := range found {
			switch c, err := net.Dial("unix", path); {
			case err == nil:
				c.Close()
				alive = append(alive, path)
			case errors.Is(err, fs.ErrPermission):
				closed = append(closed, path)
			}
		}
	}
	return alive, closed
}

func find(dirs []string) (string, error) {
	alive, closed := sockets(dirs)
	switch {
	case len(alive) == 1:
		return alive[0], nil
	case len(alive) > 1:
		return "", fmt.Errorf("%d daemons run: say which with --control: %s", len(alive), strings.Join(alive, ", "))
	case len(closed) > 0:
		return "", &UnreachableError{closed[0], fs.ErrPermission}
	}
	return "", &UnreachableError{strings.Join(dirs, " or "), errNoSocket}
}

var errNoSocket = errors.New("no daemon listens there")

// UnreachableError is that of a client who finds nobody at a socket, or must not speak to him.
type UnreachableError struct {
	Path string
	Err  error
}

// Error says what is wrong, and what to do.
func (e *UnreachableError) Error() string {
	text := fmt.Sprintf("%s: %v", e.Path, e.Err)
	if errno, ok := errors.AsType[syscall.Errno](e.Err); ok {
		text = fmt.Sprintf("%s: %v", e.Path, errno)
	}
	if errors.Is(e.Err, fs.ErrPermission) {
		return text + ": be root, or of the socket's group"
	}
	return text + `: is "tcpd run" running, and is its "control" not ""? --control says where the socket is`
}

// Unwrap implements errors.Is.
func (e *UnreachableError) Unwrap() error { return e.Err }
