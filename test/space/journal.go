package space

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/observe"
)

// Line is one line of a daemon's log; text that is no JSON has only Raw.
type Line struct {
	Raw      string    `json:"-"`
	Level    string    `json:"level"`
	Msg      string    `json:"msg"`
	Conn     string    `json:"conn"`
	From     string    `json:"from"`
	Event    string    `json:"event"`
	To       string    `json:"to"`
	RFC      string    `json:"rfc"`
	Counters *Counters `json:"counters"`
}

// Counters are what a daemon counts.
type Counters struct{ observe.Counters }

// Dropped is how many packets were read and not taken, for whatever reason.
func (c *Counters) Dropped() (n uint64) {
	for _, d := range c.Drops {
		n += d
	}
	return n
}

// Check holds the books to account: every packet read was delivered or dropped for a reason.
func (c *Counters) Check(t testing.TB) {
	t.Helper()
	if c.PacketsRead != c.Delivered+c.Dropped() {
		t.Errorf("%d packets read, but %d delivered and %d dropped: %v",
			c.PacketsRead, c.Delivered, c.Dropped(), c.Drops)
	}
}

// Journal collects a daemon's log while it runs.
type Journal struct {
	mu    sync.Mutex
	lines []Line
	more  chan struct{} // closed by the next line, or by the end
	ended bool
}

func newJournal() *Journal { return &Journal{more: make(chan struct{})} }

// read takes the log in until its end.
func (j *Journal) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		raw, err := in.ReadString('\n')
		if raw = strings.TrimRight(raw, "\n"); raw != "" {
			l := Line{}
			if json.Unmarshal([]byte(raw), &l) != nil {
				l = Line{}
			}
			l.Raw = raw
			j.add(l)
		}
		if err != nil {
			j.end()
			return
		}
	}
}

func (j *Journal) add(l Line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, l)
	close(j.more)
	j.more = make(chan struct{})
}

func (j *Journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	close(j.more)
}

// since returns the lines from the nth on.
func (j *Journal) since(n int) (lines []Line, more <-chan struct{}, ended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines[n:len(j.lines):len(j.lines)], j.more, j.ended
}

// All is what has been logged.
func (j *Journal) All() []Line {
	lines, _, _ := j.since(0)
	return lines
}

// Wait returns the first line that ok accepts, among those there and those to come.
func (j *Journal) Wait(ok func(Line) bool) (Line, error) { return j.WaitFrom(0, ok) }

// WaitFrom is Wait from the nth line on.
func (j *Journal) WaitFrom(n int, ok func(Line) bool) (Line, error) {
	late := time.After(Patience)
	for {
		lines, more, ended := j.since(n)
		for _, l := range lines {
			if ok(l) {
				return l, nil
			}
		}
		n += len(lines)
		if ended {
			return Line{}, fmt.Errorf("the log has ended")
		}
		select {
		case <-more:
		case <-late:
			return Line{}, fmt.Errorf("not in the log after %v", Patience)
		}
	}
}

// Tail is the end of the log, for who reads of a failure.
func (j *Journal) Tail(n int) string {
	lines := j.All()
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-n):] {
		b.WriteString(l.Raw + "\n")
	}
	return b.String()
}
