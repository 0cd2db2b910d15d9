package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
)

// TestWatchdog: who watches is told that all is well at each interval, but not while a shard is held up, by a handler that does
// not return, for instance; then again.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 10 * time.Second
		c := config.Defaults()
		a, _ := pipe.New(2, pipe.Options{})
		s := newStack(t, a, server, &c, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		var told [2]atomic.Int32 // that all is well, and that it is not
		go func() {
			defer close(ended)
			watchdog(ctx, every, s.Progress, func(err error) {
				if err == nil {
					told[0].Add(1)
				} else {
					told[1].Add(1)
				}
			})
		}()
		pass := func(which int, what string) { // ten intervals in which nothing else is told
			t.Helper()
			told[0].Store(0)
			told[1].Store(0)
			time.Sleep(10 * every)
			synctest.Wait()
			if n, others := told[which].Load(), told[1-which].Load(); n < 9 || others > 0 {
				t.Errorf("%s: it was told so %d times, and %d times otherwise", what, n, others)
			}
		}
		synctest.Wait()
		pass(0, "all is well")
		release, held := make(chan struct{}), make(chan struct{})
		go s.Do(1, func() { close(held); <-release })
		<-held
		time.Sleep(every) // what was asked before has been answered
		synctest.Wait()
		pass(1, "a shard is held up")
		close(release)
		time.Sleep(every)
		synctest.Wait()
		pass(0, "all is well again")
		cancel()
		<-ended
	})
}
