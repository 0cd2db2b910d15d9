// Package tun opens a Linux TUN device as a link.Link: it makes or finds the device, gives it an address and routes,
// and carries its packets with the kernel's offloads where there are any.
package tun

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
)

// Offload says whether to use the kernel's TCP segmentation and checksum offload (virtio headers).
type Offload uint8

// Auto uses offload where the kernel and the device have it, On fails without it, Off does not ask for it.
const (
	Auto Offload = iota
	On
	Off
)

// Config describes the device wanted.
type Config struct {
	// Name is the interface; empty lets the kernel choose one. A device of this name is used as it is, and stays
	// if it is persistent; else it is made, and is gone after Close or the end of the process.
	Name string
	// Host is the address of the kernel's side with its network, such as 10.7.0.1/24. The zero value sets none.
	Host netip.Prefix
	// Routes are further prefixes to be routed to the device: served addresses outside Host's network.
	Routes []netip.Prefix
	// MTU in bytes, from 68 to 65535; 0 is 1500.
	MTU int
	// Queues of the device, one for each goroutine that serves it, from 1 to 255; 0 is 1.
	Queues int
	// Offload says whether to use superframes and unfinished checksums.
	Offload Offload
	// TxQueueLen is how many packets the kernel queues for each queue; 0 is 1000.
	TxQueueLen int
	// Warn is told what is not as it should be but can be lived with, in the course of Open, and until Close by a goroutine
	// of the device's own; nil is silence.
	Warn func(string)
}

const (
	minMTU, maxMTU = 68, 65535
	maxQueues      = 255 // the kernel's 256, less the primer
	maxName        = unix.IFNAMSIZ - 1
)

// fill puts defaults for what is zero, and checks the rest.
func (c *Config) fill() error {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.TxQueueLen == 0 {
		c.TxQueueLen = 1000
	}
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("tun: "+format, args...)) }
	if len(c.Name) > maxName {
		bad("name %q is %d bytes long: an interface's name has at most %d", c.Name, len(c.Name), maxName)
	}
	if c.Name == "." || c.Name == ".." || strings.ContainsAny(c.Name, "/: \t\n\v\f\r") {
		bad("name %q: an interface's name has no slash, colon or white space", c.Name)
	}
	if c.MTU < minMTU || c.MTU > maxMTU {
		bad("MTU %d is outside %d to %d", c.MTU, minMTU, maxMTU)
	}
	if c.Queues < 1 || c.Queues > maxQueues {
		bad("%d queues: a device has 1 to %d", c.Queues, maxQueues)
	}
	if c.TxQueueLen < 0 {
		bad("transmit queue length %d is negative", c.TxQueueLen)
	}
	if c.Host.IsValid() && !c.Host.Addr().Is4() {
		bad("host %s is not an IPv4 address with its network", c.Host)
	}
	for _, r := range c.Routes {
		if !r.IsValid() || !r.Addr().Is4() {
			bad("route %s is not an IPv4 prefix", r)
		}
	}
	return errors.Join(errs...)
}

// Tun is an open TUN device.
type Tun struct {
	name      string
	index     int
	link      link.Link
	devices   []*device
	vnet      bool
	netlink   *netlink.Handle // of the namespace the device was opened in
	undo      []func()        // takes back what was added to a device that stays
	unwatch   func()          // ends what watch has begun; may be nil
	malformed atomic.Uint64
	close     sync.Once
}

// Open makes the device of cfg ready for use, in the network namespace of the calling thread. What the device
// already has is not asked for again, so that without privileges a device can be used that was prepared.
func Open(cfg Config) (*Tun, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	t, err := open(&cfg, cfg.Offload != Off)
	if err != nil && cfg.Offload == Auto && errors.Is(err, errNoOffload) {
		cfg.Warn(fmt.Sprintf("%v; going on with plain frames", err))
		return open(&cfg, false)
	}
	return t, err
}

