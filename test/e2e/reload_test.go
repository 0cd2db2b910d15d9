package e2e

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
)

// reloadable is a daemon whose configuration can be changed.
type reloadable struct {
	*daemon
	path string
}

func startReloadable(t *testing.T, text string) *reloadable {
	t.Helper()
	d := &reloadable{&daemon{t: t}, filepath.Join(t.TempDir(), "tcpd.yaml")}
	d.write(text)
	d.daemon = startDaemon(t, newSpace(t), "-c", d.path)
	return d
}

func (d *reloadable) write(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// hangUp makes the file another one, sends SIGHUP, and returns the line of the log that tells what has come of it.
func (d *reloadable) hangUp(text, msg string) string {
	d.t.Helper()
	d.write(text)
	n := len(d.log.All())
	if err := d.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		d.t.Fatal(err)
	}
	l, err := d.log.WaitFrom(n, func(l line) bool { return l.Msg == msg })
	if err != nil {
		d.t.Fatalf("after SIGHUP: %v", err)
	}
	return l.Raw
}

// echoes sends text there and back.
func (d *reloadable) echoes(c net.Conn) {
	d.t.Helper()
	setDeadline(d.t, c, patience)
	if err := space.RoundTrip(c, payload(7, 10_000)); err != nil {
		d.t.Error(err)
	}
}

// refuses expects that nobody listens on a port.
func (d *reloadable) refuses(port int) {
	d.t.Helper()
	if c, err := d.space.Dial(net.Dialer{}, service(port)); !errors.Is(err, syscall.ECONNREFUSED) {
		d.t.Errorf("port %d: %v", port, err)
		if err == nil {
			c.Close()
		}
	}
}

// TestReload: connections live on though their listener goes, a new service answers, and a file with a fault changes nothing.
func TestReload(t *testing.T) {
	need(t)
	t.Parallel()
	const first = "services:\n- {port: 7, service: echo}\n- {port: 8, service: echo, through: conn}\n- {port: 9, service: discard}\n"
	d := startReloadable(t, first)
	open := []net.Conn{d.dial(7), d.dial(8)}
	for _, c := range open {
		d.echoes(c)
	}
	const second = "services:\n- {port: 9, service: discard}\n- {port: 1007, service: echo}\n- {port: 1008, service: echo, through: conn}\nmtu: 1400\n"
	d.hangUp(second, "reloaded")
	if _, err := d.log.Wait(func(l line) bool { return l.Level == "warn" && l.Msg == "mtu: needs a restart" }); err != nil {
		t.Error(err)
	}
	for _, c := range append(open, d.dial(1007), d.dial(1008)) {
		d.echoes(c)
	}
	d.dial(9)
	d.refuses(7)
	d.refuses(8)

	d.write("services:\n- {port: 7, service: ehco}\n")
	out, err := d.space.Output(t.Context(), tcpd, "reload")
	want := d.path + `:2:22: services[0].service: "ehco" is no service; is it to be echo?`
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
	if raw := d.hangUp("service: []\n", "not reloaded: nothing has changed"); !strings.Contains(raw, d.path+":1:1: service: unknown key; is it to be services?") {
		t.Error(raw)
	}
	d.echoes(d.dial(1007))
	d.refuses(7)
	if out := d.space.Command(tcpd, "config", "print", "--live", "-o", "table"); !strings.Contains(strings.Join(strings.Fields(out), " "), "services[1] {port: 1007, service: echo}") || strings.Contains(out, "1400") {
		t.Error(out)
	}

	d.write(first)
	lines := strings.Split(strings.TrimSpace(d.space.Command(tcpd, "reload")), "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	if want := []string{"/run/tcpd/tcpd0.sock:", "services applied", "echo 10.7.0.2:7 opened", "echo 10.7.0.2:8 opened", "echo 10.7.0.2:1007 closed", "echo 10.7.0.2:1008 closed"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	for _, c := range append(open, d.dial(7)) {
		d.echoes(c)
	}
}

// TestReloadUnderLoad: while a service changes from one way of listening to another and back, every call is answered.
func TestReloadUnderLoad(t *testing.T) {
	need(t)
	t.Parallel()
	ways := []string{
		"services: [{port: 7, service: echo}]\n", "services: [{port: 7, service: echo, through: conn}]\n",
		"services: [{port: 7, service: echo, through: conn}]\nlisteners: [{port: 7, backlog: 64, tcp: {nodelay: true}}]\n",
	}
	d := startReloadable(t, ways[0])
	stop, calls := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { calls <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			c, err := d.space.Dial(net.Dialer{}, service(7))
			if err == nil {
				err = errors.Join(c.SetDeadline(deadline()), space.RoundTrip(c, payload(uint64(n), 100)), c.Close())
			}
			if err != nil {
				t.Errorf("call %d: %v", n, err)
				return
			}
			n++
		}
	}()
	for i := range 60 {
		d.hangUp(ways[(i+1)%len(ways)], "reloaded")
	}
	close(stop)
	if n := <-calls; n == 0 {
		t.Error("nobody has called")
	}
}
