package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// openTerminal opens a terminal of 30 rows and 110 columns, and the side of it that a command is given.
func openTerminal(t *testing.T) (terminal, tty *os.File) {
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 30, Cols: 110}); err != nil {
		t.Fatal(err)
	}
	return terminal, tty
}

// TestWatch: on a terminal, a connection appears, is looked at, is reset, and is gone.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.echoed()
	terminal, tty := openTerminal(t)
	cmd := exec.Command(tcpd, "watch", "sport", "=", ":7")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.Env = append(cmd.Environ(), "TERM=xterm-256color")
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill()
	chunks := make(chan string, 1000)
	go func() {
		defer close(chunks)
		for b := make([]byte, 4096); ; {
			n, err := terminal.Read(b)
			if err != nil {
				return
			}
			chunks <- string(b[:n])
		}
	}()
	seen := ""
	shows := func(text string) {
		t.Helper()
		for late := time.After(patience); !strings.Contains(seen, text); {
			select {
			case more := <-chunks:
				seen += more
			case err := <-ended:
				t.Fatalf("it has ended: %v\n%q", err, seen)
			case <-late:
				t.Fatalf("the screen does not show %q:\n%q", text, seen)
			}
		}
	}
	press := func(keys string) {
		t.Helper()
		if _, err := terminal.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	shows(c.LocalAddr().String())
	press("\r")
	shows("FIN-WAIT-1")
	press("r")
	shows("y, or any other key")
	press("y")
	shows("is reset")
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset by peer") {
		t.Errorf("the connection was not reset: %v", err)
	}
	press("q")
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("q does not end it")
	}
}

// TestWatchJSON: without a terminal, a look a second, until Control-C.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	c := d.echoed()
	cmd := exec.Command(tcpd, "watch", "-o", "json", "state", "established")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	looks := json.NewDecoder(out)
	for range 2 {
		var look struct {
			At          time.Time
			States      map[string]int
			Counters    struct{ Accepted int }
			Connections []struct{ State, Remote string }
		}
		if err := looks.Decode(&look); err != nil {
			t.Fatal(err)
		}
		if look.At.IsZero() || look.States["ESTABLISHED"] != 1 || look.Counters.Accepted == 0 || len(look.Connections) != 1 || look.Connections[0].Remote != c.LocalAddr().String() {
			t.Errorf("it says %+v", look)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Control-C: %v", err)
	}
}
