package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// flags are what the command line says. They override the file.
type flags struct {
	set                       *pflag.FlagSet
	device, offload, logLevel string
	congestion                string
	control, metrics          string
	host                      netip.Prefix
	addrs                     prefixes
	mtu, queues               int
	msl                       time.Duration
}

// newFlags defines the flags that every command with a stack has; d gives the defaults to show.
func newFlags(set *pflag.FlagSet, d *config.Config) *flags {
	f := &flags{set: set, addrs: prefixes{list: d.Addresses}}
	set.StringVar(&f.device, "device", d.Device, "name of the TUN `device`")
	set.TextVar(&f.host, "host", d.Host, "`address` of the kernel's end, with its network")
	set.Var(&f.addrs, "addr", "address or prefix that is tcpd's; may be repeated")
	set.IntVar(&f.mtu, "mtu", d.MTU, "MTU of the device in `bytes`")
	set.StringVar(&f.offload, "offload", d.Offload, "`when` to use the kernel's segmentation offload: auto, on or off")
	set.StringVar(&f.congestion, "congestion", d.TCP.Congestion, "congestion control `algorithm`: "+strings.Join(cc.Names(), ", "))
	set.StringVar(&f.logLevel, "log-level", d.Log.Level, "least `level` to log: debug, info, warn or error")
	set.DurationVar(&f.msl, "msl", d.TCP.MSL, "maximum segment lifetime; TIME-WAIT lasts two")
	return f
}

// overrides lists each flag that overrides a key of the configuration.
func (f *flags) overrides(c *config.Config) []override {
	return []override{
		{"device", "device", func() { c.Device = f.device }},
		{"host", "host", func() { c.Host = f.host }},
		{"addr", "addresses", func() { c.Addresses = f.addrs.list }},
		{"mtu", "mtu", func() { c.MTU = f.mtu }},
		{"queues", "queues", func() { c.Queues = f.queues }},
		{"offload", "offload", func() { c.Offload = f.offload }},
		{"control", "control", func() { c.Control = f.control }},
		{"metrics", "metrics", func() { c.Metrics = f.metrics }},
		{"congestion", "tcp.congestion", func() { c.TCP.Congestion = f.congestion }},
		{"log-level", "log.level", func() { c.Log.Level = f.logLevel }},
		{"msl", "tcp.msl", func() { c.TCP.MSL = f.msl }},
	}
}

type override struct {
	flag, key string
	write     func()
}

// apply writes the flags that were given into c, and tells all that is wrong with it then. What a flag has brought in
// is called by the flag; the rest has its place in the file, if it is there.
func (f *flags) apply(c *config.Config, places config.Places) error {
	byKey := map[string]string{}
	for _, o := range f.overrides(c) {
		if f.set.Changed(o.flag) {
			o.write()
			byKey[o.key] = "--" + o.flag
		}
	}
	var errs []error
	for _, fault := range c.Validate() {
		if flag, ok := byKey[fault.Key]; ok {
			errs = append(errs, &config.Fault{Key: flag, Text: fault.Text})
		} else if at := places.Of(fault.Key); at != "" {
			errs = append(errs, fmt.Errorf("%s: %w", at, fault))
		} else {
			errs = append(errs, fault)
		}
	}
	return errors.Join(errs...)
}

// prefixes is a flag that may be repeated, and may hold several between commas. The first one given replaces the
// default.
type prefixes struct {
	list  []config.Prefix
	given bool
}

// Set implements pflag.Value.
func (p *prefixes) Set(s string) error {
	if !p.given {
		p.list, p.given = nil, true
	}
	for part := range strings.SplitSeq(s, ",") {
		var v config.Prefix
		if err := v.UnmarshalText([]byte(strings.TrimSpace(part))); err != nil {
			return err
		}
		p.list = append(p.list, v)
	}
	return nil
}

// Type implements pflag.Value.
func (p *prefixes) Type() string { return "address" }

// String implements pflag.Value.
func (p *prefixes) String() string { return strings.Join(texts(p.list), ",") }

func texts(list []config.Prefix) []string {
	var s []string
	for _, p := range list {
		s = append(s, p.String())
	}
	return s
}
