package tcptest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	worlds   = flag.Int("worlds", defaultWorlds, "how many random worlds to run")
	seed     = flag.Uint64("seed", 1, "the first seed")
	minutes  = flag.Float64("minutes", 0, "begin random worlds for so long, however many that are")
	failures = flag.Int("failures", 1, "go on with other seeds until so many random worlds have failed")
	recipe   = flag.String("world", "", "run the world of the recipe in this file alone, and print its transcript")
	verbose  = flag.Bool("transcript", false, "print the transcript of every world")
)

// few is n, or a tenth of it in short mode: the race detector takes its time.
func few(n uint64) uint64 {
	if testing.Short() {
		return n / 10
	}
	return n
}

// spree is many worlds, as many at a time as there are processors; each is one goroutine's.
type spree struct {
	t  *testing.T
	mu sync.Mutex

	next                                        uint64 // seed
	worlds, connections, segments, turns, calls int
	failed                                      int
	began, told                                 time.Time
}

// TestRandomWorlds runs worlds of chance; scripts/nightly runs it for long.
func TestRandomWorlds(t *testing.T) {
	if *recipe != "" {
		replay(t)
		return
	}
	// A world is garbage only two collections after its end, when the pools of its stacks are let go of. Without a limit
	// each collection would find more.
	workers := runtime.GOMAXPROCS(0)
	defer debug.SetGCPercent(debug.SetGCPercent(200))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(workers) << 29))
	s := &spree{t: t, next: *seed, began: time.Now(), told: time.Now()}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for n, ok := s.take(); ok; n, ok = s.take() {
				r := NewRandom(n, Options{Verbose: *verbose})
				s.note(n, r, r.Finish())
			}
		})
	}
	running.Wait()
	t.Log(s)
}

// take is the next seed, if there is to be another world.
func (s *spree) take() (n uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *minutes > 0 {
		ok = time.Since(s.began).Minutes() < *minutes
	} else {
		ok = s.next < *seed+uint64(*worlds)
	}
	if ok = ok && s.failed < *failures; ok {
		s.next++
	}
	return s.next - 1, ok
}

// note adds a world to the sums, and tells of them once a minute.
func (s *spree) note(n uint64, r *Random, err error) {
	if err != nil {
		report := explain(n, r)
		s.mu.Lock()
		s.failed++
		s.mu.Unlock()
		s.t.Errorf("seed %d: %v\n%s", n, err, report)
	} else if *verbose {
		s.t.Log(r.Log)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	s.connections += r.Connections
	s.segments += r.Segments
	s.turns += r.Turns
	s.calls += r.Calls
	if time.Since(s.told) >= time.Minute {
		s.told = time.Now()
		fmt.Fprintln(os.Stderr, s.told.Format(time.TimeOnly), s)
	}
}

func (s *spree) String() string {
	return fmt.Sprintf("seeds %d to %d: %d worlds, %d connections, %d segments, %d turns, %d calls besides, %d failed, in %v", *seed, s.next-1,
		s.worlds, s.connections, s.segments, s.turns, s.calls, s.failed, time.Since(s.began).Round(time.Second))
}

// explain makes a failing world small, and shows it: the recipe reproduces it.
func explain(n uint64, r *Random) string {
	small := r.Recipe.Shrink(Options{}, 2000)
	again := small.Build(Options{Verbose: true})
	return fmt.Sprintf("The smallest world that fails so, to be put into a file and run with -run World -world FILE:\n\n# of seed %d: %v\n%v\nIts transcript:\n\n%v",
		n, again.Finish(), small, again.Log)
}

// replay runs the world of a recipe.
func replay(t *testing.T) {
	m := play(t, *recipe, Options{Verbose: true})
	t.Log("\n", m.Log)
	if m.err != nil {
		t.Error(m.err)
	}
}

// play runs the world of the recipe in a file to its end.
func play(t *testing.T, name string, o Options) *Random {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRecipe(string(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	m := r.Build(o)
	m.Finish()
	return m
}

// TestOldWorlds runs worlds in which once something was wrong, in the stack or in the rules that judge it, as small as they
// could be made.
func TestOldWorlds(t *testing.T) {
	files, _ := filepath.Glob("testdata/worlds/*.txt")
	if len(files) == 0 {
		t.Fatal("there are none")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			if m := play(t, name, Options{}); m.err != nil {
				t.Errorf("%v\n%v", m.err, play(t, name, Options{Verbose: true}).Log)
			}
		})
	}
}

// TestSameSeedSameTrace: nothing but the seed decides what happens, nor does it matter that it has been text.
func TestSameSeedSameTrace(t *testing.T) {
	for s := uint64(1); s <= few(30); s++ {
		a := NewRandom(s, Options{})
		a.Finish()
		r, err := ParseRecipe(a.Recipe.String())
		if err != nil {
			t.Fatalf("seed %d: %v", s, err)
		}
		b := r.Build(Options{Verbose: true})
		b.Finish()
		if a.Log.Hash != b.Log.Hash {
			t.Fatalf("seed %d: hashes %x and %x", s, a.Log.Hash, b.Log.Hash)
		}
	}
}

// TestExportChangesNothing: a connection can be encoded and decoded at any instant (DESIGN section 3, rule 9).
func TestExportChangesNothing(t *testing.T) {
	exports := 0
	for s := uint64(1); s <= few(60); s++ {
		a, b := NewRandom(s, Options{}), NewRandom(s, Options{Export: true})
		a.Finish()
		if err := b.Finish(); err != nil {
			t.Errorf("seed %d: %v", s, err)
		}
		exports += b.Exports
		if a.Log.Hash != b.Log.Hash {
			t.Fatalf("seed %d: hashes %x and %x", s, a.Log.Hash, b.Log.Hash)
		}
	}
	t.Logf("%d exports", exports)
}
