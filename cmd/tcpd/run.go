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
			"SIGUSR1 logs the counters. SIGTERM, SIGINT and \"tcpd stop\" end the daemon, and the device with it.",
		Example: "  tcpd run\n  curl http://10.7.0.2/",
		Args:    cobra.NoArgs,
	}
	f := newFlags(cmd.Flags(), &defaults)
	f.daemonFlags(&defaults)
	cmd.RunE = func(*cobra.Command, []string) error {
		l, err := f.sources().Load(defaults)
		if err != nil {
			return err
		}
		return run(&l.Config)
	}
	return cmd
}

// run serves until a signal or the loss of the device.
func run(c *config.Config) error {
	limitMemory()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	level, err := zap.ParseAtomicLevel(c.Log.Level)
	if err != nil {
		return err
	}
	log := observe.LoggerAt(os.Stderr, level)
	h, err := startHost(c, log)
	if err != nil {
		return err
	}
	s, err := serve(h.Stack, c, log)
	if err != nil {
		return errors.Join(err, h.stop(), h.close())
	}
	ctl, err := h.openControl(c, &level, signals)
	if err != nil {
		err = errors.Join(err, h.stop())
		s.close()
		return errors.Join(err, h.close())
	}
	log.Info("ready", zap.String("device", h.tun.Name()), zap.Stringer("host", c.Host), zap.Strings("addresses", texts(c.Addresses)),
		zap.Int("mtu", h.tun.Link().MTU), zap.Int("queues", h.Shards()), zap.Bool("offload", h.tun.Offloaded()))
	err = h.wait(signals)
	ctl.stopping()
	err = errors.Join(err, h.stop())
	s.close()
	h.log.Info("counters", h.counters())
	return errors.Join(err, h.close(), ctl.close()) // last: who has asked it to stop is told that it has
}

// wait returns at a signal to end, or with the error that made a shard end.
func (h *host) wait(signals <-chan os.Signal) error {
	for {
		select {
		case err := <-h.Failed():
			return fmt.Errorf("%s: %w", h.tun.Name(), err)
		case sig := <-signals:
			if sig != syscall.SIGUSR1 {
				h.log.Info("ending", zap.Stringer("signal", sig))
				return nil
			}
			h.tell("counters", h.counters())
		}
	}
}
