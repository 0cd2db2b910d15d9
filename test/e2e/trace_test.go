package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"

	"github.com/tcpd-project/tcpd/test/space"
)

// listening starts a command that listens to the daemon, and returns once it does. stop ends it as Control-C does, and wait
// returns what it has written.
func (d *daemon) listening(args ...string) (stop func(), wait func() string) {
	d.t.Helper()
	stop, over := d.listeningTo(args...)
	return stop, func() string {
		out, err := over()
		if err != nil {
			d.t.Errorf("%q: %v", args, err)
		}
		return out
	}
}

// listeningTo is listening for a command that may fail.
func (d *daemon) listeningTo(args ...string) (stop func(), wait func() (string, error)) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	d.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, tcpd, args...)
	var out space.Buffer
	cmd.Stdout = &out
	complaints, err := cmd.StderrPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.space.Start(cmd); err != nil {
		d.t.Fatal(err)
	}
	said := make([]byte, 200)
	n, err := complaints.Read(said)
	if err != nil || !strings.Contains(string(said[:n]), "Control-C ends") {
		d.t.Fatalf("%q: %s, %v", args, said[:n], err)
	}
	return func() { _ = cmd.Process.Signal(syscall.SIGINT) }, func() (string, error) {
		rest, err := io.ReadAll(complaints)
		err = errors.Join(err, cmd.Wait())
		return out.String() + string(rest), err
	}
}

// TestListeningUntilTheEnd: who listens to a daemon is told when it ends, by exit code 3, too; when it is killed, and when its device
// is deleted, as well.
func TestListeningUntilTheEnd(t *testing.T) {
	need(t, "ip")
	t.Parallel()
	for name, end := range map[string]func(*netspace, *daemon){
		"SIGTERM":   func(_ *netspace, d *daemon) { d.stop() },
		"SIGKILL":   func(_ *netspace, d *daemon) { stop(t, d, syscall.SIGKILL); _ = d.Wait() },
		"no device": func(s *netspace, d *daemon) { s.Command("ip", "link", "delete", device); _ = d.exitCode() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t)
			d := launch(t, s, "run", "--device", device, "--host", hostIP+"/24", "--addr", daemonIP)
			d.Ready()
			_, traced := d.listeningTo("trace")
			_, counted := d.listeningTo("capture", "-w", filepath.Join(t.TempDir(), "capture.pcapng"))
			end(s, d)
			for command, wait := range map[string]func() (string, error){"trace": traced, "capture": counted} {
				said, err := wait()
				exit, ok := errors.AsType[*exec.ExitError](err)
				if !ok || exit.ExitCode() != 3 || !strings.HasSuffix(said, ": the daemon has ended\n") {
					t.Errorf("%s: %v\n%s", command, err, said)
				}
				if command == "capture" && !regexp.MustCompile(`^tcpd: \d+ packets?, \d+ bytes\n`).MatchString(said) {
					t.Errorf("it says no sum, or too late: %s", said)
				}
			}
		})
	}
}

// TestTrace: the life of one curl, as it is drawn, and as the flight record keeps it.
func TestTrace(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	_, wait := d.listening("trace", "--once", "-o", "wide", "sport", "=", ":80")
	if out := s.Command("curl", "-sS", "http://"+daemonIP+"/hello"); out != "hello\n" {
		t.Error(out)
	}
	got := wait()
	place := 0
	for _, step := range []string{
		`│─── SYN 0 win \d+ <mss 1460, sackOK, timestamps, wscale \d+> ─+▶│ LISTEN`, `→ SYN-RECEIVED  \(RcvSYN, RFC 9293 3\.10\.7\.2 third\)`,
		`│◀──+ SYN,ACK 0 ack 1 win \d+ <mss 1460.*> ─+│ SYN-RECEIVED`, `│─── ACK 1 ack 1 win`, `→ ESTABLISHED  \(SYNAcked`,
		`│─── PSH,ACK 1 text \d+ ack 1`, `user: read \d+`, `user: write \d+`, `│◀─── PSH,ACK 1 text \d+ ack \d+`,
		`│─── FIN,ACK \d+ ack`, `→ CLOSE-WAIT  \(RcvFIN`, `user: close`, `→ LAST-ACK  \(Close`, `│◀─── FIN,ACK`, `│─── ACK`, `→ CLOSED  \(FINAcked`,
	} {
		at := regexp.MustCompile(step).FindStringIndex(got[place:])
		if at == nil {
			t.Fatalf("%s does not follow in\n%s", step, got)
		}
		place += at[1]
	}
	ended := d.curlControl("/v1/ended")
	if want := `"kind":"transition","state":"CLOSE-WAIT","to":"LAST-ACK","event":"Close","cause":"call"`; !strings.Contains(ended, want) {
		t.Errorf("%s is not in %s", want, ended)
	}
}

