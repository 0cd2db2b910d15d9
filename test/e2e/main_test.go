// Package e2e drives the daemon as its users do: the built binary on a real TUN, the kernel's own TCP as its peer.
// Each test has a network namespace of its own, which ends with the test, however that ends.
package e2e

import (
	"flag"
	"os"
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
)

var (
	mutants = flag.Int("mutants", 20_000, "mutated packets for each seed")
	seeds   = flag.Int("seeds", 5, "seeds that the mutants are drawn from")
)

// A short name for how long a test waits for something that must happen.
const patience = space.Patience

// tcpd is the daemon under test.
var tcpd string

func TestMain(m *testing.M) { os.Exit(space.RunWithDaemon(m, &tcpd)) }

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
