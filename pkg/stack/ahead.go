package stack

import (
	"encoding/binary"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
)

// ahead has the processor fetch from memory what the packets of a turn need, for all of them at once. Among more connections
// than its caches hold, each packet would wait for its bucket of the table, then for its record, line by line; reads that do
// not depend on each other are waited for together.
type ahead struct {
	flows  []glance // by packet
	hashes []uint64 // the same; 0: not known
	seen   uint64   // means nothing: it keeps the compiler from leaving the reads out
}

// glance is what is known of a packet's flow before its turn comes.
type glance struct {
	key key
	ref ref
}

// farAway is how many flows make it worth while: their records no longer fit a second-level cache.
const farAway = 1 << 10

func newAhead(packets int) ahead {
	return ahead{flows: make([]glance, packets), hashes: make([]uint64, packets)}
}

// lookAhead reads ahead for the batch at hand: all buckets, then all first records of chains, then all of the connections.
func (s *shard) lookAhead(packets []link.Packet) {
	flows, hashes := s.ahead.flows[:len(packets)], s.ahead.hashes[:len(packets)]
	clear(hashes)
	if len(packets) < 2 || s.table.count < farAway {
		return
	}
	for i := range packets {
		if f, ok := peek(packets[i].Head); ok {
			hashes[i], flows[i].key = s.hash(&f), keyOf(&f)
		}
	}
	for i, h := range hashes {
		flows[i].ref = *s.table.head(s.table.bucket(h))
	}
	for i := range flows {
		if r := flows[i].ref; r != 0 {
			s.ahead.seen += uint64(s.entryOf(r).next)
		}
	}
	for i, h := range hashes {
		if r := s.table.find(h, flows[i].key); r.kind() == kindConn {
			s.ahead.seen += s.conns.at(r.index()).tcp.Fetch()
		}
	}
}

// peek reads the flow of a TCP segment in a whole packet whose header has no options: of all but a few.
func peek(b []byte) (f Flow, ok bool) {
	const fragment = 0x3fff // MF and the offset
	if len(b) < ip.HeaderLen+4 || b[0] != 0x45 || b[9] != ip.ProtoTCP || binary.BigEndian.Uint16(b[6:])&fragment != 0 {
		return f, false
	}
	f.Remote, f.Local = ip.V4([4]byte(b[12:16])), ip.V4([4]byte(b[16:20]))
	f.RemotePort, f.LocalPort = binary.BigEndian.Uint16(b[20:]), binary.BigEndian.Uint16(b[22:])
	return f, true
}
