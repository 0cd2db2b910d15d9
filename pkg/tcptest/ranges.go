package tcptest

import (
	"slices"

	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// ranges are runs of sequence numbers: in order, apart from each other.
type ranges []tcp.Block

// touching is the runs [i, j) that b overlaps or touches.
func (r ranges) touching(b tcp.Block) (i, j int) {
	for j = len(r); j > 0 && b.To.Less(r[j-1].From); {
		j--
	}
	for i = j; i > 0 && b.From.LessEq(r[i-1].To); {
		i--
	}
	return i, j
}

// add notes the run b, and returns how many numbers of it are new.
func (r *ranges) add(b tcp.Block) uint32 {
	if !b.From.Less(b.To) {
		return 0
	}
	before := uint32(0)
	i, j := r.touching(b)
	for _, have := range (*r)[i:j] {
		before += have.To.Sub(have.From)
		b.From, b.To = seq.Min(b.From, have.From), seq.Max(b.To, have.To)
	}
	*r = slices.Replace(*r, i, j, b)
	return b.To.Sub(b.From) - before
}

// holds reports whether all of b is there.
func (r ranges) holds(b tcp.Block) bool {
	i, j := r.touching(b)
	return slices.ContainsFunc(r[i:j], func(have tcp.Block) bool { return have.From.LessEq(b.From) && b.To.LessEq(have.To) })
}

// common calls f with each part of b that is there.
func (r ranges) common(b tcp.Block, f func(tcp.Block)) {
	i, j := r.touching(b)
	for _, have := range r[i:j] {
		if part := (tcp.Block{From: seq.Max(have.From, b.From), To: seq.Min(have.To, b.To)}); part.From.Less(part.To) {
			f(part)
		}
	}
}
