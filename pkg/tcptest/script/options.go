package script

import (
	"net/netip"
	"strconv"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// header is what the lines --name=value of a script say.
type header struct {
	tolerance     mono.Duration
	tick          mono.Duration // of the stack's timestamps, as the script counts them; 0: they are not looked at
	local, remote netip.Addr
	bind, connect uint16 // ports where the script names none
	mtu           int
	strict        bool // segments are not joined
}

// The addresses, the ports, the tolerance and the MTU where a script says nothing, as the language's documentation has them.
func newHeader() header {
	return header{
		tolerance: 4 * mono.Millisecond, local: netip.MustParseAddr("192.168.0.1"), remote: netip.MustParseAddr("192.0.2.1"),
		bind: 8080, connect: 8080, mtu: 1500,
	}
}

// ignored are options that have to do with the kernel's devices, or with how packetdrill runs.
var ignored = map[string]bool{
	"netmask_ip": true, "gateway_ip": true, "define": true, "verbose": true, "dry_run": true, "non_fatal": true, "speed": true,
	"init_scripts": true, "mss": true, "send_omit_free": true, "tcp_ts_ecr_scaled": true, "persistent_tun_dev": true,
}

// read takes the options in.
func (h *header) read(list []Option) error {
	for _, o := range list {
		if ignored[o.Name] {
			continue
		}
		set, ok := headerOptions[o.Name]
		if !ok {
			return outside(o.Line, "--%s", o.Name)
		}
		if !set(h, o.Value) {
			return outside(o.Line, "--%s=%s", o.Name, o.Value)
		}
	}
	return nil
}

var headerOptions = map[string]func(*header, string) bool{
	"tolerance_usecs":   microseconds(func(h *header) *mono.Duration { return &h.tolerance }),
	"tcp_ts_tick_usecs": microseconds(func(h *header) *mono.Duration { return &h.tick }),
	"local_ip":          address(func(h *header) *netip.Addr { return &h.local }),
	"remote_ip":         address(func(h *header) *netip.Addr { return &h.remote }),
	"bind_port":         portNumber(func(h *header) *uint16 { return &h.bind }),
	"connect_port":      portNumber(func(h *header) *uint16 { return &h.connect }),
	"ip_version":        func(_ *header, v string) bool { return v == "ipv4" },
	"strict_segments":   func(h *header, v string) bool { h.strict = true; return v == "" },
	"mtu": func(h *header, v string) bool {
		n, err := strconv.ParseUint(v, 10, 16)
		h.mtu = int(n)
		return err == nil && n >= 68
	},
}

func microseconds(field func(*header) *mono.Duration) func(*header, string) bool {
	return func(h *header, v string) bool {
		n, err := strconv.ParseUint(v, 10, 31)
		*field(h) = mono.Duration(n) * mono.Microsecond
		return err == nil
	}
}

func address(field func(*header) *netip.Addr) func(*header, string) bool {
	return func(h *header, v string) bool {
		a, err := netip.ParseAddr(v)
		*field(h) = a
		return err == nil && a.Is4()
	}
}

func portNumber(field func(*header) *uint16) func(*header, string) bool {
	return func(h *header, v string) bool {
		n, err := strconv.ParseUint(v, 10, 16)
		*field(h) = uint16(n)
		return err == nil && n != 0
	}
}
