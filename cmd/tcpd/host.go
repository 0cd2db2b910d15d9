package main

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// host is a running stack on a TUN of its own.
type host struct {
	*stack.Stack
	tun   *tun.Tun
	log   *zap.Logger
	drops uint64 // of the device, as of the last look

	listeners []*stack.Listener // while the stack ran and let anybody in
	draining  bool
}

// startHost opens the device of c and starts a stack on it, which log and the watches hear of.
func startHost(c *config.Config, log *zap.Logger, watches ...stack.Watch) (*host, error) {
	dev, err := tun.Open(deviceConfig(c, func(text string) { log.Warn(text) }))
	if err != nil {
		return nil, err
	}
	cfg := stack.Config{
		Link: dev.Link(), TCP: settings(&c.TCP), Limits: limits(&c.Limits),
		Watches:  append(watches, observe.Log(log)),
		Panicked: observe.Panicked(log),
	}
	for _, a := range c.Addresses {
		cfg.Addrs = append(cfg.Addrs, a.Prefix)
	}
	for _, r := range c.Routes {
		cfg.Routes = append(cfg.Routes, stack.Route{Prefix: r.To.Prefix, MSS: r.MSS})
	}
	s, err := stack.New(cfg)
	if err != nil {
		_ = dev.Close()
		return nil, err
	}
	s.Start()
	return &host{Stack: s, tun: dev, log: log}, nil
}

// stop ends the stack: every connection is reset. The device stays until close.
func (h *host) stop() error {
	h.look()
	return h.Stack.Close()
}

// listen notes who listens. Nobody does any more while the host drains, and once the stack has ended; he is to be counted all
// the same.
func (h *host) listen() {
	if h.draining {
		return
	}
	select {
	case <-h.Closed():
	default:
		h.listeners = h.Listeners()
	}
}

// close gives the device back.
func (h *host) close() error { return h.tun.Close() }

// look notes what cannot be told any more once the stack is closed: the device's drops, and who listens.
func (h *host) look() {
	if n, err := h.tun.Drops(); err == nil {
		h.drops = n
	}
	h.listen()
}

func (h *host) counters() zap.Field {
	h.look()
	return zap.Any("counters", observe.Collect(h.Stack, h.listeners, h.tun.Malformed(), h.drops))
}

// tell logs what somebody has asked for: whatever the level.
func (h *host) tell(msg string, fields ...zap.Field) {
	_ = h.log.Core().Write(zapcore.Entry{Level: zap.InfoLevel, Time: time.Now(), Message: msg}, fields)
}
