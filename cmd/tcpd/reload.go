package main

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// reloader reads the configuration of a running daemon again. Signals and clients may ask for it at the same time.
type reloader struct {
	sources  *config.Sources
	stack    *stack.Stack
	services *services
	level    *zap.AtomicLevel
	log      *zap.Logger

	mu     sync.Mutex
	loaded config.Loaded // in force; what it refers to is not changed any more
	ended  bool
}

// reloadable reports whether a running daemon can be given another value of a key.
func reloadable(key string) bool {
	switch key {
	case "log.level", "listeners", "services":
		return true
	case "limits.flight_recorder": // its memory is had at the start
		return false
	}
	return strings.HasPrefix(key, "limits.")
}

// inForce is the configuration that the daemon runs by.
func (r *reloader) inForce() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current()
}

// current is what has been loaded, with the level that the log has been given since.
func (r *reloader) current() config.Loaded {
	now, level := r.loaded, r.level.String()
	if level != now.Config.Log.Level {
		now.Config.Log.Level, now.Origins = level, maps.Clone(now.Origins)
		now.Origins["log.level"] = config.Origin{Source: config.FromCommand, Name: "tcpd log-level"}
	}
	return now
}

// end lets nothing change any more.
func (r *reloader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// reload reads, checks and applies the configuration. When it fails nothing has changed.
func (r *reloader) reload() (control.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return control.Reloaded{}, errors.New("the daemon is ending")
	}
	defer managerReloading(r.log)()
	done, err := r.apply()
	if err != nil {
		r.log.Error("not reloaded: nothing has changed", zap.Strings("faults", strings.Split(err.Error(), "\n")))
		return done, err
	}
	r.log.Info("reloaded", zap.Strings("applied", done.Applied), zap.Strings("opened", done.Opened),
		zap.Strings("replaced", done.Replaced), zap.Strings("closed", done.Closed))
	for _, key := range done.Restart {
		r.log.Warn(key + ": needs a restart")
	}
	return done, nil
}

func (r *reloader) apply() (control.Reloaded, error) {
	next, err := r.sources.Load(config.Defaults())
	if err != nil {
		return control.Reloaded{}, err
	}
	done, now := control.Reloaded{Applied: []string{}, Restart: []string{}}, r.current()
	for _, key := range next.Config.Differ(&now.Config) {
		if reloadable(key) {
			done.Applied = append(done.Applied, key)
		} else {
			done.Restart = append(done.Restart, key)
			next.Take(&now, key)
		}
	}
	if faults := next.Validate(); len(faults) > 0 { // each by itself is well, but not beside what stays
		return control.Reloaded{}, fmt.Errorf("%w\n%s: needs a restart, and stays as before until then", faults, strings.Join(done.Restart, ", "))
	}
	c, err := r.services.change(&next.Config)
	if err != nil {
		return control.Reloaded{}, err
	}
	done.Opened, done.Replaced, done.Closed = orNone(c.opened), orNone(c.replaced), orNone(c.closed)
	if next.Config.Limits != now.Config.Limits {
		r.stack.SetLimits(limits(&next.Config.Limits))
	}
	if level := next.Config.Log.Level; level != now.Config.Log.Level {
		err = r.level.UnmarshalText([]byte(level)) // Validate knows it
	}
	r.loaded = next
	return done, err
}

// orNone is list, or an empty one that is not nil.
func orNone(list []string) []string { return append([]string{}, list...) }
