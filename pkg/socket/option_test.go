package socket_test

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Close with a linger time returns when the peer has acknowledged all that was written, FIN and all.
func TestLingerWaits(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 1, wrap: g.wrap})
		c, s := w.pair()
		g.set(nothing)
		c.SetLinger(100)
		if _, err := c.Write(make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(5*time.Second, func() { g.set(nil) })
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < 5*time.Second || d > 30*time.Second {
			t.Errorf("Close took %v", d)
		}
		if b, err := io.ReadAll(s); err != nil || len(b) != 10_000 {
			t.Errorf("read %d bytes, %v", len(b), err)
		}
	})
}

// It waits no longer than it was told; then the rest is sent in the background, as with Linux. With text unread it does not
// wait at all.
func TestLingerGivesUp(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 1, wrap: g.wrap})
		c, s := w.pair()
		g.set(nothing)
		c.SetLinger(3)
		c.Write(make([]byte, 10_000))
		start := time.Now()
		c.Close()
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("Close took %v", d)
		}
		g.set(nil)
		if b, err := io.ReadAll(s); err != nil || len(b) != 10_000 {
			t.Errorf("read %d bytes, %v", len(b), err)
		}
	})
	bubble(t, "unread", func(t *testing.T) {
		w := newWire(t, shape{queues: 1})
		c, s := w.pair()
		s.Write([]byte("unread"))
		synctest.Wait() // it has come
		c.SetLinger(100)
		start := time.Now()
		c.Close()
		if d := time.Since(start); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v", err)
		}
	})
}

// The peer that makes no progress for the user time-out is given up.
func TestUserTimeout(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		g := &gate{}
		w := newWire(t, shape{queues: 1, wrap: g.wrap})
		c, _ := w.pair()
		c.SetUserTimeout(7 * time.Second)
		g.set(nothing)
		start := time.Now()
		c.Write([]byte("lost"))
		_, err := c.Read(make([]byte, 1))
		if d := time.Since(start); !errors.Is(err, syscall.ETIMEDOUT) || d < 7*time.Second || d > 8*time.Second {
			t.Errorf("%v after %v", err, d)
		}
	})
}

// Urgent text comes in its place; its reader is told of it before, and how far it reaches.
//
// Proves: RFC 9293 MUST-32, MUST-33
func TestWriteUrgent(t *testing.T) {
	eachShape(t, func(t *testing.T, w *wire) {
		c, s := w.pair()
		text := bytes.Repeat([]byte("not urgent"), 1000)
		c.Write(text)
		if n, err := c.WriteUrgent([]byte("urgent")); n != 6 || err != nil {
			t.Fatal(n, err)
		}
		c.Write([]byte("!"))
		within(t, "the word of urgent text", func() { <-s.Urgent() })
		if n := s.UrgentLeft(); n != len(text)+6 {
			t.Errorf("%d bytes are urgent", n)
		}
		got := make([]byte, len(text)+7)
		if _, err := io.ReadFull(s, got); err != nil || string(got[len(text):]) != "urgent!" {
			t.Errorf("%q, %v", got[len(text):], err)
		}
		if n := s.UrgentLeft(); n != 0 {
			t.Errorf("%d bytes are urgent when all is read", n)
		}
		c.CloseWrite()
		if _, err := c.WriteUrgent([]byte("late")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("after CloseWrite: %v", err)
		}
	})
}

// Corked text waits for a full segment, or for the cork to be drawn.
func TestCork(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		w := newWire(t, shape{queues: 1, plain: true})
		c, s := w.pair()
		c.SetCork(true)
		start := time.Now()
		c.Write([]byte("corked"))
		time.AfterFunc(50*time.Millisecond, func() { c.SetCork(false) })
		if _, err := io.ReadFull(s, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 50*time.Millisecond || d > 100*time.Millisecond {
			t.Errorf("after %v", d)
		}
	})
}
