// Package lib uses the packages as a program that embeds them does: stacks in this process, on TUNs of their own,
// with the kernel's TCP or packets made by hand as the peer. Each test has network namespaces of its own, which end
// with the test, however that ends.
package lib

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for something that must happen. It is no measurement: a healthy run never comes
// near it.
const patience = 30 * time.Second

func deadline() time.Time { return time.Now().Add(patience) }

// roleVar makes a re-executed test binary play a part instead of testing.
const roleVar = "TCPD_LIB_TEST_ROLE"

var roles = map[string]func() error{"echo": echoServer}

func TestMain(m *testing.M) {
	if f := roles[os.Getenv(roleVar)]; f != nil {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// need skips the test where it can make no namespace or TUN.
func need(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and TUNs")
	}
	if _, err := os.Stat(clonePath); err != nil {
		t.Skip("needs " + clonePath)
	}
}

// needFiles raises the limit of open files to n.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		t.Fatal(err)
	}
	if r.Cur >= n {
		return
	}
	r.Cur, r.Max = n, max(n, r.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		t.Skipf("needs %d open files: %v", n, err)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
