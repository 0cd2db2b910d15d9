package wire

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link/fault"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// What tshark's experts may remark on our segments. The rest is a fault: malformed options, wrong checksums, text sent
// again that was acknowledged, ACKs of what never came.
var (
	// everywhere: that a connection begins or ends, and that a window opens
	harmless = []string{
		"tcp.connection.syn", "tcp.connection.synack", "tcp.connection.fin", "tcp.connection.fin_active",
		"tcp.connection.fin_passive", "tcp.analysis.window_update",
	}
	// where segments are lost
	repairs = []string{
		"tcp.analysis.retransmission", "tcp.analysis.fast_retransmission", "tcp.analysis.out_of_order",
		"tcp.analysis.duplicate_ack", "tcp.options.sack.dsack",
	}
	// where nobody reads
	stalls = []string{
		"tcp.analysis.zero_window", "tcp.analysis.window_full", "tcp.analysis.zero_window_probe",
		"tcp.analysis.zero_window_probe_ack",
	}
)

// TestExpertInfo captures connections with the kernel between the stack and the wire, where everything that the stack
// knows has passed, and has tshark read the capture: it finds nothing in our segments that the wire does not explain.
func TestExpertInfo(t *testing.T) {
	need(t, "tshark")
	lossy := fault.Faults{Loss: 0.01, Delay: 2 * time.Millisecond}
	for _, c := range []struct {
		name    string
		offload tun.Offload
		faults  fault.Faults
		play    func(*testing.T, *host, *stall)
		allowed []string // besides what is harmless
		wanted  []string // or else the case was not met
	}{
		{"clean, superframes", tun.On, fault.Faults{}, bulk, nil, nil},
		{"clean, segments", tun.Off, fault.Faults{}, bulk, nil, nil},
		{"short connections", tun.Off, fault.Faults{}, short, nil, nil},
		{"loss, superframes", tun.On, lossy, bulk, repairs, nil},
		{"loss, segments", tun.Off, lossy, bulk, repairs, repairs[:1]},
		{"zero window", tun.On, fault.Faults{}, pause, stalls, stalls[:1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, path := newCapture(t)
			var s stall
			h := startHost(t, c.offload, fault.New(1, c.faults, c.faults), r.Middleware, s.watch)
			c.play(t, h, &s)
			k := h.kernelCounters() // before the capture ends, so that it has the reason of each
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			found := judge(t, k, path, slices.Concat(harmless, c.allowed))
			for _, name := range c.wanted {
				if found[name] == 0 {
					t.Errorf("tshark remarks %s nowhere: the case was not met", name)
				}
			}
		})
	}
}

// judge compares tshark's remarks on our segments with those allowed, and returns how often each was made. k are the
// kernel's counters.
func judge(t *testing.T, k map[string]uint64, path string, allowed []string) (found map[string]int) {
	t.Helper()
	if k["Tcp.RetransSegs"] > 0 { // it had no answer in time, and was told that it repeated itself
		allowed = append(allowed, "tcp.analysis.duplicate_ack", "tcp.options.sack.dsack")
	}
	found = map[string]int{}
	trace := sync.OnceValue(func() []segment { return tsharkSegments(t, path) }) // seldom needed
	for _, r := range tsharkRemarks(t, path, "ip.src == "+ourIP.String()) {
		for _, i := range r.items {
			found[i.name]++
			if excuse := excuses[i.name]; !slices.Contains(allowed, i.name) && (excuse == nil || !excuse(trace()[:r.frame])) {
				t.Errorf("frame %d: %s: %s", r.frame, i.name, i.message)
			}
		}
	}
	dsacks := k["TcpExt.TCPDSACKOldSent"] + k["TcpExt.TCPDSACKOfoSent"]
	t.Logf("the kernel has sent %d D-SACKs, and %d segments again; remarks: %v", dsacks, k["Tcp.RetransSegs"], found)
	if found["tcp.connection.syn"] == 0 || found["tcp.connection.synack"] == 0 {
		t.Error("no connection of either side: the capture is no good")
	}
	if dsacks > 0 {
		if n := tails(trace()); dsacks > uint64(n) {
			t.Errorf("the kernel says by %d D-SACKs that text came twice, and %d segments can have been probes", dsacks, n)
		}
	}
	return found
}

