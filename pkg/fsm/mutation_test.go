package fsm

import (
	"fmt"
	"testing"
)

// mutant is the table with one thing wrong.
type mutant struct {
	name string
	machine
	moved bool // it leads elsewhere, or nowhere
}

// mutants yields every table that differs from ours in one cell: another next state, one action more or less, a cell
// too few or too many, another paragraph.
func mutants(yield func(*mutant) bool) {
	change := func(s State, e Event, what string, f func(c *cell)) bool {
		m := &mutant{name: fmt.Sprintf("%v (%d) x %v %s", s, s, e, what), machine: table}
		f(&m.machine[s][e])
		m.moved = table[s][e].next != 0 && m.machine[s][e].next != table[s][e].next
		return yield(m)
	}
	for s := Closed; s < numStates; s++ {
		for e := range numEvents {
			if table[s][e].next == 0 {
				if !change(s, e, "added", func(c *cell) { *c = cell{s, 0, "3.10"} }) {
					return
				}
				continue
			}
			if !change(s, e, "removed", func(c *cell) { *c = cell{} }) ||
				!change(s, e, "cites another paragraph", func(c *cell) { c.ref = "3.10" }) {
				return
			}
			for next := Closed; next < numStates; next++ {
				if next != table[s][e].next && !change(s, e, fmt.Sprintf("to %v (%d)", next, next), func(c *cell) { c.next = next }) {
					return
				}
			}
			for i, name := range actionNames {
				if !change(s, e, "with or without "+name, func(c *cell) { c.do ^= 1 << i }) {
					return
				}
			}
		}
	}
}

// TestMutation proves that the checks would notice: no mutant passes them all.
func TestMutation(t *testing.T) {
	checks := []struct {
		name string
		run  func(*mutant) error
	}{
		{"figure 5", func(m *mutant) error { return checkFigure5(m.step) }},
		{"requirements", func(m *mutant) error {
			return checkRequirements(m.step, func(s State, e Event) string { return m.machine[s][e].ref })
		}},
		{"model", func(m *mutant) error { _, err := checkModel(&m.machine, quick); return err }},
	}
	kills := make([]int, len(checks))
	total := 0
next:
	for m := range mutants {
		total++
		for i, check := range checks {
			if check.run(m) != nil {
				kills[i]++
				continue next
			}
		}
		t.Errorf("%s: nothing notices", m.name)
	}
	for i, check := range checks {
		t.Logf("%s: %d of %d mutants", check.name, kills[i], total)
	}
}

// TestMutationByModel proves that the model does not need the sentences: whatever leads to another state, or lacks a
// cell, ends in a world that contradicts the facts, in a missing cell, or in one that has no way out. It takes every
// ninth mutant, which leaves out no cell, unless told to be thorough.
func TestMutationByModel(t *testing.T) {
	seen, total := 0, 0
	for m := range mutants {
		if !m.moved {
			continue
		}
		if seen++; seen%9 != 0 && !*thorough {
			continue
		}
		total++
		if _, err := checkModel(&m.machine, quick); err == nil {
			t.Errorf("%s: the model does not notice", m.name)
		}
	}
	t.Logf("%d mutants", total)
}
