package tun

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// send sends a datagram from the kernel to us.
func send(t testing.TB, text string) {
	t.Helper()
	c, err := net.Dial("udp4", netip.AddrPortFrom(us, 7).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// superframe is a TCP packet of n bytes of text from us to the kernel, its checksum unfinished.
func superframe(n int) link.Packet {
	p := make([]byte, 40+n)
	p[0], p[8], p[9], p[32], p[33] = 0x45, 64, 6, 5<<4, 0x10
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], us.AsSlice())
	copy(p[16:], host.Addr().AsSlice())
	p[21], p[23] = 80, 81
	for i := range n {
		p[40+i] = byte(i * 3)
	}
	s := uint32(0)
	for i := 0; i < 20; i += 2 {
		s += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	s = s>>16 + s&0xffff
	binary.BigEndian.PutUint16(p[10:], ^uint16(s+s>>16))
	binary.BigEndian.PutUint16(p[36:], pseudoSum(p))
	return link.Packet{Head: p[:40], Body: [2][]byte{p[40 : 40+n/3], p[40+n/3:]}, NeedsChecksum: true,
		ChecksumStart: 20, GSOSize: 1460}
}

// The kernel takes a superframe as one: a raw socket sees it whole.
func TestSuperframeGoesOut(t *testing.T) {
	inNamespace(t)
	dev := mustOpen(t, Config{Offload: On})
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(raw)
	_ = unix.SetsockoptTimeval(raw, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
	p := superframe(60000)
	if err := dev.Link().Queues[0].Write(&p); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 70000)
	n, err := unix.Read(raw, got)
	if err != nil {
		t.Fatal(err)
	}
	if whole := p.AppendTo(nil); n != len(whole) || !bytes.Equal(got[40:n], whole[40:]) {
		t.Errorf("the kernel got %d bytes of %d, or others", n, len(whole))
	}
}

// What a kernel that segments late sends to us comes as one.
func TestSuperframeComesIn(t *testing.T) {
	inNamespace(t)
	dev := mustOpen(t, Config{Offload: On})
	p := superframe(30000)
	sendSuperframe(t, dev, &p)
	got := await(t, dev.Link().Queues[0], protocol(6))
	if !got.NeedsChecksum || got.GSOSize != 1460 || got.ChecksumStart != 20 || !bytes.Equal(got.Head, p.AppendTo(nil)) {
		t.Errorf("came as %d bytes, %+v", len(got.Head), got.GSOSize)
	}
}

// A device that had offload before, and is to have none now, does not get superframes any more.
func TestPlainAfterOffload(t *testing.T) {
	inNamespace(t)
	ipCommand(t, "tuntap add dev tcpd0 mode tun multi_queue vnet_hdr")
	mustOpen(t, Config{Offload: On}).Close()
	dev := mustOpen(t, Config{Offload: Off})
	p := superframe(30000)
	sendSuperframe(t, dev, &p)
	got := await(t, dev.Link().Queues[0], protocol(6))
	if len(got.Head) > 1500 || got.NeedsChecksum || got.GSOSize != 0 {
		t.Errorf("came as %d bytes, %+v", len(got.Head), got.GSOSize)
	}
}

// sendSuperframe sends p to the device through a packet socket, which plays a kernel that segments late.
func sendSuperframe(t *testing.T, dev *Tun, p *link.Packet) {
	t.Helper()
	l, err := netlink.LinkByName(dev.Name())
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		t.Fatal(err)
	}
	var h [headerLen]byte
	if err := putHeader(&h, p); err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: l.Attrs().Index} // IPv4 in network order
	if err := unix.Sendto(fd, p.AppendTo(h[:]), 0, to); err != nil {
		t.Fatal(err)
	}
}

func TestProbeNoticesARefusal(t *testing.T) {
	inNamespace(t)
	dev := mustOpen(t, Config{Offload: On})
	if err := probe(dev.devices[0]); err != nil {
		t.Errorf("a sound device: %v", err)
	}
	ipCommand(t, "link set tcpd0 down")
	if err := probe(dev.devices[0]); err == nil {
		t.Error("writes fail and the probe does not see it")
	}
}