// excuses are for remarks that can be mistaken: each looks at a capture up to the segment in question.
var excuses = map[string]func([]segment) bool{
	"tcp.analysis.retransmission":   isTail,
	"tcp.analysis.lost_segment":     isNext,
	"tcp.analysis.ack_lost_segment": hasSeenAll,
}

// isTail tells whether the last segment is the end of all that was sent, once more, since no acknowledgment of it has
// come: as a probe (RFC 8985 section 7.3), for which a kernel that is busy elsewhere is reason enough.
func isTail(trace []segment) bool {
	s := trace[len(trace)-1]
	return s.seq < s.next && s.next == sentBefore(trace) && s.length <= 1460
}

// isNext tells whether the last segment leaves nothing out. tshark does so with the byte of a window probe that the
// peer has taken.
func isNext(trace []segment) bool { return trace[len(trace)-1].seq <= sentBefore(trace) }

// sentBefore is the end of all that the last segment's side has sent before it.
func sentBefore(trace []segment) (end uint64) {
	s := trace[len(trace)-1]
	for _, x := range trace[:len(trace)-1] {
		if x.stream == s.stream && x.ours == s.ours {
			end = max(end, x.next)
		}
	}
	return end
}

// tails counts our segments that are such ends.
func tails(trace []segment) (n int) {
	for i := range trace {
		if trace[i].ours && isTail(trace[:i+1]) {
			n++
		}
	}
	return n
}

// hasSeenAll tells whether all that the last segment acknowledges has passed. tshark looks only for segments that begin
// where others ended, and so misses text that was cut elsewhere when it was sent again.
func hasSeenAll(trace []segment) bool {
	s := trace[len(trace)-1]
	var theirs []segment
	for _, x := range trace {
		if x.stream == s.stream && x.ours != s.ours {
			theirs = append(theirs, x)
		}
	}
	slices.SortFunc(theirs, func(x, y segment) int { return cmp.Compare(x.seq, y.seq) })
	var end uint64
	for _, x := range theirs {
		if x.seq > end {
			break
		}
		end = max(end, x.next)
	}
	return s.ack <= end
}

const bulkBytes = 2 << 20

// bulk carries text one way, the other way, and both ways at once. Our buffers have room for all of it, so that
// whoever reads need not hurry.
func bulk(t *testing.T, h *host, _ *stall) {
	for _, way := range []struct {
		open           func(*testing.T, uint16) (conn, conn)
		toUs, toKernel int64
	}{{h.accept, bulkBytes, 0}, {h.accept, 0, bulkBytes}, {h.dial, bulkBytes, bulkBytes}} {
		theirs, ours := way.open(t, 9000)
		if err := ours.SetReadBuffer(2 * bulkBytes); err != nil {
			t.Fatal(err)
		}
		transfer(t, theirs, ours, way.toUs, way.toKernel)
	}
}

// short opens connections for little, from both sides.
func short(t *testing.T, h *host, _ *stall) {
	for i := range 6 {
		open := h.accept
		if i%2 == 1 {
			open = h.dial
		}
		theirs, ours := open(t, 9000)
		transfer(t, theirs, ours, int64(i/2)*2_000, int64(i%3)*2_000)
	}
}

// pause has the reader of either side wait until the other one has probed its closed window twice.
func pause(t *testing.T, h *host, s *stall) {
	h.inside(func() error { return receiveBuffer(64 << 10) })
	theirs, ours := h.accept(t, 9000)
	if err := ours.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if err := carry(theirs, slow{ours, s.atUs.probed()}, *seed, bulkBytes); err != nil {
		t.Fatal(err)
	}
	theirs, ours = h.dial(t, 9000)
	if err := carry(ours, slow{theirs, s.atKernel.probed()}, *seed, bulkBytes); err != nil {
		t.Fatal(err)
	}
}

// slow is a connection whose reader begins late.
type slow struct {
	conn
	begin <-chan struct{}
}

func (s slow) Read(p []byte) (int, error) {
	select {
	case <-s.begin:
	case <-time.After(patience):
		return 0, errors.New("nobody has probed the window")
	}
	return s.conn.Read(p)
}
