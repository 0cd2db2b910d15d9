package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// daemon looks for one that runs already.
func (d *doctor) daemon() {
	const check = "daemon"
	path := d.config.Control
	if path == config.ControlAuto {
		var err error
		if path, err = control.Path(d.config.Device); err != nil {
			d.warn(check, err.Error(), `tcpd run --control /tmp/tcpd.sock`)
			return
		}
	}
	if path == "" {
		d.ok(check, "there is to be no control socket")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c := control.NewClient(path)
	defer c.Close()
	err := well(ctx, c, "/livez")
	switch {
	case err == nil:
		d.running = true
		var l config.Loaded
		if c.Config(ctx, &l) == nil {
			d.inForce = &l.Config
		}
		if well(ctx, c, "/readyz") != nil {
			d.fail(check, fmt.Sprintf("the one at %s is ending: it lets nobody in any more, and waits for the connections that are open, unless it is stopped again", path),
				fmt.Sprintf("tcpd stop --control %s", path))
			return
		}
		d.ok(check, "one answers at %s, and its data path gets on", path)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		d.ok(check, "none answers at %s", path)
	case errors.Is(err, fs.ErrPermission):
		d.warn(check, fmt.Sprintf("cannot tell: %s is not for this user", path), "sudo tcpd doctor")
	default:
		d.running = true
		d.fail(check, err.Error(), fmt.Sprintf("tcpd stop --control %s", path))
	}
}

// well asks the daemon for its health: livez for that of its data path, readyz whether it lets anybody in, too.
func well(ctx context.Context, c *control.Client, path string) error {
	answer, err := c.Open(ctx, "GET", path, nil)
	if err == nil {
		err = answer.Close()
	}
	return err
}

// device looks at one of the name wanted.
func (d *doctor) device() {
	const check = "device"
	name := d.config.Device
	var warnings []string
	p, err := tun.CheckDevice(deviceConfig(d.config, func(text string) { warnings = append(warnings, text) }))
	d.prepared = p
	switch {
	case p != nil && d.running && !p.Up && d.theirs().Device == name:
		d.fail(check, "it is down: nobody reaches the daemon", fmt.Sprintf("sudo ip link set %s up", name)) // it sees to its routes itself
	case p != nil && d.running:
		d.ok(check, "%s is the daemon's", name)
	case err != nil:
		d.fail(check, err.Error(), fmt.Sprintf("tcpd run --device %s", freeName()))
	case len(warnings) > 0:
		d.warn(check, strings.Join(warnings, "; "), fmt.Sprintf("sudo ip link delete %s && sudo ip tuntap add dev %s mode tun multi_queue vnet_hdr", name, name))
	case p != nil:
		d.ok(check, "%s is there and will be used as it is", name)
	default:
		d.ok(check, "there is no %q yet: it will be made", name)
	}
}

// freeName is that of a device which does not exist.
func freeName() string {
	for i := 1; ; i++ {
		name := fmt.Sprintf("tcpd%d", i)
		if _, err := net.InterfaceByName(name); err != nil {
			return name
		}
	}
}

// privileges looks for the capability, or for a device that is prepared for who has none.
func (d *doctor) privileges() {
	const check = "privileges"
	d.admin, _ = cap.GetProc().GetFlag(cap.Effective, cap.NET_ADMIN) // fails for unknown capabilities
	p := d.prepared
	switch {
	case d.admin:
		d.ok(check, "CAP_NET_ADMIN is there")
	case p == nil || !p.Persistent || p.Owner != 0 && int(p.Owner) != os.Geteuid():
		d.fail(check, "neither root nor CAP_NET_ADMIN, and no device that is prepared for this user", fmt.Sprintf(
			"sudo setcap cap_net_admin+ep %s; or %s", executable(), d.prepare()))
	case !p.Up:
		d.fail(check, fmt.Sprintf("no CAP_NET_ADMIN, and %s is down", d.config.Device), fmt.Sprintf("sudo ip link set %s up", d.config.Device))
	default:
		d.ok(check, "no CAP_NET_ADMIN, but %s is prepared", d.config.Device)
	}
}

// prepare is how root makes a device that this user can open without any capability.
func (d *doctor) prepare() string {
	name := d.config.Device
	steps := []string{fmt.Sprintf("sudo ip tuntap add dev %s mode tun multi_queue vnet_hdr user %d", name, os.Geteuid())}
	if d.config.Host.IsValid() {
		steps = append(steps, fmt.Sprintf("sudo ip address add %v dev %s", d.config.Host, name))
	}
	steps = append(steps, fmt.Sprintf("sudo ip link set %s up", name))
	for _, r := range routes(d.config) {
		steps = append(steps, fmt.Sprintf("sudo ip route add %v dev %s", r, name))
	}
	return strings.Join(steps, " && ")
}

// theirs is the configuration of the daemon that runs, or if none does, or none that tells, that which it would run with.
func (d *doctor) theirs() *config.Config {
	if d.inForce != nil {
		return d.inForce
	}
	return d.config
}

func executable() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "tcpd"
}

