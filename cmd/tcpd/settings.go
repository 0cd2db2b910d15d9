package main

import (
	"net/netip"
	"runtime"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// settings translates the configuration for connections.
func settings(c *config.TCP) tcp.Settings {
	s := tcp.Defaults()
	s.MSL, s.FinTimeout, s.OrphanTimeout = c.MSL, c.FinTimeout, c.OrphanTimeout
	s.RTOMin, s.RTOMax, s.DelayedAck = c.RTOMin, c.RTOMax, c.DelayedAck
	s.SynRetries, s.SynAckRetries, s.OrphanRetries = c.SynRetries, c.SynAckRetries, c.OrphanRetries
	s.Retries1, s.Retries2 = c.Retries1, c.Retries2
	s.UserTimeout, s.UserTimeoutOption = c.UserTimeout, c.UserTimeoutOption
	s.KeepAlive, s.KeepIdle, s.KeepInterval, s.KeepCount = c.KeepAlive, c.KeepAliveTime, c.KeepAliveIntvl, c.KeepAliveProbes
	s.NoDelay, s.Timestamps, s.WindowScale, s.SACK = c.NoDelay, c.Timestamps, c.WindowScale, c.SACK
	s.SendBuffer, s.ReceiveBuffer = int(c.SendBuffer), int(c.ReceiveBuffer)
	s.SendBufferMax, s.ReceiveBufferMax = int(c.SendBufferMax), int(c.ReceiveBufferMax)
	s.Congestion, _ = cc.ByName(c.Congestion) // Validate has looked it up
	s.LeastSuperframe = c.MinTSOSegs
	s.MSS, s.TTL, s.DSCP, s.Unpaced = c.MSS, c.TTL, c.DSCP, !c.Pacing
	s.ECN = map[string]tcp.ECN{"passive": tcp.ECNPassive, "off": tcp.ECNOff, "on": tcp.ECNOn, "accurate": tcp.ECNAccurate}[c.ECN]
	s.MTUProbing = map[string]tcp.MTUProbing{
		"black-hole": tcp.MTUProbingBlackHole, "off": tcp.MTUProbingOff, "on": tcp.MTUProbingOn,
	}[c.MTUProbing]
	return s
}

// listenConfig says how the service on a port listens at an address.
func listenConfig(c *config.Config, at config.Prefix, port uint16) stack.ListenConfig {
	cfg := stack.ListenConfig{Prefix: at.Prefix, Port: port}
	for _, l := range c.Listeners {
		if l.Port != port {
			continue
		}
		cfg.Backlog, cfg.HalfOpen = l.Backlog, l.HalfOpen
		cfg.SourceBacklog, cfg.SourceHalfOpen = l.SourceBacklog, l.SourceHalfOpen
		cfg.Connections, cfg.SourceConnections, cfg.FastOpen = l.Connections, l.SourceConnections, l.FastOpen
		changed := l.TCP.Over(c.TCP)
		t := settings(&changed)
		cfg.TCP = &t
	}
	return cfg
}

func limits(c *config.Limits) stack.Limits {
	halfOpen := c.HalfOpen
	if halfOpen == 0 {
		halfOpen = -1 // none; the stack's 0 is the default
	}
	connections := c.Connections
	if connections == 0 {
		connections = int(machineMemory() / 2 / connectionBytes)
	}
	recorder := int(c.FlightRecorder)
	if recorder == 0 {
		recorder = -1
	}
	return stack.Limits{
		Connections: connections, HalfOpen: halfOpen, TimeWait: c.TimeWait, Orphans: c.Orphans, Memory: int(c.Memory),
		Fragments: int(c.Fragments), FlightRecorder: recorder,
	}
}

// mostQueues is how many queues are opened when nobody says: one for two CPUs, since the kernel's half of each packet's way,
// and the client's where he is on this machine, want the other. On two CPUs a second queue made connect-request-reset a
// fifth slower, and honest clients beside 50,000 SYN/s half as fast; it is for bulk, which it may speed up by a quarter.
const mostQueues = 8

func deviceConfig(c *config.Config, warn func(string)) tun.Config {
	queues := c.Queues
	if queues == 0 {
		queues = min(max(1, runtime.GOMAXPROCS(0)/2), mostQueues)
	}
	return tun.Config{
		Name: c.Device, Host: c.Host, Routes: routes(c), MTU: c.MTU, Queues: queues, Offload: offload(c.Offload), Warn: warn,
	}
}

// routes are the addresses that the kernel will not find on the device by its own network.
func routes(c *config.Config) []netip.Prefix {
	var list []netip.Prefix
	for _, a := range c.Addresses {
		if !c.Host.IsValid() || a.Bits() < c.Host.Bits() || !c.Host.Contains(a.Addr()) {
			list = append(list, a.Prefix)
		}
	}
	return list
}

func offload(s string) tun.Offload {
	return map[string]tun.Offload{"auto": tun.Auto, "on": tun.On, "off": tun.Off}[s]
}
