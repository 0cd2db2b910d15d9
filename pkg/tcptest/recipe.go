package tcptest

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// Recipe is a random world as data: all that a seed has drawn but for the chance on the wires and in the hosts, which each
// have a source of their own that follows from Seed and their names. So one thing may be left out, and the others go on as
// before: a world that fails can be made smaller (Shrink). As text it is one line a thing (String, ParseRecipe).
//
// Zero fields are the plain case everywhere: nothing lost, no limit, the default.
type Recipe struct {
	World  WorldRecipe
	Hosts  []HostRecipe
	Paths  []PathRecipe
	Conns  []ConnRecipe
	Calls  []CallRecipe
	Faults []FaultRecipe
}

// WorldRecipe is what concerns the whole world.
type WorldRecipe struct {
	Seed       uint64
	Calm       bool // little is lost, and all are polite: every connection must end well
	CheckEvery int  // World.CheckEvery
}

// HostRecipe is a host, which listens, too.
type HostRecipe struct {
	Number     int // its name is h and this, its address 10.0.0. and this
	Queues     int
	MTU        int
	Checksum   bool
	Superframe bool
	Lag        mono.Duration
	Clock      mono.Duration // ahead of the world's
	Memory     int           // these are stack.Limits
	Orphans    int
	HalfOpen   int
	TimeWait   int
	Fragments  int
	Conns      int
	TCP        SettingsRecipe
	Listen     ListenRecipe
}

// ListenRecipe is the listener of a host.
type ListenRecipe struct {
	Backlog, SourceBacklog   int
	HalfOpen, SourceHalfOpen int
	Conns, SourceConns       int
	FastOpen                 int
	Admit                    bool // a hook decides, by chance
	TCP                      SettingsRecipe
}

// SettingsRecipe is how settings differ from the defaults.
type SettingsRecipe struct {
	Own               bool // else they are the host's
	NoTimestamps      bool
	NoWindowScale     bool
	NoSACK            bool
	NoDelay           bool
	UserTimeoutOption bool
	Unpaced           bool
	ECN, MTUProbing   int
	MSS               int
	Congestion        string
	SendBuffer        int
	ReceiveBuffer     int
	UserTimeout       mono.Duration
}

// PathRecipe is one direction between two hosts; its fields are Path's.
type PathRecipe struct {
	From, To                 int
	Rate                     int64
	Queue                    int
	Delay, Jitter            mono.Duration
	Loss, Duplicate, Corrupt int
	MTU, Fragment, Overlap   int
	Swallow                  int
	Mark                     int
	ClearECN                 bool
}

// ConnRecipe is a connection that is dialled, with the users of both ends.
type ConnRecipe struct {
	Number   int
	From, To int
	At       mono.Duration
	Port     int // ours; 0: any
	ToPort   int // theirs; 0: the one that all hosts listen on
	FastOpen bool
	TCP      SettingsRecipe
	Client   UserRecipe
	Server   UserRecipe
}

// UserRecipe is what a user does of his own accord: he writes all that he has, reads all that comes, and closes politely.
type UserRecipe struct {
	Total     int           // bytes to write
	Chunk     int           // bytes of each piece
	Pause     mono.Duration // between them; 0: all at once
	ReadPause mono.Duration // between reads; 0: he reads at once
	ReadMost  int           // bytes of each read, if they have pauses
	Urgent    int           // each so manieth piece is urgent
	Record    int           // each so manieth piece ends a record
	Hasty     bool          // closes when all is written, read or not; else at EOF
}

// CallRecipe is what a user does besides, at a time after he got the connection.
type CallRecipe struct {
	Conn   int
	Server bool // it is the server's user; else the client's
	At     mono.Duration
	Do     string
	N      int64         // what the call is about: bytes, or whether
	For    mono.Duration // what the call is about: a time
}

// FaultRecipe is a misfortune.
type FaultRecipe struct {
	At   mono.Duration
	Kind string
	From int           // the host; of a hole, where the path begins
	To   int           // of a hole
	Some string        // of a partition, the hosts on one side
	For  mono.Duration // until it is over; of a host that vanishes, 0: for ever
	By   mono.Duration // of a jump
}

// The kinds of faults.
const (
	faultVanish    = "vanish"    // a host goes without a word, and comes back knowing nothing
	faultJump      = "jump"      // a host's clock leaps forward, as after a suspend that it did not notice
	faultHole      = "hole"      // a path lets nothing through
	faultPartition = "partition" // nothing gets through between some hosts and the others
)

// The least that a recipe can say, in bytes.
const (
	leastSend     = 256
	leastReceive  = 2048
	leastMTU      = 256
	leastFragment = 136 // a TCP header with options goes into the first
)

// atLeast is n, but not less than least; 0 is the plain case.
func atLeast(n, least int) int {
	if n == 0 {
		return 0
	}
	return max(n, least)
}

// settings makes what a stack takes.
func (s *SettingsRecipe) settings() *tcp.Settings {
	t := tcp.Defaults()
	t.Timestamps, t.WindowScale, t.SACK, t.NoDelay = !s.NoTimestamps, !s.NoWindowScale, !s.NoSACK, s.NoDelay
	t.ECN, t.MTUProbing, t.UserTimeoutOption = tcp.ECN(s.ECN), tcp.MTUProbing(s.MTUProbing), s.UserTimeoutOption
	t.UserTimeout, t.Unpaced, t.MSS = s.UserTimeout, s.Unpaced, uint16(s.MSS)
	if s.Congestion != "" {
		t.Congestion, _ = cc.ByName(s.Congestion)
	}
	if s.SendBuffer != 0 {
		t.SendBuffer, t.SendBufferMax = max(s.SendBuffer, leastSend), 0
	}
	if s.ReceiveBuffer != 0 {
		t.ReceiveBuffer, t.ReceiveBufferMax = max(s.ReceiveBuffer, leastReceive), 0
	}
	return &t
}

// own is settings, or nil where they are the host's.
func (s *SettingsRecipe) own() *tcp.Settings {
	if !s.Own {
		return nil
	}
	return s.settings()
}

// tidy leaves out what speaks of hosts and connections that are not there.
func (r *Recipe) tidy() {
	hosts, conns := map[int]bool{}, map[int]bool{}
	for _, h := range r.Hosts {
		hosts[h.Number] = true
	}
	r.Conns = keep(r.Conns, func(c *ConnRecipe) bool { return hosts[c.From] && hosts[c.To] })
	for _, c := range r.Conns {
		conns[c.Number] = true
	}
	r.Paths = keep(r.Paths, func(p *PathRecipe) bool { return hosts[p.From] && hosts[p.To] })
	r.Calls = keep(r.Calls, func(c *CallRecipe) bool { return conns[c.Conn] })
	r.Faults = keep(r.Faults, func(f *FaultRecipe) bool {
		return f.Kind == faultPartition || hosts[f.From] && (f.Kind != faultHole || hosts[f.To])
	})
}

// keep returns a new list of those for which good says so.
func keep[T any](list []T, good func(*T) bool) []T {
	var kept []T
	for i := range list {
		if good(&list[i]) {
			kept = append(kept, list[i])
		}
	}
	return kept
}