func TestPlainDeviceRefusesSuperframes(t *testing.T) {
	inNamespace(t)
	dev := mustOpen(t, Config{Offload: Off})
	p := superframe(3000)
	if err := dev.Link().Queues[0].Write(&p); err != ErrSuperframe { //nolint:errorlint // the bare value
		t.Errorf("Write: %v", err)
	}
}

// A Head with all of the packet in it, longer than the headers' copy.
func TestPlainChecksumOfALongHead(t *testing.T) {
	d := &device{}
	p := superframe(1000)
	p.GSOSize = 0
	p.Head, p.Body = p.AppendTo(nil), [2][]byte{}
	before := append([]byte(nil), p.Head...)
	head, rest, err := d.plain(&p)
	if err != nil {
		t.Fatal(err)
	}
	got := append(append([]byte(nil), head...), rest...)
	if !bytes.Equal(before, p.Head) {
		t.Error("the caller's packet was changed")
	}
	p.FinishChecksum()
	if !bytes.Equal(got, p.Head) {
		t.Error("another packet goes out")
	}
}

func TestTwoQueuesShareTheFlows(t *testing.T) {
	inNamespace(t)
	dev := mustOpen(t, Config{Queues: 2})
	const flows = 64
	for range flows {
		send(t, "x")
	}
	var got [2]int
	for q, d := range dev.Link().Queues {
		batch := link.NewBatch()
		for {
			if err := d.Read(batch); err != nil {
				t.Fatal(err)
			}
			if len(batch.Packets) == 0 {
				break
			}
			for i := range batch.Packets {
				if protocol(17)(&batch.Packets[i]) {
					got[q]++
				}
			}
		}
	}
	if got[0]+got[1] != flows || got[0] == 0 || got[1] == 0 {
		t.Errorf("the queues got %v of %d flows", got, flows)
	}
}

func TestDropsAreSeen(t *testing.T) {
	inNamespace(t)
	dev := mustOpen(t, Config{TxQueueLen: 10})
	for range 50 {
		send(t, "x")
	}
	if n, err := dev.Drops(); err != nil || n == 0 {
		t.Errorf("%d drops of a queue of 10, %v", n, err)
	}
}

func TestWaitReturnsInTime(t *testing.T) {
	inNamespace(t)
	d := quiet(t)
	for _, want := range []time.Duration{0, -time.Second, 200 * time.Microsecond, 20 * time.Millisecond} {
		from := mono.Now()
		if err := d.Wait(from.Add(want)); err != nil {
			t.Fatal(err)
		}
		if took := mono.Now().Sub(from); took < want {
			t.Errorf("%v took %v", want, took)
		}
	}
}