// TestTraceOnATerminal: it takes the terminal's width, and that which it has later.
func TestTraceOnATerminal(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	terminal, tty := openTerminal(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tcpd, "trace", "--once", "--explain", "sport", "=", ":80")
	cmd.Stdout, cmd.Stderr = tty, tty
	cmd.Env = append(cmd.Environ(), "NO_COLOR=1")
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	lines := bufio.NewScanner(terminal)
	lines.Scan() // listening
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 30, Cols: 70}); err != nil {
		t.Fatal(err)
	}
	s.Command("curl", "-sS", "http://"+daemonIP+"/hello")
	drawn := ""
	for lines.Scan() { // until nobody has the other end any more
		drawn += lines.Text() + "\n"
		if n := utf8.RuneCountInString(strings.TrimRight(lines.Text(), "\r")); n > 70 {
			t.Errorf("%d columns: %s", n, lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(drawn, "│ → CLOSED") {
		t.Errorf("%v\n%s", err, drawn)
	}
}

// TestCaptureAgrees: tshark finds nothing malformed in a capture, and what its own analysis says of a packet is what the daemon says.
func TestCaptureAgrees(t *testing.T) {
	need(t, "tshark", "curl")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	file := filepath.Join(t.TempDir(), "capture.pcapng")
	stop, wait := d.listening("capture", "-w", file)
	c := d.dial(echoPort)
	setDeadline(t, c, patience)
	if err := space.RoundTrip(c, payload(1, 300_000)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	d.waitState(name(c), "CLOSED")
	s.Command("curl", "-sS", "-o", "/dev/null", "http://"+daemonIP+"/")
	if _, err := s.Dial(net.Dialer{}, service(99)); err == nil {
		t.Error("a port without a listener takes a connection")
	}
	stop()
	if said, want := wait(), fmt.Sprintf("tcpd: %d packets, ", strings.Count(readCapture(t, file), "\n")); !strings.HasPrefix(said, want) {
		t.Errorf("it says %q, not %q", said, want)
	}
	const bad = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0"
	if out := readCapture(t, file, "-Y", bad, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"); out != "" {
		t.Error(out)
	}
	packets := 0
	for line := range strings.Lines(readCapture(t, file, "-Y", "tcp", "-T", "fields", "-e", "tcp.flags", "-e", "tcp.analysis.retransmission",
		"-e", "ip.src", "-e", "frame.comment")) {
		packets++
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 {
			t.Fatalf("%q", f)
		}
		checkComment(t, f[0], f[1] != "", f[2] == daemonIP, f[3])
	}
	if packets < 25 {
		t.Errorf("%d packets", packets)
	}
}

// TestExtcap: Wireshark finds the daemon among its interfaces, and captures from it.
func TestExtcap(t *testing.T) {
	need(t, "tshark", "curl")
	t.Parallel()
	s := newSpace(t)
	startDaemon(t, s)
	config := t.TempDir()
	dir := filepath.Join(config, "wireshark", "extcap")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Symlink(tcpd, filepath.Join(dir, "tcpd"))); err != nil {
		t.Fatal(err)
	}
	env := "XDG_CONFIG_HOME=" + config
	if list := s.Command("env", env, "tshark", "-D"); !strings.Contains(list, "tcpd-"+device) {
		t.Fatalf("no interface of the daemon's among\n%s", list)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "env", env, "tshark", "-i", "tcpd-"+device, "-f", "sport = :80", "-l", "-n", "-T", "fields", "-e", "frame.comment")
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 1)
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			if strings.Contains(in.Text(), "LISTEN -> SYN-RECEIVED, taken") {
				found <- in.Text()
				break
			}
		}
		cancel()
	}()
	for ctx.Err() == nil { // until it listens
		if _, err := s.Output(ctx, "curl", "-sS", "-o", "/dev/null", "http://"+daemonIP+"/hello"); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait()
	select {
	case text := <-found:
		if !strings.Contains(text, daemonIP+":80-") {
			t.Error(text)
		}
	default:
		t.Error("no packet with a comment has come")
	}
}

// readCapture is what tshark shows of a file.
func readCapture(t *testing.T, file string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "tshark", append([]string{"-r", file}, args...)...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	return string(out)
}

// checkComment holds what the daemon says of a packet against what tshark sees.
func checkComment(t *testing.T, flagsField string, again, ours bool, comment string) {
	t.Helper()
	flags, err := strconv.ParseUint(flagsField, 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	const fin, syn, rst, ack = 1, 2, 4, 16
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(comment, p) {
				return true
			}
		}
		return false
	}
	good := has("connection "+daemonIP+":") && has(", taken", ", sent", ", dropped: ")
	switch {
	case !ours && flags&(syn|ack) == syn:
		good = good && has("LISTEN -> SYN-RECEIVED, taken", "CLOSED, dropped: tcp_refused")
	case ours && flags&syn != 0:
		good = good && has("SYN-RECEIVED, sent")
	case ours && flags&rst != 0:
		good = good && has("CLOSED, sent")
	case !ours && flags&fin != 0:
		good = good && has(" -> CLOSE-WAIT", " -> LAST-ACK", " -> TIME-WAIT", " -> CLOSING")
	case ours && flags&fin != 0:
		good = good && has("LAST-ACK, sent", "FIN-WAIT-1, sent")
	case ours:
		good = good && has("ESTABLISHED, sent", "CLOSE-WAIT, sent", "LAST-ACK, sent", "FIN-WAIT-1, sent")
	}
	if good = good && again == has("sent again"); !good {
		t.Errorf("flags %s, again %v, ours %v: %s", flagsField, again, ours, comment)
	}
}
