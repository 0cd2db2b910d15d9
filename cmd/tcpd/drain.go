package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// drainLook is how often the connections that are left are counted. That they end is known to their shards alone, which tell
// nobody: each look is a task on each of them, and few a second are nothing to them.
const drainLook = 20 * time.Millisecond

// drain lets nobody in any more, and the connections that are open go on: until none is left, for no longer than limit, and not
// beyond another signal to end. What is left is for stop to reset.
func (h *host) drain(s *services, limit time.Duration, signals <-chan os.Signal) error {
	h.listen()
	h.draining = true
	s.refuse()
	open, began := h.open(), time.Now()
	if open == 0 {
		return nil
	}
	h.log.Info("draining", zap.Int("connections", open), zap.Stringer("limit", limit))
	left, err := open, error(nil)
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for over := time.After(limit); left > 0 && over != nil && err == nil; {
		select {
		case <-look.C:
			left = h.open()
		case <-over:
			over = nil
		case err = <-h.Failed():
			err = fmt.Errorf("%s: %w", h.tun.Name(), err)
		case sig := <-signals:
			if h.ends(sig) {
				over = nil
			}
		}
	}
	h.log.Info("drained", zap.Int("ended", max(0, open-left)), zap.Int("reset", left), zap.Stringer("took", time.Since(began).Round(time.Millisecond)))
	return err
}

// ends does what a signal asks for, and reports whether that is to end.
func (h *host) ends(sig os.Signal) bool {
	switch sig {
	case syscall.SIGUSR1:
		h.tell("counters", h.counters())
		return false
	case syscall.SIGTERM, syscall.SIGINT, stopRequest{}:
		h.log.Info("ending", zap.Stringer("signal", sig))
		return true
	}
	return false
}

// open counts the connections that are not over, without those in TIME-WAIT, whose users and peers need us no more. A shard that
// does not get on in time may have one.
func (h *host) open() (n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := h.Progress(ctx); err != nil {
		return 1
	}
	for i := range h.Shards() {
		n += h.Counters(i).Conns
	}
	return n
}

// refuse lets nobody in any more: handshakes are refused, and web servers close connections that are idle, or will be when what
// was asked for has been answered.
func (run *services) refuse() {
	for _, l := range run.at {
		l.retire()
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	for srv := range run.servers {
		if web, ok := srv.accepter.(*http.Server); ok {
			web.SetKeepAlivesEnabled(false)
		}
	}
}
