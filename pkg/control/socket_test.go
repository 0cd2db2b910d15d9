package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSocket: its mode, and what happens to what lies in its place.
func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "tcpd.sock")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", i.Mode(), err)
	}
	if _, err := Listen(t.Context(), path); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("in use: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as if killed
	l.Close()
	if l, err = Listen(t.Context(), path); err != nil {
		t.Fatalf("stale: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := Listen(t.Context(), filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "107 bytes") {
		t.Error(err)
	}
}

// TestPlaces: each once, so that a daemon is not found twice where the user's directory is root's.
func TestPlaces(t *testing.T) {
	for dir, want := range map[string][]string{
		"": {"/run/tcpd"}, "/run": {"/run/tcpd"}, "/run/": {"/run/tcpd"}, "/run/user/1000": {"/run/tcpd", "/run/user/1000/tcpd"},
	} {
		t.Setenv("XDG_RUNTIME_DIR", dir)
		if got := places(); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", dir, got, want)
		}
	}
}

// TestUnreachable: a client who finds nobody is told what he may do.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := Listen(t.Context(), dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for _, path := range []string{dead, filepath.Join(dir, "none.sock")} {
		_, err := NewClient(path).Level(t.Context())
		u, ok := errors.AsType[*UnreachableError](err)
		if !ok || u.Path != path || !strings.Contains(err.Error(), "tcpd run") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	denied := &UnreachableError{Path: dead, Err: syscall.EACCES}
	if text := denied.Error(); !strings.Contains(text, "be root") || !errors.Is(denied, fs.ErrPermission) {
		t.Error(text)
	}
}

// TestFind: the daemon that runs is found, and of several none.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.sock"), filepath.Join(dir, "two.sock")
	open := map[string]net.Listener{}
	for _, path := range []string{one, two} {
		l, err := Listen(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		open[path] = l
	}
	dirs := []string{filepath.Join(dir, "none"), dir}
	if _, err := find(dirs); err == nil || !strings.Contains(err.Error(), one+", "+two) || !strings.Contains(err.Error(), "--control") {
		t.Error(err)
	}
	open[two].(*net.UnixListener).SetUnlinkOnClose(false)
	open[two].Close()
	if path, err := find(dirs); err != nil || path != one {
		t.Errorf("%s, %v", path, err)
	}
	open[one].Close()
	if _, err := find(dirs); err == nil || !strings.Contains(err.Error(), "tcpd run") || !strings.Contains(err.Error(), dir) {
		t.Error(err)
	}
}

// TestPath: every device has a socket of its own.
func TestPath(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1")
	if dir := userDir(); dir != "/run/user/1/tcpd" {
		t.Error(dir)
	}
	a, err := Path("tcpd0")
	if err != nil || filepath.Base(a) != "tcpd0.sock" {
		t.Errorf("%s, %v", a, err)
	}
}
