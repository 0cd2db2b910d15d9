package main

import (
	"errors"
	"fmt"
	"io/fs"
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
	http    *http.Server
	root    *os.Root
	running sync.WaitGroup
}

// serve listens on every address of c.
func serve(s *stack.Stack, c *config.Config, log *zap.Logger) (*services, error) {
	for _, v := range []struct {
		on      bool
		name    string
		port    uint16
		handler stack.Handler
	}{
		{c.Services.Echo, "echo", config.PortEcho, service.Echo{}},
		{c.Services.Discard, "discard", config.PortDiscard, service.Discard{}},
		{c.Services.Daytime, "daytime", config.PortDaytime, service.Daytime{Now: time.Now}},
		{c.Services.Chargen, "chargen", config.PortChargen, service.Chargen{}},
	} {
		for _, a := range c.Addresses {
			if !v.on {
				continue
			}
			if err := listen(s, listenConfig(c, a, v.port), v.handler); err != nil {
				return nil, fmt.Errorf("%s on %s: %w", v.name, a, err)
			}
		}
	}
	run := &services{}
	if c.Services.HTTP.Enabled {
		if err := run.serveHTTP(s, c, log); err != nil {
			run.close()
			return nil, err
		}
	}
	return run, nil
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
	// mostHTTP bounds the connections of the web server, of which each takes a goroutine and some 20 KiB.
	mostHTTP = 16384
	// longestStall is how long a caller may take nothing of what there is for him, though he answers probes.
	longestStall = 2 * time.Minute
)

// boundHTTP bounds what the web server's callers can hold, where the configuration does not say how.
func boundHTTP(cfg *stack.ListenConfig, t tcp.Settings) {
	if cfg.Connections == 0 {
		cfg.Connections = mostHTTP
	}
	if cfg.TCP != nil {
		t = *cfg.TCP
	}
	if t.UserTimeout == 0 {
		t.UserTimeout = longestStall
	}
	cfg.TCP = &t
}

func (run *services) serveHTTP(s *stack.Stack, c *config.Config, log *zap.Logger) error {
	complaints, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		return err
	}
	var files fs.FS
	if dir := c.Services.HTTP.Static; dir != "" {
		if run.root, err = os.OpenRoot(dir); err != nil {
			return fmt.Errorf("services.http.static: %w", err)
		}
		files = run.root.FS()
	}
	run.http = service.NewHTTP(files, complaints)
	for _, a := range c.Addresses {
		cfg := listenConfig(c, a, config.PortHTTP)
		boundHTTP(&cfg, s.Settings())
		l, err := socket.ListenWith(s, cfg)
		if err != nil {
			return fmt.Errorf("http on %s: %w", a, err)
		}
		run.running.Go(func() {
			if err := run.http.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				log.Error("http has ended", zap.Stringer("address", a), zap.Error(err))
			}
		})
	}
	return nil
}

// close ends the web server. The other services end with the stack.
func (run *services) close() {
	if run.http != nil {
		_ = run.http.Close()
	}
	run.running.Wait()
	if run.root != nil {
		_ = run.root.Close()
	}
}
