package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Info is what can be told of a connection: what Linux's TCP_INFO tells, and more. Sizes are in bytes, times in ns, rates
// in bytes a second.
type Info struct {
	State   fsm.State
	Passive bool

	SendMSS, ReceiveMSS     int // payload of a full segment, options taken off
	PathMTU                 int // the largest packet that is sent
	SendScale, ReceiveScale uint8
	WindowScale, Timestamps bool // agreed
	SACK, ECN, AccurateECN  bool

	RTT, RTTVar, MinRTT, RTO mono.Duration
	Backoff                  int // doublings of the RTO, included in it
	Retries                  int // time-outs, or probes without an answer, in a row
	Timer                    Timer

	Congestion            string
	Cwnd, Ssthresh        int
	PacingRate            uint64 // 0: not paced
	DeliveryRate          uint64 // the last sample, but one that the user held back only if it is higher (draft-ietf-ccwg-bbr section 4.1)
	InRecovery, InLoss    bool   // in fast recovery; after a time-out
	Reduced               bool   // for a mark of ECN, not long ago
	Reordering            bool   // segments have been seen out of order
	ReorderDegree         int    // by so many bytes at most
	ReorderWindow         mono.Duration
	Flight                int // sent and not acknowledged
	Sacked, Lost, Resent  int // of these: arrived by SACK, thought lost, sent again and not yet acknowledged
	SendBuffer, Unsent    int
	ReceiveBuffer, Unread int
	OutOfOrder            int // beyond a hole
	SendWindow            int
	ReceiveWindow         int
	UrgentLeft            int
	UserTimeout           mono.Duration
	ICMP                  ICMPError // the last one that was believed, unless there was progress after it

	LastText mono.Duration // since text was last taken, to the ms; 0: none has been

	SegmentsIn, SegmentsOut uint64
	BytesIn, BytesOut       uint64 // text taken in order; text and controls acknowledged by the peer
	Retransmits             uint64 // segments and superframes sent again
	BytesLost               uint64 // thought lost, over the connection's life
	TimeOuts, DSACKs        uint64

	// How long there was text to send, or to be acknowledged; and how much of that the peer's window, or the send buffer,
	// held it back.
	Busy, WindowLimited, BufferLimited mono.Duration

	InitialSend, InitialReceived uint32 // sequence numbers of the two SYNs
}

// Tally is what is left to tell of a connection that is over.
type Tally struct {
	Passive                              bool
	SegmentsIn, SegmentsOut, Retransmits uint32
	BytesIn, BytesOut                    uint64
	RTT                                  mono.Duration // smoothed; 0: never measured
}

// Tally is the sum of what the connection has done.
func (c *Conn) Tally() Tally {
	return Tally{
		Passive: c.is(factPassive), SegmentsIn: c.count.segsIn, SegmentsOut: c.count.segsOut, Retransmits: c.count.retransmits,
		BytesIn: c.count.bytesIn, BytesOut: c.count.bytesOut, RTT: c.rtt.srtt,
	}
}

// Info describes the connection as it stands.
func (c *Conn) Info(x *Env, now mono.Time) Info {
	i := Info{
		State: c.state, Passive: c.is(factPassive),
		SendMSS: int(c.snd.mss), ReceiveMSS: int(c.rcv.mss), PathMTU: int(c.snd.mss) + c.optionBytes() + 40,
		SendScale: c.snd.scale, ReceiveScale: c.rcv.scale,
		WindowScale: c.is(factScale), Timestamps: c.is(factTimestamps), SACK: c.is(factSACK), ECN: c.is(factECN), AccurateECN: c.is(factAccECN),
		RTT: c.rtt.srtt, RTTVar: c.rtt.rttvar, MinRTT: c.rtt.min, RTO: c.rto(x), Backoff: int(c.backoff), Retries: int(c.retries), Timer: c.next(),
		Congestion: c.Settings(x).Congestion.Name(), Cwnd: int(c.cw.Cwnd), Ssthresh: int(c.cw.Ssthresh), PacingRate: c.pacingRate(),
		InRecovery: c.is(factRecovery), InLoss: c.is(factLoss), Reduced: c.is(factReduced), Reordering: c.is(factReordering),
		Flight: int(c.outstanding()), SendBuffer: int(c.snd.buf), ReceiveBuffer: int(c.rcv.buf), Unread: int(c.unreadText()),
		SendWindow: int(c.snd.wnd), ReceiveWindow: int(c.rcv.adv.Sub(c.rcv.nxt)), UrgentLeft: c.UrgentLeft(),
		UserTimeout: mono.Duration(c.userTimeout) * mono.Millisecond, ICMP: c.icmp,
		SegmentsIn: uint64(c.count.segsIn), SegmentsOut: uint64(c.count.segsOut),
		BytesIn: c.count.bytesIn, BytesOut: c.count.bytesOut, Retransmits: uint64(c.count.retransmits),
		BytesLost: c.count.bytesLost, TimeOuts: uint64(c.count.timeouts), DSACKs: uint64(c.count.dsacks),
		InitialSend: uint32(c.snd.iss), InitialReceived: uint32(c.rcv.irs),
	}
	i.WindowLimited, i.BufferLimited = c.busy.sum(waitingReceive, now), c.busy.sum(waitingSend, now)
	i.Busy = c.busy.sum(waitingNetwork, now) + i.WindowLimited + i.BufferLimited
	i.ReorderDegree = int(c.rack.degree)
	if c.count.bytesIn > 0 {
		i.LastText = mono.Duration(clockMS(now)-c.rcv.textAt) * mono.Millisecond
	}
	if c.rate.interval > 0 {
		i.DeliveryRate = uint64(c.rate.sampled) * uint64(mono.Second) / uint64(c.rate.interval)
	}
	if c.snd.nxt.Less(c.snd.end) {
		i.Unsent = int(c.snd.end.Sub(c.snd.nxt))
	}
	if c.snd.flight != 0 {
		f := &x.Memory.flights[c.snd.flight]
		i.Sacked, i.Lost, i.ReorderWindow = int(f.sacked), int(f.lost), c.reorderWindow(f)
		i.Resent = f.resent(c.snd.una)
	}
	if c.rcv.holes != 0 {
		i.OutOfOrder = x.Memory.holes[c.rcv.holes].bytes()
	}
	return i
}
