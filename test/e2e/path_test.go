package e2e

import (
	"bytes"
	"encoding/binary"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/test/space"
)

// TestSmallDevice: all goes over a device of the smallest MTU that every host takes.
func TestSmallDevice(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "--mtu", "576")
	c := d.dial(echoPort)
	setDeadline(t, c, time.Minute)
	if err := space.RoundTrip(c, payload(1, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if mss := tcpInfo(t, c).Snd_mss; mss > 536 {
		t.Errorf("the kernel sends segments of %d bytes", mss)
	}
}

// TestSmallRoute: behind a route of small MTU the kernel asks for small segments and gets them, and its large
// datagrams come in fragments.
func TestSmallRoute(t *testing.T) {
	need(t, "ip", "ping")
	t.Parallel()
	for _, offload := range []string{"auto", "off"} {
		t.Run("offload "+offload, func(t *testing.T) {
			s := newSpace(t)
			d := startDaemon(t, s, "--offload", offload)
			s.Command("ip", "route", "add", daemonIP, "dev", device, "mtu", "600")
			s.Command("ping", "-n", "-c", "2", "-i", "0.1", "-W", "5", "-M", "dont", "-s", "4000", daemonIP)
			w := openWire(t, s)
			c := d.dial(echoPort)
			setDeadline(t, c, time.Minute)
			if err := space.RoundTrip(c, payload(2, 1<<20)); err != nil {
				t.Fatal(err)
			}
			info := tcpInfo(t, c)
			if info.Snd_mss > 560 || info.Rcv_mss > 560 {
				t.Errorf("segments of %d bytes to the daemon, %d from it; the route takes 560", info.Snd_mss, info.Rcv_mss)
			}
			c.CloseWrite()
			expectEOF(t, c)
			if offload == "off" {
				checkSizes(t, w, name(c), 600)
			}
		})
	}
}

// checkSizes reads a connection's segments up to the daemon's FIN: none may be a packet larger than mtu.
func checkSizes(t *testing.T, w *wire, conn string, mtu int) {
	t.Helper()
	w.file.SetReadDeadline(time.Now().Add(patience))
	for {
		g, err := w.next()
		if err != nil {
			t.Fatalf("reading up to the FIN: %v", err)
		}
		if g.src.String()+" "+g.dst.String() != conn {
			continue
		}
		if len(g.packet) > mtu {
			t.Fatalf("a packet of %d bytes: %v", len(g.packet), g)
		}
		if g.flags&fin != 0 {
			return
		}
	}
}

func tcpInfo(t *testing.T, c *net.TCPConn) (info *unix.TCPInfo) {
	t.Helper()
	raw := must[syscall.RawConn](t)(c.SyscallConn())
	err := raw.Control(func(fd uintptr) {
		info = must[*unix.TCPInfo](t)(unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO))
	})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestFragmentedSegment: a segment in fragments, the last one first, is as good as a whole one. Fragments carry no
// ports, so the kernel puts them on a queue regardless of where their connection lives, and there they may overtake
// the ACK that has just completed the handshake: enough connections meet every case.
func TestFragmentedSegment(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	w := openWire(t, s)
	for i := range uint16(500) {
		p := newPeer(w, 41000+i)
		p.open(echoPort)
		text := payload(uint64(i), 1000)
		parts := fragment(p.segment(psh|ack, text).put(), i, 256)
		for j := len(parts) - 1; j >= 0; j-- {
			if err := p.write(parts[j]); err != nil {
				t.Fatal(err)
			}
		}
		p.seq += uint32(len(text))
		if back := p.text(len(text)); !bytes.Equal(text, back) {
			t.Errorf("connection %d: another text came back", i)
		}
		p.send(rst, nil)
	}
}

// text takes n bytes in order from the daemon, and acknowledges them.
func (p *peer) text(n int) []byte {
	p.t.Helper()
	var text []byte
	for len(text) < n {
		g := p.await("text", func(g segment) bool { return g.seq == p.ack && len(g.data) > 0 })
		text = append(text, g.data...)
		p.send(ack, nil)
	}
	return text
}

// TestFragNeeded: a router's "fragmentation needed" (RFC 1191) is heeded, on whatever queue it comes: from then on
// no packet is larger than it said.
func TestFragNeeded(t *testing.T) {
	need(t)
	t.Parallel()
	const mtu = 700
	s := newSpace(t)
	startDaemon(t, s, "--offload", "off")
	w := openWire(t, s)
	for i := range uint16(16) {
		p := newPeer(w, 42000+i)
		p.open(chargenPort)
		una := p.ack
		large := p.await("a large segment", func(g segment) bool { return g.seq == una && len(g.packet) > mtu })
		router := p.local.Addr().Next()
		if err := p.write(putIP(router, p.remote.Addr(), unix.IPPROTO_ICMP, fragNeeded(large.packet, mtu))); err != nil {
			t.Fatal(err)
		}
		p.await("it again in less", func(g segment) bool {
			return g.seq == una && len(g.data) > 0 && len(g.packet) <= mtu
		})
		p.send(rst, nil)
	}
}

// fragNeeded is the ICMP message that quotes a packet as too large.
func fragNeeded(packet []byte, mtu uint16) []byte {
	m := append([]byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, packet[:28]...)
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	return m
}
