// Package config is what a user may set: its defaults, its file, its checks. It knows names and numbers, not the
// stack that they are for.
package config

import (
	"net/netip"
	"time"
)

// Config is the whole configuration. A file sets some of it; what it leaves out keeps its default. What stands here of a key
// is its description in the schema.
type Config struct {
	// The TUN device's name; empty lets the kernel choose one.
	Device string `yaml:"device"`
	// The kernel's end of the device, with its network; empty leaves the device as it has been prepared.
	Host netip.Prefix `yaml:"host"`
	// The addresses that tcpd answers for: single ones and prefixes.
	Addresses []Prefix `yaml:"addresses"`
	MTU       int      `yaml:"mtu"`    // Bytes of the largest packet.
	Queues    int      `yaml:"queues"` // Queues of the device; 0 is one for two CPUs, at most 8.
	// Segmentation and checksum offload of the kernel: where there is any, or else fail, or never.
	Offload string `yaml:"offload"`
	// The path of the control socket; auto is one by the device's name, empty none.
	Control string `yaml:"control"`
	// The address and port on which metrics are served besides: one of the addresses, or of the host's; empty is none.
	Metrics string `yaml:"metrics"`
	// How long open connections may go on once the daemon is to end; 0: they are reset at once.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// What is logged.
	Log Log `yaml:"log"`
	// What connections have in common.
	TCP TCP `yaml:"tcp"`
	// Ports whose services are to listen otherwise than by default.
	Listeners []Listener `yaml:"listeners"`
	// What is known of the ways to some peers; the longest prefix decides.
	Routes []Route `yaml:"routes"`
	// What outsiders can make tcpd keep.
	Limits Limits `yaml:"limits"`
	// What listens, and where.
	Services []Service `yaml:"services"`
}

// ControlAuto is the value of Config.Control for the usual place.
const ControlAuto = "auto"

// Log is what is logged.
type Log struct {
	Level string `yaml:"level"` // The least level to log.
}

// TCP is what connections have in common.
type TCP struct {
	// The maximum segment lifetime: TIME-WAIT lasts two.
	MSL time.Duration `yaml:"msl"`
	// The longest FIN-WAIT-2 of a connection that nobody holds any more.
	FinTimeout time.Duration `yaml:"fin_timeout"`
	// The longest time without progress in sending the rest of a connection that nobody holds any more.
	OrphanTimeout time.Duration `yaml:"orphan_timeout"`
	RTOMin        time.Duration `yaml:"rto_min"` // The shortest retransmission time-out (RFC 6298).
	RTOMax        time.Duration `yaml:"rto_max"` // The longest retransmission time-out; at least rto_min.
	// How long an acknowledgment waits for company; RFC 9293 allows 500ms.
	DelayedAck    time.Duration `yaml:"delayed_ack"`
	SynRetries    uint8         `yaml:"syn_retries"`    // How often a SYN is sent again before the connection is given up.
	SynAckRetries uint8         `yaml:"synack_retries"` // How often a SYN,ACK is sent again.
	Retries1      uint8         `yaml:"retries1"`       // How often something is sent again before the path is doubted (R1).
	Retries2      uint8         `yaml:"retries2"`       // How often text is sent again before the connection is given up (R2).
	OrphanRetries uint8         `yaml:"orphan_retries"` // The same when nobody holds the connection any more.
	// The longest time in which the peer may make no progress; 0: retries2 decides.
	UserTimeout time.Duration `yaml:"user_timeout"`
	// Whether the peer is told of that time, and may ask for more (RFC 5482).
	UserTimeoutOption bool `yaml:"user_timeout_option"`
	// When to look for the largest packet that the path takes (RFC 4821): when large ones seem to vanish, never, or from the start.
	MTUProbing      string        `yaml:"mtu_probing"`
	KeepAlive       bool          `yaml:"keepalive"`        // Whether idle connections are probed.
	KeepAliveTime   time.Duration `yaml:"keepalive_time"`   // How long a connection is idle before it is probed.
	KeepAliveIntvl  time.Duration `yaml:"keepalive_intvl"`  // How long it is from probe to probe.
	KeepAliveProbes uint8         `yaml:"keepalive_probes"` // How many probes without an answer end the connection.
	NoDelay         bool          `yaml:"nodelay"`          // Whether small segments are sent at once, without Nagle's algorithm.
	SendBuffer      Size          `yaml:"send_buffer"`      // Bytes that a connection queues at first.
	// How far the send buffer grows; at least send_buffer, or 0: it does not.
	SendBufferMax Size `yaml:"send_buffer_max"`
	ReceiveBuffer Size `yaml:"receive_buffer"` // Bytes that a connection keeps unread at first.
	// How far the receive buffer grows; at least receive_buffer, or 0: it does not.
	ReceiveBufferMax Size   `yaml:"receive_buffer_max"`
	Congestion       string `yaml:"congestion"` // Congestion control.
	Pacing           bool   `yaml:"pacing"`     // Whether what is sent is spread over a round trip of 2 ms or more.
	// Explicit Congestion Notification (RFC 3168): when the peer asks, never, asking for it, too, or asking for AccECN (RFC 9768).
	ECN         string `yaml:"ecn"`
	Timestamps  bool   `yaml:"timestamps"`   // Whether timestamps are offered (RFC 7323).
	WindowScale bool   `yaml:"window_scale"` // Whether window scaling is offered (RFC 7323).
	SACK        bool   `yaml:"sack"`         // Whether selective acknowledgments are offered (RFC 2018).
	// The most payload of a segment in bytes, offered and sent; 0 is what the device takes.
	MSS        uint16 `yaml:"mss"`
	MinTSOSegs uint8  `yaml:"min_tso_segs"` // Segments that go to the device as one however slow the connection is.
	TTL        uint8  `yaml:"ttl"`          // Time to live of the packets.
	DSCP       uint8  `yaml:"dscp"`         // Differentiated Services codepoint of the packets (RFC 2474).
}

