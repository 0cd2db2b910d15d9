package tcptest

import (
	"fmt"
	"math/rand/v2"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// World is a number of hosts on paths, and a clock.
type World struct {
	Log  *Log
	Rand *rand.Rand // for the network and the users alike: one source, so one seed

	// Export has every connection encoded and decoded at random turns. It draws on a source of its own, so that the
	// trace is to be the same as without.
	Export *rand.Rand

	// Blind: the paths look at no text, only at headers. The users still do.
	Blind bool

	// Strict: the watcher knows what a receiver would refuse, too, and what a sender has reason to send again. It must have
	// seen all that the hosts are told.
	Strict bool

	// MostSteps is after how many steps without an end it is a livelock; 0: nobody counts.
	MostSteps int

	// CheckEvery is at which turns of a host its stack is held against its invariants: every one if 0, else every so
	// manieth. In a world of many connections each check walks them all.
	CheckEvery int

	now      mono.Time
	events   events
	hosts    []*Host
	numbered [256]*Host // by the last byte of the address
	watch    *watcher
	users    map[stack.Flow]*User // the last of each flow
	err      error
	kind     string // what went wrong, without when and to whom
	steps    int

	Turns, Segments, Exports, Calls int
}

// NewWorld returns an empty world whose clock stands at an hour after boot.
func NewWorld(seed uint64) *World {
	w := &World{Rand: rand.New(rand.NewPCG(seed, 0x74637064)), now: mono.Time(3600 * mono.Second), users: map[stack.Flow]*User{}}
	w.Log = newLog(w)
	w.watch = newWatcher(w)
	return w
}

// Now is the world's clock.
func (w *World) Now() mono.Time { return w.now }

// Err is the first thing that went wrong.
func (w *World) Err() error { return w.err }

// fail notes the first thing that went wrong; nothing happens after it.
func (w *World) fail(format string, args ...any) {
	w.failAs(format, format, args...)
}

// failAs is fail with a name for what went wrong that is the same in another world.
func (w *World) failAs(kind, format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("%v: "+format, append([]any{w.Log.clock()}, args...)...)
		w.kind = kind
		w.Log.note("FAILED: %v", w.err)
	}
}

// After has run called after d.
func (w *World) After(d mono.Duration, run func()) {
	w.events.push(event{at: w.now.Add(d), run: run})
}

// next is when something happens next, or mono.Never.
func (w *World) next() mono.Time {
	at := w.events.next()
	for _, h := range w.hosts {
		for _, t := range h.due {
			at = min(at, t)
		}
	}
	return at
}

// Step moves the clock to the next thing that happens, and has all of that time happen. It reports false when nothing
// ever will, or when something went wrong.
func (w *World) Step() bool { return w.stepUntil(mono.Never - 1) }

func (w *World) stepUntil(end mono.Time) bool {
	at := w.next()
	if at > end || w.err != nil {
		return false
	}
	if w.steps++; w.steps == w.MostSteps {
		w.fail("a livelock: no end after %d steps", w.steps)
	}
	w.now = max(w.now, at)
	for w.events.next() <= w.now {
		e := w.events.pop()
		e.happen()
	}
	for _, h := range w.hosts {
		for q := range h.due {
			if h.due[q] <= w.now {
				h.turn(q)
			}
		}
	}
	return w.err == nil
}

// Run lets d pass.
func (w *World) Run(d mono.Duration) {
	end := w.now.Add(d)
	for w.stepUntil(end) {
	}
	if w.err == nil {
		w.now = end
	}
}

// RunOut goes on until nothing happens any more, at most for limit steps and for longest.
func (w *World) RunOut(limit int, longest mono.Duration) {
	end := w.now.Add(longest)
	for range limit {
		if !w.stepUntil(end) {
			if w.next() != mono.Never {
				w.fail("after %v something is still to happen", longest)
			}
			return
		}
	}
	w.fail("a livelock: no end after %d steps", limit)
}

// CheckIdle sees to it that nothing is left of any connection.
func (w *World) CheckIdle() {
	for _, h := range w.hosts {
		if h.Stack == nil {
			continue
		}
		if err := h.Stack.Idle(); err != nil {
			w.fail("%s: %v", h.Name, err)
		}
	}
}
