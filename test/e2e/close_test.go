package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

// TestClientClosesFirst: RFC 9293 Figure 12 from the passive side.
func TestClientClosesFirst(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.echoed()
	c.CloseWrite()
	expectEOF(t, c)
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, peerCloses)
}

// TestServerClosesFirst: Figure 12 from the active side, and TIME-WAIT ends after 2 MSL.
func TestServerClosesFirst(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "--msl", "1s")
	c := d.dial(daytimePort)
	setDeadline(t, c, patience)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	c.Close()
	d.waitState(name(c), "TIME-WAIT")
	began := time.Now()
	d.waitState(name(c), "CLOSED")
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("TIME-WAIT ended after %v, not 2 MSL", waited)
	}
	d.checkPath(name(c), passiveOpen, weClose, twoMSL)
}

// TestHalfClose: after the client's FIN the echo service still has most of the text to send, which is why closing
// takes four segments. The client's small window holds the text back until the FIN has been logged.
func TestHalfClose(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		ctl := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		})
		return errors.Join(ctl, err)
	}}
	c := must[*net.TCPConn](t)(s.Dial(dialer, service(echoPort)))
	defer c.Close()
	setDeadline(t, c, patience)
	sent := payload(2, 64<<10)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	d.waitState(name(c), "CLOSE-WAIT")
	if back := must[[]byte](t)(io.ReadAll(c)); !bytes.Equal(sent, back) {
		t.Errorf("%d bytes came back of %d, or others", len(back), len(sent))
	}
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, peerCloses)
}

// TestNetcatHalfClose: the same as a user does it.
func TestNetcatHalfClose(t *testing.T) {
	need(t, "nc")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	sent := payload(3, 8<<20)
	cmd := exec.CommandContext(t.Context(), "nc", "-N", "-p", "45001", daemonIP, "7")
	cmd.Stdin = bytes.NewReader(sent)
	var back bytes.Buffer
	complaint := &space.Buffer{}
	cmd.Stdout, cmd.Stderr = &back, complaint
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nc: %v: %s", err, complaint)
	}
	if !bytes.Equal(sent, back.Bytes()) {
		t.Errorf("%d bytes came back of %d, or others", back.Len(), len(sent))
	}
	conn := service(echoPort) + " " + hostIP + ":45001"
	d.waitState(conn, "CLOSED")
	d.checkPath(conn, passiveOpen, peerCloses)
}

// TestClientResets: linger 0 makes the kernel send RST.
func TestClientResets(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(echoPort)
	setDeadline(t, c, patience)
	if err := space.RoundTrip(c, payload(4, 100)); err != nil {
		t.Fatal(err)
	}
	c.SetLinger(0)
	c.Close()
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, []string{"ESTABLISHED RcvRST CLOSED"})
}

// TestServerResets: a server that closes before it has read everything must say that text was lost (RFC 1122
// 4.2.2.13). The page takes no body, but the client sends one that never ends.
func TestServerResets(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(httpPort)
	setDeadline(t, c, patience)
	_, err := io.WriteString(c, "POST /hello HTTP/1.1\r\nHost: tcpd\r\nContent-Length: 1000000000\r\n\r\n")
	for err == nil {
		_, err = c.Write(make([]byte, 1<<16))
	}
	if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("writing up to the RST: %v", err)
	}
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, weClose[:2], []string{"FIN-WAIT-2 CloseUnread CLOSED"})
}

// TestFinWaitTimeout: a peer that acknowledges our FIN and then says nothing more does not keep a connection of a
// service that is done with it.
func TestFinWaitTimeout(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "-c", config(t, "tcp:\n  fin_timeout: 1s\n"))
	c := d.dial(daytimePort)
	setDeadline(t, c, patience)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	d.waitState(name(c), "CLOSED")
	d.checkPath(name(c), passiveOpen, weClose[:2], []string{"FIN-WAIT-2 FinWaitTimeout CLOSED"})
}

// TestSimultaneousClose: RFC 9293 Figure 13. The peer sends its FIN before it has acknowledged ours.
func TestSimultaneousClose(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "--msl", "1s")
	p := newPeer(openWire(t, s), 40000)
	p.open(daytimePort)
	p.await("a FIN", func(g segment) bool { return g.flags&fin != 0 })
	p.ack-- // all but the FIN
	p.send(fin|ack, nil)
	p.seq++
	d.waitState(p.name(), "CLOSING")
	p.ack++
	p.send(ack, nil)
	d.waitState(p.name(), "CLOSED")
	d.checkPath(p.name(), passiveOpen, bothClose, twoMSL)
}