// Route is what is known of the way to the peers in To.
type Route struct {
	To  Prefix `yaml:"to"`  // The peers.
	MSS int    `yaml:"mss"` // The most payload of a segment in bytes, offered and sent.
}

// Limits bound what outsiders can make tcpd keep.
type Limits struct {
	Connections int  `yaml:"connections"` // Connections past the handshake; 0: as many as half of the machine's memory holds.
	HalfOpen    int  `yaml:"half_open"`   // Connections in SYN-RECEIVED; beyond, SYNs are answered with cookies.
	TimeWait    int  `yaml:"time_wait"`   // Connections in TIME-WAIT; beyond, the oldest go.
	Orphans     int  `yaml:"orphans"`     // Connections that nobody holds any more; beyond, they are reset.
	Memory      Size `yaml:"memory"`      // Bytes of all send and receive buffers together.
	Fragments   Size `yaml:"fragments"`   // Bytes of fragments that wait for the rest of their datagram.
	// Bytes of the flight records of connections; 0: none are kept.
	FlightRecorder Size `yaml:"flight_recorder"`
}

// Defaults is the configuration without a file. configs/tcpd.yaml says the same.
func Defaults() Config {
	return Config{
		Device:       "tcpd0",
		Host:         netip.MustParsePrefix("10.7.0.1/24"),
		Addresses:    []Prefix{{netip.MustParsePrefix("10.7.0.2/32")}},
		MTU:          1500,
		Offload:      "auto",
		Control:      ControlAuto,
		DrainTimeout: 5 * time.Second,
		Log:          Log{Level: "info"},
		TCP: TCP{
			MSL: 30 * time.Second, FinTimeout: time.Minute, OrphanTimeout: time.Minute,
			RTOMin: 200 * time.Millisecond, RTOMax: 2 * time.Minute, DelayedAck: 40 * time.Millisecond,
			SynRetries: 7, SynAckRetries: 5, Retries1: 3, Retries2: 15, OrphanRetries: 8, MTUProbing: "black-hole",
			KeepAliveTime: 2 * time.Hour, KeepAliveIntvl: 75 * time.Second, KeepAliveProbes: 9,
			SendBuffer: 256 * KiB, SendBufferMax: 16 * MiB, ReceiveBuffer: 256 * KiB, ReceiveBufferMax: 16 * MiB,
			Congestion: "cubic", Pacing: true, ECN: "passive", Timestamps: true, WindowScale: true, SACK: true, MinTSOSegs: 2, TTL: 64,
		},
		Limits:   Limits{HalfOpen: 4096, TimeWait: 1048576, Orphans: 262144, Memory: GiB, Fragments: 4 * MiB, FlightRecorder: 4 * MiB},
		Services: defaultServices(),
	}
}
