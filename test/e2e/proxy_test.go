package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

const proxyPort = 5201

// startProxy runs the daemon with a proxy to a server of the namespace's.
func startProxy(t *testing.T, s *netspace, to string) *daemon {
	t.Helper()
	return startDaemon(t, s, "-c", config(t, fmt.Sprintf("services: [{port: %d, service: proxy, to: %q}]\n", proxyPort, to)))
}

// TestProxyIperf: iperf3 measures through the proxy as it does without: up, down, and four connections each way at once. Its
// control connection and those with the text are the same to the proxy.
func TestProxyIperf(t *testing.T) {
	need(t, "iperf3", "ss")
	s := newSpace(t)
	server := exec.Command("iperf3", "-s", "-B", "127.0.0.1", "-p", "5201", "--forceflush")
	said := &space.Buffer{}
	server.Stdout, server.Stderr = said, said
	if err := s.Start(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		_ = server.Wait() // it was killed
	})
	waitListening(t, s, "127.0.0.1:5201")
	startProxy(t, s, "127.0.0.1:5201")
	// Both ways iperf3 goes by time: by bytes it ends with the direction that is through first, whatever the other has done.
	for _, args := range []string{"-n 20M", "-n 20M -R", "-t 1 -P 4 --bidir"} {
		t.Run(args, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			out, err := s.Output(ctx, "iperf3", append(strings.Fields(args), "-J", "-c", daemonIP, "-p", "5201")...)
			if err != nil {
				t.Fatalf("%v\n%s\nthe server said:\n%s", err, out, said)
			}
			checkIperf(t, out, strings.Contains(args, "--bidir"))
		})
	}
}

// checkIperf looks whether what was sent has been received, and tells how fast.
func checkIperf(t *testing.T, out string, bidir bool) {
	t.Helper()
	type sum struct {
		Bytes float64 `json:"bytes"`
		Rate  float64 `json:"bits_per_second"`
	}
	var report struct {
		Error string `json:"error"`
		End   struct {
			Sent         sum `json:"sum_sent"`
			Received     sum `json:"sum_received"`
			SentBack     sum `json:"sum_sent_bidir_reverse"`
			ReceivedBack sum `json:"sum_received_bidir_reverse"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Error != "" {
		t.Fatalf("%v, %s:\n%s", err, report.Error, out)
	}
	e := report.End
	t.Logf("%.2f Gbit/s, and back %.2f", e.Received.Rate/1e9, e.ReceivedBack.Rate/1e9)
	if e.Received.Bytes == 0 || e.Received.Bytes > e.Sent.Bytes {
		t.Errorf("%.0f bytes sent, %.0f received", e.Sent.Bytes, e.Received.Bytes)
	}
	if bidir && (e.ReceivedBack.Bytes == 0 || e.ReceivedBack.Bytes > e.SentBack.Bytes) {
		t.Errorf("%.0f bytes sent back, %.0f received", e.SentBack.Bytes, e.ReceivedBack.Bytes)
	}
}

// waitListening waits until a server of the namespace's takes connections.
func waitListening(t *testing.T, s *netspace, at string) {
	t.Helper()
	for end := deadline(); ; {
		if _, port, _ := net.SplitHostPort(at); strings.Contains(s.Command("ss", "-Hltn", "sport = "+port), at) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody listens on %s", at)
		}
	}
}

// TestProxyAnswers as the server does, and only when that has: the client's connect says what one to the server would.
func TestProxyAnswers(t *testing.T) {
	need(t)
	for _, test := range []struct {
		what, to string
		want     error
	}{
		{"a refusal", "127.0.0.1:1", syscall.ECONNREFUSED},
		{"no network", "192.0.2.1:1", syscall.ENETUNREACH},
		{"a connection", "127.0.0.1:9000", nil},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			l := must[*net.TCPListener](t)(s.Listen("127.0.0.1:9000"))
			d := startProxy(t, s, test.to)
			c, err := s.Dial(net.Dialer{}, service(proxyPort))
			if !errors.Is(err, test.want) {
				t.Fatalf("connect: %v, want %v", err, test.want)
			}
			if test.want == nil {
				d.closeThrough(c, must[*net.TCPConn](t)(l.AcceptTCP()))
			}
		})
	}
}

// closeThrough has the server end its text first, then the client, and looks at the life that the connection had.
func (d *daemon) closeThrough(c, server *net.TCPConn) {
	d.t.Helper()
	defer c.Close()
	defer server.Close()
	for i, ends := range [][2]*net.TCPConn{{server, c}, {c, server}} {
		setDeadline(d.t, ends[0], patience)
		setDeadline(d.t, ends[1], patience)
		text := payload(uint64(i), 1<<20)
		go func() {
			_, _ = ends[0].Write(text)
			_ = ends[0].CloseWrite()
		}()
		if got, err := io.ReadAll(ends[1]); err != nil || string(got) != string(text) {
			d.t.Errorf("%d bytes of %d, or others: %v", len(got), len(text), err)
		}
	}
	d.waitState(name(c), "TIME-WAIT")
	d.checkPath(name(c), passiveOpen, []string{"ESTABLISHED Close FIN-WAIT-1"}, weClose[1:])
}

// TestProxySilence: a server that says nothing is one that says nothing, also through the proxy. This one is behind the
// device, where nobody has the address.
func TestProxySilence(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startProxy(t, s, "10.7.0.99:80")
	var late net.Error
	if _, err := s.Dial(net.Dialer{Timeout: 300 * time.Millisecond}, service(proxyPort)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("%v, want a time-out", err)
	}
	if n := d.Counters().Deferred; n != 1 {
		t.Errorf("%d requests were put to the server", n)
	}
}
