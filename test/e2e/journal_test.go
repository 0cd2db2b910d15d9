package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// line is one line of the daemon's log; text that is no JSON has only Raw.
type line struct {
	Raw      string    `json:"-"`
	Level    string    `json:"level"`
	Msg      string    `json:"msg"`
	Conn     string    `json:"conn"`
	From     string    `json:"from"`
	Event    string    `json:"event"`
	To       string    `json:"to"`
	RFC      string    `json:"rfc"`
	Counters *counters `json:"counters"`
}

type counters struct {
	PacketsRead int64            `json:"packets_read"`
	Delivered   int64            `json:"delivered"`
	Drops       map[string]int64 `json:"drops"`
}

func (c *counters) dropped() (n int64) {
	for _, d := range c.Drops {
		n += d
	}
	return n
}

// check holds the books to account: every packet read was delivered or dropped for a reason.
func (c *counters) check(t *testing.T) {
	t.Helper()
	if c.PacketsRead != c.Delivered+c.dropped() {
		t.Errorf("%d packets read, but %d delivered and %d dropped: %v",
			c.PacketsRead, c.Delivered, c.dropped(), c.Drops)
	}
}

// journal collects a daemon's log while it runs.
type journal struct {
	mu    sync.Mutex
	lines []line
	more  chan struct{} // closed by the next line, or by the end
	ended bool
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

// read takes the log in until its end.
func (j *journal) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		raw, err := in.ReadString('\n')
		if raw = strings.TrimRight(raw, "\n"); raw != "" {
			l := line{}
			if json.Unmarshal([]byte(raw), &l) != nil {
				l = line{}
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

func (j *journal) add(l line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, l)
	close(j.more)
	j.more = make(chan struct{})
}

func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	close(j.more)
}

// since returns the lines from the nth on.
func (j *journal) since(n int) (lines []line, more <-chan struct{}, ended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines[n:len(j.lines):len(j.lines)], j.more, j.ended
}

func (j *journal) all() []line {
	lines, _, _ := j.since(0)
	return lines
}

// wait returns the first line that ok accepts, among those there and those to come.
func (j *journal) wait(ok func(line) bool) (line, error) { return j.waitFrom(0, ok) }

// waitFrom is wait from the nth line on.
func (j *journal) waitFrom(n int, ok func(line) bool) (line, error) {
	late := time.After(patience)
	for {
		lines, more, ended := j.since(n)
		for _, l := range lines {
			if ok(l) {
				return l, nil
			}
		}
		n += len(lines)
		if ended {
			return line{}, fmt.Errorf("the log has ended")
		}
		select {
		case <-more:
		case <-late:
			return line{}, fmt.Errorf("not in the log after %v", patience)
		}
	}
}

// path is the life of a connection as logged, a "FROM Event TO" for each change of state.
func (j *journal) path(conn string) []string {
	var path []string
	for _, l := range j.all() {
		if l.Msg == "state" && l.Conn == conn && l.From != l.To {
			path = append(path, l.From+" "+l.Event+" "+l.To)
		}
	}
	return path
}

// checkChains holds every logged life together: each change of state begins where the last one ended, and names
// the RFC.
func (j *journal) checkChains(t *testing.T) {
	t.Helper()
	last := map[string]string{}
	for _, l := range j.all() {
		if l.Msg != "state" {
			continue
		}
		if l.Conn == "" || l.From == "" || l.Event == "" || l.To == "" || l.RFC == "" {
			t.Errorf("a state change without all of conn, from, event, to, rfc: %s", l.Raw)
		}
		if before, ok := last[l.Conn]; ok && before != l.From && before != "CLOSED" {
			t.Errorf("%s was %s before: %s", l.Conn, before, l.Raw)
		}
		last[l.Conn] = l.To
	}
}

// tail is the end of the log, for who reads of a failure.
func (j *journal) tail(n int) string {
	lines := j.all()
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-n):] {
		b.WriteString(l.Raw + "\n")
	}
	return b.String()
}

// output is a buffer that one goroutine fills and others read.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
