package socket

import (
	"sync"
	"time"
)

// deadline is a time after which a channel is closed, and which can be moved. Servers move it with every request and it passes
// hardly ever: a timer that runs is left alone by a later one, and looks at the deadline when it fires.
type deadline struct {
	mu    sync.Mutex
	at    time.Time // the zero time: there is none
	timer *time.Timer
	due   time.Time // when timer fires; the zero time: it does not
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
	if isClosed(d.ch) {
		d.ch = make(chan struct{})
	}
	if d.at = t; !t.IsZero() {
		d.arm()
	}
}

// arm has the timer fire at the deadline or before, or closes the channel if it has passed.
func (d *deadline) arm() {
	if !d.due.IsZero() && !d.at.Before(d.due) {
		return
	}
	left := time.Until(d.at)
	if left <= 0 {
		close(d.ch)
		return
	}
	if d.due = d.at; d.timer == nil {
		d.timer = time.AfterFunc(left, d.expire)
	} else {
		d.timer.Reset(left)
	}
}

// expire is for the timer.
func (d *deadline) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.due = (time.Time{}); d.final || d.at.IsZero() || isClosed(d.ch) {
		return
	}
	d.arm()
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
