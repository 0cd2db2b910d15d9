package lib

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// ecnLevel is how much of ECN one end asks for or grants, and so what two agree on.
type ecnLevel int

const (
	noECN ecnLevel = iota
	classicECN
	accurateECN
)

// What Linux asks for as a client and grants as a server by tcp_ecn, and we by our setting.
var (
	kernelECN = []struct{ asks, grants ecnLevel }{
		0: {noECN, noECN}, 1: {classicECN, classicECN}, 2: {noECN, classicECN}, 3: {accurateECN, accurateECN},
	}
	ourECN = []struct{ asks, grants ecnLevel }{
		tcp.ECNPassive: {noECN, accurateECN}, tcp.ECNOff: {noECN, noECN},
		tcp.ECNOn: {classicECN, accurateECN}, tcp.ECNAccurate: {accurateECN, accurateECN},
	}
)

// optECN is the bit of TCP_INFO's options that tells of ECN of either kind (TCPI_OPT_ECN).
const optECN = 8

// setKernelECN sets tcp_ecn, or skips the test where the kernel does not know the value: Linux takes 3, AccECN, from 7.0 on.
func (s *netspace) setKernelECN(t *testing.T, value int) {
	t.Helper()
	err := s.Inside(func() error { return sysctl("net/ipv4/tcp_ecn", strconv.Itoa(value)) })
	switch {
	case errors.Is(err, syscall.EINVAL) && value > 2:
		t.Skipf("needs a kernel with AccECN: tcp_ecn=%d is refused", value)
	case err != nil:
		t.Fatal(err)
	}
}

// TestECNAgreed: each setting of ours with each of the kernel's, whoever dials. What the client asks for is granted as far
// as the server goes: AccECN falls back to RFC 3168, and that to nothing (RFC 9768 section 3.1).
func TestECNAgreed(t *testing.T) {
	need(t)
	s := newSpace(t)
	h := startHost(t, s, plan{})
	for value, kernel := range kernelECN {
		t.Run(fmt.Sprintf("tcp_ecn %d", value), func(t *testing.T) {
			s.setKernelECN(t, value)
			for set, our := range ourECN {
				with := settings(func(s *tcp.Settings) { s.ECN = tcp.ECN(set) })
				for _, o := range openings {
					want := min(kernel.asks, our.grants)
					if o.weDial {
						want = min(our.asks, kernel.grants)
					}
					ours, theirs := h.pair(t, s, kernelIP, o.weDial, with)
					i := info(t, ours)
					if got := levelOf(i); got != want {
						t.Errorf("our setting %d, %s: level %d, want %d", set, o.name, got, want)
					}
					if got := kernelInfo(t, theirs).Options&optECN != 0; got != (want != noECN) {
						t.Errorf("our setting %d, %s: the kernel has ECN: %v, want level %d", set, o.name, got, want)
					}
					if err := carryBoth(ours, theirs, random(1, 10_000), random(2, 10_000)); err != nil {
						t.Errorf("our setting %d, %s: %v", set, o.name, err)
					}
					ours.Close()
					theirs.Close()
				}
			}
		})
	}
}

func levelOf(i tcp.Info) ecnLevel {
	switch {
	case i.ECN && i.AccurateECN:
		return accurateECN
	case i.ECN:
		return classicECN
	}
	return noECN
}

// way is one direction of a connection, which marks packets as a congested router does.
type way struct {
	every           atomic.Uint64 // of the packets with ECT one of so many is marked; 0: none
	ect, marks      atomic.Uint64 // packets with ECT, segments marked
	echoes, reduced atomic.Uint64 // segments with ECE, with CWR
	ace             atomic.Uint32 // of the last segment
}

const ecnBits, ceMark = 3, 3

// pass sees a packet of the direction, and may mark it.
func (w *way) pass(p *link.Packet) {
	var g tcp.Segment
	if d := g.Parse(tcpHeader(p)); d != tcp.DropNone || g.Flags&tcp.SYN != 0 {
		return
	}
	count := func(c *atomic.Uint64, is bool) {
		if is {
			c.Add(1)
		}
	}
	count(&w.echoes, g.Flags&tcp.ECE != 0)
	count(&w.reduced, g.Flags&tcp.CWR != 0)
	w.ace.Store(uint32(g.Flags&(tcp.AE|tcp.CWR|tcp.ECE)) / uint32(tcp.ECE))
	every := w.every.Load()
	if p.Head[1]&ecnBits == 0 || every == 0 {
		return
	}
	if w.ect.Add(1)%every == 0 {
		setTOS(p, p.Head[1]|ceMark)
		w.marks.Add(uint64(segments(p)))
	}
}

// ways are the two directions; ours is from the end that ours is.
type ways struct{ ours, theirs way }

