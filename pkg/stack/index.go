package stack

import "sync/atomic"

// presence tells the other shards which flows may live on this one: a count of its flows in each of 2^18 places, by
// hash. Only its shard writes it. A place that is 0 is proof; one that is not says only that it is worth asking. So a
// segment that finds no connection on the shard it came to is sent on to the shards that may have it, one after the
// other, and is answered as one for no connection only when none has.
type presence struct {
	words []atomic.Uint32 // four counts each; a count that has reached 255 stays
}

const presencePlaces = 1 << 18

func newPresence() presence { return presence{make([]atomic.Uint32, presencePlaces/4)} }

func place(h uint64) (word, shift uint32) {
	p := uint32(h>>40) & (presencePlaces - 1)
	return p / 4, p % 4 * 8
}

func (p *presence) add(h uint64) {
	i, shift := place(h)
	if v := p.words[i].Load(); v>>shift&255 < 255 {
		p.words[i].Store(v + 1<<shift)
	}
}

func (p *presence) remove(h uint64) {
	i, shift := place(h)
	if v := p.words[i].Load(); v>>shift&255 < 255 {
		p.words[i].Store(v - 1<<shift)
	}
}

func (p *presence) maybe(h uint64) bool {
	i, shift := place(h)
	return p.words[i].Load()>>shift&255 != 0
}
