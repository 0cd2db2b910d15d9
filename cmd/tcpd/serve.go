package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// services are what runs beside the shards.
type services struct {
	stack      *stack.Stack
	config     *config.Config
	log        *zap.Logger
	complaints *log.Logger // of the web servers
	servers    []accepter
	roots      []*os.Root
	running    sync.WaitGroup
}

// accepter takes connections from listeners until it is closed.
type accepter interface {
	Serve(net.Listener) error
	Close() error
}

// serve listens as c says.
func serve(s *stack.Stack, c *config.Config, log *zap.Logger) (*services, error) {
	complaints, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	run := &services{stack: s, config: c, log: log, complaints: complaints}
	for i := range c.Services {
		v := &c.Services[i]
		if err := run.start(v); err != nil {
			run.close()
			return nil, fmt.Errorf("services[%d]: %s on port %d: %w", i, v.Service, v.Port, err)
		}
	}
	return run, nil
}

// simple are the services that can be both: a handler on the shard, and a goroutine a connection.
var simple = map[string]interface {
	stack.Handler
	service.ConnService
}{
	"echo":    service.Echo{},
	"discard": service.Discard{},
	"daytime": service.Daytime{Now: time.Now},
	"chargen": service.Chargen{},
}

// start lets a service listen.
func (run *services) start(v *config.Service) error {
	if !v.HasGoroutines() {
		for _, a := range run.config.ListensAt(v) {
			if err := listen(run.stack, listenConfig(run.config, a, v.Port), simple[v.Service]); err != nil {
				return err
			}
		}
		return nil
	}
	srv, admit, err := run.server(v)
	if err != nil {
		return err
	}
	run.servers = append(run.servers, srv)
	for _, a := range run.config.ListensAt(v) {
		cfg := listenConfig(run.config, a, v.Port)
		bound(&cfg, run.stack.Settings())
		cfg.Admit = admit
		l, err := socket.ListenWith(run.stack, cfg)
		if err != nil {
			return err
		}
		run.running.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				run.log.Error(v.Service+" has ended", zap.Stringer("address", l.Addr()), zap.Error(err))
			}
		})
	}
	return nil
}

// server makes what serves the connections of v on goroutines, and what decides on them, if anything does.
func (run *services) server(v *config.Service) (accepter, func(*stack.Request), error) {
	switch v.Service {
	case "http":
		files, err := run.files(v.Static)
		return service.NewHTTP(files, run.complaints), nil, err
	case "proxy":
		p := service.NewProxy(v.To)
		return service.NewServer(p), p.Admit, nil
	}
	return service.NewServer(simple[v.Service]), nil, nil
}

// files are those of a directory, or nil without one.
func (run *services) files(dir string) (fs.FS, error) {
	if dir == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	run.roots = append(run.roots, root)
	return root.FS(), nil
}

// listen lets a service listen that takes its connections as they open: if they are counted, they leave the accept
// queue at once.
func listen(s *stack.Stack, cfg stack.ListenConfig, h stack.Handler) error {
	if cfg.Backlog == 0 && cfg.SourceBacklog == 0 {
		_, err := s.Listen(cfg, h)
		return err
	}
	t := &taker{handler: h}
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	t.listener, err = s.Listen(cfg, t)
	return err
}

// taker is a handler that takes connections out of the accept queue as they open.
type taker struct {
	handler  stack.Handler
	mu       sync.Mutex // of listener, which the first connection may be faster than
	listener *stack.Listener
}

// Ready implements stack.Handler.
func (t *taker) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Opened != 0 {
		t.mu.Lock()
		l := t.listener
		t.mu.Unlock()
		l.Taken(c.RemoteAddr().Addr())
	}
	t.handler.Ready(c, e)
}

const (
	// mostServed bounds the connections of a service with goroutines, of which each takes some 20 KiB with its own.
	mostServed = 16384
	// longestStall is how long a caller may take nothing of what there is for him, though he answers probes.
	longestStall = 2 * time.Minute
)

// bound bounds what callers of a service with goroutines can hold, where the configuration does not say how.
func bound(cfg *stack.ListenConfig, t tcp.Settings) {
	if cfg.Connections == 0 {
		cfg.Connections = mostServed
	}
	if cfg.TCP != nil {
		t = *cfg.TCP
	}
	if t.UserTimeout == 0 {
		t.UserTimeout = longestStall
	}
	cfg.TCP = &t
}

// close ends the services with goroutines. The others end with the stack.
func (run *services) close() {
	for _, srv := range run.servers {
		_ = srv.Close()
	}
	run.running.Wait()
	for _, root := range run.roots {
		_ = root.Close()
	}
}