// reno counts what makes it slow down.
type reno struct {
	cc.NewReno
	marks, losses *atomic.Uint64
}

func newReno() reno { return reno{marks: new(atomic.Uint64), losses: new(atomic.Uint64)} }

// Loss implements cc.Algorithm.
func (r reno) Loss(w *cc.Window, now mono.Time, e cc.Episode) {
	if e.ECN {
		r.marks.Add(1)
	} else {
		r.losses.Add(1)
	}
	r.NewReno.Loss(w, now, e)
}

// Timeout implements cc.Algorithm.
func (r reno) Timeout(w *cc.Window, now mono.Time, flight uint32) {
	r.losses.Add(1)
	r.NewReno.Timeout(w, now, flight)
}

// marked is a connection whose ways mark.
type marked struct {
	ours   *socket.Conn
	theirs duplex
	reno   reno // of our end
	ways   *ways
}

// settings are for our end. The buffers are so small that a text takes many windows: a sender that has slowed down says so
// with what it sends next.
func (m *marked) settings() *tcp.Settings {
	return settings(func(s *tcp.Settings) {
		s.ECN, s.Congestion = tcp.ECNAccurate, m.reno
		s.SendBuffer, s.SendBufferMax, s.ReceiveBuffer, s.ReceiveBufferMax = 128<<10, 0, 128<<10, 0
	})
}

// answered carries text and then a byte back: by then the sender knows what became of the text.
func answered(from, to duplex, text []byte) error {
	if err := carry(from, to, text); err != nil {
		return err
	}
	return carry(to, from, []byte{1})
}

// markOneIn is how many packets one is marked of: few enough that several windows have marks.
const markOneIn = 9

// weSend sends text that is marked on the way, and looks at what our end made of it. The peer's answer, the last segment,
// shows the counter.
func (m *marked) weSend(t *testing.T, text []byte) {
	t.Helper()
	m.ways.ours.every.Store(markOneIn)
	defer m.ways.ours.every.Store(0)
	if err := answered(m.ours, m.theirs, text); err != nil {
		t.Fatal(err)
	}
	i := info(t, m.ours)
	marks, slower := m.ways.ours.marks.Load(), m.reno.marks.Load()
	t.Logf("we send: %d segments marked, slower %d times, Cwnd %d, Ssthresh %d, %d ECE, %d CWR, %d sent again",
		marks, slower, i.Cwnd, i.Ssthresh, m.ways.theirs.echoes.Load(), m.ways.ours.reduced.Load(), i.Retransmits)
	if marks == 0 || slower == 0 || slower > marks || i.Ssthresh >= len(text) {
		t.Errorf("%d segments marked, slower %d times, Ssthresh %d", marks, slower, i.Ssthresh)
	}
	if m.reno.losses.Load() > i.Retransmits || i.Retransmits > i.DSACKs { // a busy machine may be late for an ACK
		t.Errorf("%d losses, %d segments sent again, %d for nothing", m.reno.losses.Load(), i.Retransmits, i.DSACKs)
	}
	switch {
	case i.AccurateECN:
		m.ways.theirs.counted(t, marks)
	case m.ways.theirs.echoes.Load() == 0 || m.ways.ours.reduced.Load() == 0:
		t.Errorf("%d segments with ECE, %d with CWR", m.ways.theirs.echoes.Load(), m.ways.ours.reduced.Load())
	}
}

// counted looks at the counter in the last segment of a receiver (RFC 9768 section 3.2).
func (w *way) counted(t *testing.T, marks uint64) {
	t.Helper()
	if ace, want := uint64(w.ace.Load()), (5+marks)%8; ace != want {
		t.Errorf("the counter stands at %d after %d marks, want %d", ace, marks, want)
	}
}

// TestECNMarksWithKernel: marks slow the sender down as losses would, and nothing is sent again; both ends agree on them,
// whichever sends and whoever has dialled. Without marks nothing is slowed down.
func TestECNMarksWithKernel(t *testing.T) {
	need(t)
	for _, kernel := range []int{1, 3} {
		for _, o := range openings {
			t.Run(fmt.Sprintf("tcp_ecn %d, %s", kernel, o.name), func(t *testing.T) {
				s := newSpace(t)
				s.setKernelECN(t, kernel)
				s.sysctl("net/ipv4/tcp_congestion_control", "reno")
				m, theirs := meetMarked(t, s, o.weDial, kernel == 3)
				text := random(uint64(kernel), 2<<20)
				if err := carryBoth(m.ours, theirs, text, text); err != nil {
					t.Fatal(err)
				}
				if i := kernelInfo(t, theirs); m.reno.marks.Load() != 0 || i.Snd_ssthresh < noThreshold || i.Delivered_ce != 0 {
					t.Errorf("without marks: slower %d times, the kernel's threshold %d", m.reno.marks.Load(), i.Snd_ssthresh)
				}
				m.weSend(t, text)
				if i := kernelInfo(t, theirs); kernel == 3 && uint64(i.Received_ce) != m.ways.ours.marks.Load() {
					t.Errorf("the kernel has received %d marks of %d", i.Received_ce, m.ways.ours.marks.Load())
				}
				m.kernelSends(t, theirs, text)
			})
		}
	}
}

