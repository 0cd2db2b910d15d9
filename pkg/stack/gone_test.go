package stack_test

import (
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// A shard that has lost its device says so, whoever asks it for something is not kept waiting, and the stack closes itself: half a
// host is none.
func TestShardWithoutDevice(t *testing.T) {
	la, _ := pipe.New(2, pipe.Options{})
	n := &bench{tb: t}
	s := n.hostNow(la, addrA, tcp.Defaults(), stack.Limits{}, mono.Now)
	s.Start()
	if err := la.Queues[1].Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.Failed():
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		s.Do(0, func() {}) // done or not
		s.Counters(0)
		s.Counters(1)
		if s.Do(1, func() {}) {
			t.Error("a shard without a device ran a task")
		}
	}()
	select {
	case <-answered:
	case <-time.After(20 * time.Second):
		t.Fatal("a shard without a device keeps its callers waiting")
	}
	select {
	case <-s.Closed():
	case <-time.After(20 * time.Second):
		t.Fatal("the stack does not close itself")
	}
	if s.Do(0, func() {}) {
		t.Error("the other shard runs on")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
