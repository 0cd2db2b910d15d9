package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// Conn is one connection: the transmission control block of RFC 9293 section 3.3.1. It holds no pointer, so that
// millions of them cost the garbage collector nothing; what has pointers (rings, lists of text out of order) lies in
// the Env's Memory, and Conn keeps a handle. The zero Conn is CLOSED once opened by OpenActive or by a HalfOpen.
type Conn struct {
	state   fsm.State
	profile uint8 // index into Env.Settings
	retries uint8 // of the oldest segment, or probes unanswered
	backoff uint8 // doublings of the RTO, or of the probe interval
	dscp    uint8 // Settings.DSCP, or what the user has set
	facts   facts

	snd    sendSpace
	rcv    receiveSpace
	rtt    estimator
	cw     cc.Window
	timer  [numTimers]mono.Time
	events Events

	rack    rack
	rate    rate
	episode episode
	tune    tuning

	ts struct {
		recent uint32    // TS.Recent (RFC 7323 section 4.3)
		offset uint32    // of our clock, in ms
		at     mono.Time // when recent was set
	}
	keepIdle     uint32 // keep-alive (section 3.8.4); seconds, 0: off
	keepInterval uint32 // seconds
	keepCount    uint8
	icmp         ICMPError // the last one that was believed
	acc          accECN
	userTimeout  uint32 // ms; 0: none
	finTimeout   uint32 // ms
	way          way
	mtu          mtuSearch
	busy         busy
	pace         mono.Time // no text before, if it is paced
	challenge    mono.Time // no challenge ACK before
	heard        mono.Time // last segment taken
	stalled      mono.Time // since when the peer has made no progress, while the retransmission timer runs
	count        counts
}

// sendSpace is the send sequence space:
//
//	     1         2          3          4
//	----------|----------|----------|----------
//	       una        nxt        una
//	                            +wnd
//
// SYN and FIN are elements of the stream: SYN is at iss, text follows up to end, FIN is at end.
type sendSpace struct {
	una      seq.Num // oldest unacknowledged
	nxt      seq.Num // next to send for the first time
	iss      seq.Num
	end      seq.Num // after the last text queued
	wl1, wl2 seq.Num // segment of the last window update: its SEQ and ACK
	wnd      uint32  // bytes, scaled
	maxWnd   uint32  // the largest ever
	buf      uint32  // most text queued, bytes
	ring     handle
	flight   handle // the scoreboard, while anything is outstanding
	mss      uint16 // payload bytes of a full segment, options taken off
	frame    uint16 // payload bytes of the largest superframe to send; 0: as large as the device takes
	scale    uint8
	dupAcks  uint8
	recover  seq.Num // where the recovery under way ends (RFC 6582)
	up       seq.Num // SND.UP, if factUrgentOut
	used     uint32  // the most in flight up to round, bytes
	round    seq.Num
	push     seq.Num // the end of the text that is to be pushed (section 3.9.1.2)
	small    seq.Num // the end of the last segment that was not full
	marks    handle  // ends of records that are queued
	reduced  seq.Num // where the window ends that has been reduced for a mark, if factReduced
}

// receiveSpace is the receive sequence space:
//
//	     1          2          3
//	----------|----------|----------
//	       nxt        adv
//
// [read, nxt) is text that the user has not read; beyond nxt lies text out of order.
type receiveSpace struct {
	nxt    seq.Num
	irs    seq.Num
	adv    seq.Num // right edge advertised: RCV.NXT + RCV.WND; never goes back
	acked  seq.Num // the last ACK sent (Last.ACK.sent, RFC 7323)
	read   seq.Num
	kept   seq.Num // [read, kept) is lent (Lend)
	stored seq.Num // [kept, stored) is in the ring; what is left up to nxt is Env.text
	finAt  seq.Num // the peer's FIN, if factFinSeen
	buf    uint32  // most text kept, bytes
	ring   handle
	holes  handle  // text out of order
	textAt uint32  // when text was last taken, ms of the monotonic clock
	up     seq.Num // RCV.UP, if factUrgentIn
	dup    Block   // text that came twice, to be reported, if factDSACK
	mss    uint16  // payload bytes of a full segment of the peer's
	scale  uint8
	acks   uint8 // ACKs owed at once
	quick  uint8 // ACKs still not to be delayed
}

