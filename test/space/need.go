package space

import (
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
)

// Need skips the test without root; a missing tool skips it too, but fails it in CI, where nobody reads of skips.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a TUN")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s", tool)
		}
		t.Skipf("needs %s", tool)
	}
}

// InParallel runs f for 0 to n-1, width at a time, and fails the test on the errors; after a few it begins no more.
func InParallel(t testing.TB, n, width int, f func(int) error) {
	t.Helper()
	var running sync.WaitGroup
	var failed atomic.Int32
	slots := make(chan struct{}, width)
	for i := range n {
		slots <- struct{}{}
		if failed.Load() > 4 {
			break
		}
		running.Go(func() {
			if err := f(i); err != nil {
				failed.Add(1)
				t.Error(err)
			}
			<-slots
		})
	}
	running.Wait()
	if failed.Load() > 0 {
		t.FailNow()
	}
}
