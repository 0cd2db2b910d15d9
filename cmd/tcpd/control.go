package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// controls are the control socket and the address of the metrics, as far as there are any.
type controls struct {
	server  *control.Server
	socket  string // path, or ""
	metrics *http.Server
	running sync.WaitGroup
}

// stopRequest stands for the signal that a client's request to stop is.
type stopRequest struct{}

func (stopRequest) String() string { return "request to stop" }

// Signal implements os.Signal.
func (stopRequest) Signal() {}

// openControl lets the daemon be asked, as r's configuration says. token is the page's. A request to stop goes to signals.
func (h *host) openControl(r *reloader, token string, signals chan<- os.Signal) (*controls, error) {
	c := &r.loaded.Config
	complaints, err := zap.NewStdLogAt(h.log, zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	metrics := observe.Metrics(observe.Source{Counters: h.count, States: h.States})
	o := &controls{}
	if l, err := h.listenControl(c.Control); err != nil {
		return nil, err
	} else if l != nil {
		o.socket = l.Addr().String()
		o.server = control.NewServer(control.Options{
			Stack: h.Stack, Counters: h.count, Metrics: metrics, Config: r.inForce, Reload: r.reload, Level: r.level, Complaints: complaints,
			Token: func() control.Token { return r.token(token) },
			Stop: func() {
				select {
				case signals <- stopRequest{}:
				default: // enough reasons to end wait there
				}
			},
		})
		o.serve(h.log, "control socket", func() error { return o.server.Serve(l) })
	}
	if c.Metrics != "" {
		l, err := h.listenMetrics(c)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("metrics: %w", err), o.close())
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", metrics)
		o.metrics = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: complaints}
		o.serve(h.log, "metrics", func() error { return o.metrics.Serve(l) })
	}
	return o, nil
}

func (o *controls) serve(log *zap.Logger, what string, f func() error) {
	o.running.Go(func() {
		if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			log.Error(what+" has ended", zap.Error(err))
		}
	})
}

// listenControl opens the control socket; nil if there is to be none. The usual place is a convenience: where it can't be had,
// perhaps because a daemon in another network namespace has it, there is a warning, and the daemon runs.
func (h *host) listenControl(path string) (net.Listener, error) {
	if path == "" {
		return nil, nil
	}
	auto := path == config.ControlAuto
	var err error
	if auto {
		path, err = control.Path(h.tun.Name())
	}
	var l net.Listener
	if err == nil {
		l, err = control.Listen(context.Background(), path)
	}
	if err != nil && auto {
		h.log.Warn("no control socket", zap.Error(err), zap.String("hint", `--control PATH puts it elsewhere, --control "" opens none`))
		return nil, nil
	}
	return l, err
}

// mostScrapers bounds the connections for metrics on an address of ours, to which anybody may come.
const mostScrapers = 16

// listenMetrics listens on an address of ours by our own TCP, else by the kernel's.
func (h *host) listenMetrics(c *config.Config) (net.Listener, error) {
	at := netip.MustParseAddrPort(c.Metrics) // Validate has parsed it
	if !slices.ContainsFunc(c.Addresses, func(p config.Prefix) bool { return p.Contains(at.Addr()) }) {
		return net.Listen("tcp4", c.Metrics)
	}
	return socket.ListenWith(h.Stack, stack.ListenConfig{
		Prefix: netip.PrefixFrom(at.Addr(), at.Addr().BitLen()), Port: at.Port(), Connections: mostScrapers,
	})
}

// stopping tells that the daemon is about to end; nobody collects metrics of it any more.
func (o *controls) stopping() {
	if o.metrics != nil {
		_ = o.metrics.Close()
	}
	if o.server != nil {
		o.server.Stopping()
	}
}

// close ends what answers.
func (o *controls) close() error {
	var errs []error
	if o.metrics != nil {
		errs = append(errs, o.metrics.Close())
	}
	if o.server != nil {
		errs = append(errs, o.server.Close())
	}
	o.running.Wait()
	return errors.Join(errs...)
}

// count is what the log calls counters; it may be asked for by many at a time.
func (h *host) count() observe.Counters {
	drops, _ := h.tun.Drops() // 0 where the kernel does not tell
	return observe.Collect(h.Stack, h.Listeners(), h.tun.Malformed(), drops)
}
