package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
)

// waitLine waits for a line of the log with a message.
func (d *daemon) waitLine(msg string) line {
	d.t.Helper()
	l, err := d.log.Wait(func(l line) bool { return l.Msg == msg })
	if err != nil {
		d.t.Fatalf("%q in the log: %v", msg, err)
	}
	return l
}

// expectReset reads the RST that ends an idle connection.
func expectReset(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d bytes, %v; want a reset", n, err)
	}
}

// TestDrain: at SIGTERM nobody is let in any more, a transfer under way is finished, an idle web client is let go in good order,
// and who has nothing to say is reset at the limit.
func TestDrain(t *testing.T) {
	need(t)
	t.Parallel()
	dir, file := t.TempDir(), payload(1, 32<<20) // more than the rings and the client's buffer hold
	if err := os.WriteFile(filepath.Join(dir, "file"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSpace(t)
	d := startDaemon(t, s, "-c", config(t, fmt.Sprintf(`
services: [{port: 7, service: echo}, {port: 80, service: http, static: %q}]
`, dir)), "--drain-timeout", "2s")
	transfer, idle, web := d.dial(httpPort), d.dial(echoPort), d.dial(httpPort)
	for _, c := range []net.Conn{transfer, idle, web} {
		setDeadline(t, c, patience)
	}
	if err := space.RoundTrip(idle, payload(2, 100)); err != nil {
		t.Fatal(err)
	}
	getHello(t, web)
	fmt.Fprintf(transfer, "GET /file HTTP/1.1\r\nHost: %s\r\n\r\n", daemonIP)
	r := must[*http.Response](t)(http.ReadResponse(bufio.NewReader(transfer), nil))

	stop(t, d, syscall.SIGTERM)
	if l := d.waitLine("draining"); !strings.Contains(l.Raw, `"connections":3,"limit":"2s"`) {
		t.Error(l.Raw)
	}
	if _, err := s.Dial(net.Dialer{}, service(echoPort)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new client: %v", err)
	}
	if body, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(body, file) {
		t.Errorf("%d of %d bytes of the file, %v", len(body), len(file), err)
	}
	expectEOF(t, transfer)
	transfer.Close()
	expectEOF(t, web)
	web.Close()
	expectReset(t, idle)
	if l := d.waitLine("drained"); !strings.Contains(l.Raw, `"ended":2,"reset":1`) {
		t.Error(l.Raw)
	}
	d.once.Do(func() {}) // it ends by itself
	if code := d.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s.HasDevice(device) {
		t.Error("the device is still there")
	}
	last := must[*space.Counters](t)(d.LastCounters())
	last.Check(t)
	if len(last.Listeners) == 0 {
		t.Error("the last counters know of no port")
	}
}

// TestDrainCutShort: a second signal, or a request to stop, resets what is left at once, however long the limit.
func TestDrainCutShort(t *testing.T) {
	need(t)
	t.Parallel()
	for _, first := range []string{"SIGTERM", "tcpd stop"} {
		t.Run(first, func(t *testing.T) {
			s := newSpace(t)
			d := startDaemon(t, s, "--drain-timeout", "1h")
			c := d.dial(echoPort)
			setDeadline(t, c, patience)
			if err := space.RoundTrip(c, payload(1, 1000)); err != nil { // the daemon knows of it now
				t.Fatal(err)
			}
			stopped := make(chan error, 1)
			if first == "SIGTERM" {
				stop(t, d, syscall.SIGTERM)
				stopped <- nil
			} else {
				go func() {
					_, err := s.Output(t.Context(), tcpd, "stop")
					stopped <- err
				}()
			}
			d.waitLine("draining")
			if err := space.RoundTrip(c, payload(1, 1000)); err != nil {
				t.Errorf("while it drains: %v", err)
			}
			d.once.Do(func() { d.stopWith(syscall.SIGINT) })
			expectReset(t, c)
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDrainNobody: without connections there is nothing to wait for.
func TestDrainNobody(t *testing.T) {
	need(t)
	t.Parallel()
	d := startDaemon(t, newSpace(t), "--drain-timeout", "1h")
	d.stop()
	if log := d.log.Tail(20); strings.Contains(log, "draining") {
		t.Errorf("it has waited:\n%s", log)
	}
}
