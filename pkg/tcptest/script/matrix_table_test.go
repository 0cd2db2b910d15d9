package script

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A matrix is every event in every state: the table of testdata/matrix.txt, whose first lines tell how it is written.
type matrix struct {
	states []*matrixState
	events []*matrixEvent
	cells  map[[2]string]*cell // by state and event
}

// matrixState is a state, and the lines of a script that bring a connection into it.
type matrixState struct {
	name     string
	numbers  map[string]int64 // what una, snd, rcv, good, edge and FD stand for
	prologue []string
}

// matrixEvent is a column: the lines that are the event in every state, if it has any.
type matrixEvent struct {
	name, tells string
	lines       []string
}

// cell is one event in one state.
type cell struct {
	state  *matrixState
	event  *matrixEvent
	source string // the paragraphs that it follows from
	reason string // why there is no script; "": there is one

	from   *matrixState // whose prologue is used instead; nil: state's
	before []string     // lines that then lead to the state
	lines  []string     // the event's own lines here, and the answer
	after  string       // the state after it
	moved  map[string]int64
}

// name is the cell's as a test and a file.
func (c *cell) name() string {
	return c.state.name + "/" + strings.NewReplacer(",", "", "'", "", " ", "-").Replace(c.event.name)
}

// scripts are the cells that have a script.
func (m *matrix) scripts() (list []*cell) {
	for _, s := range m.states {
		for _, e := range m.events {
			if c := m.cells[[2]string{s.name, e.name}]; c != nil && c.after != "" {
				list = append(list, c)
			}
		}
	}
	return list
}

var blockHead = regexp.MustCompile(`^\[([A-Z0-9 -]+)\] (.+)$`)

// readMatrix reads the table.
func readMatrix(t *testing.T) *matrix {
	t.Helper()
	text, err := os.ReadFile("testdata/matrix.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := &matrix{cells: map[[2]string]*cell{}}
	var block []*cell
	for n, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if block, err = m.line(line, block); err != nil {
			t.Fatalf("matrix.txt:%d: %v: %s", n+1, err, line)
		}
	}
	return m
}

// line reads a line; block are the cells to which the lines before it belong.
func (m *matrix) line(line string, block []*cell) ([]*cell, error) {
	if name, ok := strings.CutPrefix(line, "state "); ok {
		return nil, m.state(strings.Fields(name))
	}
	if name, ok := strings.CutPrefix(line, "event "); ok {
		m.events = append(m.events, &matrixEvent{name: name})
		return nil, nil
	}
	if h := blockHead.FindStringSubmatch(line); h != nil && len(m.events) > 0 {
		return m.block(strings.Fields(h[1]), h[2])
	}
	switch {
	case len(m.events) == 0 && len(m.states) > 0:
		s := m.states[len(m.states)-1]
		s.prologue = append(s.prologue, line)
	case len(block) > 0:
		return block, m.cellLine(block, line)
	case line[0] == ':':
		e := m.events[len(m.events)-1]
		e.tells = strings.TrimSpace(e.tells + line[1:])
	default:
		e := m.events[len(m.events)-1]
		e.lines = append(e.lines, line)
	}
	return block, nil
}

// state reads NAME [after OTHER] una=1 snd=1 ...
func (m *matrix) state(words []string) error {
	s := &matrixState{name: words[0], numbers: map[string]int64{}}
	for i, w := range words[1:] {
		name, number, ok := strings.Cut(w, "=")
		v, err := strconv.ParseInt(number, 10, 64)
		switch {
		case w == "after":
			s.prologue = slices.Clone(m.named(words[i+2]).prologue)
		case ok && err == nil:
			s.numbers[name] = v
		case m.named(w) == nil:
			return fmt.Errorf("no state %s", w)
		}
	}
	m.states = append(m.states, s)
	return nil
}

func (m *matrix) named(state string) *matrixState {
	for _, s := range m.states {
		if s.name == state {
			return s
		}
	}
	return nil
}

// block begins the cells of some states, all with the same lines.
func (m *matrix) block(states []string, source string) (block []*cell, err error) {
	e := m.events[len(m.events)-1]
	reason, _ := strings.CutPrefix(source, "none: ")
	for _, name := range states {
		s, key := m.named(name), [2]string{name, e.name}
		if s == nil || m.cells[key] != nil {
			return nil, fmt.Errorf("%s is no state, or has this event already", name)
		}
		c := &cell{state: s, event: e, source: source, moved: map[string]int64{}}
		if reason != source {
			c.source, c.reason = "", reason
		}
		m.cells[key] = c
		block = append(block, c)
	}
	return block, nil
}

// cellLine adds a line to each cell of a block.
func (m *matrix) cellLine(block []*cell, line string) error {
	for _, c := range block {
		words := strings.Fields(line)
		switch {
		case c.reason != "" || c.after != "":
			return fmt.Errorf("a line too many")
		case words[0] == "from":
			if c.from = m.named(words[1]); c.from == nil {
				return fmt.Errorf("no state %s", words[1])
			}
		case line == "--":
			c.before, c.lines = c.lines, nil
		case words[0] == "=":
			if err := m.result(c, words[1:]); err != nil {
				return err
			}
		default:
			c.lines = append(c.lines, line)
		}
	}
	return nil
}

// result reads STATE, and by how much the numbers have moved: snd+1, or what they are now: rcv=7.
func (m *matrix) result(c *cell, words []string) error {
	if c.after = words[0]; c.after == "same" {
		c.after = c.state.name
	}
	if m.named(c.after) == nil {
		return fmt.Errorf("no state %s", c.after)
	}
	for _, w := range words[1:] {
		i := strings.IndexAny(w, "+=")
		if i < 0 {
			return fmt.Errorf("%s is no number", w)
		}
		v, err := strconv.ParseInt(w[i+1:], 10, 64)
		if err != nil {
			return err
		}
		if w[i] == '+' {
			v += c.state.numbers[w[:i]]
		}
		c.moved[w[:i]] = v
	}
	return nil
}
