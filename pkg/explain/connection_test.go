package explain

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

const open = 65535 // a window

func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		c    Connection
		owes []Party
		says string // the first
	}{
		{"no connection", Connection{State: "CLOSED"}, []Party{Nobody}, "no connection"},
		{"a listener", Connection{State: "LISTEN"}, []Party{Peer}, "call"},
		{"a call", Connection{State: "SYN-SENT", Info: tcp.Info{Flight: 1}}, []Party{Peer}, "answer our SYN"},
		{"a call again", Connection{State: "SYN-SENT", Timer: "on", Left: 4 * mono.Second, Info: tcp.Info{Flight: 1, Retries: 2}}, []Party{Peer}, "2 time-outs, each twice as long as the one before; the SYN is sent again, in 4s."},
		{"an answer", Connection{State: "SYN-RECEIVED", Info: tcp.Info{Flight: 1}}, []Party{Peer}, "acknowledge our SYN"},
		{"idle", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open}}, []Party{Nobody}, "Nothing is due"},
		{"watched", Connection{State: "ESTABLISHED", Timer: "keepalive", Left: mono.Second, Info: tcp.Info{SendWindow: open}}, []Party{Nobody}, "Keep-alive"},
		{"unread", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open, ReceiveWindow: open, Unread: 1}}, []Party{OurUser}, "1 byte waits"},
		{"full", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open, ReceiveMSS: 1460, Unread: 9}}, []Party{OurUser}, "our window is closed"},
		{"in flight", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open, Flight: 9}}, []Party{Peer}, "9 bytes in flight."},
		{"by cwnd", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open, SendMSS: 1460, Flight: 9000, Unsent: 9000}}, []Party{Peer}, "cwnd"},
		{"by window", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: 9000, SendMSS: 1460, Flight: 9000, Unsent: 9000}}, []Party{Peer}, "room in its window"},
		{"shut out", Connection{State: "ESTABLISHED", Timer: "persist", Left: mono.Second, Info: tcp.Info{Unsent: 5}}, []Party{PeersUser}, "ask from time to time, in 1s"},
		{"shut out in flight", Connection{State: "ESTABLISHED", Info: tcp.Info{Flight: 5}}, []Party{PeersUser}, "window is closed"},
		{"closed, but nothing to send", Connection{State: "ESTABLISHED"}, []Party{Nobody}, "Nothing is due"},
		{"held back", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open, Unsent: 5}}, []Party{Timer}, "hold 5 bytes back"},
		{"both ways", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open, Flight: 5, Unread: 5, OutOfOrder: 7}}, []Party{OurUser, Peer, Peer}, "read"},
		{"a gap", Connection{State: "ESTABLISHED", Info: tcp.Info{SendWindow: open, OutOfOrder: 7}}, []Party{Peer}, "7 bytes wait beyond a gap"},
		{"our FIN", Connection{State: "FIN-WAIT-1", Info: tcp.Info{SendWindow: open, Flight: 1}}, []Party{Peer}, "acknowledge our FIN"},
		{"our FIN behind text", Connection{State: "FIN-WAIT-1", Info: tcp.Info{Unsent: 4}}, []Party{PeersUser}, "window is closed"},
		{"our FIN alone", Connection{State: "FIN-WAIT-1", Info: tcp.Info{Flight: 1}}, []Party{PeersUser}, "our FIN waits until its user reads"},
		{"half-closed by us", Connection{State: "FIN-WAIT-2", Info: tcp.Info{SendWindow: open}}, []Party{PeersUser}, "as long as he likes"},
		{"half-closed, unread", Connection{State: "FIN-WAIT-2", Info: tcp.Info{SendWindow: open, Unread: 4}}, []Party{PeersUser, OurUser}, "has to close"},
		{"let go", Connection{State: "FIN-WAIT-2", Orphan: true, Timer: "timewait", Left: 9 * mono.Second}, []Party{Timer}, "ends it, in 9s"},
		{"half-closed by the peer", Connection{State: "CLOSE-WAIT", Info: tcp.Info{SendWindow: open}}, []Party{OurUser}, "forgotten to close"},
		{"half-closed, both busy", Connection{State: "CLOSE-WAIT", Info: tcp.Info{SendWindow: open, Unread: 4, Flight: 4}}, []Party{OurUser, OurUser, Peer}, "read"},
		{"both closed", Connection{State: "CLOSING", Info: tcp.Info{SendWindow: open, Flight: 1}}, []Party{Peer}, "acknowledge our FIN"},
		{"the last ACK", Connection{State: "LAST-ACK", Info: tcp.Info{SendWindow: open, Flight: 1, Retries: 1}}, []Party{Peer}, "one time-out; the FIN is sent again."},
		{"the last ACK, shut out", Connection{State: "LAST-ACK", Info: tcp.Info{Unsent: 8}}, []Party{PeersUser}, "window is closed"},
		{"over", Connection{State: "TIME-WAIT", Timer: "timewait", Left: 41 * mono.Second}, []Party{Nobody}, "2 MSL have to pass, in 41s"},
	} {
		var owes []Party
		waits := c.c.Explain().Waits
		for _, w := range waits {
			owes = append(owes, w.Owes)
			checkSentence(t, w.Text)
		}
		if !slices.Equal(owes, c.owes) {
			t.Errorf("%s: %v, not %v", c.name, owes, c.owes)
		} else if !strings.Contains(waits[0].Text, c.says) {
			t.Errorf("%s: %q, without %q", c.name, waits[0].Text, c.says)
		}
	}
}

