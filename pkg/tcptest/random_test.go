package tcptest

import (
	"flag"
	"testing"
)

var (
	worlds  = flag.Int("worlds", defaultWorlds, "how many random worlds to run")
	seed    = flag.Uint64("seed", 1, "the first seed")
	verbose = flag.Bool("transcript", false, "print the transcript of every world")
)

// few is n, or a tenth of it in short mode: the race detector takes its time.
func few(n uint64) uint64 {
	if testing.Short() {
		return n / 10
	}
	return n
}

func TestRandomWorlds(t *testing.T) {
	var segments, turns, connections int
	for s := *seed; s < *seed+uint64(*worlds); s++ {
		r := NewRandom(s, Options{Verbose: *verbose})
		err := r.Finish()
		segments, turns, connections = segments+r.Segments, turns+r.Turns, connections+r.Connections
		if err == nil {
			if *verbose {
				t.Log(r.Log)
			}
			continue
		}
		again := NewRandom(s, Options{Verbose: true})
		again.Finish()
		t.Fatalf("seed %d: %v\n%v", s, err, again.Log)
	}
	t.Logf("%d worlds, %d connections, %d segments, %d turns", *worlds, connections, segments, turns)
}

// TestSameSeedSameTrace: nothing but the seed decides what happens.
func TestSameSeedSameTrace(t *testing.T) {
	for s := uint64(1); s <= few(100); s++ {
		a, b := NewRandom(s, Options{}), NewRandom(s, Options{Verbose: true})
		a.Finish()
		b.Finish()
		if a.Log.Hash != b.Log.Hash {
			t.Fatalf("seed %d: hashes %x and %x", s, a.Log.Hash, b.Log.Hash)
		}
	}
}

// TestExportChangesNothing: a connection can be encoded and decoded at any instant (DESIGN section 3, rule 9).
func TestExportChangesNothing(t *testing.T) {
	exports := 0
	for s := uint64(1); s <= few(400); s++ {
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
