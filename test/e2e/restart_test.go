package e2e

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/test/space"
)

// A daemon that is killed and started again knows nothing of its clients, and tells each so with a RST at his next segment
// (RFC 9293 section 3.10.7.1). They come back at once, from the same port if they like.

// ways are the devices of a daemon that is killed: its own, which goes with it, and one that was made beforehand, which
// stays.
var ways = []struct {
	name string
	make []string // arguments of ip
}{
	{"own device", nil},
	{"persistent device", []string{"tuntap", "add", "dev", device, "mode", "tun", "multi_queue", "vnet_hdr"}},
}

// startAgain starts a daemon that may leave its device.
func startAgain(t *testing.T, s *netspace) *daemon {
	t.Helper()
	d := launch(t, s, "run", "--device", device, "--host", hostIP+"/24", "--addr", daemonIP, "--queues", "2", "--log-level", "debug", "--drain-timeout", "0s")
	d.Ready()
	return d
}

// from is a dialer from one port.
func from(port int) net.Dialer {
	return net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(hostIP), Port: port}, Control: reuseAddr}
}

func TestRestart(t *testing.T) {
	need(t, "ip")
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s := newSpace(t)
			if w.make != nil {
				s.Command("ip", w.make...)
			}
			d := startAgain(t, s)
			idle, writer, reader := dialFrom(t, s, 45010, echoPort), dialFrom(t, s, 45011, discardPort), dialFrom(t, s, 45012, chargenPort)
			if err := space.RoundTrip(idle, payload(1, 1000)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(reader, make([]byte, 100_000)); err != nil {
				t.Fatal(err)
			}
			waiting := dialFrom(t, s, 45013, daytimePort)
			if _, err := io.ReadAll(waiting); err != nil {
				t.Fatal(err)
			}
			waiting.Close()
			d.waitState(service(daytimePort)+" "+hostIP+":45013", "TIME-WAIT")

			d.Kill()
			if left := s.HasDevice(device); left != (w.make != nil) {
				t.Fatalf("the device is left: %v", left)
			}
			if _, err := writer.Write(payload(2, 10_000)); err != nil { // while nobody is there
				t.Fatal(err)
			}
			d = startAgain(t, s)
			if _, err := idle.Write([]byte("anyone?")); err != nil {
				t.Fatal(err)
			}
			for i, c := range []*net.TCPConn{idle, writer, reader} {
				if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("client %d of the daemon that was killed: %v", i, err)
				}
				c.Close()
			}
			for i, port := range []int{45010, 45011, 45012, 45013} {
				c := dialFrom(t, s, port, echoPort)
				if err := space.RoundTrip(c, payload(uint64(3+i), 10_000)); err != nil {
					t.Errorf("from port %d again: %v", port, err)
				}
				d.waitState(name(c), "ESTABLISHED")
				d.checkPath(name(c), passiveOpen)
			}
		})
	}
}

// dialFrom connects the kernel, from one port, to a service of a daemon. A client that only reads asks whether the daemon is
// still there.
func dialFrom(t *testing.T, s *netspace, port, to int) *net.TCPConn {
	t.Helper()
	dialer := from(port)
	dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 10}
	c := dialAgain(t, s, dialer, service(to))
	t.Cleanup(func() { c.Close() })
	setDeadline(t, c, patience)
	return c
}

// TestRestartInHandshake: a client in SYN-SENT, whose SYN finds nobody, is served by the daemon that comes; one in whose
// handshake the daemon was killed is told so by a RST, and opens with his next SYN.
func TestRestartInHandshake(t *testing.T) {
	need(t, "ip")
	t.Parallel()
	s := newSpace(t)
	s.Command("ip", ways[1].make...)
	d := startAgain(t, s)
	p := newPeer(openWire(t, s), 45020)
	p.shake(echoPort)
	d.Kill()
	calling := make(chan error, 1)
	go func() {
		c, err := s.Dial(net.Dialer{}, service(echoPort))
		if err == nil {
			defer c.Close()
			err = errors.Join(c.SetDeadline(deadline()), space.RoundTrip(c, payload(1, 1000)))
		}
		calling <- err
	}()
	d = startAgain(t, s)
	p.send(ack, nil)
	p.await("a RST", func(g segment) bool { return g.flags == rst && g.seq == p.ack })
	p.seq--
	p.open(echoPort)
	d.waitState(p.name(), "ESTABLISHED")
	p.send(rst, nil)
	if err := <-calling; err != nil {
		t.Errorf("who called while nobody was there: %v", err)
	}
}

// TestClientVanishes: a client who vanishes and comes back from the same port finds the daemon with the old connection
// (RFC 9293 Figure 10, RFC 5961 section 4): his SYN is challenged, his kernel answers with a RST, and the next SYN opens.
func TestClientVanishes(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := dialFrom(t, s, 45030, echoPort)
	if err := space.RoundTrip(c, payload(1, 1000)); err != nil {
		t.Fatal(err)
	}
	conn := name(c)
	setOption(t, c, unix.TCP_REPAIR, 1) // then the kernel forgets it without a word
	c.Close()
	n := len(d.log.All())
	again := dialFrom(t, s, 45030, echoPort)
	if err := space.RoundTrip(again, payload(2, 1000)); err != nil {
		t.Error(err)
	}
	// His new number is from a clock: when he comes back soon it lies in the window, and else beyond it.
	challenged, err := d.log.WaitFrom(n, func(l line) bool { return l.Conn == conn })
	if err != nil || challenged.To != "ESTABLISHED" || challenged.Event != "BadSYN" && challenged.Event != "BadSeq" {
		t.Errorf("the SYN is not challenged: %v, %s", err, challenged.Raw)
	}
	if _, err := d.log.WaitFrom(n, func(l line) bool { return l.Conn == conn && l.Event == "SYNAcked" }); err != nil {
		t.Errorf("the next does not open: %v", err)
	}
	d.checkPath(conn, passiveOpen, []string{"ESTABLISHED RcvRST CLOSED"}, passiveOpen)
}
