// Package config is what a user may set: its defaults, its file, its checks. It knows names and numbers, not the
// stack that they are for.
package config

import (
	"net/netip"
	"time"
)

// Config is the whole configuration. A file sets some of it; what it leaves out keeps its default.
type Config struct {
	// Device is the interface's name; empty lets the kernel choose one.
	Device string `yaml:"device"`
	// Host is the kernel's end of the device with its network; the zero value gives it none.
	Host netip.Prefix `yaml:"host"`
	// Addresses are those that tcpd answers for.
	Addresses []Prefix `yaml:"addresses"`
	MTU       int      `yaml:"mtu"`    // bytes
	Queues    int      `yaml:"queues"` // 0: one for two CPUs, at most 8
	Offload   string   `yaml:"offload"`
	// Control is the path of the control socket; ControlAuto is one by the device's name, empty none.
	Control string `yaml:"control"`
	// Metrics is the address and port on which metrics are served besides, one of Addresses or of the host's; the zero value is none.
	Metrics string `yaml:"metrics"`
	Log     Log    `yaml:"log"`
	TCP     TCP    `yaml:"tcp"`
	// Listeners are the ports whose services are to listen otherwise than by default.
	Listeners []Listener `yaml:"listeners"`
	Routes    []Route    `yaml:"routes"`
	Limits    Limits     `yaml:"limits"`
	// Services are what listens.
	Services []Service `yaml:"services"`
}

// ControlAuto is the value of Config.Control for the usual place.
const ControlAuto = "auto"

// Log is what is logged.
type Log struct {
	Level string `yaml:"level"`
}

// TCP is what connections have in common.
type TCP struct {
	MSL               time.Duration `yaml:"msl"`
	FinTimeout        time.Duration `yaml:"fin_timeout"`
	OrphanTimeout     time.Duration `yaml:"orphan_timeout"`
	RTOMin            time.Duration `yaml:"rto_min"`
	RTOMax            time.Duration `yaml:"rto_max"`
	DelayedAck        time.Duration `yaml:"delayed_ack"`
	SynRetries        uint8         `yaml:"syn_retries"`
	SynAckRetries     uint8         `yaml:"synack_retries"`
	Retries1          uint8         `yaml:"retries1"`
	Retries2          uint8         `yaml:"retries2"`
	OrphanRetries     uint8         `yaml:"orphan_retries"`
	UserTimeout       time.Duration `yaml:"user_timeout"`
	UserTimeoutOption bool          `yaml:"user_timeout_option"`
	MTUProbing        string        `yaml:"mtu_probing"` // MTUProbings
	KeepAlive         bool          `yaml:"keepalive"`
	KeepAliveTime     time.Duration `yaml:"keepalive_time"`
	KeepAliveIntvl    time.Duration `yaml:"keepalive_intvl"`
	KeepAliveProbes   uint8         `yaml:"keepalive_probes"`
	NoDelay           bool          `yaml:"nodelay"`
	SendBuffer        Size          `yaml:"send_buffer"`
	SendBufferMax     Size          `yaml:"send_buffer_max"`
	ReceiveBuffer     Size          `yaml:"receive_buffer"`
	ReceiveBufferMax  Size          `yaml:"receive_buffer_max"`
	Congestion        string        `yaml:"congestion"` // cc.Names
	Pacing            bool          `yaml:"pacing"`
	ECN               string        `yaml:"ecn"` // ECNs
	Timestamps        bool          `yaml:"timestamps"`
	WindowScale       bool          `yaml:"window_scale"`
	SACK              bool          `yaml:"sack"`
	MSS               uint16        `yaml:"mss"` // bytes; 0: what the device takes
	MinTSOSegs        uint8         `yaml:"min_tso_segs"`
	TTL               uint8         `yaml:"ttl"`
	DSCP              uint8         `yaml:"dscp"`
}

// Route is what is known of the way to the peers in To.
type Route struct {
	To  Prefix `yaml:"to"`
	MSS int    `yaml:"mss"` // most payload of a segment, bytes
}

// Limits bound what outsiders can make tcpd keep.
type Limits struct {
	Connections int  `yaml:"connections"` // past the handshake; 0: as many as half of the machine's memory holds
	HalfOpen    int  `yaml:"half_open"`   // connections
	TimeWait    int  `yaml:"time_wait"`   // connections
	Orphans     int  `yaml:"orphans"`     // connections
	Memory      Size `yaml:"memory"`
	Fragments   Size `yaml:"fragments"`
	// FlightRecorder is how many bytes the flight records of connections take; 0: none are kept.
	FlightRecorder Size `yaml:"flight_recorder"`
}

// Defaults is the configuration without a file. configs/tcpd.yaml says the same.
func Defaults() Config {
	return Config{
		Device:    "tcpd0",
		Host:      netip.MustParsePrefix("10.7.0.1/24"),
		Addresses: []Prefix{{netip.MustParsePrefix("10.7.0.2/32")}},
		MTU:       1500,
		Offload:   "auto",
		Control:   ControlAuto,
		Log:       Log{Level: "info"},
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
