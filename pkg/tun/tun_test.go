package tun

import (
	"net"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
)

func TestKernelPacketArrives(t *testing.T) {
	for _, offload := range []Offload{On, Off} {
		inNamespace(t)
		dev := mustOpen(t, Config{Offload: offload})
		if dev.Offloaded() != (offload == On) {
			t.Errorf("Offloaded is %v", dev.Offloaded())
		}
		c, err := net.Dial("udp4", netip.AddrPortFrom(us, 7).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		p := await(t, dev.Link().Queues[0], protocol(17))
		if got := string(p.Head[28:]); got != "hello" {
			t.Errorf("got %q", got)
		}
		if p.NeedsChecksum != (offload == On) {
			t.Errorf("NeedsChecksum is %v", p.NeedsChecksum)
		}
		reply := udpReply(&p)
		if err := dev.Link().Queues[0].Write(&reply); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		if n, err := c.Read(b); err != nil || string(b[:n]) != "hello" {
			t.Errorf("the echo: %q, %v", b[:n], err)
		}
		dev.Close()
	}
}

// udpReply sends a datagram back, its checksum left to the device.
func udpReply(p *link.Packet) link.Packet {
	q := append([]byte(nil), p.Head...)
	copy(q[12:], p.Head[16:20])
	copy(q[16:], p.Head[12:16])
	copy(q[20:], p.Head[22:24])
	copy(q[22:], p.Head[20:22])
	pseudo := pseudoSum(q)
	q[26], q[27] = byte(pseudo>>8), byte(pseudo)
	return link.Packet{Head: q[:28], Body: [2][]byte{q[28:30], q[30:]}, NeedsChecksum: true, ChecksumStart: 20}
}

// pseudoSum is the folded sum of the pseudo-header of an IPv4 packet without options.
func pseudoSum(p []byte) uint16 {
	s := uint32(p[9]) + uint32(len(p)-20)
	for i := 12; i < 20; i += 2 {
		s += uint32(p[i])<<8 | uint32(p[i+1])
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
