package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dump lists what changes meanwhile: the kernel then asks to try again.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 5 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, nil // nearly all is enough to warn with
}

// existing is a device that was there before us.
type existing struct {
	multiQueue bool
	persistent bool
}

// find looks for the device of cfg, and refuses what cannot become ours.
func find(h *netlink.Handle, cfg *Config, vnet bool) (*existing, error) {
	if cfg.Name == "" {
		return nil, nil
	}
	l, err := h.LinkByName(cfg.Name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tun: look for %s: %w", cfg.Name, err)
	}
	dev, ok := l.(*netlink.Tuntap)
	if !ok || dev.Mode != netlink.TUNTAP_MODE_TUN {
		return nil, attachError(cfg.Name, 0, fmt.Errorf("%w (it is of type %s)", unix.EINVAL, kind(l)))
	}
	if dev.Queues+dev.DisabledQueues > 0 {
		return nil, attachError(cfg.Name, 0, unix.EBUSY)
	}
	found := &existing{dev.Flags&netlink.TUNTAP_MULTI_QUEUE != 0, !dev.NonPersist}
	if found.multiQueue {
		return found, nil
	}
	line := fmt.Sprintf("make it with: ip tuntap add dev %s mode tun multi_queue vnet_hdr", cfg.Name)
	if cfg.Queues > 1 {
		return nil, fmt.Errorf("tun: %s has a single queue, not %d: %s", cfg.Name, cfg.Queues, line)
	}
	if vnet {
		return nil, fmt.Errorf("tun: %s has a single queue: %w: %s", cfg.Name, errNoOffload, line)
	}
	return found, nil
}

func kind(l netlink.Link) string {
	if dev, ok := l.(*netlink.Tuntap); ok && dev.Mode == netlink.TUNTAP_MODE_TAP {
		return "tap"
	}
	return l.Type()
}

// configure sets what is not right yet: MTU, queue length, address, up, routes.
func (t *Tun) configure(cfg *Config, found *existing) error {
	l, err := t.netlink.LinkByName(t.name)
	if err != nil {
		return fmt.Errorf("tun: find %s: %w", t.name, err)
	}
	if dev, ok := l.(*netlink.Tuntap); ok && dev.Queues > cfg.Queues {
		return attachError(t.name, 0, unix.EBUSY) // somebody attached while we did
	}
	attrs := l.Attrs()
	t.index, t.link.MTU = attrs.Index, cfg.MTU
	if attrs.MTU != cfg.MTU {
		if err := t.netlink.LinkSetMTU(l, cfg.MTU); errors.Is(err, fs.ErrPermission) {
			cfg.Warn(fmt.Sprintf("not allowed to set the MTU of %s to %d: it stays %d", t.name, cfg.MTU, attrs.MTU))
			t.link.MTU = attrs.MTU
		} else if err != nil {
			return configureError(fmt.Sprintf("set the MTU of %s to %d", t.name, cfg.MTU), err)
		}
	}
	if attrs.TxQLen != cfg.TxQueueLen {
		if err := t.netlink.LinkSetTxQLen(l, cfg.TxQueueLen); err != nil {
			cfg.Warn(fmt.Sprintf("set the transmit queue of %s to %d packets: %v", t.name, cfg.TxQueueLen, err))
		}
	}
	if err := t.address(l, cfg, found); err != nil {
		return err
	}
	if attrs.Flags&net.FlagUp == 0 {
		if err := t.netlink.LinkSetUp(l); err != nil {
			return configureError("set "+t.name+" up", err)
		}
	}
	return t.routes(l, cfg, found)
}

// address gives the device its address, unless it has it.
func (t *Tun) address(l netlink.Link, cfg *Config, found *existing) error {
	if !cfg.Host.IsValid() {
		return nil
	}
	has, err := dump(func() ([]netlink.Addr, error) { return t.netlink.AddrList(l, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("tun: list addresses of %s: %w", t.name, err)
	}
	for _, a := range has {
		if p := prefix(a.IPNet); p.Addr() == cfg.Host.Addr() {
			if p != cfg.Host {
				cfg.Warn(fmt.Sprintf("%s has the address as %s, not %s: it stays", t.name, p, cfg.Host))
			}
			return nil
		}
	}
	a := &netlink.Addr{IPNet: ipNet(cfg.Host)}
	if err := t.netlink.AddrAdd(l, a); err != nil {
		return configureError(fmt.Sprintf("add address %s to %s", cfg.Host, t.name), err)
	}
	t.onClose(found, func() { _ = t.netlink.AddrDel(l, a) })
	return nil
}

// routes adds the routes of cfg that the device does not have.
func (t *Tun) routes(l netlink.Link, cfg *Config, found *existing) error {
	added, err := t.addRoutes(l, cfg)
	for _, r := range added {
		t.onClose(found, func() { _ = t.netlink.RouteDel(r) })
	}
	return err
}

// addRoutes adds the routes of cfg that the device does not have, and returns them.
func (t *Tun) addRoutes(l netlink.Link, cfg *Config) (added []*netlink.Route, err error) {
	has, err := dump(func() ([]netlink.Route, error) { return t.netlink.RouteList(l, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("tun: list routes of %s: %w", t.name, err)
	}
	there := map[netip.Prefix]bool{}
	for _, r := range has {
		if r.Dst != nil {
			there[prefix(r.Dst)] = true
		}
	}
	for _, p := range farRoutes(cfg) {
		if there[p] {
			continue
		}
		r := &netlink.Route{LinkIndex: t.index, Dst: ipNet(p), Scope: netlink.SCOPE_LINK}
		if cfg.Host.IsValid() {
			r.Src = cfg.Host.Addr().AsSlice()
		}
		if err := t.netlink.RouteAdd(r); err != nil {
			return added, configureError(fmt.Sprintf("route %s to %s", p, t.name), err)
		}
		there[p] = true
		added = append(added, r)
	}
	return added, nil
}

// farRoutes are the routes of cfg that the device does not have by the network of its address.
func farRoutes(cfg *Config) (list []netip.Prefix) {
	for _, p := range cfg.Routes {
		if p = p.Masked(); !cfg.Host.IsValid() || p.Bits() < cfg.Host.Bits() || !cfg.Host.Contains(p.Addr()) {
			list = append(list, p)
		}
	}
	return list
}

// onClose remembers how to take back what was added to a device that stays.
func (t *Tun) onClose(found *existing, f func()) {
	if found != nil {
		t.undo = append([]func(){f}, t.undo...)
	}
}

func prefix(n *net.IPNet) netip.Prefix {
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
