package lib

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/test/space"
)

const echoPort = 7

// report is what the echo server says of itself when it is asked.
type report struct {
	Resident int // bytes
	Conns    int
	HalfOpen int
	Resets   uint64
	Rings    int
	Drops    map[string]uint64
}

// echoServer is a process of its own: a host that echoes, and a report for each line that it reads.
func echoServer() error {
	h, err := plan{}.open()
	if err != nil {
		return err
	}
	defer h.dev.Close()
	defer h.Close()
	if _, err := h.Listen(stack.ListenConfig{Prefix: netip.PrefixFrom(h.addr, 32), Port: echoPort}, service.Echo{}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		debug.FreeOSMemory()
		n := h.totals()
		r := report{Conns: n.Conns, HalfOpen: n.HalfOpen, Resets: n.Resets, Rings: n.Rings, Drops: n.drops}
		if r.Resident, err = resident(); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// resident is the memory of this process that is in RAM, in bytes.
func resident() (int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(kb)[0])
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in\n%s", text)
}

// server is the echo server's process as the test sees it.
type server struct {
	t   *testing.T
	in  io.Writer
	out *json.Decoder
}

func startServer(t *testing.T, s *netspace) *server {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"=echo")
	cmd.Stderr = os.Stderr
	in := must[io.WriteCloser](t)(cmd.StdinPipe())
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // then it ends
		if err := cmd.Wait(); err != nil {
			t.Errorf("the echo server: %v", err)
		}
	})
	return &server{t, in, json.NewDecoder(out)}
}

// ask has the server collect its garbage and report.
func (s *server) ask() (r report) {
	s.t.Helper()
	_, err := fmt.Fprintln(s.in)
	if err == nil {
		err = s.out.Decode(&r)
	}
	if err != nil {
		s.t.Fatalf("the echo server: %v", err)
	}
	return r
}

// settled asks until no connection holds a ring any more: the last acknowledgments of the clients are still on their
// way when the last echo has arrived, and one that got lost waits for a time-out.
func (s *server) settled() report {
	s.t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; {
		if r := s.ask(); r.Rings == 0 || time.Now().After(limit) {
			return r
		}
	}
}

// TestMemoryOfIdleConnections: memory follows state. A connection that has said something and is idle has neither
// rings nor a goroutine, and takes 2 kB at most of the process's memory.
func TestMemoryOfIdleConnections(t *testing.T) {
	need(t)
	const most = 2_000 // bytes a connection
	n, sample := 100_000, 2_000
	if testing.Short() || space.Race {
		n, sample = 10_000, 200
	}
	s := newSpace(t)
	s.forward()
	server := startServer(t, s)
	before := server.ask()
	c := newCrowd(t, s, n, addrPort(ourIP, echoPort))

	began := time.Now()
	if err := c.ask(every(n, n)); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	after := server.settled()
	each := float64(after.Resident-before.Resident) / float64(n)
	t.Logf("%d connections opened, each with an echo, in %.1f s: %.0f bytes each, %d MiB before, %d MiB after",
		n, took.Seconds(), each, before.Resident>>20, after.Resident>>20)
	if each > most && !space.Race { // the race detector has memory of its own for each byte
		t.Errorf("%.0f bytes a connection, more than %d", each, most)
	}
	if after.Conns != n || after.HalfOpen != 0 || c.resets != 0 || after.Resets != 0 {
		t.Errorf("%d open, %d half-open, %d RSTs or FINs seen, %d RSTs sent; drops %v",
			after.Conns, after.HalfOpen, c.resets, after.Resets, after.Drops)
	}
	if after.Rings != 0 {
		t.Errorf("idle connections hold %d bytes of rings", after.Rings)
	}

	if err := c.ask(every(n, sample)); err != nil {
		t.Fatal(err)
	}
	if r := server.ask(); r.Conns != n || c.resets != 0 {
		t.Errorf("after a sample of %d has spoken again: %d open, %d RSTs or FINs seen", sample, r.Conns, c.resets)
	}
}

// every is k numbers below n, evenly spread.
func every(n, k int) []int {
	all := make([]int, k)
	for i := range all {
		all[i] = i * (n / k)
	}
	return all
}
