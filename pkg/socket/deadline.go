package socket

import (
	"sync"
	"time"
)

// deadline is a time after which a channel is closed, and which can be moved.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{}
	final bool // closed for good
}

func (d *deadline) init() { d.ch = make(chan struct{}) }

// set moves the deadline; the zero time takes it away.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.final {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if isClosed(d.ch) {
		d.ch = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		close(d.ch)
		return
	}
	ch := d.ch
	d.timer = time.AfterFunc(left, func() { d.expire(ch) })
}

// expire closes ch, if it is still the one that waits.
func (d *deadline) expire(ch chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == ch && !isClosed(ch) {
		close(ch)
	}
}

// end ends every wait, for good.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.final = true
	if d.timer != nil {
		d.timer.Stop()
	}
	if !isClosed(d.ch) {
		close(d.ch)
	}
}

// wait is closed when the deadline passes.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ch
}

func (d *deadline) passed() bool { return isClosed(d.wait()) }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
