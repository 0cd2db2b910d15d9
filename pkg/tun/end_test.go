package tun

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// holder opens a device and waits to be killed.
func holder() {
	if _, err := Open(Config{Name: "tcpd0", Host: host, Queues: 2}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	select {}
}

func TestKillLeavesNothing(t *testing.T) {
	inNamespace(t)
	c := role(t, "holder")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Errorf("holder says %q", line)
	} else if !exists("tcpd0") {
		t.Error("no device")
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	if exists("tcpd0") {
		t.Error("the device is left")
	}
	if routes, _ := netlink.RouteList(nil, netlink.FAMILY_V4); len(routes) != 0 {
		t.Errorf("routes are left: %v", routes)
	}
}

func TestDeviceIsDeletedBeneathUs(t *testing.T) {
	inNamespace(t)
	dev := mustOpen(t, Config{})
	d := dev.Link().Queues[0]
	l, err := netlink.LinkByName("tcpd0")
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() {
		for { // packets of the kernel's own end a Wait too
			if err := d.Wait(mono.Now().Add(5 * time.Second)); err != nil {
				waited <- err
				return
			}
			if err := d.Read(link.NewBatch()); err != nil {
				waited <- err
				return
			}
		}
	}()
	if err := netlink.LinkDel(l); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, ErrGone) {
		t.Errorf("Wait: %v", err)
	}
	if err := d.Wait(mono.Never); !errors.Is(err, ErrGone) {
		t.Errorf("Wait again: %v", err)
	}
	if err := d.Read(link.NewBatch()); !errors.Is(err, ErrGone) {
		t.Errorf("Read: %v", err)
	}
	if err := d.Write(&link.Packet{Head: tcpHead()}); err == nil || errors.Is(err, link.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	inNamespace(t)
	defer goleak.VerifyNone(t)
	mustOpen(t, Config{}).Close() // what is opened once stays open
	before := descriptors(t)
	dev := mustOpen(t, Config{Queues: 3})
	d := dev.Link().Queues[1]
	ended := make(chan error)
	go func() {
		for batch := link.NewBatch(); ; {
			if err := d.Wait(mono.Never); err != nil {
				ended <- err
				return
			}
			if err := d.Read(batch); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if exists("tcpd0") {
		t.Error("the device is there")
	}
	if err := <-ended; !errors.Is(err, link.ErrClosed) {
		t.Errorf("Wait or Read: %v", err)
	}
	if err := d.Write(&link.Packet{Head: tcpHead()}); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	d.Wake()
	if err := d.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestFromFD(t *testing.T) {
	inNamespace(t)
	fd := mustSingle(t, "mine")
	if _, err := FromFD(fd, false, 1500); err == nil {
		t.Error("headers on the device, none expected, and no error")
	}
	if _, err := FromFD(fd, true, 10); err == nil {
		t.Error("an MTU of 10 is taken")
	}
	if _, err := FromFD(0, true, 1500); err == nil {
		t.Error("standard input is taken for a TUN")
	}
	l, err := FromFD(fd, true, 1500)
	if err != nil {
		t.Fatal(err)
	}
	ipCommand(t, "address add 10.7.0.1/24 dev mine")
	ipCommand(t, "link set mine up")
	ipCommand(t, "route add 192.0.2.0/24 dev mine")
	send(t, "hello")
	await(t, l.Queues[0], protocol(17))
	if err := l.Queues[0].Close(); err != nil || exists("mine") {
		t.Errorf("Close: %v", err)
	}
	if err := unix.Close(fd); err == nil {
		t.Error("the descriptor was left open")
	}
}
