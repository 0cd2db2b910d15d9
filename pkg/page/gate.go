package page

import (
	"errors"
	"net/http"
	"net/netip"
	"sync"
)

// How many listings strangers have at a time, all together and from one address; and those with the token, together.
const (
	mostForAll = 32
	mostForOne = 8
)

// The same of streams, of which a page has two. While somebody listens, the shards ask for each event whether it is for him, whoever's
// connection it is of: so strangers have few.
const (
	mostStreamsForAll = 12
	mostStreamsForOne = 6
)

// gates are that of strangers and that of those with the token.
type gates struct{ strangers, friends *gate }

// gate bounds what is under way at a time.
type gate struct {
	all, one int
	mu       sync.Mutex
	inside   int
	from     map[netip.Addr]int
}

func newGate(all, one int) *gate { return &gate{all: all, one: one, from: map[netip.Addr]int{}} }

func (g *gate) enter(a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside >= g.all || g.from[a] >= g.one {
		return false
	}
	g.inside++
	g.from[a]++
	return true
}

func (g *gate) leave(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.from[a]--; g.from[a] == 0 {
		delete(g.from, a)
	}
}

// bounded lets h answer as many at a time as there may be.
func (p *Page) bounded(by gates, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, a := by.strangers, remote(r)
		if p.trusted(r) {
			g = by.friends
		}
		if !g.enter(a) {
			w.Header().Set("Retry-After", "2")
			refuse(w, http.StatusTooManyRequests, errors.New("too many are looking"))
			return
		}
		defer g.leave(a)
		h.ServeHTTP(w, r)
	})
}
