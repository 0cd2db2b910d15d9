package main

import (
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/observe"
)

// asked notes what a screen asks for.
type asked struct {
	queries  []*ssQuery
	followed []string
	reseted  []string
}

func (a *asked) ask(q *ssQuery, _ string) tea.Cmd { a.queries = append(a.queries, q); return nil }
func (a *asked) follow(id string)                 { a.followed = append(a.followed, id) }
func (a *asked) reset(id string) tea.Cmd          { a.reseted = append(a.reseted, id); return nil }

const watched = "10.7.0.2:80-10.7.0.1:40614"

// seconds is what the daemon says at a second.
func seconds(n int, selected bool) look {
	l := look{
		at: time.Date(2026, 1, 2, 15, 4, n, 0, time.UTC), states: map[string]int{"ESTABLISHED": 3, "TIME-WAIT": 1, "LAST-ACK": 0},
		counters: observe.Counters{
			Accepted: uint64(5 * n), TextReceived: uint64(2_500_000 * n), SegmentsRead: uint64(n), SegmentsWritten: uint64(70 * n),
			Drops: map[string]uint64{"tcp_refused": uint64(2 * n)}, Resent: map[string]uint64{"recovery": uint64(9 * n)},
		},
		connections: []control.Connection{
			{ID: "10.7.0.2:7-10.7.0.1:35880", State: "TIME-WAIT", Local: "10.7.0.2:7", Remote: "10.7.0.1:35880"},
			{ID: watched, State: "ESTABLISHED", Local: "10.7.0.2:80", Remote: "10.7.0.1:40614", Receive: 12,
				Info: &control.Details{RTT: 1500 * time.Microsecond, Cwnd: 14480, BytesIn: 12, InitialReceived: 1000, InitialSend: 2000}},
		},
	}
	if selected {
		c := l.connections[1]
		c.Info = &control.Details{RTT: time.Duration(n) * time.Millisecond, Cwnd: 14480, SendWindow: 60000, Unread: 12}
		c.Flight = []control.Note{{Kind: "transition", State: "SYN-RECEIVED", Open: "passive", Event: "SYNAcked", To: "ESTABLISHED"}}
		l.selected = &c
	}
	return l
}

func press(m *watchModel, keys ...string) {
	for _, k := range keys {
		msg := tea.KeyPressMsg{Code: []rune(k)[0], Text: k}
		switch k {
		case "enter":
			msg = tea.KeyPressMsg{Code: tea.KeyEnter}
		case "esc":
			msg = tea.KeyPressMsg{Code: tea.KeyEscape}
		case "down":
			msg = tea.KeyPressMsg{Code: tea.KeyDown}
		}
		m.Update(msg)
	}
}

var attributes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// shown is the screen, which must have so many lines, none of them too wide.
func shown(t *testing.T, m *watchModel) string {
	t.Helper()
	lines := strings.Split(attributes.ReplaceAllString(m.View().Content, ""), "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > m.width {
			t.Errorf("%d columns on a screen of %d: %q", n, m.width, line)
		}
	}
	return strings.Join(lines, "\n")
}

func newWatched(t *testing.T) (*watchModel, *asked) {
	t.Helper()
	a := &asked{}
	q, err := watchFilter(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := newWatchModel("/run/tcpd/tcpd0.sock", "", q, a)
	m.Update(seconds(1, false))
	m.Update(seconds(2, false))
	return m, a
}

func TestWatchTable(t *testing.T) {
	m, _ := newWatched(t)
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 120, Height: 40}, {Width: 60, Height: 15}} {
		m.Update(size)
		got := shown(t, m)
		for _, part := range []string{"tcpd watch /run/tcpd/tcpd0.sock  15:04:02", "ESTABLISHED 3 ▇▇▇▇▇▇   TIME-WAIT 1 ▇▇", "a second: 5 accepted", "in 2.5 MB, 1 segment; out ", "again: recovery 9, dropped: tcp refused 2", "State"} {
			if !strings.Contains(got, part) {
				t.Errorf("%dx%d: %q is not on\n%s", size.Width, size.Height, part, got)
			}
		}
	}
	m.wide = true
	m.Update(tea.WindowSizeMsg{Width: 140, Height: 24})
	if got := shown(t, m); !strings.Contains(got, "Cwnd        In       Out   Again\n") || !strings.Contains(got, "14.5 kB      12 B") {
		t.Errorf("wide: %s", got)
	}
	m.wide = false
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 24})
	want := "ESTABLISHED        12        0  10.7.0.2:80            10.7.0.1:40614          1.50 ms\nTIME-WAIT"
	if got := shown(t, m); !strings.Contains(got, want) {
		t.Errorf("%s\nis not on\n%s", want, got)
	}
}

