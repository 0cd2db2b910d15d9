package e2e

import (
	"context"
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
)

const controlSocket = "/run/tcpd/" + device + ".sock"

// curlControl asks the control socket as an operator would.
func (d *daemon) curlControl(path string, more ...string) string {
	d.t.Helper()
	return d.space.Command("curl", append([]string{"-sS", "--unix-socket", controlSocket, "http://tcpd" + path}, more...)...)
}

// TestControl operates a daemon by curl and by the commands: what is asked first finds the daemon by itself.
func TestControl(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "--log-level", "info", "--metrics", daemonIP+":9100")
	c := d.dial(echoPort)
	setDeadline(t, c, patience)
	if err := space.RoundTrip(c, payload(1, 1000)); err != nil {
		t.Fatal(err)
	}
	if out := s.Command("stat", "-c", "%a", controlSocket); out != "660\n" {
		t.Errorf("the socket has mode %s", out)
	}
	if out := d.curlControl("/livez") + d.curlControl("/readyz"); out != strings.Repeat(`{"ok":true}`+"\n", 2) {
		t.Error(out)
	}
	id := c.RemoteAddr().String() + "-" + c.LocalAddr().String()
	var conn struct {
		State string
		Info  struct {
			BytesIn int `json:"bytes_in"`
		}
	}
	if err := json.Unmarshal([]byte(d.curlControl("/v1/connections/"+id)), &conn); err != nil || conn.State != "ESTABLISHED" || conn.Info.BytesIn != 1000 {
		t.Errorf("%+v, %v", conn, err)
	}
	if out := d.curlControl("/v1/config"); !strings.Contains(out, `"metrics":`) || !strings.Contains(out, daemonIP+":9100") {
		t.Error(out)
	}
	series := regexp.MustCompile(`(?m)^tcpd_connections\{state="ESTABLISHED"\} [1-9]`)
	for _, text := range []string{d.curlControl("/metrics"), s.Command("curl", "-sS", "http://"+daemonIP+":9100/metrics")} {
		if !series.MatchString(text) {
			t.Errorf("no connection in the metrics:\n%s", text)
		}
	}
	if out := s.Command(tcpd, "log-level", "debug"); out != "/run/tcpd/tcpd0.sock: debug\n" {
		t.Error(out)
	}
	if out := s.Command(tcpd, "config", "print", "--live", "-o", "table"); !regexp.MustCompile(`(?m)^log\.level +debug +tcpd log-level$`).MatchString(out) {
		t.Errorf("the level in force:\n%s", out)
	}
	d.dial(daytimePort)
	if _, err := d.log.Wait(func(l line) bool { return l.Msg == "state" && l.From == "LISTEN" }); err != nil {
		t.Errorf("no state changes at level debug: %v", err)
	}
}

// TestSSBesideSS: the kernel's ss shows one end of a connection, and ours the other, in the same columns.
func TestSSBesideSS(t *testing.T) {
	need(t, "ss")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.dial(echoPort)
	setDeadline(t, c, patience)
	if err := space.RoundTrip(c, payload(1, 10)); err != nil {
		t.Fatal(err)
	}
	theirs, ours := rows(s.Command("ss", "-tn")), rows(s.Command(tcpd, "ss", "-tn"))
	if len(theirs) != 2 || len(ours) != 2 {
		t.Fatalf("theirs %q, ours %q", theirs, ours)
	}
	if title := strings.TrimSuffix(strings.Join(theirs[0], " "), "Process"); strings.TrimSpace(title) != strings.Join(ours[0], " ") {
		t.Errorf("their columns are %q, ours %q", theirs[0], ours[0])
	}
	mirrored := []string{theirs[1][0], theirs[1][1], theirs[1][2], theirs[1][4], theirs[1][3]}
	if !slices.Equal(ours[1], mirrored) {
		t.Errorf("theirs %q, ours %q", theirs[1], ours[1])
	}
	theirs, ours = rows(s.Command("ss", "-tnH", "state", "established", "dport", "=", ":7")), rows(s.Command(tcpd, "ss", "-tnH", "state", "established", "sport", "=", ":7"))
	if len(theirs) != 1 || len(ours) != 1 {
		t.Errorf("theirs %q, ours %q", theirs, ours)
	}
	if wide := s.Command(tcpd, "ss", "-tino"); !regexp.MustCompile(`wscale:\d+,\d+ rto:\d+ rtt:`).MatchString(wide) {
		t.Error(wide)
	}
}

func rows(text string) (list [][]string) {
	for line := range strings.Lines(text) {
		list = append(list, strings.Fields(line))
	}
	return list
}

// TestStopCommand: the command returns when there is no daemon and no device any more; the socket is gone, and who asks then is told so.
func TestStopCommand(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	if out := s.Command(tcpd, "stop"); out != "/run/tcpd/tcpd0.sock: stopped\n" {
		t.Error(out)
	}
	if err := d.Wait(); err != nil {
		t.Error(err)
	}
	d.once.Do(func() {}) // it is over already
	if s.HasDevice(device) {
		t.Error("the device is still there")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := s.Output(ctx, tcpd, "ss")
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 3 || !strings.Contains(out, "tcpd run") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestControlSockets: a socket that a killed daemon has left is replaced; one in use is an error for who has asked for it, and a
// warning where it is only the usual place; daemons on other devices have their own.
func TestControlSockets(t *testing.T) {
	need(t)
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	d.once.Do(d.Kill)
	startDaemon(t, s)
	if out := s.Command(tcpd, "log-level"); out != "debug\n" {
		t.Error(out)
	}
	other := []string{"--device", "tcpd1", "--host", "10.9.0.1/24", "--addr", "10.9.0.2"}
	second := launch(t, s, append([]string{"run", "--control", controlSocket}, other...)...)
	if code := second.exitCode(); code != 1 || !strings.Contains(second.log.Tail(5), "another daemon listens there") {
		t.Errorf("exit code %d: %s", code, second.log.Tail(5))
	}
	if s.HasDevice("tcpd1") {
		t.Error("its device is still there")
	}
	third := launch(t, s, append([]string{"run"}, other...)...)
	third.Ready()
	if out := s.Command(tcpd, "log-level", "--control", "/run/tcpd/tcpd1.sock"); out != "info\n" {
		t.Error(out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := s.Output(ctx, tcpd, "log-level"); err == nil || !strings.Contains(out, "2 daemons run") || !strings.Contains(out, "--control") {
		t.Errorf("%v: %s", err, out)
	}
	s.Command(tcpd, "stop", "--control", "/run/tcpd/tcpd1.sock")
	if err := third.Wait(); err != nil {
		t.Error(err)
	}
}
