package main

import (
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// flags are what the command line says. They override the file.
type flags struct {
	set                       *pflag.FlagSet
	file                      string
	device, offload, logLevel string
	congestion                string
	control, metrics          string
	host                      netip.Prefix
	addrs                     prefixes
	mtu, queues               int
	msl, drainTimeout         time.Duration
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

// daemonFlags defines those that the daemon has besides, with the path of its file.
func (f *flags) daemonFlags(d *config.Config) {
	f.set.StringVarP(&f.file, "config", "c", "", "configuration `file`")
	f.set.StringVar(&f.control, "control", d.Control, "`path` of the control socket; auto is one by the device's name, \"\" none")
	f.set.StringVar(&f.metrics, "metrics", d.Metrics, "`address:port` on which metrics are served besides")
	f.set.IntVar(&f.queues, "queues", d.Queues, "`number` of the device's queues; 0 is one for two CPUs, at most 8")
	f.set.DurationVar(&f.drainTimeout, "drain-timeout", d.DrainTimeout, "how long open connections may go on after a signal to end")
}

// sources are what the daemon's configuration is made of.
func (f *flags) sources() *config.Sources {
	return &config.Sources{File: f.file, Environ: os.Environ(), Flags: f.given()}
}

// given are the flags that the command line has.
func (f *flags) given() (list []config.Flag) {
	for _, o := range []config.Flag{
		{Name: "device", Key: "device", Value: f.device},
		{Name: "host", Key: "host", Value: f.host},
		{Name: "addr", Key: "addresses", Value: f.addrs.list},
		{Name: "mtu", Key: "mtu", Value: f.mtu},
		{Name: "queues", Key: "queues", Value: f.queues},
		{Name: "offload", Key: "offload", Value: f.offload},
		{Name: "control", Key: "control", Value: f.control},
		{Name: "metrics", Key: "metrics", Value: f.metrics},
		{Name: "drain-timeout", Key: "drain_timeout", Value: f.drainTimeout},
		{Name: "congestion", Key: "tcp.congestion", Value: f.congestion},
		{Name: "log-level", Key: "log.level", Value: f.logLevel},
		{Name: "msl", Key: "tcp.msl", Value: f.msl},
	} {
		if f.set.Changed(o.Name) {
			o.Name = "--" + o.Name
			list = append(list, o)
		}
	}
	return list
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
