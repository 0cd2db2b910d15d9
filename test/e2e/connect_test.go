package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
)

// connect runs "tcpd connect" against a port of the kernel's, with a stack and a TUN of its own.
type connect struct {
	*daemon
	out *space.Buffer
}

const connectIP = "10.8.0.2"

func startConnect(t *testing.T, s *netspace, l net.Listener, stdin io.Reader, args ...string) *connect {
	t.Helper()
	args = append([]string{"connect", "--device", "tcpdc0", "--host", "10.8.0.1/24", "--addr", connectIP,
		"--log-level", "debug", "--msl", "1s"}, args...)
	cmd := exec.Command(tcpd, append(args, "10.8.0.1", fmt.Sprint(l.Addr().(*net.TCPAddr).Port))...)
	c := &connect{out: &space.Buffer{}}
	cmd.Stdin, cmd.Stdout = stdin, c.out
	c.daemon = launchCommand(t, s, cmd)
	return c
}

// accept takes the connection in at the kernel's listener.
func accept(t *testing.T, l *net.TCPListener) *net.TCPConn {
	t.Helper()
	l.SetDeadline(deadline())
	c, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(deadline())
	if from := c.RemoteAddr().(*net.TCPAddr).IP.String(); from != connectIP {
		t.Errorf("the connection comes from %s", from)
	}
	return c
}

// connName is what the log of connect calls the connection: its own end first, here the kernel's remote.
func connName(c *net.TCPConn) string { return name(c) }

// finish waits for a clean end that leaves no device.
func (c *connect) finish() {
	c.t.Helper()
	if code := c.exitCode(); code != 0 {
		c.t.Errorf("exit code %d", code)
	}
	if c.space.HasDevice("tcpdc0") {
		c.t.Error("the temporary device is still there")
	}
	c.log.checkChains(c.t)
}

// TestConnectClosesFirst: -N sends our FIN at the end of stdin; the kernel still answers, then closes, and we stay
// through TIME-WAIT, for 2 MSL, as --wait asks.
func TestConnectClosesFirst(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	l := must[*net.TCPListener](t)(s.Listen("0.0.0.0:0"))
	request, answer := payload(1, 1<<20), payload(2, 1<<20)
	c := startConnect(t, s, l, bytes.NewReader(request), "-N", "--wait")
	k := accept(t, l)
	if got := must[[]byte](t)(io.ReadAll(k)); !bytes.Equal(got, request) {
		t.Errorf("%d bytes came of %d, or others", len(got), len(request))
	}
	c.waitState(connName(k), "FIN-WAIT-2")
	if _, err := k.Write(answer); err != nil {
		t.Fatal(err)
	}
	k.Close()
	c.finish()
	if got := c.out.String(); got != string(answer) {
		t.Errorf("%d bytes on stdout of %d, or others", len(got), len(answer))
	}
	c.checkPath(connName(k), activeOpen, weClose, twoMSL)
}

// TestConnectPeerClosesFirst: the kernel's FIN ends stdout, and the program.
func TestConnectPeerClosesFirst(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	l := must[*net.TCPListener](t)(s.Listen("0.0.0.0:0"))
	stdin, hold := io.Pipe()
	defer hold.Close()
	c := startConnect(t, s, l, stdin)
	k := accept(t, l)
	go hold.Write([]byte("who is there?\n"))
	if _, err := io.ReadFull(k, make([]byte, 14)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(k, "the kernel\n"); err != nil {
		t.Fatal(err)
	}
	k.Close()
	c.waitState(connName(k), "CLOSED")
	hold.Close()
	c.finish()
	if got := c.out.String(); got != "the kernel\n" {
		t.Errorf("stdout: %q", got)
	}
	c.checkPath(connName(k), activeOpen, peerCloses)
}

// TestConnectRefused: a RST for our SYN is an error that says so.
func TestConnectRefused(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	l := must[*net.TCPListener](t)(s.Listen("0.0.0.0:0"))
	l.Close()
	c := startConnect(t, s, l, strings.NewReader(""))
	if code := c.exitCode(); code == 0 {
		t.Error("exit code 0")
	}
	if log := c.log.Tail(10); !strings.Contains(log, "connection refused") {
		t.Errorf("it does not say why:\n%s", log)
	}
	if s.HasDevice("tcpdc0") {
		t.Error("the temporary device is still there")
	}
}