// quiet is a device to which the kernel sends nothing of its own.
func quiet(t testing.TB) link.Device {
	t.Helper()
	dev := mustOpen(t, Config{})
	l, err := netlink.LinkByName(dev.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetDown(l); err != nil { // IPv6 would announce itself
		t.Fatal(err)
	}
	d := dev.Link().Queues[0]
	if err := d.Read(link.NewBatch()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWakeCountsOnce(t *testing.T) {
	inNamespace(t)
	d := quiet(t)
	d.Wake()
	d.Wake()
	if err := d.Wait(mono.Never); err != nil {
		t.Fatal(err)
	}
	from := mono.Now()
	if err := d.Wait(from.Add(5 * time.Millisecond)); err != nil || mono.Now().Sub(from) < 5*time.Millisecond {
		t.Errorf("the second Wait ended after %v, %v", mono.Now().Sub(from), err)
	}
}

// Wakers and the waiter meet at every possible moment. Each waker passes the ball only when it was taken, so that
// one lost wake would leave everybody waiting; the time limit then names it.
func TestNoWakeIsLost(t *testing.T) {
	inNamespace(t)
	d := quiet(t)
	const wakers, rounds = 3, 3000
	var inbox [wakers]chan struct{}
	var wg sync.WaitGroup
	for w := range inbox {
		inbox[w] = make(chan struct{}, 1)
		wg.Go(func() {
			for i := range rounds {
				inbox[w] <- struct{}{} // blocks until the last one was taken
				d.Wake()
				for range (i * 7) % 50 {
					runtime.Gosched()
				}
			}
		})
	}
	for taken := 0; taken < wakers*rounds; {
		from := mono.Now()
		if err := d.Wait(from.Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if mono.Now().Sub(from) > 9*time.Second {
			t.Fatalf("a wake was lost after %d", taken)
		}
		for w := range inbox {
			select {
			case <-inbox[w]:
				taken++
			default:
			}
		}
	}
	wg.Wait()
}

// What a Wait has read while it spun is what the next Read brings; until then every Wait returns at once.
func TestSpinKeepsWhatItReads(t *testing.T) {
	inNamespace(t)
	d := mustOpen(t, Config{}).Link().Queues[0].(*device)
	batch := link.NewBatch()
	if err := d.Read(batch); err != nil { // what the kernel says of its own accord
		t.Fatal(err)
	}
	d.parking.spin = spinning{window: maxSpin}
	for _, text := range []string{"1", "2", "3"} {
		send(t, text)
	}
	for range 3 {
		if err := d.Wait(mono.Never); err != nil {
			t.Fatal(err)
		}
	}
	found := len(d.found.Packets)
	var got []byte
	for range 2 { // the second brings none of them again
		if err := d.Read(batch); err != nil {
			t.Fatal(err)
		}
		for i := range batch.Packets {
			if p := &batch.Packets[i]; protocol(17)(p) {
				got = append(got, p.Head[len(p.Head)-1])
			}
		}
	}
	if found < 3 || string(got) != "123" {
		t.Errorf("%d packets were found, and %q was read", found, got)
	}
}

func TestSpinAdapts(t *testing.T) {
	var s spinning
	s.parked(10 * time.Microsecond)
	if s.window != maxSpin {
		t.Errorf("a short wait left a window of %v", s.window)
	}
	for range 8 {
		s.parked(time.Second)
	}
	if s.window != 0 {
		t.Errorf("long waits left a window of %v", s.window)
	}
}

// Who answers takes the processor for some microseconds, and the spin goes on; to who takes a slice of the scheduler's it is left.
func TestSpinGivesWay(t *testing.T) {
	s := spinning{window: maxSpin}
	if s.yielded(0, 20_000); !s.pays(20_000) {
		t.Error("no spin, though somebody was short")
	}
	if s.yielded(0, 3_000_000); s.pays(50_000_000) || !s.pays(51_000_000) {
		t.Error("after 3 ms that somebody took there is none for 48 ms")
	}
}

func TestNoAllocation(t *testing.T) {
	for _, offload := range []Offload{On, Off} {
		inNamespace(t)
		dev := mustOpen(t, Config{Offload: offload})
		d := dev.Link().Queues[0]
		batch := link.NewBatch()
		out := superframe(1000)
		out.GSOSize = 0
		c, err := net.Dial("udp4", netip.AddrPortFrom(us, 7).String())
		if err != nil {
			t.Fatal(err)
		}
		text := []byte("hello")
		n := testing.AllocsPerRun(500, func() {
			_, _ = c.Write(text)
			_ = d.Wait(mono.Now().Add(time.Second))
			_ = d.Read(batch)
			_ = d.Write(&out)
			d.Wake()
			_ = d.Wait(mono.Now().Add(time.Second))
			_ = d.Wait(mono.Now().Add(10 * time.Microsecond))
		})
		if n != 0 {
			t.Errorf("offload %d: %v allocations", offload, n)
		}
		c.Close()
		dev.Close()
	}
}
