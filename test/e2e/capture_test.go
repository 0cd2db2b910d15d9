package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

// shot is a TCP segment as tshark shows it: sequence numbers relative to the connection's SYNs.
type shot struct {
	ours     bool // from the daemon
	flags    byte
	seq, ack uint32
	length   uint32
}

func (s shot) String() string {
	from := "kernel"
	if s.ours {
		from = "daemon"
	}
	return fmt.Sprintf("%s [%s] seq %d ack %d len %d", from, flagNames(s.flags), s.seq, s.ack, s.length)
}

// capture is a tshark on the device.
type capture struct {
	t     *testing.T
	shots chan shot
}

// startCapture starts tshark and returns once it sees packets: it shows its first ping.
func startCapture(t *testing.T, s *netspace) *capture {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "tshark", "-i", device, "-l", "-n", "-Q", "-T", "fields", "-E", "separator=,",
		"-e", "ip.proto", "-e", "ip.src", "-e", "tcp.flags", "-e", "tcp.seq", "-e", "tcp.ack", "-e", "tcp.len",
		"icmp or tcp")
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	complaint := &space.Buffer{}
	cmd.Stderr = complaint
	if err := s.Start(cmd); err != nil {
		t.Fatal(err)
	}
	c := &capture{t: t, shots: make(chan shot, 1<<16)}
	sees := make(chan struct{})
	go c.read(out, sees)
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	for range int(patience.Seconds()) {
		s.Command("ping", "-n", "-c", "1", daemonIP)
		select {
		case <-sees:
			return c
		case <-time.After(time.Second): // that one came too early
		}
	}
	t.Fatalf("tshark shows nothing: %s", complaint)
	return nil
}

// read takes tshark's lines in and reports the first ping that it shows.
func (c *capture) read(out io.Reader, sees chan<- struct{}) {
	defer close(c.shots)
	for in := bufio.NewScanner(out); in.Scan(); {
		f := strings.Split(in.Text(), ",")
		if f[0] == "1" && sees != nil {
			close(sees)
			sees = nil
		}
		if f[0] == "6" && len(f) == 6 {
			c.shots <- shot{ours: f[1] == daemonIP, flags: byte(number(f[2])), seq: number(f[3]), ack: number(f[4]),
				length: number(f[5])}
		}
	}
}

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 0, 32)
	return uint32(n)
}

// until returns the segments up to one that ok accepts.
func (c *capture) until(what string, ok func(shot) bool) []shot {
	c.t.Helper()
	late, cancel := context.WithDeadline(c.t.Context(), deadline())
	defer cancel()
	var shots []shot
	for {
		select {
		case s, more := <-c.shots:
			if !more {
				c.t.Fatalf("tshark has ended before %s", what)
			}
			shots = append(shots, s)
			if ok(s) {
				return shots
			}
		case <-late.Done():
			c.t.Fatalf("no %s after %v", what, shots)
		}
	}
}

// TestCaptureClientCloses: one request over HTTP, the client closes first. Between the handshake and the teardown
// there are 1 + n bytes of one side and 1 + m of the other.
//
//	kernel                          daemon
//	SYN seq 0              -->
//	                       <--      SYN,ACK seq 0 ack 1
//	ACK seq 1 ack 1        -->
//	request, n bytes       -->
//	                       <--      answer, m bytes
//	FIN,ACK seq n+1 ack m+1 -->
//	                       <--      ACK n+2, or nothing
//	                       <--      FIN,ACK seq m+1 ack n+2
//	ACK seq n+2 ack m+2    -->
func TestCaptureClientCloses(t *testing.T) {
	need(t, "tshark", "ping")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s)
	trace := startCapture(t, s)
	c := d.dial(httpPort)
	setDeadline(t, c, patience)
	getHello(t, c)
	c.CloseWrite()
	expectEOF(t, c)
	d.waitState(name(c), "CLOSED")
	shots := trace.untilClosed()
	checkHandshake(t, shots)
	checkTeardown(t, shots, false)
	checkAgainstLog(t, d, name(c), shots)
	d.checkPath(name(c), passiveOpen, peerCloses)
}

// TestCaptureServerCloses: daytime, where the daemon closes first: the same picture with the sides changed.
func TestCaptureServerCloses(t *testing.T) {
	need(t, "tshark", "ping")
	t.Parallel()
	s := newSpace(t)
	d := startDaemon(t, s, "--msl", "1s")
	trace := startCapture(t, s)
	c := d.dial(daytimePort)
	setDeadline(t, c, patience)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	c.Close()
	d.waitState(name(c), "CLOSED")
	shots := trace.untilClosed()
	checkHandshake(t, shots)
	checkTeardown(t, shots, true)
	checkAgainstLog(t, d, name(c), shots)
	d.checkPath(name(c), passiveOpen, weClose, twoMSL)
}

