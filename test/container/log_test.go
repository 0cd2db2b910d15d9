package container

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// log is what a container writes, read while it runs.
type log struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	more  chan struct{} // holds one token when there is more to read
	ended chan struct{}
	err   error // how it has ended
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// await waits until the log has text.
func (l *log) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(patience)
	for !strings.Contains(l.String(), text) {
		select {
		case <-l.more:
		case <-l.ended:
			if !strings.Contains(l.String(), text) {
				t.Fatalf("the container has ended without %s:\n%s", text, l)
			}
		case <-late:
			t.Fatalf("no %s in the log:\n%s", text, l)
		}
	}
}
