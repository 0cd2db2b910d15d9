package tun

import (
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// inNamespace moves the test to a network namespace without a name, which ends with the test, however that ends.
func inNamespace(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	if _, err := os.Stat(clonePath); err != nil {
		t.Skip("needs " + clonePath)
	}
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := netns.New()
	if err != nil {
		t.Skip("needs network namespaces: " + err.Error())
	}
	t.Cleanup(func() {
		fresh.Close()
		if netns.Set(home) == nil { // else the thread ends with the goroutine
			runtime.UnlockOSThread()
		}
		home.Close()
	})
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
}

var (
	host = netip.MustParsePrefix("10.7.0.1/24")
	us   = netip.MustParseAddr("10.7.0.2")
)

// mustOpen opens a device that is closed with the test.
func mustOpen(t testing.TB, cfg Config) *Tun {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "tcpd0"
	}
	if !cfg.Host.IsValid() {
		cfg.Host = host
	}
	if cfg.Warn == nil {
		cfg.Warn = func(s string) { t.Errorf("warning: %s", s) }
	}
	dev, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return dev
}

// await reads from the device until want is true of a packet.
func await(t testing.TB, d link.Device, want func(*link.Packet) bool) link.Packet {
	t.Helper()
	batch := link.NewBatch()
	for end := mono.Now().Add(5 * time.Second); mono.Now() < end; {
		if err := d.Read(batch); err != nil {
			t.Fatal(err)
		}
		for i := range batch.Packets {
			if p := &batch.Packets[i]; want(p) {
				return *p
			}
		}
		if err := d.Wait(end); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the packet did not come")
	return link.Packet{}
}

// protocol is a condition for await.
func protocol(n byte) func(*link.Packet) bool {
	return func(p *link.Packet) bool { return p.Head[0]>>4 == 4 && p.Head[9] == n }
}
