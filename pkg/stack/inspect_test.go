package stack_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

func every(*stack.Flow, fsm.State) bool { return true }

// walk sees all of a stack, so many flows at a time.
func walk(t *testing.T, s *stack.Stack, page int, keep func(*stack.Flow, fsm.State) bool) (all []stack.Sight) {
	t.Helper()
	at, more := stack.Cursor{}, true
	for more {
		var list []stack.Sight
		var err error
		list, at, more, err = s.Walk(t.Context(), at, keep, make([]stack.Sight, 0, page))
		if err != nil || len(list) > page {
			t.Fatalf("%d flows on a page of %d: %v", len(list), page, err)
		}
		all = append(all, list...)
		if at, err = stack.ParseCursor(at.String()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestWalk: all flows are seen once, whatever the size of the page, and as what they are.
func TestWalk(t *testing.T) {
	n := newBench(t, pipe.Options{MTU: 1500, Packets: 4096, Bytes: 64 << 20}, 0)
	n.listen(&sink{})
	for range 600 {
		n.dial()
	}
	for range 20 {
		n.turn()
	}
	for _, page := range []int{1, 7, 256, 599, 600, 10000} {
		seen := map[stack.Flow]int{}
		for _, at := range walk(t, n.b, page, every) {
			seen[at.Flow]++
			if at.State != fsm.Established || !at.Passive || at.Orphan || at.SendMSS == 0 {
				t.Errorf("%+v", at)
			}
		}
		if len(seen) != 600 {
			t.Errorf("%d flows in pages of %d", len(seen), page)
		}
		for f, times := range seen {
			if times != 1 {
				t.Errorf("%v is seen %d times", f, times)
			}
		}
	}
	odd := walk(t, n.b, 10, func(f *stack.Flow, s fsm.State) bool { return f.RemotePort%2 == 1 && s == fsm.Established })
	if len(odd) != 300 {
		t.Errorf("%d flows of 300 from odd ports", len(odd))
	}
}

// closer closes as soon as it can.
type closer struct{}

func (closer) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Opened != 0 {
		c.Close()
	}
}

// TestEveryKindIsSeen: SYN-RECEIVED, open connections and TIME-WAIT, in walks, counts and by their flow.
func TestEveryKindIsSeen(t *testing.T) {
	n := newBench(t, pipe.Options{}, 0)
	n.listen(&sink{})
	listenOn(t, n.b, stack.ListenConfig{Port: 8}, closer{})
	for range 5 {
		dialTo(t, n.a, 9, &sink{})
	}
	dialTo(t, n.a, 8, service.Discard{}) // closes when closer has: TIME-WAIT is closer's
	n.turn()
	dialTo(t, n.a, 9, &sink{})
	for _, s := range []*stack.Stack{n.a, n.b} { // the SYN goes over, and the answer is not taken
		for q := range s.Shards() {
			if _, err := s.Turn(q); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := map[fsm.State]int{fsm.Established: 5, fsm.SynRcvd: 1, fsm.TimeWait: 1}
	if got, err := n.b.States(t.Context()); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	got := map[fsm.State]int{}
	for _, s := range walk(t, n.b, 2, every) {
		got[s.State]++
		found, ok, err := n.b.Find(t.Context(), s.Flow)
		if err != nil || !ok || !reflect.DeepEqual(sight(found), s) {
			t.Errorf("%v is found as\n%+v, %v, not\n%+v", s.Flow, found, err, s)
		}
		if timed := s.State != fsm.Established; timed != (s.Deadline >= 0) || s.Deadline > 2*tcp.Defaults().MSL {
			t.Errorf("%v: its deadline is in %v", s.State, s.Deadline)
		}
		s.Flow.RemotePort += 100
		if _, ok, err := n.b.Find(t.Context(), s.Flow); ok || err != nil {
			t.Errorf("a flow that there is not is found: %v", err)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	if err := n.b.Check(); err != nil {
		t.Error(err)
	}
}

// TestCursors: what is none is refused, and what leads nowhere leads to the end.
func TestCursors(t *testing.T) {
	for _, text := range []string{"", "x", "1", "1.2", "1.2.3.4", "1.2.3 ", "-1.0.0", "0.-1.0", "0.0.-1", "01.0.0", "0.0.99999999999"} {
		if c, err := stack.ParseCursor(text); err == nil || !strings.Contains(err.Error(), "no cursor") {
			t.Errorf("%q is %v, %v", text, c, err)
		}
	}
	v := serve(t, service.Discard{}, 3)
	for text, want := range map[string]int{"0.0.0": 3, "0.1.2": 2, "0.1.1000": 0, "0.2.0": 0, "0.9.0": 0, "7.0.0": 0} {
		at, err := stack.ParseCursor(text)
		if err != nil {
			t.Fatal(err)
		}
		list, _, more, err := v.b.Walk(t.Context(), at, every, make([]stack.Sight, 0, 10))
		if err != nil || more || len(list) != want {
			t.Errorf("from %s: %d flows, more %v, %v", text, len(list), more, err)
		}
	}
}

// stuck is a device that keeps its shard in Read until it is closed.
type stuck struct {
	link.Device
	reads, free chan struct{}
}

func (d *stuck) Read(b *link.Batch) error {
	d.reads <- struct{}{}
	<-d.free
	return d.Device.Read(b)
}

// TestStuckShard: who asks a shard that does not come to answer is not kept longer than he will be, and what he has asked for
// is not done afterwards; when it runs again it answers, and after the end it is closed.
func TestStuckShard(t *testing.T) {
	l, _ := pipe.New(1, pipe.Options{})
	d := &stuck{l.Queues[0], make(chan struct{}, 100), make(chan struct{})}
	l.Queues[0] = d
	n := &bench{tb: t, now: 1e12}
	s := n.hostNow(l, addrA, tcp.Defaults(), stack.Limits{}, mono.Now)
	s.Start()
	<-d.reads
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	kept := func(*stack.Flow, fsm.State) bool { t.Error("asked all the same"); return false }
	if err := s.Progress(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "shard 0") {
		t.Error(err)
	}
	if _, err := s.States(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, _, _, err := s.Walk(ctx, stack.Cursor{}, kept, make([]stack.Sight, 0, 1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(d.free)
	if err := s.Progress(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := s.Progress(t.Context()); !errors.Is(err, stack.ErrClosed) {
		t.Error(err)
	}
	if _, _, err := s.Find(t.Context(), stack.Flow{}); !errors.Is(err, stack.ErrClosed) {
		t.Error(err)
	}
}

// BenchmarkInspect: what is told of 100,000 connections, and how long a task takes of the shard's time.
func BenchmarkInspect(b *testing.B) {
	if testing.Short() {
		b.Skip("shortened: 100,000 connections take a while to open")
	}
	v := serve(b, service.Discard{}, 100_000)
	b.Run("walk", func(b *testing.B) {
		page := make([]stack.Sight, 0, 256) // a task fills it: so each call is one
		var took []mono.Duration
		for b.Loop() {
			for at, more := (stack.Cursor{}), true; more; {
				from := mono.Now()
				_, at, more, _ = v.b.Walk(b.Context(), at, every, page)
				took = append(took, mono.Now().Sub(from))
			}
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2]), "ns/task")
		b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns/task")
	})
	b.Run("states", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.b.States(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// sight is what Walk shows of what Find has found.
func sight(found stack.Sight) stack.Sight {
	found.Notes, found.Missing = nil, 0
	return found
}

// TestAbort: whatever state a flow is in, it is gone, and its peer knows.
func TestAbort(t *testing.T) {
	n := newBench(t, pipe.Options{}, 0)
	n.listen(&sink{})
	listenOn(t, n.b, stack.ListenConfig{Port: 8}, closer{})
	peer := &sayer{}
	dialTo(t, n.a, 9, peer)
	dialTo(t, n.a, 8, service.Discard{})
	n.turn()
	dialTo(t, n.a, 9, &sink{})
	for _, s := range []*stack.Stack{n.a, n.b} { // the SYN goes over, and the answer is not taken
		for q := range s.Shards() {
			if _, err := s.Turn(q); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[fsm.State]bool{}
	for _, s := range walk(t, n.b, 10, every) {
		seen[s.State] = true
		for _, want := range []bool{true, false} {
			if found, err := n.b.Abort(t.Context(), s.Flow); err != nil || found != want {
				t.Errorf("%v in %v: %v, %v", s.Flow, s.State, found, err)
			}
			n.turn()
		}
	}
	if len(seen) != 3 || len(walk(t, n.b, 10, every)) != 0 || peer.heard&tcp.Reset == 0 {
		t.Errorf("of %v there are %d left; the peer has heard %b", seen, len(walk(t, n.b, 10, every)), peer.heard)
	}
	if err := n.b.Check(); err != nil {
		t.Error(err)
	}
}
