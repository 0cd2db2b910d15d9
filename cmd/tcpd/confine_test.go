package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"

	"github.com/tcpd-project/tcpd/pkg/config"
)

// confinedVar makes this binary confine itself to what a daemon with files in a directory may see, and try what it can do then:
// a process can't be confined and go on testing.
const confinedVar = "TCPD_TEST_CONFINED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(confinedVar); dir != "" {
		if err := tryConfined(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tryConfined is told of a directory that has, each in a directory of its own, a file to serve, a configuration, a socket and
// something else.
func tryConfined(dir string) error {
	at := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	l, err := net.Listen("unix", at("control", "socket"))
	if err != nil {
		return err
	}
	c := config.Defaults()
	c.Services = []config.Service{{Port: 80, Service: "http", Static: at("static")}, {Port: 7, Service: "echo"}}
	if err := newAccess(&c, at("etc", "link"), &controls{socket: l.Addr().String()}).restrict(); err != nil {
		return err
	}
	var errs []error
	for _, name := range []string{at("static", "file"), at("etc", "link"), at("etc", "link.new"), "/proc/self/stat"} {
		if _, err := os.ReadFile(name); err != nil {
			errs = append(errs, err)
		}
	}
	refused := func(what string, err error) {
		if !errors.Is(err, fs.ErrPermission) {
			errs = append(errs, fmt.Errorf("%s: %w, want %w", what, err, fs.ErrPermission))
		}
	}
	_, err = os.ReadFile(at("other", "file"))
	refused("reading another file", err)
	refused("writing to a file that is served", os.WriteFile(at("static", "file"), nil, 0))
	refused("removing a file that is served", os.Remove(at("static", "file")))
	refused("making a file beside the socket", os.WriteFile(at("control", "file"), nil, 0o600))
	refused("running a program", exec.Command("/bin/true").Run())
	if err := l.Close(); err != nil {
		errs = append(errs, err)
	}
	if _, err := os.Lstat(at("control", "socket")); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("the socket's path: %w", err))
	}
	return errors.Join(errs...)
}

// TestConfinedFiles: what is served, the configuration and its successor can be read, the control socket goes, and that is all.
func TestConfinedFiles(t *testing.T) {
	if _, err := landlocksys.LandlockGetABIVersion(); err != nil {
		t.Skipf("needs a kernel with landlock: %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"static/file", "etc/link.new", "versions/one", "other/file", "control/lock"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../versions/one", filepath.Join(dir, "etc", "link")); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), confinedVar+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAccessOfDefaults: without a file, files to serve and a control socket there is nothing of ours to read and to remove.
func TestAccessOfDefaults(t *testing.T) {
	c := config.Defaults()
	a := newAccess(&c, "", &controls{})
	if !slices.Equal(a.read, []string{"/proc", "/sys/fs/cgroup"}) || a.remove != "" {
		t.Errorf("%+v", a)
	}
}