// counts are totals over the connection's life.
type counts struct {
	segsIn, segsOut, retransmits uint32
	timeouts, dsacks             uint32
	bytesIn, bytesOut, bytesLost uint64
}

// facts are what is known of a connection. The four crossings come first.
type facts uint64

const (
	factSynAcked facts = 1 << iota // SND.UNA has passed our SYN
	factSynRcvd                    // RCV.NXT has passed their SYN
	factFinAcked                   // SND.UNA has passed our FIN
	factFinRcvd                    // RCV.NXT has passed their FIN

	factPeerFirst       // their FIN came before ours was queued
	factPassive         // opened by a listener (MUST-11)
	factFinQueued       // the send stream ends at snd.end
	factFinSeen         // the peer's FIN has arrived, perhaps beyond a hole
	factDeaf            // the user reads no more
	factLetGo           // the user has closed; nobody waits for the connection
	factNoDelay         // Nagle's algorithm is off (MUST-17)
	factTimestamps      // agreed (RFC 7323)
	factSACK            // agreed (RFC 2018)
	factScale           // agreed: windows are scaled (RFC 7323)
	factECN             // agreed (RFC 3168)
	factAccECN          // and accurate (RFC 9768)
	factTellSYN         // the peer is to be told with which codepoint its SYN,ACK came
	factNoECT           // the way there spoils the ECN field
	factEcho            // a mark is to be echoed
	factCWR             // the peer is to be told that we have slowed down
	factReduced         // and until snd.reduced the window does not grow
	factPredict         // the header prediction may be tried
	factSendRST         // a RST is owed
	factSYNDue          // our SYN is to be sent
	factTimed           // our SYN is being timed (Karn)
	factSYNLate         // the timer of our SYN has expired
	factProbe           // a probe is to be sent, though the window is closed
	factKeep            // a keep-alive probe is to be sent
	factRecovery        // in fast recovery
	factLoss            // a time-out has been, and what was lost then is not yet repaired
	factUndo            // the episode may yet prove spurious
	factForward         // F-RTO is trying to find out whether the time-out was spurious (RFC 5682)
	factHold            // and for that sends nothing again until the next acknowledgment
	factReordering      // segments have been seen out of order (RFC 8985)
	factDSACKRound      // rack.dsackRound is set
	factProbing         // a tail loss probe is out
	factProbeAgain      // and it was a retransmission
	factTail            // a tail loss probe is to be sent
	factProbed          // and no round trip has been measured since the last one
	factSendFixed       // the user has set the send buffer
	factReceiveFixed    // and the receive buffer
	factDSACK           // rcv.dup is to be reported
	factLimited         // cwnd held the sender back
	factReleased        // over; the record may go when its last segment has been sent
	factStarved         // the user wants room in the send ring
	factWaiting         // text has waited ever since the last was sent, for the pace or, if the algorithm has a rate, for cwnd
	factCloseDue        // Close is withheld until our SYN is acknowledged
	factCork            // only full segments are sent
	factMore            // the same, for the user has said that more will be written soon
	factFastOpen        // our next SYN carries the option (RFC 7413)
	factEarly           // the user has had the connection since before our SYN was acknowledged
	factUserTimeout     // the user has set his time-out
	factTellUserTimeout // the peer is to be told of it
	factUnpaced         // Settings.Unpaced
	factUrgentOut       // SND.UP is ahead of SND.UNA
	factUrgentIn        // RCV.UP is ahead of what the user has read
)

func (c *Conn) is(f facts) bool  { return c.facts&f == f }
func (c *Conn) any(f facts) bool { return c.facts&f != 0 }
func (c *Conn) set(f facts)      { c.facts |= f }
func (c *Conn) unset(f facts)    { c.facts &^= f }

