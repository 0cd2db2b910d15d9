package control

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Page is a part of a listing. Where the next one begins comes first, so that a client may ask for it before he has read this one.
type Page struct {
	Next        string       `json:"next,omitempty"` // "": this is the last
	Connections []Connection `json:"connections"`
}

// Connection is a flow: half-open, open, or in TIME-WAIT. Times are in ns, queues in bytes.
type Connection struct {
	ID      string   `json:"id"` // LOCAL-REMOTE
	Local   string   `json:"local"`
	Remote  string   `json:"remote"`
	State   string   `json:"state"` // as in RFC 9293
	Shard   int      `json:"shard"`
	Orphan  bool     `json:"orphan"`
	Receive int      `json:"receive_queue"` // unread
	Send    int      `json:"send_queue"`    // not acknowledged, sent or not
	Timer   *Timer   `json:"timer,omitempty"`
	Info    *Details `json:"info,omitempty"`
	// Flight is what was remarkable in the connection's life; not in listings. The first notes and the last are kept.
	Flight        []Note `json:"flight,omitempty"`
	FlightMissing int    `json:"flight_missing,omitempty"` // from the middle
}

// Note is one entry of a flight record.
type Note struct {
	At       int64  `json:"at"`   // ns since 1970
	Kind     string `json:"kind"` // transition, incident or drop
	State    string `json:"state"`
	Open     string `json:"open,omitempty"` // which of the two kinds of SYN-RECEIVED that is
	To       string `json:"to,omitempty"`
	Event    string `json:"event,omitempty"`
	Cause    string `json:"cause,omitempty"`
	Incident string `json:"incident,omitempty"`
	RFC      string `json:"rfc,omitempty"`
	Reason   string `json:"reason,omitempty"` // of a drop
	Flags    string `json:"flags,omitempty"`  // of the segment dropped
	Seq      uint32 `json:"seq,omitempty"`
	Text     int    `json:"text,omitempty"`  // bytes
	Again    int    `json:"again,omitempty"` // of an incident: so often in a row beyond the first time
}

// Ended is a connection that is over, or that has only TIME-WAIT before it.
type Ended struct {
	ID            string        `json:"id"`
	Local         string        `json:"local"`
	Remote        string        `json:"remote"`
	State         string        `json:"state"` // CLOSED or TIME-WAIT
	Shard         int           `json:"shard"`
	At            int64         `json:"at"` // ns since 1970
	Passive       bool          `json:"passive"`
	RTT           time.Duration `json:"rtt_ns"`
	SegmentsIn    uint32        `json:"segments_in"`
	SegmentsOut   uint32        `json:"segments_out"`
	BytesIn       uint64        `json:"bytes_in"`
	BytesOut      uint64        `json:"bytes_out"`
	Retransmits   uint32        `json:"retransmits"`
	Flight        []Note        `json:"flight"`
	FlightMissing int           `json:"flight_missing,omitempty"`
}

func viewEnding(e *stack.Ending, c clock) Ended {
	return Ended{
		ID: ID(e.Flow), Local: local(e.Flow).String(), Remote: remote(e.Flow).String(), State: e.State.String(), Shard: e.Shard,
		At: c.at(e.At), Passive: e.Passive, RTT: e.RTT, SegmentsIn: e.SegmentsIn, SegmentsOut: e.SegmentsOut,
		BytesIn: e.BytesIn, BytesOut: e.BytesOut, Retransmits: e.Retransmits,
		Flight: viewNotes(e.Notes, c), FlightMissing: e.Missing,
	}
}

func viewNotes(notes []stack.Note, c clock) []Note {
	list := []Note{}
	for _, n := range notes {
		v := Note{At: c.at(n.At), Kind: kindNames[n.Kind], State: n.State.String(), Open: opens[n.State]}
		switch n.Kind {
		case stack.Transitions:
			v.To, v.Event, v.Cause, v.RFC = n.To.String(), n.Event.String(), n.Event.Cause().String(), observe.Paragraph(n.State, n.Event)
		case stack.Incidents:
			v.Incident, v.RFC = n.Incident.String(), n.Incident.Paragraph()
			v.Again = int(n.Text)
		case stack.Drops:
			v.Reason, v.Flags, v.Seq, v.Text = n.Drop.String(), n.Flags.String(), uint32(n.Seq), int(n.Text)
		}
		list = append(list, v)
	}
	return list
}

