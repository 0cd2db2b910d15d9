package stack

import (
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Drop is why the stack did not take a packet, where neither ip nor tcp is the one to say.
type Drop uint8

// The reasons.
const (
	DropNone              Drop = iota
	DropNotOurs                // to an address that is not ours
	DropProtocol               // to us, in a protocol that we do not speak: answered by ICMP
	DropUDP                    // to us, UDP: answered by ICMP
	DropLAND                   // from our own address and port to themselves
	DropICMPOther              // ICMP that asks for nothing, or that fits nothing in flight
	DropBacklog                // the accept queue is full
	DropForward                // for another shard, whose inbox was full
	DropMulticast              // a SYN to or from an address of more than one host (MUST-57)
	DropSuperframe             // a superframe without a sensible segment size
	DropSourceBacklog          // the accept queue is full of connections from the same address
	DropAdmission              // a SYN that the listener's hook has dropped
	DropAdmissionICMP          // a SYN that the listener's hook has refused by ICMP
	DropAdmissionFull          // a SYN that the listener's hook has deferred, and there was no room for it
	DropConnections            // Limits.Connections, or ListenConfig.Connections, are open
	DropSourceConnections      // ListenConfig.SourceConnections are open from the same address
	DropPings                  // more pings in a second than are answered
	numDrops
)

var dropNames = [numDrops]string{
	DropNone: "none", DropNotOurs: "not_ours", DropProtocol: "protocol_unreachable", DropUDP: "udp_unreachable",
	DropLAND: "land", DropICMPOther: "icmp_ignored", DropBacklog: "accept_queue_full",
	DropForward: "forward_full", DropMulticast: "multicast", DropSuperframe: "superframe",
	DropSourceBacklog: "accept_queue_full_of_source", DropAdmission: "admission_dropped",
	DropAdmissionICMP: "admission_refused", DropAdmissionFull: "admission_full",
	DropConnections: "connections_full", DropSourceConnections: "connections_full_of_source",
	DropPings: "pings_limited",
}

// String is the reason's name in counters.
func (d Drop) String() string { return dropNames[d] }

// Counters are totals of one shard since the start. Every packet read is Delivered or has one reason for which it
// was dropped: Read is always their sum.
type Counters struct {
	Read, Delivered uint64
	IP              [ip.NumDrops]uint64
	TCP             [tcp.NumDrops]uint64
	Stack           [numDrops]uint64

	Turns, Written, WriteErrors, Forwarded uint64
	TurnLength                             mono.Histogram // of turns that found something to do or not, without the wait before
	TimerLate                              mono.Histogram // from when a connection's timer was due to when it was looked at
	Opened, Accepted, Ended, Resets        uint64         // connections: by us, by listeners; over; RSTs sent
	CookiesSent, CookiesTaken              uint64         // SYN cookies
	FastOpens                              uint64         // connections that the cookie of a client opened (RFC 7413)
	Deferred                               uint64         // requests that the listener's hook did not decide on at once
	TimeWaitEvicted, OrphansAborted        uint64         // beyond Limits.TimeWait and Limits.Orphans
	Conns, HalfOpen, TimeWait, Orphans     int            // now
	Rings                                  int            // bytes of rings attached now
	ICMPErrors, ICMPLimited                uint64         // ICMP errors sent, and not sent for there were too many
	Pings                                  uint64         // answered
	Challenges, ChallengesLimited          uint64         // ACKs that no text asked for (RFC 5961), and those that a limit has kept back
	SACKIgnored                            uint64         // blocks without a whole segment, or for which the scoreboard had no room
	Lists                                  int            // bytes of scoreboards and of lists of text out of order, now
	FragmentBytes                          int            // bytes of incomplete datagrams, now
	MemoryAborted, Reneged                 uint64         // connections ended, and text out of order forgotten, for want of memory
	Panics                                 uint64         // of handlers and hooks
	SegmentsRead, SegmentsWritten          uint64         // of TCP, each of a superframe counted
	Impossible, NoMemory                   uint64
	Totals                                 tcp.Totals
	Fragments                              ip.Stats
}

// Drops lists the reasons that have occurred, by name.
func (c *Counters) Drops() map[string]uint64 {
	m := map[string]uint64{}
	for i, n := range c.IP {
		if n > 0 {
			m[ip.Drop(i).String()] = n
		}
	}
	for i, n := range c.TCP {
		if n > 0 {
			m[tcp.Drop(i).String()] = n
		}
	}
	for i, n := range c.Stack {
		if n > 0 {
			m[Drop(i).String()] = n
		}
	}
	return m
}

// Counters returns those of one shard. It must not be called on a shard; after Close it still answers.
func (s *Stack) Counters(shard int) Counters {
	sh := s.shards[shard]
	var c Counters
	read := func() {
		c = sh.counters
		c.Conns, c.HalfOpen, c.TimeWait, c.Orphans = sh.conns.live, sh.halves.live, sh.waits.live, sh.orphans
		c.Rings = sh.env.Memory.InUse
		c.Lists, c.FragmentBytes = sh.env.Memory.Lists, sh.frags.Bytes()
		c.Impossible, c.NoMemory = sh.env.Errors.Impossible, sh.env.Errors.Memory
		c.Challenges, c.ChallengesLimited, c.SACKIgnored = sh.env.Count.Challenges, sh.env.Count.ChallengesLimited, sh.env.Count.SACKIgnored
		c.Totals = sh.env.Totals
		c.Fragments = sh.frags.Stats()
	}
	if !s.Do(shard, read) {
		<-sh.over // nobody writes them any more
		read()
	}
	return c
}
