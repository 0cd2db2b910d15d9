package observe

import "github.com/tcpd-project/tcpd/pkg/stack"

// Counters are totals over all shards since the start, and what there is now. PacketsRead is always Delivered plus
// the sum of Drops.
type Counters struct {
	PacketsRead    uint64            `json:"packets_read"`
	Delivered      uint64            `json:"delivered"`
	Drops          map[string]uint64 `json:"drops"`
	PacketsWritten uint64            `json:"packets_written"`
	WriteErrors    uint64            `json:"write_errors"`
	Forwarded      uint64            `json:"forwarded"`    // packets that came to another shard than their connection's
	DeviceDrops    uint64            `json:"device_drops"` // by the kernel, before they could be read

	Opened          uint64 `json:"opened"`   // connections by us
	Accepted        uint64 `json:"accepted"` // connections by listeners
	Ended           uint64 `json:"ended"`
	ResetsSent      uint64 `json:"resets_sent"`
	TimeWaitEvicted uint64 `json:"time_wait_evicted"`
	CookiesSent     uint64 `json:"cookies_sent"`  // SYN,ACKs without a record
	CookiesTaken    uint64 `json:"cookies_taken"` // connections that came of them
	Impossible      uint64 `json:"impossible"`    // events that the state machine has no cell for: bugs
	NoMemory        uint64 `json:"no_memory"`

	Connections   int    `json:"connections"`
	HalfOpen      int    `json:"half_open"`
	TimeWait      int    `json:"time_wait"`
	RingBytes     int    `json:"ring_bytes"`
	FragmentsHeld uint64 `json:"fragments_held"`
	Turns         uint64 `json:"turns"`

	DatagramsCompleted uint64 `json:"datagrams_completed"`
	DatagramsTimedOut  uint64 `json:"datagrams_timed_out"`
	DatagramsEvicted   uint64 `json:"datagrams_evicted"`
	DatagramsCondemned uint64 `json:"datagrams_condemned"`
}

// dropMalformed is the reason of packets that the device described in a way that made no sense.
const dropMalformed = "device_malformed"

// Collect adds the shards of s up. malformed are packets that were read and never reached a shard, deviceDrops those
// that the kernel had no room for.
func Collect(s *stack.Stack, malformed, deviceDrops uint64) Counters {
	t := Counters{Drops: map[string]uint64{}, DeviceDrops: deviceDrops}
	t.malformed(malformed)
	for i := range s.Shards() {
		c := s.Counters(i)
		t.add(&c)
	}
	return t
}

func (t *Counters) malformed(n uint64) {
	t.PacketsRead += n
	if n > 0 {
		t.Drops[dropMalformed] += n
	}
}

func (t *Counters) add(c *stack.Counters) {
	t.PacketsRead += c.Read
	t.Delivered += c.Delivered
	for reason, n := range c.Drops() {
		t.Drops[reason] += n
	}
	t.PacketsWritten += c.Written
	t.WriteErrors += c.WriteErrors
	t.Forwarded += c.Forwarded
	t.Opened += c.Opened
	t.Accepted += c.Accepted
	t.Ended += c.Ended
	t.ResetsSent += c.Resets
	t.TimeWaitEvicted += c.TimeWaitEvicted
	t.CookiesSent += c.CookiesSent
	t.CookiesTaken += c.CookiesTaken
	t.Impossible += c.Impossible
	t.NoMemory += c.NoMemory
	t.Connections += c.Conns
	t.HalfOpen += c.HalfOpen
	t.TimeWait += c.TimeWait
	t.RingBytes += c.Rings
	t.Turns += c.Turns
	t.FragmentsHeld += c.Fragments.Held
	t.DatagramsCompleted += c.Fragments.Completed.Datagrams
	t.DatagramsTimedOut += c.Fragments.TimedOut.Datagrams
	t.DatagramsEvicted += c.Fragments.Evicted.Datagrams
	t.DatagramsCondemned += c.Fragments.Condemned.Datagrams
}
