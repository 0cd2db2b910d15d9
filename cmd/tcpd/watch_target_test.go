package main

import (
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// reorder is what the daemon says a second later, when another connection has come to stand before the others.
func reorder(n int) look {
	l := seconds(n, false)
	first := control.Connection{ID: "10.7.0.2:80-10.7.0.1:1", State: "CLOSE-WAIT", Local: "10.7.0.2:80", Remote: "10.7.0.1:1"}
	l.connections = append([]control.Connection{first}, l.connections...)
	return l
}

// TestWatchResetsWhatItAskedFor: the connection that a yes resets is the one that the question named, whatever has come meanwhile.
func TestWatchResetsWhatItAskedFor(t *testing.T) {
	m, a := newWatched(t)
	press(m, "r")
	if got := shown(t, m); !strings.Contains(got, "reset "+watched+"?") {
		t.Fatal(got)
	}
	m.Update(reorder(3))
	if got := shown(t, m); !strings.Contains(got, "reset "+watched+"?") {
		t.Errorf("the question is about another connection now:\n%s", got)
	}
	press(m, "y")
	if len(a.reseted) != 1 || a.reseted[0] != watched {
		t.Errorf("reset %q", a.reseted)
	}
}

// TestWatchResetsNoOther: not even when the connection has ended while the question stood.
func TestWatchResetsNoOther(t *testing.T) {
	m, a := newWatched(t)
	press(m, "r")
	l := reorder(3)
	l.connections = l.connections[:2]
	m.Update(l)
	press(m, "y")
	if len(a.reseted) != 1 || a.reseted[0] != watched {
		t.Errorf("reset %q", a.reseted)
	}
}

// TestWatchCursorStays: the cursor stays on its connection when others come before it, and when the order is another.
func TestWatchCursorStays(t *testing.T) {
	m, _ := newWatched(t)
	m.Update(reorder(3))
	if got := m.target(); got != watched {
		t.Errorf("after a look it is on %s", got)
	}
	for range sorts {
		press(m, "s")
		if got := m.target(); got != watched {
			t.Errorf("by %s it is on %s", sorts[m.sorted].name, got)
		}
	}
}

// TestWatchDetailsAreTheSelected: nothing of the connection that was looked at before is shown of the next.
func TestWatchDetailsAreTheSelected(t *testing.T) {
	m, _ := newWatched(t)
	press(m, "enter")
	m.Update(seconds(3, true))
	press(m, "esc", "down", "enter")
	if got := shown(t, m); strings.Contains(got, watched) {
		t.Errorf("that of another is on\n%s", got)
	}
	m.Update(seconds(4, true)) // asked for before
	if got := shown(t, m); strings.Contains(got, watched) || len(m.rtts) > 0 {
		t.Errorf("that of another is on\n%s", got)
	}
}