const tunNode = "/dev/net/tun"

// node looks whether the driver can be reached.
func (d *doctor) node() bool {
	fd, err := unix.Open(tunNode, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		_ = unix.Close(fd)
		d.ok(tunNode, "it can be opened")
		return true
	case errors.Is(err, unix.ENOENT):
		d.fail(tunNode, "it is not there", "sudo modprobe tun; or sudo mkdir -p /dev/net && sudo mknod -m 666 /dev/net/tun c 10 200; "+
			"for a container: podman run --device /dev/net/tun")
	case errors.Is(err, unix.EACCES):
		d.fail(tunNode, "this user must not open it", "sudo chmod 666 "+tunNode)
	case errors.Is(err, unix.EPERM):
		d.fail(tunNode, "the control group must not open it", "podman run --device /dev/net/tun; in a systemd unit: DeviceAllow=/dev/net/tun rw")
	default: // ENODEV, ENXIO
		d.fail(tunNode, fmt.Sprintf("it cannot be opened: %v", err), "sudo modprobe tun")
	}
	return false
}

// offload tries whether the kernel takes superframes, with a device for the purpose, which the kernel names.
func (d *doctor) offload() {
	const check = "offload"
	switch {
	case d.config.Offload == "off":
		d.ok(check, "it is not asked for")
		return
	case !d.admin && d.prepared != nil && d.prepared.MultiQueue:
		d.ok(check, "%s is prepared for it", d.config.Device)
		return
	case !d.admin:
		d.warn(check, "cannot tell: a device for a try takes CAP_NET_ADMIN", "sudo tcpd doctor")
		return
	}
	t, err := tun.Open(tun.Config{Offload: tun.On})
	if err == nil {
		_ = t.Close()
		d.ok(check, "the kernel takes superframes and unfinished checksums")
		return
	}
	status := map[bool]func(string, string, string){true: d.fail, false: d.warn}[d.config.Offload == "on"]
	status(check, err.Error(), "tcpd run --offload off")
}

// addresses looks for others who have what is to be tcpd's.
func (d *doctor) addresses() {
	const check = "addresses"
	if d.running {
		d.hostAddress(check)
		return
	}
	var warnings []string
	err := tun.CheckAddresses(deviceConfig(d.config, func(text string) { warnings = append(warnings, text) }))
	switch {
	case err != nil:
		d.fail(check, err.Error(), freeNetwork())
	case len(warnings) > 0:
		d.warn(check, strings.Join(warnings, "; "), freeNetwork())
	default:
		d.ok(check, "nobody else has %s", strings.Join(texts(d.config.Addresses), ", "))
	}
}

// hostAddress looks whether the daemon's device still has the host's address: without, the kernel finds no way to tcpd's.
func (d *doctor) hostAddress(check string) {
	host := d.theirs().Host
	dev, err := net.InterfaceByName(d.theirs().Device)
	if err != nil || !host.IsValid() {
		d.ok(check, "the daemon has them")
		return
	}
	there, err := dev.Addrs()
	switch {
	case err != nil:
		d.warn(check, fmt.Sprintf("cannot tell: %v", err), "ip address show dev "+dev.Name)
	case !slices.ContainsFunc(there, func(a net.Addr) bool { return a.String() == host.String() }):
		d.fail(check, fmt.Sprintf("the host's, %v, is not on %s any more: there is no way to the daemon by its network", host, dev.Name),
			fmt.Sprintf("sudo ip address add %v dev %s", host, dev.Name))
	default:
		d.ok(check, "the daemon has them")
	}
}