// TestPortReusedInTimeWait: a client may come again from the same port while we remember its last connection: its
// SYN is above all we have seen (RFC 9293 3.6.1), so it opens a new one.
func TestPortReusedInTimeWait(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(hostIP), Port: 45002}, Control: reuseAddr}
	conn := service(daytimePort) + " " + hostIP + ":45002"
	for range 3 {
		c := dialAgain(t, s, dialer, service(daytimePort))
		setDeadline(t, c, patience)
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		n := len(d.log.All())
		c.Close()
		_, err := d.log.WaitFrom(n, func(l line) bool { return l.Conn == conn && l.To == "TIME-WAIT" })
		if err != nil {
			t.Fatal(err)
		}
	}
	again := []string{"TIME-WAIT NewSYN CLOSED"}
	d.checkPath(conn, passiveOpen, weClose, again, passiveOpen, weClose, again, passiveOpen, weClose)
}

func reuseAddr(_, _ string, raw syscall.RawConn) (err error) {
	ctl := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	})
	return errors.Join(ctl, err)
}

// dialAgain dials from a port that the kernel may not have let go of yet: the ACK of its FIN is on the way.
func dialAgain(t *testing.T, s *netspace, d net.Dialer, addr string) *net.TCPConn {
	t.Helper()
	for late := time.Now().Add(patience); ; {
		c, err := s.Dial(d, addr)
		if err == nil {
			return c
		}
		if time.Now().After(late) || !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

// TestRefused: a port without a listener answers RST, so the caller knows at once.
func TestRefused(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	for _, port := range []int{1, 81, 65535} {
		c, err := s.Dial(net.Dialer{}, service(port))
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("port %d: %v, want ECONNREFUSED", port, err)
		}
	}
}

// TestUDPRefused: a UDP port without anyone behind it answers ICMP port unreachable.
func TestUDPRefused(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	var c net.Conn
	err := s.Inside(func() (err error) {
		c, err = net.Dial("udp4", service(9999))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	setDeadline(t, c, patience)
	if _, err := c.Write([]byte("anyone?")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, want ECONNREFUSED", err)
	}
}

// TestCrowd: 1,000 connections of the kernel at a time, all open before the first one speaks.
func TestCrowd(t *testing.T) {
	need(t)
	const crowd = 1000
	s := newSpace(t)
	d := startDaemon(t, s)
	conns := make([]*net.TCPConn, crowd)
	space.InParallel(t, crowd, 32, func(i int) (err error) {
		conns[i], err = s.Dial(net.Dialer{}, service(echoPort))
		return err
	})
	space.InParallel(t, crowd, crowd, func(i int) error {
		defer conns[i].Close()
		conns[i].SetDeadline(time.Now().Add(time.Minute))
		if err := space.RoundTrip(conns[i], payload(uint64(i), 1+i*64)); err != nil {
			return err
		}
		conns[i].CloseWrite()
		rest, err := io.ReadAll(conns[i])
		if len(rest) > 0 {
			return errors.New("more came back than was sent")
		}
		return err
	})
	for _, c := range conns {
		d.waitState(name(c), "CLOSED")
		d.checkPath(name(c), passiveOpen, peerCloses)
	}
}

// TestPing: ICMP echo, small, in fragments, and behind a small MTU.
func TestPing(t *testing.T) {
	need(t, "ping")
	t.Parallel()
	for _, test := range []struct {
		name   string
		daemon []string
		ping   []string
	}{
		{"small", nil, []string{"-s", "56"}},
		{"fragments", nil, []string{"-s", "60000"}},
		{"MTU 576", []string{"--mtu", "576"}, []string{"-s", "1400"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSpace(t)
			startDaemon(t, s, test.daemon...)
			out := s.Command("ping", append(test.ping, "-n", "-c", "3", "-i", "0.1", "-W", "5", daemonIP)...)
			if !strings.Contains(out, "3 received") {
				t.Error(out)
			}
		})
	}
}
