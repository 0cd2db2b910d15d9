package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// connectDefaults are those of run, on a network and a device of their own, so that both run side by side.
func connectDefaults() config.Config {
	c := config.Defaults()
	c.Device = "tcpdc%d" // the kernel counts
	c.Host = netip.MustParsePrefix("10.8.0.1/24")
	c.Addresses = []config.Prefix{{Prefix: netip.MustParsePrefix("10.8.0.2/32")}}
	c.Queues = 1
	return c
}

func newConnect() *cobra.Command {
	var halfClose, wait bool
	c := connectDefaults()
	cmd := &cobra.Command{
		Use:   "connect HOST PORT",
		Short: "Open a connection, like nc",
		Long: "Open a connection from a TCP and a TUN of its own; standard input goes there, and what comes goes to\n" +
			"standard output. It ends when the peer has closed.\n\n" +
			"HOST sees a connection from the device. This machine is there under the address that --host gives\n" +
			"(10.8.0.1), and under every other of its addresses but 127.0.0.1; other machines need forwarding.",
		Example: "  nc -l 10.8.0.1 8000 &    # once the device is up; or listen on 0.0.0.0\n  echo hello | tcpd connect -N 10.8.0.1 8000",
	}
	f := newFlags(cmd.Flags(), &c)
	cmd.Flags().BoolVarP(&halfClose, "half-close", "N", false, "send a FIN at the end of standard input")
	cmd.Flags().BoolVar(&wait, "wait", false, "stay through TIME-WAIT, for two MSL")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := (&config.Sources{Flags: f.given()}).Load(c) // the environment is the daemon's
		if err != nil {
			return err
		}
		remote, err := resolve(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		return connect(&l.Config, remote, halfClose, wait)
	}
	return cmd
}

// resolve finds the IPv4 address of a host and the number of a port.
func resolve(ctx context.Context, host, port string) (netip.AddrPort, error) {
	p, err := net.DefaultResolver.LookupPort(ctx, "tcp4", port)
	if err != nil || p == 0 {
		return netip.AddrPort{}, fmt.Errorf("port %q is neither a number from 1 to 65535 nor the name of a service", port)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("host %s has no IPv4 address: %w", strconv.Quote(host), err)
	}
	a := addrs[0].Unmap()
	if a.IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("host %s: the kernel takes nothing for %s from a device; "+
			"name this machine by another of its addresses, such as that of --host", host, a)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

// connect runs a stack for one connection, to its end.
func connect(c *config.Config, remote netip.AddrPort, halfClose, wait bool) (err error) {
	ctx, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer done()
	signal.Ignore(syscall.SIGPIPE) // so that a closed stdout ends the connection in order
	log, err := observe.NewLogger(os.Stderr, c.Log.Level)
	if err != nil {
		return err
	}
	end := newEnding()
	h, err := startHost(c, log, stack.Watch{Kinds: stack.Transitions, Tracer: end})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop(), h.close()) }()
	conn, err := (&socket.Dialer{Stack: h.Stack}).DialAddr(ctx, remote)
	if err != nil {
		return err
	}
	if err := carry(ctx, h, conn, halfClose); err != nil {
		return err
	}
	last := end.left
	if wait {
		last = end.closed
	}
	select {
	case <-last:
		return nil
	case err := <-h.Failed():
		return fmt.Errorf("%s: %w", h.tun.Name(), err)
	case <-ctx.Done():
		return errors.New("interrupted while closing")
	}
}

// carry copies both ways until the peer has closed and all of his text is out, and closes.
func carry(ctx context.Context, h *host, conn *socket.Conn, halfClose bool) error {
	go func() { // ends with the process: a read of stdin can't be called off
		_, err := conn.ReadFrom(os.Stdin)
		if err == nil && halfClose {
			_ = conn.CloseWrite()
		}
	}()
	received := make(chan error, 1)
	go func() {
		_, err := io.Copy(os.Stdout, conn)
		received <- err
	}()
	select {
	case err := <-received:
		return errors.Join(err, conn.Close())
	case err := <-h.Failed():
		return fmt.Errorf("%s: %w", h.tun.Name(), err)
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}
