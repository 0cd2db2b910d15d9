package control

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

var someFlow = stack.Flow{
	Local: ip.FromNetip(netip.MustParseAddr("10.7.0.2")), LocalPort: 80,
	Remote: ip.FromNetip(netip.MustParseAddr("10.7.0.1")), RemotePort: 40614,
}

// TestSlowClient: who does not read loses events, and is told how many with the next.
func TestSlowClient(t *testing.T) {
	p := &tap{queue: make(chan *seen, 2)}
	e := stack.Event{Kind: stack.Transitions, Flow: someFlow, State: fsm.Listen, Event: fsm.RcvSYN, To: fsm.SynRcvd}
	for range 5 {
		p.Trace(&e)
	}
	for range 2 {
		if s := <-p.queue; s.lost != 0 {
			t.Errorf("%d are lost before those that came first", s.lost)
		}
	}
	p.Trace(&e)
	v := viewEvent(<-p.queue, clock(0))
	if v.Lost != 3 || v.Kind != "transition" || v.Connection != "10.7.0.2:80-10.7.0.1:40614" || v.Cause != "segment" || v.RFC != "RFC 9293 3.10.7.2 third" {
		t.Errorf("%+v", v)
	}
}

// TestEventIsCopied: the shard goes on with what an event points to.
func TestEventIsCopied(t *testing.T) {
	p := &tap{queue: make(chan *seen, 1)}
	g := tcp.Segment{Seq: 7, Flags: tcp.SYN, Text: []byte("text")}
	p.Trace(&stack.Event{Kind: stack.Arrivals, Flow: someFlow, State: fsm.Listen, Segment: &g, Text: 4})
	g.Seq = 8
	if v := viewEvent(<-p.queue, clock(0)); v.Segment.Seq != 7 || v.Segment.Text != 4 || v.Segment.Flags != "SYN" {
		t.Errorf("%+v", v.Segment)
	}
}

// packet is a segment with a checksum that is only begun.
func packet(flags tcp.Flags) []byte {
	b := make([]byte, ip.HeaderLen+tcp.HeaderLen)
	g := tcp.Segment{SrcPort: 40614, DstPort: 80, Flags: flags}
	g.Put(b[ip.HeaderLen:], 0)
	h := ip.Header{Src: someFlow.Remote, Dst: someFlow.Local, Proto: ip.ProtoTCP, TTL: 64, Len: len(b)}
	h.Put(b)
	binary.BigEndian.PutUint16(b[ip.HeaderLen+16:], 0xbeef)
	return b
}

// TestCaptureOrder: what arrives comes before what is sent because of it, with its verdict; checksums are whole.
func TestCaptureOrder(t *testing.T) {
	k := newCamera(2)
	event := func(kind stack.Kinds, at mono.Time, flags tcp.Flags, reason string) {
		k.Trace(&stack.Event{
			Kind: kind, At: at, Shard: 1, Flow: someFlow, State: fsm.Listen, To: fsm.SynRcvd, Reason: reason,
			Segment: &tcp.Segment{}, Packet: [3][]byte{packet(flags)},
		})
	}
	event(stack.Arrivals, 1, tcp.SYN, "")
	event(stack.Departures, 2, tcp.SYN|tcp.ACK, "")
	event(stack.Drops, 2, tcp.SYN, "tcp_paws") // its verdict follows
	event(stack.Verdicts, 3, tcp.SYN, "tcp_paws")
	event(stack.Departures, 4, tcp.ACK, "")
	k.Trace(&stack.Event{Kind: stack.Drops, At: 5, Reason: "ip_short", Packet: [3][]byte{{0x45}}})
	for _, want := range []struct {
		at    mono.Time
		flags byte
		says  string
	}{
		{1, 2, "LISTEN -> SYN-RECEIVED, dropped: tcp_paws"}, {2, 18, "LISTEN -> SYN-RECEIVED, sent"}, {4, 16, "sent"}, {5, 0, "tcpd: dropped: ip_short"},
	} {
		p := <-k.queue
		if p.at != want.at || !strings.HasSuffix(p.comment, want.says) || want.flags != 0 && p.data[ip.HeaderLen+13] != want.flags {
			t.Errorf("%+v, not %+v", p, want)
		}
		if want.flags != 0 && !tcp.ChecksumOK(someFlow.Remote, someFlow.Local, p.data[ip.HeaderLen:]) {
			t.Errorf("the checksum of %+v is wrong", p)
		}
	}
	if len(k.queue) != 0 {
		t.Errorf("%d packets more", len(k.queue))
	}
}
