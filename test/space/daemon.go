package space

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience is how long the tests of the daemon wait for something that must happen. It is no measurement: a healthy
// run never comes near it.
const Patience = 20 * time.Second

// RunWithDaemon builds the daemon once, sets tcpd to where it lies, and runs a package's tests: what TestMain does. Without
// root the tests skip themselves, and there is nothing to build.
func RunWithDaemon(m *testing.M, tcpd *string) int {
	if os.Getuid() != 0 {
		return m.Run()
	}
	binary, remove, err := makeDaemon()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	*tcpd = binary
	return m.Run()
}

const binaryVar = "TCPD_BIN"

// makeDaemon builds the daemon, for the race detector if the test is, and returns where it lies and what removes it again.
// TCPD_BIN names one that is built already.
func makeDaemon() (binary string, remove func(), err error) {
	if binary = os.Getenv(binaryVar); binary != "" {
		return binary, func() {}, os.Unsetenv(binaryVar) // the daemon would take it for one of its own
	}
	dir, err := os.MkdirTemp("", "tcpd-test-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	if err = os.Chmod(dir, 0o755); err == nil { // an unprivileged user runs it too
		binary = filepath.Join(dir, "tcpd")
		err = build(binary)
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return binary, remove, nil
}

func build(binary string) error {
	args := []string{"build", "-o", binary}
	if Race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/tcpd")...)
	cmd.Dir = filepath.Join("..", "..") // of test/PACKAGE, which may be a module that does not know what the daemon needs
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// Daemon is a tcpd that runs in a namespace, or has run.
type Daemon struct {
	Cmd    *exec.Cmd
	Log    *Journal
	space  *Space
	exited chan struct{}
	err    error // how it exited
}

// Launch starts the daemon as cmd says and follows its log. It is killed with the test at the latest.
func (s *Space) Launch(cmd *exec.Cmd) *Daemon {
	s.t.Helper()
	d := &Daemon{Cmd: cmd, Log: newJournal(), space: s, exited: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	d.Cmd.Stderr = w
	if err := s.Start(d.Cmd); err != nil {
		s.t.Fatal(err)
	}
	w.Close()
	go func() {
		defer r.Close()
		d.Log.read(r) // up to the end of the process
		d.err = d.Cmd.Wait()
		close(d.exited)
	}()
	s.t.Cleanup(d.Kill)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the end of the log of tcpd %s:\n%s", strings.Join(d.Cmd.Args[1:], " "), d.Log.Tail(40))
		}
	})
	return d
}

// Ready waits until the daemon serves.
func (d *Daemon) Ready() {
	d.space.t.Helper()
	if _, err := d.Log.Wait(func(l Line) bool { return l.Msg == "ready" }); err != nil {
		d.Kill()
		d.space.t.Fatalf("waiting for ready: %v\n%s", err, d.Log.Tail(20))
	}
}

// Kill ends the process without ceremony, if it still runs.
func (d *Daemon) Kill() {
	d.Cmd.Process.Kill()
	<-d.exited
}

// Exited is closed when the process has ended.
func (d *Daemon) Exited() <-chan struct{} { return d.exited }

// Wait waits for the end of the process and returns how it exited.
func (d *Daemon) Wait() error {
	select {
	case <-d.exited:
		return d.err
	case <-time.After(Patience):
		return fmt.Errorf("still running after %v", Patience)
	}
}

// Stop ends the daemon as a user would and checks what it leaves: exit code 0, no device, books that balance. It
// reports whether there was anything to stop and to check.
func (d *Daemon) Stop(device string, sig syscall.Signal) bool {
	t := d.space.t
	t.Helper()
	select {
	case <-d.exited:
		t.Errorf("the daemon had ended before its time: %v", d.err)
		return false
	default:
	}
	d.Cmd.Process.Signal(sig)
	if err := d.Wait(); err != nil {
		t.Errorf("after %v: %v", sig, err)
		return false
	}
	if d.space.HasDevice(device) {
		t.Errorf("%s is still there after %v", device, sig)
	}
	last, err := d.LastCounters()
	if err != nil {
		t.Error(err)
		return false
	}
	last.Check(t)
	return true
}

// LastCounters are those that the daemon has logged last.
func (d *Daemon) LastCounters() (*Counters, error) {
	for _, l := range slices.Backward(d.Log.All()) {
		if l.Msg == "counters" && l.Counters != nil {
			return l.Counters, nil
		}
	}
	return nil, errors.New("no counters at the end of the log")
}

// Counters asks the daemon for its counters.
func (d *Daemon) Counters() *Counters {
	d.space.t.Helper()
	n := len(d.Log.All())
	if err := d.Cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		d.space.t.Fatal(err)
	}
	l, err := d.Log.WaitFrom(n, func(l Line) bool { return l.Msg == "counters" && l.Counters != nil })
	if err != nil {
		d.space.t.Fatalf("counters after SIGUSR1: %v", err)
	}
	return l.Counters
}

// RSS is the daemon's resident memory in kB.
func (d *Daemon) RSS() int {
	d.space.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Cmd.Process.Pid))
	if err != nil {
		d.space.t.Fatal(err)
	}
	for l := range strings.Lines(string(status)) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				d.space.t.Fatal(err)
			}
			return kb
		}
	}
	d.space.t.Fatal("no VmRSS")
	return 0
}
