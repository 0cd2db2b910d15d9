// Package e2e drives the daemon as its users do: the built binary on a real TUN, the kernel's own TCP as its peer.
// Each test has a network namespace of its own, which ends with the test, however that ends.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

var (
	mutants = flag.Int("mutants", 20_000, "mutated packets for each seed")
	seeds   = flag.Int("seeds", 5, "seeds that the mutants are drawn from")
)

// patience is how long a test waits for something that must happen. It is no measurement: a healthy run never
// comes near it.
const patience = 20 * time.Second

// tcpd is the daemon under test.
var tcpd string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the daemon once; TCPD_BIN names one that is built already.
func run(m *testing.M) int {
	if tcpd = os.Getenv("TCPD_BIN"); tcpd != "" || os.Getuid() != 0 {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "tcpd-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // an unprivileged user runs it too
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tcpd = filepath.Join(dir, "tcpd")
	args := []string{"build", "-o", tcpd}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/tcpd-project/tcpd/cmd/tcpd")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", strings.Join(build.Args, " "), err, out)
		return 1
	}
	return m.Run()
}

// A short name for what nearly every test begins with.
var need = space.Need

// big leaves a test out of -short runs.
func big(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("too big for -short")
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