// noThreshold is the kernel's Snd_ssthresh, in segments, before there was congestion (TCP_INFINITE_SSTHRESH).
const noThreshold = 0x7fffffff

// meetMarked connects us with the kernel over ways that mark. The kernel counts a superframe from a TUN as one segment:
// where it is to count marks, single is true.
func meetMarked(t *testing.T, s *netspace, weDial, single bool) (m marked, theirs *net.TCPConn) {
	t.Helper()
	m = marked{reno: newReno(), ways: new(ways)}
	r := road{
		in:  func(p *link.Packet) bool { m.ways.theirs.pass(p); return true },
		out: func(p *link.Packet) bool { m.ways.ours.pass(p); return true },
	}
	h := startHost(t, s, plan{tun: tun.Config{Queues: 1}, wrap: r.wrap(single)})
	m.ours, theirs = h.pair(t, s, kernelIP, weDial, m.settings())
	m.theirs = theirs
	return m, theirs
}

// kernelSends is weSend with the parts exchanged.
func (m *marked) kernelSends(t *testing.T, theirs *net.TCPConn, text []byte) {
	t.Helper()
	m.ways.theirs.every.Store(markOneIn)
	defer m.ways.theirs.every.Store(0)
	if err := answered(theirs, m.ours, text); err != nil {
		t.Fatal(err)
	}
	i, marks := kernelInfo(t, theirs), m.ways.theirs.marks.Load()
	t.Logf("the kernel sends: %d segments marked, it knows of %d; threshold %d, %d ECE, %d CWR, %d sent again",
		marks, i.Delivered_ce, i.Snd_ssthresh, m.ways.ours.echoes.Load(), m.ways.theirs.reduced.Load(), i.Total_retrans)
	if marks == 0 || i.Delivered_ce == 0 || i.Snd_ssthresh >= noThreshold {
		t.Errorf("%d segments marked, the kernel knows of %d; threshold %d", marks, i.Delivered_ce, i.Snd_ssthresh)
	}
	if i.Total_retrans > i.Dsack_dups {
		t.Errorf("%d segments sent again, %d for nothing", i.Total_retrans, i.Dsack_dups)
	}
	switch accurate := info(t, m.ours).AccurateECN; {
	case accurate && uint64(i.Delivered_ce)%8 != marks%8: // it guesses how often the counter has gone round
		t.Errorf("the kernel knows of %d marks, want %d, or a multiple of 8 more or less", i.Delivered_ce, marks)
	case accurate:
		m.ways.ours.counted(t, marks)
	case m.ways.theirs.reduced.Load() == 0:
		t.Error("the kernel never says that it has slowed down")
	}
}

// TestAccECNWithOurselves: two ends of ours, with the kernel as the router between them.
func TestAccECNWithOurselves(t *testing.T) {
	need(t)
	for _, single := range []bool{false, true} {
		t.Run(fmt.Sprintf("single segments %v", single), func(t *testing.T) {
			s := newSpace(t)
			s.forward()
			m := marked{reno: newReno(), ways: new(ways)}
			r := road{out: func(p *link.Packet) bool {
				if h := tcpHeader(p); slices.Equal(h[:2], []byte{0, 80}) {
					m.ways.theirs.pass(p)
				} else {
					m.ways.ours.pass(p)
				}
				return true
			}}
			h := startHost(t, s, plan{tun: tun.Config{Queues: 1}, wrap: r.wrap(single)})
			set := m.settings()
			ours, theirs := meet(t, h.listen(t, addrPort(ourIP, 80)), func() (net.Conn, error) {
				d := socket.Dialer{Stack: h.Stack, TCP: set}
				return d.DialAddr(t.Context(), netip.AddrPortFrom(ourIP, 80))
			})
			m.ours, m.theirs = ours.(*socket.Conn), theirs
			for _, c := range []*socket.Conn{m.ours, theirs.(*socket.Conn)} {
				if i := info(t, c); !i.AccurateECN {
					t.Fatal("AccECN was not agreed on")
				}
			}
			text := random(5, 2<<20)
			if err := carryBoth(ours, theirs, text, text); err != nil || m.reno.marks.Load() != 0 {
				t.Fatalf("without marks: %v, slower %d times", err, m.reno.marks.Load())
			}
			m.weSend(t, text)
		})
	}
}