// Timer is what a connection waits for, and how long at most.
type Timer struct {
	Name string        `json:"name"` // on, persist, keepalive, timewait or unknown
	Left time.Duration `json:"left_ns"`
	// Retries are the time-outs in a row, or the probes without an answer.
	Retries int `json:"retries"`
}

// Details is tcp.Info. What is 0 or false is left out of the JSON: of an idle connection that is more than half.
type Details struct {
	State   fsm.State `json:"-"`
	Passive bool      `json:"passive,omitempty"`

	SendMSS      int   `json:"send_mss,omitempty"`
	ReceiveMSS   int   `json:"receive_mss,omitempty"`
	PathMTU      int   `json:"path_mtu,omitempty"`
	SendScale    uint8 `json:"send_scale,omitempty"`
	ReceiveScale uint8 `json:"receive_scale,omitempty"`
	WindowScale  bool  `json:"window_scale,omitempty"`
	Timestamps   bool  `json:"timestamps,omitempty"`
	SACK         bool  `json:"sack,omitempty"`
	ECN          bool  `json:"ecn,omitempty"`
	AccurateECN  bool  `json:"accurate_ecn,omitempty"`

	RTT     time.Duration `json:"rtt_ns,omitempty"`
	RTTVar  time.Duration `json:"rtt_var_ns,omitempty"`
	MinRTT  time.Duration `json:"min_rtt_ns,omitempty"`
	RTO     time.Duration `json:"rto_ns,omitempty"`
	Backoff int           `json:"backoff,omitempty"`
	Retries int           `json:"retries,omitempty"`
	Timer   tcp.Timer     `json:"timer,omitempty"` // what the next deadline is for

	Congestion    string        `json:"congestion,omitempty"`
	Cwnd          int           `json:"cwnd,omitempty"`
	Ssthresh      int           `json:"ssthresh,omitempty"`
	PacingRate    uint64        `json:"pacing_rate,omitempty"`
	DeliveryRate  uint64        `json:"delivery_rate,omitempty"`
	InRecovery    bool          `json:"in_recovery,omitempty"`
	InLoss        bool          `json:"in_loss,omitempty"`
	Reduced       bool          `json:"reduced,omitempty"`
	Reordering    bool          `json:"reordering,omitempty"`
	ReorderDegree int           `json:"reorder_degree,omitempty"`
	ReorderWindow time.Duration `json:"reorder_window_ns,omitempty"`
	Flight        int           `json:"flight,omitempty"`
	Sacked        int           `json:"sacked,omitempty"`
	Lost          int           `json:"lost,omitempty"`
	Resent        int           `json:"resent,omitempty"`
	SendBuffer    int           `json:"send_buffer,omitempty"`
	Unsent        int           `json:"unsent,omitempty"`
	ReceiveBuffer int           `json:"receive_buffer,omitempty"`
	Unread        int           `json:"unread,omitempty"`
	OutOfOrder    int           `json:"out_of_order,omitempty"`
	SendWindow    int           `json:"send_window,omitempty"`
	ReceiveWindow int           `json:"receive_window,omitempty"`
	UrgentLeft    int           `json:"urgent_left,omitempty"`
	UserTimeout   time.Duration `json:"user_timeout_ns,omitempty"`
	ICMP          tcp.ICMPError `json:"-"`

	LastText time.Duration `json:"last_text_ns,omitempty"`

	SegmentsIn  uint64 `json:"segments_in,omitempty"`
	SegmentsOut uint64 `json:"segments_out,omitempty"`
	BytesIn     uint64 `json:"bytes_in,omitempty"`
	BytesOut    uint64 `json:"bytes_out,omitempty"`
	Retransmits uint64 `json:"retransmits,omitempty"`
	BytesLost   uint64 `json:"bytes_lost,omitempty"`
	TimeOuts    uint64 `json:"time_outs,omitempty"`
	DSACKs      uint64 `json:"dsacks,omitempty"`

	Busy          time.Duration `json:"busy_ns,omitempty"`
	WindowLimited time.Duration `json:"window_limited_ns,omitempty"`
	BufferLimited time.Duration `json:"buffer_limited_ns,omitempty"`

	InitialSend     uint32 `json:"initial_send,omitempty"`
	InitialReceived uint32 `json:"initial_received,omitempty"`
}

