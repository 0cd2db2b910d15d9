package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// Levels are those of the log, from the most to the least talkative.
var Levels = []string{"debug", "info", "warn", "error"}

// ECNs are the values of TCP.ECN: when the peer asks, never, asking for it, too, and asking for AccECN.
var ECNs = []string{"passive", "off", "on", "accurate"}

// MTUProbings are the values of TCP.MTUProbing: when large segments seem to vanish, never, and from the start.
var MTUProbings = []string{"black-hole", "off", "on"}

// Offloads are the values of Config.Offload.
var Offloads = []string{"auto", "on", "off"}

// Validate returns everything that is wrong with c.
func (c *Config) Validate() []*Fault {
	var v faults
	v.config(c)
	return v.list
}

func (v *faults) config(c *Config) {
	v.device(c)
	v.control(c)
	v.addresses(c)
	v.tcp(&c.TCP)
	v.services(c)
	v.listeners(c)
	v.limits(&c.Limits)
	v.routes(c.Routes)
	within(v, "drain_timeout", c.DrainTimeout, 0, time.Hour)
	v.oneOf("log.level", c.Log.Level, Levels)
}

// faults is what a check finds, and by which rules, if those are asked for.
type faults struct {
	list  Faults
	rules map[string]rule
}

// rule is what a value must be that one can tell by itself.
type rule struct {
	low, high any // numbers of the key's type, or nil
	zero      bool
	names     []string
}

func (v *faults) add(key, format string, args ...any) {
	v.list = append(v.list, &Fault{Key: key, Text: fmt.Sprintf(format, args...)})
}

func (v *faults) rule(key string, r rule) {
	if v.rules != nil {
		v.rules[key] = r
	}
}

// oneOf adds a fault unless s is one of the names.
func (v *faults) oneOf(key, s string, names []string) {
	v.rule(key, rule{names: names})
	if !slices.Contains(names, s) {
		v.add(key, "%q is none of %s", s, strings.Join(names, ", "))
	}
}

func (v *faults) device(c *Config) {
	if len(c.Device) > 15 || c.Device == "." || c.Device == ".." || strings.ContainsAny(c.Device, "/: \t\n\v\f\r") {
		v.add("device", "%q: an interface's name has at most 15 bytes, and no slash, colon or white space", c.Device)
	}
	within(v, "mtu", c.MTU, 68, 65535)
	within(v, "queues", c.Queues, 0, 64)
	v.oneOf("offload", c.Offload, Offloads)
}

func (v *faults) control(c *Config) {
	if len(c.Control) > 107 {
		v.add("control", "the path of a socket has at most 107 bytes, not %d", len(c.Control))
	}
	if c.Metrics == "" {
		return
	}
	a, err := netip.ParseAddrPort(c.Metrics)
	if err != nil || !a.Addr().Is4() || a.Port() == 0 {
		v.add("metrics", "%q is no address with a port, such as 10.7.0.2:9100", c.Metrics)
		return
	}
	v.metrics(c, a)
}

func (v *faults) addresses(c *Config) {
	if h := c.Host; h.IsValid() && !unicast(h.Addr()) {
		v.add("host", "%s is not the IPv4 address of a host", h)
	}
	if len(c.Addresses) == 0 {
		v.add("addresses", "at least one is needed")
	}
	for i, a := range c.Addresses {
		switch {
		case !a.IsValid(): // it could not be read, which has been told
		case !a.Addr().Is4():
			v.add("addresses", "%s is not IPv4", a)
		case a.IsSingleIP() && !unicast(a.Addr()):
			v.add("addresses", "%s is not the address of a host", a)
		case a.IsSingleIP() && c.Host.IsValid() && a.Addr() == c.Host.Addr():
			v.add("addresses", "%s is the kernel's end (host): the kernel would answer, not tcpd", a)
		case slices.Contains(c.Addresses[:i], a):
			v.add("addresses", "%s is there twice", a)
		}
	}
}

