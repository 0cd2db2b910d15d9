package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/page"
)

// variables is what the help says of the environment.
const variables = "The environment has a variable for each key of the file: TCPD_ and its sections and name in capitals, such as\n" +
	"TCPD_TCP_CONGESTION for congestion in the section tcp. Lists are written as in the file, on one line. A variable that\n" +
	"begins with TCPD_ and is no key's is an error."

func newRun() *cobra.Command {
	defaults := config.Defaults()
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: "Run the daemon: echo, discard, daytime, chargen and HTTP on an address behind a TUN, or the services that the\n" +
			"configuration lists.\n\n" +
			"What is given here overrides the environment, which overrides the file, which overrides the defaults; no file is needed.\n" +
			variables + "\n" +
			"SIGUSR1 logs the counters. SIGHUP and \"tcpd reload\" read the configuration again.\n" +
			"SIGTERM, SIGINT and \"tcpd stop\" end the daemon, and the device with it: nobody is let in any more, connections may\n" +
			"go on for --drain-timeout, and what is left then is reset. A second one does so at once.",
		Example: "  tcpd run\n  curl http://10.7.0.2/",
	}
	f := newFlags(cmd.Flags(), &defaults)
	f.daemonFlags(&defaults)
	cmd.RunE = func(*cobra.Command, []string) error {
		src := f.sources()
		l, err := src.Load(defaults)
		if err != nil {
			return err
		}
		return run(src, l)
	}
	return cmd
}

// run serves until a signal or the loss of the device.
func run(src *config.Sources, l config.Loaded) error {
	limitMemory()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGHUP)
	c := &l.Config
	level, err := zap.ParseAtomicLevel(c.Log.Level)
	if err != nil {
		return err
	}
	log := observe.LoggerAt(os.Stderr, level)
	h, err := startHost(c, log)
	if err != nil {
		return err
	}
	web := page.New(h.Stack, h.count)
	s, err := serve(h.Stack, c, web, log)
	if err != nil {
		return errors.Join(err, h.stop(), h.close())
	}
	r := &reloader{sources: src, stack: h.Stack, services: s, level: &level, log: log, loaded: l}
	ctl, err := h.openControl(r, web.Token(), signals)
	if err != nil {
		err = errors.Join(err, h.stop())
		s.close(lastMoment)
		return errors.Join(err, h.close())
	}
	h.confine(c, src.File, ctl)
	log.Info("ready", zap.String("device", h.tun.Name()), zap.Stringer("host", c.Host), zap.Strings("addresses", texts(c.Addresses)),
		zap.Int("mtu", h.tun.Link().MTU), zap.Int("queues", h.Shards()), zap.Bool("offload", h.tun.Offloaded()))
	unwatched := h.managerReady(texts(c.Addresses))
	err = h.wait(signals, r)
	ctl.stopping()
	r.end()
	if err == nil {
		limit := r.loaded.Config.DrainTimeout
		h.managerStopping(limit)
		err = h.drain(s, limit, signals)
	}
	unwatched()
	err = errors.Join(err, h.stop())
	s.close(lastMoment)
	h.log.Info("counters", h.counters())
	return errors.Join(err, h.close(), ctl.close()) // last: who has asked it to stop is told that it has
}

// wait returns at a signal to end, or with the error that made a shard end.
func (h *host) wait(signals <-chan os.Signal, r *reloader) error {
	for {
		select {
		case err := <-h.Failed():
			return fmt.Errorf("%s: %w", h.tun.Name(), err)
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				_, _ = r.reload() // it tells the log
			} else if h.ends(sig) {
				return nil
			}
		}
	}
}