// freeNetwork is how to run on addresses that nobody has.
func freeNetwork() string {
	for i := range 256 {
		n := (i + 66) % 256
		host := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 1}), 24)
		free := true
		err := tun.CheckAddresses(tun.Config{Host: host, Warn: func(string) { free = false }})
		if err == nil && free {
			return fmt.Sprintf("tcpd run --host %v --addr 10.%d.0.2", host, n)
		}
	}
	return "tcpd run --host ADDRESS/BITS --addr ADDRESS"
}

// ownAddresses looks for addresses of the host among those that are to be tcpd's: there the kernel answers.
func (d *doctor) ownAddresses() {
	const check = "own addresses"
	devices, err := net.Interfaces()
	if err != nil {
		d.warn(check, fmt.Sprintf("cannot tell: %v", err), "ip address")
		return
	}
	found := false
	for _, dev := range devices {
		addrs, _ := dev.Addrs() // none, if it is gone
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			for _, ours := range d.config.Addresses {
				if ours.Contains(p.Addr()) && (ours.IsSingleIP() || dev.Flags&net.FlagLoopback == 0) {
					found = true
					status := map[bool]func(string, string, string){true: d.fail, false: d.warn}[ours.IsSingleIP()]
					status(check, fmt.Sprintf("%v is this host's own on %s: the kernel answers there, not tcpd", p.Addr(), dev.Name),
						fmt.Sprintf("sudo ip address del %v dev %s; or choose another --addr", p, dev.Name))
				}
			}
		}
	}
	if !found {
		d.ok(check, "none of this host's is to be tcpd's")
	}
}

const ipv4Settings = "/proc/sys/net/ipv4"

// setting reads one of the kernel's for IPv4, or "".
func setting(path ...string) string {
	text, err := os.ReadFile(filepath.Join(append([]string{ipv4Settings}, path...)...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// reversePath looks whether the kernel drops packets whose answers would go another way (RFC 3704): the stricter of the two
// settings counts for a device.
func (d *doctor) reversePath() {
	const check = "rp_filter"
	dev := d.config.Device
	if setting("conf", dev, "rp_filter") == "" {
		dev = "default" // a device that is made gets this
	}
	all, own := setting("conf", "all", "rp_filter"), setting("conf", dev, "rp_filter")
	switch {
	case all == "" || own == "":
		d.warn(check, "cannot tell: "+ipv4Settings+"/conf cannot be read", "sysctl net.ipv4.conf.all.rp_filter")
	case max(all, own) == "1":
		d.warn(check, "strict: packets are dropped that come by another device than the way back to their sender, as those of clients with "+
			"several ways do, and tcpd's own from addresses that are not routed to its device",
			fmt.Sprintf("sudo sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.%s.rp_filter=2", dev))
	default:
		d.ok(check, "not strict")
	}
}

// forwarding looks whether others than this host reach tcpd.
func (d *doctor) forwarding() {
	const check = "forwarding"
	switch setting("ip_forward") {
	case "1":
		d.ok(check, "on: other hosts reach tcpd, if they have a route to it")
	case "0":
		d.ok(check, "off: only this host reaches tcpd; for others: sudo sysctl -w net.ipv4.ip_forward=1")
	default:
		d.warn(check, "cannot tell: "+ipv4Settings+"/ip_forward cannot be read", "sysctl net.ipv4.ip_forward")
	}
}

// memory looks whether there is as much as tcpd may keep.
func (d *doctor) memory() {
	const check = "memory"
	there, most := config.Size(machineMemory())/config.MiB*config.MiB, d.config.Limits.Memory
	if half := there / 2; most > half {
		d.warn(check, fmt.Sprintf("limits.memory lets buffers have %v, and there are %v in all", most, there),
			fmt.Sprintf("in the configuration: limits: {memory: %dMiB}", max(1, half/config.MiB)))
		return
	}
	d.ok(check, "%v, of which buffers may have %v", there, most)
}
