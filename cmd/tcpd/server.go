package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

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

// connServer serves the connections of a service on goroutines, wherever it listens.
type connServer struct {
	accepter
	admit     func(*stack.Request) // decides on connections; nil: all may come
	open      func() int           // how many connections have a handler still
	idle      func()               // waits until there are no connections; nobody listens any more
	root      *os.Root             // of a web server's files; nil: none
	listeners int                  // under the lock of services
}

// accepter takes connections from listeners until it is closed, with its connections.
type accepter interface {
	Serve(net.Listener) error
	Close() error
}

func (run *services) newServer(v *config.Service) (*connServer, error) {
	switch v.Service {
	case "http":
		return run.newWeb(v.Static)
	case "proxy":
		p := service.NewProxy(v.To)
		s := service.NewServer(p)
		return &connServer{accepter: s, open: s.Open, idle: s.Wait, admit: p.Admit}, nil
	}
	s := service.NewServer(simple[v.Service])
	return &connServer{accepter: s, open: s.Open, idle: s.Wait}, nil
}

// newWeb returns a web server with the files of a directory, or "" for none.
func (run *services) newWeb(dir string) (*connServer, error) {
	if dir == "" {
		return countingWeb(service.NewHTTP(nil, run.page, run.complaints)), nil
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("static: %w: a daemon that runs can read what it could when it began, and what has the rights for its user", err)
	}
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	srv := countingWeb(service.NewHTTP(service.Directory(root), run.page, run.complaints))
	srv.root = root
	return srv, nil
}

// countingWeb counts the connections of a web server.
func countingWeb(web *http.Server) *connServer {
	var conns sync.WaitGroup
	var n atomic.Int64
	web.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			conns.Add(1)
			n.Add(1)
		case http.StateClosed, http.StateHijacked:
			n.Add(-1)
			conns.Done()
		}
	}
	return &connServer{accepter: web, open: func() int { return int(n.Load()) }, idle: conns.Wait}
}

// drop gives up what it holds besides connections.
func (s *connServer) drop() {
	if s.root != nil {
		_ = s.root.Close()
	}
}

// listen lets a service listen that takes its connections as they open: if they are counted, they leave the accept
// queue at once.
func listen(s *stack.Stack, cfg stack.ListenConfig, h stack.Handler) (*stack.Listener, error) {
	if cfg.Backlog == 0 && cfg.SourceBacklog == 0 {
		return s.Listen(cfg, h)
	}
	t := &taker{handler: h}
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	t.listener, err = s.Listen(cfg, t)
	return t.listener, err
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