func open(cfg *Config, vnet bool) (_ *Tun, err error) {
	t := &Tun{}
	defer func() {
		if err != nil {
			_ = t.Close()
		}
	}()
	if t.netlink, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("tun: netlink: %w", err)
	}
	found, err := find(t.netlink, cfg, vnet)
	if err != nil {
		return nil, err
	}
	if err := checkConflicts(t.netlink, cfg); err != nil {
		return nil, err
	}
	a, err := attach(cfg, found, vnet)
	if err != nil {
		return nil, err
	}
	t.name, t.vnet = a.name, a.vnet
	if err := t.adopt(a); err != nil {
		return nil, err
	}
	if err := t.configure(cfg, found); err != nil {
		return nil, err
	}
	if err := t.watch(cfg); err != nil {
		return nil, err
	}
	if a.vnet {
		if err := probe(t.devices[0]); err != nil {
			return nil, fmt.Errorf("tun: %s: %w: a write with a virtio header failed: %w", t.name, errNoOffload, err)
		}
	}
	return t, nil
}

// adopt makes devices of the descriptors of a.
func (t *Tun) adopt(a *attachment) error {
	for i, fd := range a.fds {
		d, err := newDevice(a.name, fd, a.vnet, &t.malformed)
		if err != nil {
			for _, rest := range a.fds[i:] {
				_ = unix.Close(rest)
			}
			return err
		}
		t.devices = append(t.devices, d)
		t.link.Queues = append(t.link.Queues, d)
	}
	t.link.Checksum = true
	if a.vnet {
		t.link.Superframe = link.MaxPacket
	}
	return nil
}

// Link is the device as a stack sees it.
func (t *Tun) Link() *link.Link { return &t.link }

// Name is the interface's name.
func (t *Tun) Name() string { return t.name }

// Offloaded says whether the device takes and gives superframes.
func (t *Tun) Offloaded() bool { return t.vnet }

// Malformed counts packets from the device that were dropped because their description made no sense.
func (t *Tun) Malformed() uint64 { return t.malformed.Load() }

// Drops is how many packets the kernel has dropped on their way to us, because nobody read them in time. It goes
// back to the making of the device.
func (t *Tun) Drops() (uint64, error) {
	l, err := t.netlink.LinkByIndex(t.index)
	if err != nil {
		return 0, fmt.Errorf("tun: statistics of %s: %w", t.name, err)
	}
	s := l.Attrs().Statistics
	if s == nil {
		return 0, fmt.Errorf("tun: the kernel gives no statistics of %s", t.name)
	}
	return s.TxDropped, nil
}

// NeedsAdmin reports whether CAP_NET_ADMIN may be needed after Open: to add routes again that the kernel forgets when the device
// is set down, and to take back what was added to a device that stays.
func (t *Tun) NeedsAdmin() bool { return t.unwatch != nil || len(t.undo) > 0 }

// Close detaches every queue. The device goes with its address and routes, unless it is persistent; then what Open
// added to it is taken back.
func (t *Tun) Close() error {
	t.close.Do(func() {
		if t.unwatch != nil {
			t.unwatch()
		}
		for _, d := range t.devices {
			_ = d.Close()
		}
		for _, f := range t.undo {
			f()
		}
		if t.netlink != nil {
			t.netlink.Close()
		}
	})
	return nil
}

// FromFD makes a link of one queue of the descriptor of a TUN that somebody else has opened and configured, with
// IFF_NO_PI, and with IFF_VNET_HDR if vnetHeader. mtu is that of the interface, in bytes. The link owns fd from now
// on, unless an error is returned.
func FromFD(fd int, vnetHeader bool, mtu int) (*link.Link, error) {
	if mtu < minMTU || mtu > maxMTU {
		return nil, fmt.Errorf("tun: MTU %d is outside %d to %d", mtu, minMTU, maxMTU)
	}
	a := &attachment{fds: []int{fd}}
	var err error
	if a.name, err = deviceName(fd); err != nil {
		return nil, fmt.Errorf("tun: descriptor %d is not an attached TUN: %w", fd, err)
	}
	if err := a.negotiate(vnetHeader); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("tun: descriptor %d: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	d, err := newDevice(a.name, fd, a.vnet, new(atomic.Uint64))
	if err != nil {
		return nil, err
	}
	l := &link.Link{Queues: []link.Device{d}, MTU: mtu, Checksum: true}
	if a.vnet {
		l.Superframe = link.MaxPacket
	}
	return l, nil
}
