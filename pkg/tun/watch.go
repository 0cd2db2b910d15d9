package tun

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watch has the routes of cfg be added again when the device comes up again: the kernel forgets them when somebody sets it
// down, but for those of the device's own networks.
func (t *Tun) watch(cfg *Config) error {
	if len(farRoutes(cfg)) == 0 {
		return nil
	}
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	if err := netlink.LinkSubscribe(updates, done); err != nil {
		return fmt.Errorf("tun: watch %s: %w", t.name, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.follow(updates, cfg)
		select {
		case <-done:
		default:
			cfg.Warn(fmt.Sprintf("the kernel's news of %s have ended: if it is set down, its routes have to be added by hand", t.name))
		}
	}()
	t.unwatch = func() {
		close(done)
		<-ended
	}
	return nil
}

// follow takes updates to their end.
func (t *Tun) follow(updates <-chan netlink.LinkUpdate, cfg *Config) {
	down := false
	for u := range updates {
		if int(u.Index) != t.index {
			continue
		}
		was := down
		if down = u.Attrs().Flags&net.FlagUp == 0; was && !down {
			t.restore(cfg, u.Link)
		}
	}
}

// restore adds the routes that the device has lost.
func (t *Tun) restore(cfg *Config, l netlink.Link) {
	added, err := t.addRoutes(l, cfg)
	if len(added) > 0 {
		cfg.Warn(fmt.Sprintf("%s has been down, and the kernel forgot its routes; added again: %s", t.name, destinations(added)))
	}
	if err != nil && !errors.Is(err, unix.ENETDOWN) { // it is down again, and will be up another time
		cfg.Warn(fmt.Sprintf("%s has been down, and the kernel forgot its routes: %v; or add what is missing by hand "+
			"(ip route add PREFIX dev %s)", t.name, err, t.name))
	}
}

func destinations(of []*netlink.Route) string {
	var list []string
	for _, r := range of {
		list = append(list, r.Dst.String())
	}
	return strings.Join(list, " ")
}
