package tcptest

import (
	"reflect"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Shrink makes a recipe smaller as long as its world fails in the same way, and returns the smallest it has found. It
// builds at most so many worlds, with the options given.
func (r *Recipe) Shrink(o Options, worlds int) *Recipe {
	s := &shrinking{options: o, best: r, left: worlds}
	s.kind = s.fault(r)
	if s.kind == "" {
		return r
	}
	for again := true; again && s.left > 0; {
		again = s.leaveOut()
		again = s.simplify() || again
	}
	return s.best
}

// shrinking is the search for a smaller recipe.
type shrinking struct {
	options Options
	best    *Recipe
	kind    string
	left    int // worlds that may yet be built
}

// fault is the kind of what goes wrong in the recipe's world, or "".
func (s *shrinking) fault(r *Recipe) string {
	m := r.Build(s.options)
	m.Finish()
	return m.kind
}

// try takes a recipe for the best if it fails like the first.
func (s *shrinking) try(r *Recipe) bool {
	if s.left == 0 {
		return false
	}
	s.left--
	if r.tidy(); s.fault(r) != s.kind {
		return false
	}
	s.best = r
	return true
}

// lists are the indices of Recipe's fields that are lists, in an order in which much is left out early.
func lists() []int {
	t := reflect.TypeFor[Recipe]()
	var list []int
	for _, name := range []string{"Conns", "Hosts", "Faults", "Calls", "Paths"} {
		f, _ := t.FieldByName(name)
		list = append(list, f.Index[0])
	}
	return list
}

// leaveOut tries without things: first without half of them, at last without each.
func (s *shrinking) leaveOut() (any bool) {
	for _, field := range lists() {
		for n := s.list(s.best, field).Len(); n > 0; n /= 2 {
			for at := 0; at < s.list(s.best, field).Len(); {
				r := s.best.clone()
				v := s.list(r, field)
				end := min(at+n, v.Len())
				v.Set(reflect.AppendSlice(v.Slice(0, at), v.Slice(end, v.Len())))
				if s.try(r) {
					any = true
				} else {
					at = end
				}
			}
		}
	}
	return any
}

func (s *shrinking) list(r *Recipe, field int) reflect.Value {
	return reflect.ValueOf(r).Elem().Field(field)
}

// names are fields that say which thing is meant, not how it is.
var names = []string{"number", "from", "to", "conn", "server", "kind", "do", "some", "toport"}

// simplify tries each field with less in it.
func (s *shrinking) simplify() (any bool) {
	for _, field := range lists() {
		for i := range s.list(s.best, field).Len() {
			for name := range leaves("", s.list(s.best, field).Index(i)) {
				if !slices.Contains(names, name) && s.lessen(field, i, name) {
					any = true
				}
			}
		}
	}
	return any
}

// lessen tries one field of a thing with nothing in it, or else with half of what is there, as long as that goes.
func (s *shrinking) lessen(field, i int, name string) (any bool) {
	for divisor := int64(0); ; divisor = 2 {
		r := s.best.clone()
		for n, f := range leaves("", s.list(r, field).Index(i)) {
			if n != name {
				continue
			}
			if f.IsZero() || !divide(f, divisor) {
				return any
			}
		}
		if s.try(r) {
			any = true
		} else if divisor != 0 {
			return any
		}
	}
}

// divide makes a field zero if by is 0, else a part of it, and a round one if it is a time. It reports whether that is
// less.
func divide(f reflect.Value, by int64) bool {
	if by == 0 {
		f.SetZero()
		return true
	}
	if !f.CanInt() {
		return false
	}
	was := f.Int()
	n := was / by
	if f.Type() == reflect.TypeFor[mono.Duration]() && n > int64(mono.Millisecond) {
		n -= n % int64(mono.Millisecond)
	}
	f.SetInt(n)
	return n != was
}

// clone is a recipe that may be changed without the first.
func (r *Recipe) clone() *Recipe {
	return &Recipe{
		r.World, slices.Clone(r.Hosts), slices.Clone(r.Paths), slices.Clone(r.Conns), slices.Clone(r.Calls), slices.Clone(r.Faults),
	}
}