// untilClosed returns the segments up to the ACK of the second FIN.
func (c *capture) untilClosed() []shot {
	c.t.Helper()
	fins, last := 0, shot{}
	return c.until("the last ACK", func(s shot) bool {
		if s.flags&fin != 0 {
			fins, last = fins+1, s
			return false
		}
		return fins == 2 && s.ours != last.ours && s.ack == last.seq+last.length+1
	})
}

// checkHandshake: RFC 9293 Figure 6, and no other SYN.
func checkHandshake(t *testing.T, shots []shot) {
	t.Helper()
	want := []shot{{flags: syn}, {ours: true, flags: syn | ack, ack: 1}, {flags: ack, seq: 1, ack: 1}}
	if got := shots[:min(3, len(shots))]; !slices.Equal(got, want) {
		t.Errorf("the handshake is %v, want %v", got, want)
	}
	for _, s := range shots[min(3, len(shots)):] {
		if s.flags&(syn|rst) != 0 {
			t.Errorf("%v after the handshake", s)
		}
	}
}

// checkTeardown: RFC 9293 Figure 12. Each side sends one FIN, after all of its text; each is acknowledged.
func checkTeardown(t *testing.T, shots []shot, oursFirst bool) {
	t.Helper()
	first := slices.IndexFunc(shots, func(s shot) bool { return s.flags&fin != 0 })
	end := shots[first:]
	second := slices.IndexFunc(end[1:], func(s shot) bool { return s.flags&fin != 0 }) + 1
	f, g, last := end[0], end[second], end[len(end)-1]
	if f.ours != oursFirst || g.ours == oursFirst {
		t.Errorf("the FINs come in the wrong order: %v", end)
	}
	if g.ack != f.seq+f.length+1 {
		t.Errorf("the second FIN does not acknowledge the first: %v", end)
	}
	if f.seq != sentBefore(shots[:first], f.ours) || g.seq != sentBefore(shots[:first+second], g.ours) {
		t.Errorf("a FIN does not follow the text: %v", shots)
	}
	if last.flags != ack || last.seq != f.seq+f.length+1 || last.length != 0 {
		t.Errorf("the last segment is %v", last)
	}
	if len(end) > 4 {
		t.Errorf("a teardown of %d segments: %v", len(end), end)
	}
}

// sentBefore is the sequence number after all that one side has sent.
func sentBefore(shots []shot, ours bool) (next uint32) {
	for _, s := range shots {
		if s.ours == ours {
			next = max(next, s.seq+s.length+uint32(s.flags&fin)+uint32(s.flags&syn>>1))
		}
	}
	return next
}

// checkAgainstLog holds the log to the wire. A life has four crossings, each to be seen in some segment: SND.UNA
// passes our SYN, RCV.NXT passes theirs, and so with the FINs; beside these the log has only our Close, which is
// seen when our FIN goes out.
func checkAgainstLog(t *testing.T, d *daemon, conn string, shots []shot) {
	t.Helper()
	var logged []string
	for _, change := range d.log.path(conn) {
		if event := strings.Fields(change)[1]; event != "TwoMSL" {
			logged = append(logged, event)
		}
	}
	if seen := crossings(shots); !slices.Equal(logged, seen) {
		t.Errorf("the log has %v, the wire %v", logged, seen)
	}
}

// crossings is what the segments, in their order, mean to the daemon's end.
func crossings(shots []shot) (events []string) {
	var finAt uint32 // after our FIN; 0 before it
	synAcked, finAcked := false, false
	for _, s := range shots {
		switch {
		case s.ours && s.flags&fin != 0:
			finAt = s.seq + s.length + 1
			events = append(events, "Close")
		case s.ours:
		case s.flags&syn != 0:
			events = append(events, "RcvSYN")
		default:
			if !synAcked && s.ack >= 1 {
				synAcked = true
				events = append(events, "SYNAcked")
			}
			if !finAcked && finAt != 0 && s.ack >= finAt {
				finAcked = true
				events = append(events, "FINAcked")
			}
			if s.flags&fin != 0 {
				events = append(events, "RcvFIN")
			}
		}
	}
	return events
}