// Fetch reads a word of each cache line of the connection, so that they are in the cache when they are needed. The sum means
// nothing.
func (c *Conn) Fetch() uint64 {
	return uint64(c.facts) + uint64(c.snd.ring) + uint64(c.rcv.read) + uint64(c.rtt.srtt) + uint64(c.cw.Cwnd) + c.cw.Priv[7] +
		uint64(c.timer[2]) + uint64(c.rack.end) + uint64(c.episode.flight) + uint64(c.userTimeout) + uint64(c.busy.since) +
		uint64(c.heard) + c.count.bytesLost
}

// State is where the connection is.
func (c *Conn) State() fsm.State { return c.state }

// Crossings are the facts that the state must agree with (fsm.Derive).
func (c *Conn) Crossings() fsm.Crossings {
	return fsm.Crossings{
		Passive: c.is(factPassive), SYNReceived: c.is(factSynRcvd), SYNAcked: c.is(factSynAcked),
		FINQueued: c.is(factFinQueued), FINReceived: c.is(factFinRcvd), FINAcked: c.is(factFinAcked),
		PeerFirst: c.is(factPeerFirst),
	}
}

// Released reports that the connection is over, and that no segment of it is left to send.
func (c *Conn) Released() bool { return c.is(factReleased) && !c.any(factSendRST) }

// Over reports that the connection is over, though a RST may be left to send. It must be given no more segments.
func (c *Conn) Over() bool { return c.is(factReleased) }

// LetGo reports that the user has closed the connection and will not hear of it again.
func (c *Conn) LetGo() bool { return c.is(factLetGo) }

// Settings are what many connections have in common. Times are in ns, sizes in bytes.
type Settings struct {
	MSL           mono.Duration // maximum segment lifetime (section 3.4.2)
	FinTimeout    mono.Duration // longest FIN-WAIT-2 of a connection that the user has closed
	OrphanTimeout mono.Duration // longest time without progress after the user has closed
	RTOMin        mono.Duration // RFC 6298 (2.4); Linux has 200 ms
	RTOMax        mono.Duration // RFC 6298 (2.5)
	DelayedAck    mono.Duration
	SynRetries    uint8 // SYNs sent again before giving up
	SynAckRetries uint8
	Retries1      uint8         // R1 (section 3.8.3): time-outs in a row before the path is doubted
	Retries2      uint8         // R2: before giving up
	OrphanRetries uint8         // the same after the user has closed
	UserTimeout   mono.Duration // longest time without progress (section 3.8.3; Linux's TCP_USER_TIMEOUT); 0: R2 decides
	// UserTimeoutOption has connections tell each other their user time-outs (RFC 5482).
	UserTimeoutOption bool
	MTUProbing        MTUProbing
	KeepIdle          mono.Duration
	KeepInterval      mono.Duration
	KeepCount         uint8
	KeepAlive         bool
	NoDelay           bool
	SendBuffer        int // at first; what is queued
	ReceiveBuffer     int // at first; what is kept unread
	// SendBufferMax and ReceiveBufferMax are how far the buffers grow by themselves; 0: not at all.
	SendBufferMax, ReceiveBufferMax int
	Timestamps                      bool
	WindowScale                     bool
	SACK                            bool
	ECN                             ECN
	Congestion                      cc.Algorithm
	MSS                             uint16 // most payload of a segment, both ways, in bytes; 0: what the device takes
	LeastSuperframe                 uint8  // segments that a superframe may have however slow the connection is (Linux's tcp_min_tso_segs); 2 if less
	Unpaced                         bool   // text is paced only at the rate of an algorithm that has one
	TTL                             uint8  // time to live of the packets (RFC 9293 MUST-49); 0: 64
	DSCP                            uint8  // Differentiated Services codepoint of the packets (RFC 2474), 0 to 63
}