func TestWatchDetails(t *testing.T) {
	m, a := newWatched(t)
	press(m, "enter")
	if len(a.followed) != 1 || a.followed[0] != watched {
		t.Fatalf("followed %q", a.followed)
	}
	m.Update(seconds(3, true))
	m.Update(seconds(4, true))
	if got := shown(t, m); !strings.Contains(got, "SYN-RECEIVED SYNAcked ESTABLISHED") || !strings.Contains(got, "nothing has happened since") {
		t.Errorf("its flight record is not on\n%s", got)
	}
	m.Update(happened{&control.Event{At: 1, Kind: "arrival", Connection: watched, State: "ESTABLISHED",
		Segment: &control.Segment{Flags: "ACK", Seq: 1001, Ack: 2101}}})
	m.Update(happened{&control.Event{At: 1, Kind: "arrival", Connection: "another", State: "LISTEN", Segment: &control.Segment{Flags: "SYN"}}})
	got := shown(t, m)
	for _, part := range []string{watched + "  ESTABLISHED", "SYN-RECEIVED ─┴ ESTABLISHED ─┬ FIN-WAIT-1", "our user: Our user has to read: 12 bytes wait for him.", "RTT  ▆█", "4.00 ms", "14.5 kB", "ACK 1 ack 101"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not on\n%s", part, got)
		}
	}
	if strings.Contains(got, "SYN 0") {
		t.Errorf("another connection's events are on\n%s", got)
	}
	content := m.View().Content
	if !strings.Contains(content, reverse+"ESTABLISHED"+plain) || !strings.Contains(content, bold+"SYN-RECEIVED"+plain) {
		t.Errorf("where it is, and whence it came, is not marked on\n%s", got)
	}
	press(m, "esc")
	if got := shown(t, m); strings.Contains(got, "FIN-WAIT-1") || a.followed[1] != "" {
		t.Errorf("esc does not go back: %q\n%s", a.followed, got)
	}
}

func TestWatchKeys(t *testing.T) {
	m, a := newWatched(t)
	press(m, "r", "n")
	if len(a.reseted) != 0 {
		t.Error("a connection was reset without a yes")
	}
	press(m, "down", "r")
	if got := shown(t, m); !strings.Contains(got, "reset 10.7.0.2:7-10.7.0.1:35880? y") {
		t.Error(got)
	}
	press(m, "y")
	if len(a.reseted) != 1 || a.reseted[0] != "10.7.0.2:7-10.7.0.1:35880" {
		t.Errorf("reset %q", a.reseted)
	}
	press(m, "/", "e", "g", "g", "enter")
	if got := shown(t, m); !strings.Contains(got, `filter: egg`) || !strings.Contains(got, "is not a filter") {
		t.Errorf("a bad filter is taken:\n%s", got)
	}
	press(m, "esc", "/", "d", "p", "o", "r", "t", " ", ":", "9", "enter")
	if q := a.queries[len(a.queries)-1]; q.RemotePort != 9 || !strings.Contains(shown(t, m), "filter: dport :9") {
		t.Errorf("%+v", q)
	}
	before := len(a.queries)
	press(m, "p")
	m.Update(tick{})
	if len(a.queries) != before || !strings.Contains(shown(t, m), "paused") {
		t.Error("it does not pause")
	}
	press(m, "p")
	m.Update(tick{})
	m.Update(tick{}) // the first is not answered yet
	if len(a.queries) != before+1 {
		t.Errorf("it asks %d times", len(a.queries)-before)
	}
	press(m, "?")
	if got := shown(t, m); !strings.Contains(got, "its peer gets a RST") {
		t.Errorf("no help on\n%s", got)
	}
	for _, k := range []string{"enter", "x", "?", "q", "esc"} {
		if got := shown(t, m); !strings.HasSuffix(got, "any key closes this help") {
			t.Errorf("the last line is of something else:\n%s", got)
		}
		press(m, k)
		if got := shown(t, m); strings.Contains(got, "its peer gets a RST") || m.selected != "" {
			t.Errorf("%s does not close the help, and do no more:\n%s", k, got)
		}
		press(m, "?")
	}
	press(m, "x")
	if _, quit := m.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); quit == nil {
		t.Error("q does not quit")
	}
}

