package stack

import (
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// turnBytes bounds what one turn sends, so that what arrives meanwhile is not left lying.
const turnBytes = 1 << 20

// much is more text than one superframe takes: a connection that has more yet to send is in the middle of a bulk transfer.
const much = link.MaxPacket

// defaultTTL is RFC 1700's, of what belongs to no connection, too.
const defaultTTL = 64

// touch puts a connection into the list of those that may have something to send.
func (s *shard) touch(i uint32) {
	if rec := s.conns.at(i); !rec.dirty {
		rec.dirty = true
		s.dirty = append(s.dirty, i)
	}
}

// emit lets the connections that were touched send, and puts to rest those that have nothing left to send. It reports whether
// some are left for the next turn.
//
// Those with much text come last, one after the other, and each sends all that it may before the next begins: whoever reads it is
// woken once and goes on reading, where a superframe for each in turn would wake one reader after the other, on this very
// processor. So nobody's answer waits behind a bulk transfer, either. There is one of them in each turn at least.
//
// While the device has more to be read, acknowledgments to near peers may wait: see hold.
func (s *shard) emit(queued bool) (more bool) {
	left := turnBytes
	hold := queued && (len(s.late) == 0 || s.now.Sub(s.lateSince) < longestHold)
	if !hold {
		s.release()
	}
	for len(s.dirty) > 0 && left > 0 {
		s.pass, s.dirty = s.dirty, s.pass[:0]
		for k, i := range s.pass {
			if left <= 0 {
				s.dirty = append(s.dirty, s.pass[k:]...)
				break
			}
			switch rec := s.conns.at(i); {
			case hold && rec.tcp.ACKMayWait():
				s.hold(i, rec)
			case rec.tcp.Unsent() > much:
				s.bulk.push(i)
			default:
				left -= s.drain(i, left)
			}
		}
	}
	for n := s.bulk.len(); n > 0; n-- {
		left -= s.drain(s.bulk.pop(), max(left, 1))
		if left <= 0 {
			break
		}
	}
	return len(s.dirty) > 0 || s.bulk.len() > 0
}

// longestHold is how long an acknowledgment waits at most: less than a near peer's round trip may be.
const longestHold = mono.Millisecond

// hold has the acknowledgment of a connection wait until the device's queue has been read to its end, where more of its text may
// lie: one for all of that text lets the peer send as much again in one superframe. An acknowledgment for each piece keeps the
// pieces as small as they are, and many senders, each with several in the queue, would overflow it.
func (s *shard) hold(i uint32, rec *record) {
	rec.dirty = false
	if rec.late {
		return
	}
	if len(s.late) == 0 {
		s.lateSince = s.now
	}
	rec.late = true
	s.late = append(s.late, i)
}

// release lets go what hold has kept.
func (s *shard) release() {
	for _, i := range s.late {
		if rec := s.conns.at(i); rec.late { // else it is over
			rec.late = false
			s.touch(i)
		}
	}
	s.late = s.late[:0]
}

// drain sends what a connection may send, most bytes and one packet at the utmost, and returns how many bytes it was. If something
// is left, the connection is put behind the others with much text.
func (s *shard) drain(i uint32, most int) (sent int) {
	rec := s.conns.at(i)
	s.work(i)
	for sent < most {
		if !rec.tcp.Output(&s.env, s.now, &s.out) {
			rec.dirty = false
			s.finish(i)
			return sent
		}
		sent += s.send(&s.flow, &s.out)
	}
	s.bulk.push(i)
	return sent
}

// finish is for a connection that has nothing to send now: it is over, or waits out TIME-WAIT, or has a deadline.
func (s *shard) finish(i uint32) {
	rec := s.conns.at(i)
	switch {
	case rec.dirty:
		return // still in a list
	case rec.tcp.Released():
		s.counters.Ended++
		s.forget(i)
	case rec.tcp.LetGo() && s.parkWait(i):
	case s.orphaned(rec):
		s.counters.OrphansAborted++
		s.work(i)
		rec.tcp.Abort(&s.env, s.now)
		s.settle(i)
	default:
		s.wheel.arm(ref(kindConn|i), rec.tcp.Deadline())
	}
}

// orphaned counts a connection that its user has closed, and reports whether it is one too many.
func (s *shard) orphaned(rec *record) bool {
	if !rec.tcp.LetGo() || rec.orphan {
		return false
	}
	rec.orphan = true
	s.orphans++
	return s.orphans > max(1, s.stack.limits.Load().Orphans/len(s.stack.shards))
}

// forget takes a connection out of everything.
func (s *shard) forget(i uint32) {
	rec := s.conns.at(i)
	r := ref(kindConn | i)
	f := rec.flow()
	h := s.hash(&f)
	s.conclude(i)
	s.wheel.disarm(r)
	s.table.remove(h, r)
	s.present.remove(h)
	s.leave(rec.owner)
	if rec.orphan {
		s.orphans--
	}
	if rec.early {
		s.confirmed(rec)
	}
	if rec.counted {
		s.uncount(rec)
	}
	s.stack.conns.Add(-1)
	s.thirst.remove(rec)
	rec.tcp.Free(&s.env)
	s.conns.release(i)
}

// sendAll sends all that a connection outside the slabs has to send.
func (s *shard) sendAll(f *Flow, c *tcp.Conn) {
	for c.Output(&s.env, s.now, &s.out) {
		s.send(f, &s.out)
	}
}

// sendBare sends a segment of no connection.
func (s *shard) sendBare(f *Flow, g *tcp.Segment) {
	s.out = tcp.Out{Segment: *g}
	s.send(f, &s.out)
}

// send writes one segment or superframe to the device and returns its length in bytes. What the device does not take
// is lost, as on a wire.
func (s *shard) send(f *Flow, o *tcp.Out) int {
	o.SrcPort, o.DstPort = f.LocalPort, f.RemotePort
	text := len(o.Body[0]) + len(o.Body[1])
	if o.Options.Has&tcp.HasFastOpen != 0 {
		s.fillCookie(f, o)
	}
	hdr := o.Segment.Put(s.header[ip.HeaderLen:], 0)
	pseudo := ip.PseudoSum(f.Local, f.Remote, ip.ProtoTCP, hdr+text)
	sum := ip.Fold(pseudo)
	p := &s.packet
	*p = link.Packet{Head: s.header[:ip.HeaderLen+hdr], Body: o.Body, ChecksumStart: ip.HeaderLen, GSOSize: o.GSOSize}
	if s.stack.cfg.Link.Checksum {
		p.NeedsChecksum = true
	} else {
		sum = s.finishChecksum(p, pseudo)
	}
	s.header[ip.HeaderLen+16], s.header[ip.HeaderLen+17] = byte(sum>>8), byte(sum)
	h := ip.Header{Src: f.Local, Dst: f.Remote, Proto: ip.ProtoTCP, TTL: o.TTL, TOS: o.DSCP<<2 | o.ECN, DF: true, Len: len(p.Head) + text}
	if h.TTL == 0 {
		h.TTL = defaultTTL
	}
	h.Put(s.header[:])
	if o.Flags&tcp.RST != 0 {
		s.counters.Resets++
	}
	s.counters.SegmentsWritten++
	if o.GSOSize != 0 {
		s.counters.SegmentsWritten += uint64((text - 1) / int(o.GSOSize))
	}
	if s.wanted(Departures, f) {
		s.departed(f, o, text)
	}
	s.write(p)
	return h.Len
}

// finishChecksum is the whole TCP checksum, for a device that does not finish it.
func (s *shard) finishChecksum(p *link.Packet, pseudo uint32) uint16 {
	sum := ip.Sum(p.Head[ip.HeaderLen:], pseudo)
	sum = ip.Sum(p.Body[0], sum)
	if len(p.Body[0])%2 == 1 {
		sum = ip.SumOdd(p.Body[1], sum)
	} else {
		sum = ip.Sum(p.Body[1], sum)
	}
	return ^ip.Fold(sum)
}

func (s *shard) write(p *link.Packet) {
	if err := s.dev.Write(p); err != nil {
		s.counters.WriteErrors++
		return
	}
	s.counters.Written++
}
