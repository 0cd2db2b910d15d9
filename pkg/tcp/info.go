package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Info is what can be told of a connection. Sizes are in bytes, times in ns.
type Info struct {
	State                        fsm.State
	Passive                      bool
	SendMSS, ReceiveMSS          int // payload of a full segment, options taken off
	SendScale, ReceiveScale      uint8
	WindowScale, Timestamps      bool // agreed
	SACK                         bool
	RTT, RTTVar, MinRTT, RTO     mono.Duration
	Cwnd, Ssthresh               int
	Flight                       int // sent and not acknowledged
	SendWindow, ReceiveWindow    int
	Unsent, Unread               int
	SegmentsIn, SegmentsOut      uint64
	BytesIn, BytesOut            uint64 // text taken in order; text and controls acknowledged by the peer
	Retransmits                  uint64
	Congestion                   string
	InitialSend, InitialReceived uint32 // sequence numbers of the two SYNs
}

// Info describes the connection as it stands.
func (c *Conn) Info(x *Env) Info {
	i := Info{
		State: c.state, Passive: c.is(factPassive),
		SendMSS: int(c.snd.mss), ReceiveMSS: int(c.rcv.mss), SendScale: c.snd.scale, ReceiveScale: c.rcv.scale,
		WindowScale: c.is(factScale), Timestamps: c.is(factTimestamps), SACK: c.is(factSACK),
		RTT: c.rtt.srtt, RTTVar: c.rtt.rttvar, MinRTT: c.rtt.min, RTO: c.rto(x),
		Cwnd: int(c.cw.Cwnd), Ssthresh: int(c.cw.Ssthresh), Flight: int(c.snd.nxt.Sub(c.snd.una)),
		SendWindow: int(c.snd.wnd), ReceiveWindow: int(c.rcv.adv.Sub(c.rcv.nxt)), Unread: int(c.unreadText()),
		SegmentsIn: uint64(c.count.segsIn), SegmentsOut: uint64(c.count.segsOut),
		BytesIn: c.count.bytesIn, BytesOut: c.count.bytesOut, Retransmits: uint64(c.count.retransmits),
		Congestion:  c.settings(x).Congestion.Name(),
		InitialSend: uint32(c.snd.iss), InitialReceived: uint32(c.rcv.irs),
	}
	if c.snd.nxt.Less(c.snd.end) {
		i.Unsent = int(c.snd.end.Sub(c.snd.nxt))
	}
	return i
}
