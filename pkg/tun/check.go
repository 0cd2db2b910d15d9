package tun

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Prepared is a TUN device as it was made for somebody.
type Prepared struct {
	Persistent bool   // it stays when nobody has it open
	Owner      uint32 // the user who may open it without CAP_NET_ADMIN; 0: anybody
	MultiQueue bool   // without, it is served by one queue, and without offload
	Up         bool
}

// CheckDevice looks whether the device of cfg can be opened, as Open would, and returns it as it is; nil when it would be made.
// Nothing is changed.
func CheckDevice(cfg Config) (p *Prepared, err error) {
	err = check(&cfg, func(h *netlink.Handle) error {
		_, err := find(h, &cfg, cfg.Offload != Off)
		if cfg.Offload == Auto && errors.Is(err, errNoOffload) {
			cfg.Warn(err.Error())
			err = nil
		}
		if l, absent := h.LinkByName(cfg.Name); absent == nil && cfg.Name != "" {
			if dev, ok := l.(*netlink.Tuntap); ok {
				p = &Prepared{!dev.NonPersist, dev.Owner, dev.Flags&netlink.TUNTAP_MULTI_QUEUE != 0, dev.Attrs().Flags&net.FlagUp != 0}
			}
		}
		return err
	})
	return p, err
}

// CheckAddresses looks whether the addresses of cfg are free, as Open would: the error is what Open would fail with, and what can
// be lived with goes to cfg.Warn. Nothing is changed.
func CheckAddresses(cfg Config) error {
	return check(&cfg, func(h *netlink.Handle) error { return checkConflicts(h, &cfg) })
}

func check(cfg *Config, f func(*netlink.Handle) error) error {
	if err := cfg.fill(); err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("tun: netlink: %w", err)
	}
	defer h.Close()
	return f(h)
}