// view is how a sight is shown, with details or without.
func view(s *stack.Sight, details bool) Connection {
	c := Connection{
		ID: ID(s.Flow), Local: local(s.Flow).String(), Remote: remote(s.Flow).String(), State: s.State.String(),
		Shard: s.Shard, Orphan: s.Orphan, Receive: s.Unread, Send: s.Flight + s.Unsent,
	}
	if s.Deadline >= 0 {
		c.Timer = &Timer{Name: timerName(s), Left: s.Deadline, Retries: s.Retries}
	}
	if details {
		d := Details(s.Info)
		c.Info = &d
	}
	return c
}

// timerName is what ss calls the next deadline.
func timerName(s *stack.Sight) string {
	switch s.Info.Timer {
	case tcp.TimerTimeWait, tcp.TimerFinWait:
		return "timewait"
	case tcp.TimerRetransmit, tcp.TimerReorder, tcp.TimerTail, tcp.TimerOrphan:
		return "on"
	case tcp.TimerProbe:
		return "persist"
	case tcp.TimerKeepAlive:
		return "keepalive"
	}
	return "unknown" // a delayed acknowledgment, or pacing
}

// ID names a connection: its local end, a hyphen, its remote end.
func ID(f stack.Flow) string { return local(f).String() + "-" + remote(f).String() }

func local(f stack.Flow) netip.AddrPort  { return netip.AddrPortFrom(f.Local.Netip(), f.LocalPort) }
func remote(f stack.Flow) netip.AddrPort { return netip.AddrPortFrom(f.Remote.Netip(), f.RemotePort) }

// parseID reads what ID writes.
func parseID(s string) (f stack.Flow, err error) {
	l, r, _ := strings.Cut(s, "-")
	from, err := netip.ParseAddrPort(l)
	if err != nil {
		return f, err
	}
	to, err := netip.ParseAddrPort(r)
	if err != nil {
		return f, err
	}
	if !from.Addr().Is4() || !to.Addr().Is4() {
		return f, errors.New("only IPv4 is spoken")
	}
	return stack.Flow{
		Local: ip.FromNetip(from.Addr()), LocalPort: from.Port(), Remote: ip.FromNetip(to.Addr()), RemotePort: to.Port(),
	}, nil
}

// Listener is LISTEN.
type Listener struct {
	Prefix  netip.Prefix `json:"prefix"` // the addresses
	Port    uint16       `json:"port"`   // 0: every port
	Backlog int          `json:"backlog"`
	observe.Listener
}

func viewListener(l *stack.Listener) Listener {
	return Listener{Prefix: l.Prefix, Port: l.Port, Backlog: l.Backlog, Listener: observe.ListenerOf(l.Stats())}
}

// Cell is one entry of the state machine's table.
type Cell struct {
	State string `json:"state"`
	// Open tells the two kinds of SYN-RECEIVED apart: passive or simultaneous.
	Open  string   `json:"open,omitempty"`
	Event string   `json:"event"`
	Next  string   `json:"next"`
	Do    []string `json:"do"`
	RFC   string   `json:"rfc"`
}

var opens = map[fsm.State]string{fsm.SynRcvd: "passive", fsm.SynRcvdOpen: "simultaneous"}

// machine is the table of pkg/fsm.
func machine() (cells []Cell) {
	for s := fsm.Closed; s <= fsm.TimeWait; s++ {
		for e := fsm.OpenPassive; e <= fsm.TwoMSL; e++ {
			t, ok := fsm.Step(s, e)
			if !ok {
				continue
			}
			do := []string{}
			if t.Do != 0 {
				do = strings.Split(t.Do.String(), "|")
			}
			cells = append(cells, Cell{s.String(), opens[s], e.String(), t.Next.String(), do, observe.Paragraph(s, e)})
		}
	}
	return cells
}
