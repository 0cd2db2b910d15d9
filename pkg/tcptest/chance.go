package tcptest

import "math/rand/v2"

// chance is where a path or a host takes its chance from. In the world of a script that is the world's one source. In that
// of a recipe it is a function of the world's seed, of who asks and of what for (draw): then it makes no difference for one
// connection whether there is another.
type chance struct {
	*rand.Rand
	own  *rand.PCG // nil: it is the world's
	seed uint64
}

// chanceOf is a source of one thing's own.
func chanceOf(seed, thing uint64) *chance {
	c := &chance{own: rand.NewPCG(seed, thing), seed: seed*0x9e3779b97f4a7c15 ^ thing}
	c.Rand = rand.New(c.own)
	return c
}

// draw begins to draw for one purpose.
func (c *chance) draw(purpose uint64) *rand.Rand {
	if c.own != nil {
		c.own.Seed(c.seed, purpose)
	}
	return c.Rand
}

// perMille is true in so many of a thousand cases.
func (c *chance) perMille(n int) bool { return n > 0 && c.IntN(1000) < n }