// TestEveryStateWaits wants something to wait for in every state, with nothing known of the connection and with much.
func TestEveryStateWaits(t *testing.T) {
	for s := fsm.Closed; s <= fsm.TimeWait; s++ {
		for _, i := range []tcp.Info{{}, {SendWindow: open}, {Flight: 1}, {Unsent: 1, SendWindow: 1}} {
			c := Connection{State: s.String(), Info: i}
			if len(c.Explain().Waits) == 0 {
				t.Errorf("%v with %+v waits for nothing", s, i)
			}
		}
	}
}

func TestHappened(t *testing.T) {
	c := Connection{State: "CLOSED", Missing: 3, Notes: []Note{
		{From: "SYN-SENT", Event: "RcvSYNACK", To: "ESTABLISHED"},
		{At: 1, Incident: "timeout"}, {At: 2, Incident: "timeout"}, {At: 3, Incident: "recovery"},
		{At: 4, Drop: "tcp_sequence", Flags: "ACK", Text: 9},
		{At: 5, From: "ESTABLISHED", Event: "BadAck", To: "ESTABLISHED"},
	}}
	a := c.Explain()
	want := []Line{
		{What: "SYN-SENT RcvSYNACK ESTABLISHED", Text: Transition("SYN-SENT", "", "RcvSYNACK", "ESTABLISHED"), Times: 1, RFC: "RFC 9293 3.10.7.3 fourth"},
		{At: 1, What: "timeout", Text: Incident("timeout"), Times: 2, RFC: "RFC 6298 (5.4)"},
		{At: 3, What: "recovery", Text: Incident("recovery"), Times: 1, RFC: "RFC 5681 3.2"},
		{At: 4, What: "tcp_sequence ACK 9", Text: Drop("tcp_sequence"), Times: 1},
		{At: 5, What: "ESTABLISHED BadAck ESTABLISHED", Text: Transition("ESTABLISHED", "", "BadAck", "ESTABLISHED"), Times: 1, RFC: "RFC 5961 5"},
	}
	if !slices.Equal(a.Happened, want) || a.Missing != 3 {
		t.Errorf("%+v, %d missing", a.Happened, a.Missing)
	}
	for _, l := range a.Happened {
		checkSentence(t, l.Text)
	}
}

func TestLimits(t *testing.T) {
	const s = mono.Second
	for _, c := range []struct {
		name string
		c    Connection
		by   []string // the largest first
		says string   // the first
	}{
		{"nothing known", Connection{}, nil, ""},
		{"an idle life", Connection{Age: s}, []string{ByApplication}, "nothing to send"},
		{"all", Connection{Age: 10 * s, Info: tcp.Info{Busy: 6 * s, WindowLimited: 3 * s, BufferLimited: s, SendWindow: 1}}, []string{ByApplication, ByPeersWindow, ByNetwork, BySendBuffer}, "nothing to send"},
		{"the peer", Connection{Info: tcp.Info{Busy: 6 * s, WindowLimited: 5 * s, SendWindow: 1}}, []string{ByPeersWindow, ByNetwork}, "1 byte now"},
		{"losses", Connection{Info: tcp.Info{Busy: s, Cwnd: 2920, RTT: mono.Millisecond, BytesLost: 1460, Retransmits: 1}}, []string{ByNetwork}, "1460 bytes were thought lost"},
		{"marks", Connection{Info: tcp.Info{Busy: s, Reduced: true}}, []string{ByNetwork}, "ECN"},
		{"the round trip", Connection{Info: tcp.Info{Busy: s, RTT: mono.Millisecond}}, []string{ByNetwork}, "round trip of 1ms"},
		{"younger than it was busy", Connection{Age: s, Info: tcp.Info{Busy: 2 * s}}, []string{ByNetwork}, "Nothing was lost"},
	} {
		var by []string
		sum := 0.0
		limits := c.c.Explain().Limits
		for _, l := range limits {
			by, sum = append(by, l.By), sum+l.Share
			checkSentence(t, l.Text)
		}
		switch {
		case !slices.Equal(by, c.by):
			t.Errorf("%s: %v, not %v", c.name, by, c.by)
		case len(by) > 0 && (math.Abs(sum-1) > 1e-9 || !strings.Contains(limits[0].Text, c.says)):
			t.Errorf("%s: shares of %v; %q", c.name, sum, limits[0].Text)
		}
	}
}
