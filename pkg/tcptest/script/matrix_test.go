package script

import (
	flags "flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

var writeMatrix = flags.String("write", "", "a directory to write the scripts of the matrix to")

// TestMatrix runs every event in every state.
func TestMatrix(t *testing.T) {
	for _, c := range readMatrix(t).scripts() {
		t.Run(c.name(), func(t *testing.T) {
			t.Parallel()
			g := c.script()
			if *writeMatrix != "" {
				writeCell(t, filepath.Join(*writeMatrix, c.name()+".pkt"), g.text)
			}
			s, err := Parse(c.name(), g.text, nil)
			if err != nil {
				t.Fatalf("%s%v", g.text, err)
			}
			if transcript, err := c.run(s, g); err != nil {
				t.Errorf("%s\n%s%v", g.text, transcript, err)
			}
		})
	}
}

func writeCell(t *testing.T, file, text string) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMatrixIsFull: each cell is either a script or the reason why there is none.
func TestMatrixIsFull(t *testing.T) {
	m := readMatrix(t)
	scripts, reasons, departures := 0, 0, 0
	for _, s := range m.states {
		for _, e := range m.events {
			c := m.cells[[2]string{s.name, e.name}]
			switch {
			case c == nil:
				t.Errorf("%s, %s: nothing", s.name, e.name)
			case c.reason != "":
				reasons++
			case c.after == "":
				t.Errorf("%s, %s: no state afterwards", s.name, e.name)
			default:
				scripts++
				if strings.Contains(c.source, "departs: ") {
					departures++
				}
			}
		}
	}
	if len(m.states) != 12 || scripts < 800 {
		t.Errorf("%d states, %d scripts", len(m.states), scripts)
	}
	t.Logf("%d states, %d events: %d scripts, %d of them with a departure, and %d reasons",
		len(m.states), len(m.events), scripts, departures, reasons)
}

// TestMatrixCanFail: a script fails when the first packet of the answer, or the last of the proof, is another, and when the
// state afterwards is.
func TestMatrixCanFail(t *testing.T) {
	const every = 5
	for i, c := range readMatrix(t).scripts() {
		if i%every != 0 {
			continue
		}
		t.Run(c.name(), func(t *testing.T) {
			t.Parallel()
			g := c.script()
			for what, change := range map[string]func(c *cell, list []*Event){
				"state":  func(c *cell, _ []*Event) { c.after = "nowhere" },
				"answer": func(_ *cell, list []*Event) { list[0].Packet.Range = Range{From: 77, To: 78} },
				"proof":  func(_ *cell, list []*Event) { list[len(list)-1].Packet.Flags ^= tcp.URG },
			} {
				s, err := Parse(c.name(), g.text, nil)
				if err != nil {
					t.Fatal(err)
				}
				changed := *c
				change(&changed, expected(s, g.reached))
				if _, err := changed.run(s, g); err == nil {
					t.Errorf("%s: nothing failed", what)
				}
			}
		})
	}
}

// expected are the packets of the stack's that a script expects behind a line.
func expected(s *Script, line int) (list []*Event) {
	for i := range s.Events {
		if e := &s.Events[i]; e.Line > line && e.Packet != nil && !e.Packet.In {
			list = append(list, e)
		}
	}
	return list
}

// run runs a cell's script in three parts: up to the state, the event and its answer, and the proof.
func (c *cell) run(s *Script, g matrixScript) (transcript string, err error) {
	follow := states{}
	r, err := newRunner(s, RunOptions{Silence: true, AnyPush: true, Watches: []stack.Watch{{Kinds: stack.Transitions, Tracer: follow}}})
	if err != nil {
		return "", err
	}
	defer r.sockets.Stack.Close()
	events := s.Events
	for _, part := range []struct {
		upTo  int
		state string
	}{{g.reached, c.state.name}, {g.answered, c.after}, {len(g.text), ""}} {
		n := slices.IndexFunc(events, func(e Event) bool { return e.Line > part.upTo })
		if n < 0 {
			n = len(events)
		}
		if err = r.play(events[:n]); err != nil {
			return strings.Join(r.lines, ""), err
		}
		if got := follow.state(r, part.state); part.state != "" && got != part.state {
			return strings.Join(r.lines, ""), fmt.Errorf("it is in %s, not in %s", got, part.state)
		}
		events = events[n:]
	}
	err = r.finish()
	return strings.Join(r.lines, ""), err
}

// states are those of the connections.
type states map[stack.Flow]fsm.State

// Trace implements stack.Tracer.
func (s states) Trace(e *stack.Event) { s[e.Flow] = e.To }

// state is that of the connection at hand. One that is over, or has not begun, is in LISTEN where there is a listener and the
// script means it.
func (s states) state(r *runner, want string) string {
	state := fsm.Closed
	if r.current != nil && s[flowOf(r.current)] != 0 {
		state = s[flowOf(r.current)]
	}
	switch {
	case state == fsm.SynRcvdOpen:
		return "SYN-RECEIVED-OPEN"
	case state == fsm.Closed && want == "LISTEN" && r.listener.IsValid():
		return "LISTEN"
	}
	return state.String()
}

func flowOf(f *flow) stack.Flow {
	return stack.Flow{
		Local: ip.FromNetip(f.local.Addr()), Remote: ip.FromNetip(f.remote.Addr()),
		LocalPort: f.local.Port(), RemotePort: f.remote.Port(),
	}
}