// Defaults are Linux's, where it has them.
func Defaults() Settings {
	return Settings{
		MSL: 30 * mono.Second, FinTimeout: 60 * mono.Second, OrphanTimeout: 60 * mono.Second,
		RTOMin: 200 * mono.Millisecond, RTOMax: 120 * mono.Second, DelayedAck: 40 * mono.Millisecond,
		SynRetries: 7, SynAckRetries: 5, Retries1: 3, Retries2: 15, OrphanRetries: 8, MTUProbing: MTUProbingBlackHole,
		KeepIdle: 7200 * mono.Second, KeepInterval: 75 * mono.Second, KeepCount: 9,
		SendBuffer: 256 << 10, SendBufferMax: 16 << 20, ReceiveBuffer: 256 << 10, ReceiveBufferMax: 16 << 20,
		Timestamps: true, WindowScale: true, SACK: true, Congestion: cc.Cubic{}, LeastSuperframe: 2, TTL: 64,
	}
}

// Env is what the connections of one goroutine share: their settings and memory, and what a call leaves for its
// caller. Nothing of it is a connection's own.
type Env struct {
	Settings []Settings
	Memory   *Memory
	Trace    Tracer // nil: nobody listens
	Strict   bool   // panic when the machine is asked the impossible, instead of counting and resetting
	MTU      int    // of the device, bytes
	Frame    int    // the largest superframe the device takes as an IP packet, bytes; 0: none
	Limit    Limiter
	Errors   Errors
	Count    Count
	Totals   Totals

	// Reply is a segment that a call wants sent at once, if ReplyDue. It belongs to no send queue.
	Reply    Segment
	ReplyDue bool

	// text is what the last Input took in order and has not stored: it aliases the segment.
	text []byte
	ack  cc.Ack // what an Algorithm is told: here, so that it is not allocated
}

// Errors counts what must never happen.
type Errors struct {
	Impossible uint64 // the machine had no cell
	Memory     uint64 // the memory budget was spent
}

// Count is what outsiders have brought about, over all connections.
type Count struct {
	Challenges, ChallengesLimited uint64 // ACKs that no text asked for, and those that a limit has kept back (RFC 5961)
	SACKIgnored                   uint64 // blocks without a whole segment, or for which the scoreboard had no room
}

// Totals are what all connections together have done.
type Totals struct {
	Transitions       [fsm.NumStates][fsm.NumEvents]uint64 // by the state before and what moved it, where there was a state to go to or something to do
	Resent            [NumResends]uint64                   // segments and superframes sent again
	Incidents         [NumIncidents]uint64
	BytesIn, BytesOut uint64         // text taken in order; text and FINs acknowledged by the peers
	RTT               mono.Histogram // as measured
	Handshake         mono.Histogram // from our SYN to its acknowledgment
}

// Settings are those that the connection shares with others.
func (c *Conn) Settings(x *Env) *Settings { return &x.Settings[c.profile] }

// Events tell the user what has happened.
type Events uint16

// The events.
const (
	Opened      Events = 1 << iota // ESTABLISHED was reached
	Readable                       // there is text to read
	EOF                            // the peer sends no more; text may be left to read
	Writable                       // there is room in the send ring again
	Reset                          // the peer reset the connection
	Refused                        // the peer refused it
	Unreachable                    // an ICMP hard error while opening
	TimedOut                       // the peer no longer answers
	Finished                       // our FIN was acknowledged: the peer has all that was sent
	Ended                          // the connection is gone, for one of these reasons or in good order
	Urgent                         // the peer has announced urgent text (RFC 6093)
	Troubled                       // R1 retransmissions in a row were not answered (SHLD-9), or a router has told of a soft error (MUST-47)
)

// TakeEvents returns what has happened since the last call.
func (c *Conn) TakeEvents() Events {
	e := c.events
	c.events = 0
	return e
}

func (c *Conn) signal(e Events) {
	if c.is(factLetGo) {
		e &= Ended
	}
	c.events |= e
}

// Opened reports that the handshake is over.
func (c *Conn) Opened() bool { return c.is(factSynAcked | factSynRcvd) }
