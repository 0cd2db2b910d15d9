package tun

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// checkConflicts refuses an address or a prefix that another interface has.
func checkConflicts(h *netlink.Handle, cfg *Config) error {
	links, err := dump(h.LinkList)
	if err != nil {
		return fmt.Errorf("tun: list interfaces: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	if err := addressConflict(h, cfg, names); err != nil {
		return err
	}
	return routeConflict(h, cfg, names)
}

func addressConflict(h *netlink.Handle, cfg *Config, names map[int]string) error {
	if !cfg.Host.IsValid() {
		return nil
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("tun: list addresses: %w", err)
	}
	for _, a := range addrs {
		if on := names[a.LinkIndex]; on != cfg.Name && prefix(a.IPNet).Addr() == cfg.Host.Addr() {
			return fmt.Errorf("tun: address %s is already on %s: choose another host address, or take it from there",
				cfg.Host.Addr(), on)
		}
	}
	return nil
}

// routeConflict refuses a prefix that is routed to another interface, and warns of one that overlaps.
func routeConflict(h *netlink.Handle, cfg *Config, names map[int]string) error {
	routes, err := dump(func() ([]netlink.Route, error) { return h.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("tun: list routes: %w", err)
	}
	for _, r := range routes {
		on := names[r.LinkIndex]
		if r.LinkIndex == 0 {
			on = "another interface" // several, or none
		}
		if r.Dst == nil || on == cfg.Name || prefix(r.Dst).Bits() == 0 {
			continue
		}
		for _, want := range wantedPrefixes(cfg) {
			switch p := prefix(r.Dst); {
			case p == want:
				return fmt.Errorf("tun: %s is already routed to %s: choose another network, or take the route away", p, on)
			case p.Overlaps(want) && p.Bits() > want.Bits():
				cfg.Warn(fmt.Sprintf("%s, a part of %s, stays routed to %s", p, want, on))
			case p.Overlaps(want):
				cfg.Warn(fmt.Sprintf("%s is taken out of %s, which is routed to %s", want, p, on))
			}
		}
	}
	return nil
}

// wantedPrefixes are those that the kernel is to route to the device.
func wantedPrefixes(cfg *Config) []netip.Prefix {
	var all []netip.Prefix
	if cfg.Host.IsValid() && cfg.Host.Bits() < 32 {
		all = append(all, cfg.Host.Masked())
	}
	for _, r := range cfg.Routes {
		all = append(all, r.Masked())
	}
	return all
}