// TestWatchWithoutDaemon: it says so, and is well again with the daemon, whose counters have begun anew.
func TestWatchWithoutDaemon(t *testing.T) {
	m, a := newWatched(t)
	press(m, "enter")
	m.Update(happened{&control.Event{At: 1, Kind: "call", Connection: watched, Call: "close_write"}})
	m.Update(look{err: errTraced})
	if got := shown(t, m); !strings.Contains(got, "\nthe daemon does not answer: "+errTraced.Error()) || !strings.Contains(got, "user: close write") {
		t.Error(got)
	}
	again := seconds(3, false)
	again.counters.Accepted = 0
	m.Update(again)
	if got := shown(t, m); !strings.Contains(got, "a second: 0 accepted") || strings.Contains(got, "does not answer") {
		t.Error(got)
	}
	if len(a.followed) != 2 || a.followed[1] != watched {
		t.Errorf("its events are not asked for again: %q", a.followed)
	}
}

// TestWatchShowsNothingStale: of a daemon that does not answer nothing is shown as if it were so now, and nothing of it can be reset;
// how it does not answer is not cut off.
func TestWatchShowsNothingStale(t *testing.T) {
	m, a := newWatched(t)
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 12})
	m.Update(look{err: &control.UnreachableError{Path: "/run/tcpd/tcpd0.sock", Err: &net.OpError{Op: "dial", Net: "unix", Err: unix.ECONNREFUSED}}})
	got := shown(t, m)
	if !strings.HasPrefix(got, "tcpd watch /run/tcpd/tcpd0.sock  last answer 15:04:02\nthe daemon does not answer: connection refused\n\n") ||
		strings.Contains(got, "ESTABLISHED") || strings.Contains(got, "Recv-Q") {
		t.Error(got)
	}
	press(m, "r", "y", "enter")
	if len(a.reseted) != 0 || len(a.followed) != 0 {
		t.Errorf("what is not shown is reset, or looked at: %q %q", a.reseted, a.followed)
	}
	m.Update(look{err: errors.New("/run/tcpd/tcpd0.sock: GET /v1/states: context deadline exceeded (Client.Timeout)")})
	if got := shown(t, m); !strings.Contains(got, "Client.Timeout)") {
		t.Errorf("it is cut:\n%s", got)
	}
	m.Update(seconds(3, false))
	if got := shown(t, m); m.target() != watched || !strings.Contains(got, "Recv-Q") {
		t.Errorf("the cursor is on %q in\n%s", m.target(), got)
	}
}

// TestWatchSmall: on a small screen the diagram goes before who owes the next move does.
func TestWatchSmall(t *testing.T) {
	for size, want := range map[tea.WindowSizeMsg]bool{{Width: 60, Height: 12}: false, {Width: 60, Height: 16}: false, {Width: 80, Height: 24}: true} {
		m, _ := newWatched(t)
		m.Update(size)
		press(m, "enter")
		m.Update(seconds(3, true))
		m.Update(happened{&control.Event{At: 1, Kind: "call", Connection: watched, Call: "close_write"}})
		got := shown(t, m)
		if strings.Contains(got, "FIN-WAIT-1") != want || !strings.Contains(got, "our user: Our user has to read: 12 bytes wait for him.") {
			t.Errorf("%dx%d: the diagram is to be there: %v\n%s", size.Width, size.Height, want, got)
		}
		if size.Height > 12 && !strings.Contains(got, "user: close write") {
			t.Errorf("%dx%d: no ladder on\n%s", size.Width, size.Height, got)
		}
	}
}

// TestWatchSorts: the orders have the names of the columns.
func TestWatchSorts(t *testing.T) {
	m, _ := newWatched(t)
	m.wide = true
	m.Update(tea.WindowSizeMsg{Width: 140, Height: 24})
	for range sorts {
		for _, name := range strings.Split(sorts[m.sorted].name, " + ") {
			if got := strings.Split(shown(t, m), "\n"); !strings.Contains(got[6], name) || !strings.HasSuffix(got[23], "sort: "+sorts[m.sorted].name) {
				t.Errorf("%s is no column, or the last line does not tell it:\n%s", name, strings.Join(got, "\n"))
			}
		}
		press(m, "s")
	}
}

func TestWatchNeedsATerminal(t *testing.T) {
	if _, err := output(t, "watch", "--control", "/nowhere"); err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), "tcpd ss") {
		t.Error(err)
	}
}