func unicast(a netip.Addr) bool {
	return a.Is4() && !a.IsMulticast() && !a.IsLoopback() && a.As4()[0] != 0 && a.As4()[0] < 240
}

func (v *faults) tcp(t *TCP) {
	const day = 24 * time.Hour
	within(v, "tcp.msl", t.MSL, time.Millisecond, time.Hour)
	within(v, "tcp.fin_timeout", t.FinTimeout, time.Millisecond, day)
	within(v, "tcp.orphan_timeout", t.OrphanTimeout, time.Millisecond, day)
	within(v, "tcp.rto_min", t.RTOMin, time.Millisecond, time.Minute)
	within(v, "tcp.rto_max", t.RTOMax, max(time.Second, t.RTOMin), time.Hour)
	within(v, "tcp.delayed_ack", t.DelayedAck, 0, 499*time.Millisecond) // RFC 9293 MUST-40
	within(v, "tcp.keepalive_time", t.KeepAliveTime, time.Second, 365*day)
	within(v, "tcp.keepalive_intvl", t.KeepAliveIntvl, time.Second, day)
	within(v, "tcp.keepalive_probes", t.KeepAliveProbes, 1, 255)
	within(v, "tcp.retries1", t.Retries1, 1, 255)
	within(v, "tcp.retries2", t.Retries2, 3, 253)
	within(v, "tcp.user_timeout", t.UserTimeout, 0, 30*day)
	withinOr0(v, "tcp.mss", t.MSS, 48, 65495)
	within(v, "tcp.min_tso_segs", t.MinTSOSegs, 2, 44)
	within(v, "tcp.ttl", t.TTL, 1, 255)
	within(v, "tcp.dscp", t.DSCP, 0, 63)
	v.oneOf("tcp.mtu_probing", t.MTUProbing, MTUProbings)
	within(v, "tcp.send_buffer", t.SendBuffer, 4*KiB, GiB)
	within(v, "tcp.receive_buffer", t.ReceiveBuffer, 4*KiB, GiB)
	withinOr0(v, "tcp.send_buffer_max", t.SendBufferMax, t.SendBuffer, GiB)
	withinOr0(v, "tcp.receive_buffer_max", t.ReceiveBufferMax, t.ReceiveBuffer, GiB)
	v.oneOf("tcp.congestion", t.Congestion, cc.Names())
	v.oneOf("tcp.ecn", t.ECN, ECNs)
}

// mostRecords is what a shard can number.
const mostRecords = 1 << 30

func (v *faults) limits(l *Limits) {
	within(v, "limits.connections", l.Connections, 0, mostRecords)
	within(v, "limits.half_open", l.HalfOpen, 0, mostRecords)
	within(v, "limits.time_wait", l.TimeWait, 1, mostRecords)
	within(v, "limits.orphans", l.Orphans, 1, mostRecords)
	within(v, "limits.memory", l.Memory, MiB, 1<<50)
	within(v, "limits.fragments", l.Fragments, 64*KiB, GiB)
	within(v, "limits.flight_recorder", l.FlightRecorder, 0, GiB)
}

func (v *faults) routes(list []Route) {
	for i, r := range list {
		key := fmt.Sprintf("routes[%d]", i)
		if !r.To.IsValid() || !r.To.Addr().Is4() {
			v.add(key+".to", "%s is not an IPv4 prefix", r.To)
		}
		within(v, key+".mss", r.MSS, 48, 65495)
	}
}

type number interface {
	int | uint8 | uint16 | Size | time.Duration
}

// within adds a fault unless low <= n <= high.
func within[T number](v *faults, key string, n, low, high T) {
	v.rule(key, rule{low: low, high: high})
	if n < low || n > high {
		v.add(key, "%v is outside %v to %v", n, low, high)
	}
}

// withinOr0 is within for what may be 0, too.
func withinOr0[T number](v *faults, key string, n, low, high T) {
	if n != 0 {
		within(v, key, n, low, high)
	}
	v.rule(key, rule{low: low, high: high, zero: true})
}
