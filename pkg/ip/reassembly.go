package ip

// Reassembler puts fragments together (RFC 791 3.2, RFC 815, RFC 1122 3.3.2).
//
// A fragment that no honest sender makes (one that overlaps another, that disagrees about the end, that is tiny, too
// long, or one too many) condemns its datagram: all of it is dropped, and so is what still comes of it until the
// time-out (RFC 5722 4). Exact duplicates are ignored.
//
// The time-out runs from a datagram's first arrival and is not extended (RFC 1122 3.3.2); so the oldest
// datagram is always the next to expire.
type Reassembler struct {
	maxBytes       int
	timeout        int64 // ns
	datagrams      map[key]*datagram
	oldest, newest *datagram
	bytes          int // what all datagrams cost; at most maxBytes between calls
	stats          Stats
	buffer         []byte // the whole datagram last returned
}

// Stats tells what became of the fragments that were held. At any time the number of fragments that Add answered with
// DropFragmentHeld is Held plus the Fragments of all outcomes.
type Stats struct {
	Completed Outcome // became whole
	TimedOut  Outcome // lacked a part when the time was over
	Evicted   Outcome // were the oldest when the byte cap was met
	Condemned Outcome // met a fragment that no honest sender makes
	Held      uint64  // fragments held now
}

// Outcome counts datagrams, and the fragments held of them at that time. The fragment that brought the outcome about
// is not among these: it was answered by that.
type Outcome struct{ Datagrams, Fragments uint64 }

// NewReassembler returns a Reassembler that holds at most maxBytes, bookkeeping included but not the one buffer of up
// to 64 KiB for the whole datagram, and a datagram for timeout nanoseconds (RFC 1122 3.3.2 recommends 60 to
// 120 s, Linux takes 30).
func NewReassembler(maxBytes int, timeout int64) *Reassembler {
	return &Reassembler{maxBytes: maxBytes, timeout: timeout, datagrams: map[key]*datagram{}}
}

// Add takes fragment p, of which nothing is kept but copies. When p completes its datagram, whole is the packet, valid
// until the next call, with DropNone; its header is that of the first fragment, mended. Otherwise whole is nil and d
// says what became of p, DropFragmentHeld if it is kept (which allocates). A p that is no fragment is whole by itself.
//
// Time passes by Expire alone: until that is called, a datagram whose time is over may yet be completed.
func (r *Reassembler) Add(now int64, p *Packet) (whole []byte, d Drop) {
	if len(p.Header) < HeaderLen || len(p.Header) > maxHeader {
		return nil, DropHeaderLength
	}
	if !p.Fragment() {
		r.buffer = append(append(r.buffer[:0], p.Header...), p.Payload...)
		return r.buffer, DropNone
	}
	g := r.find(now, p)
	if g.condemned {
		return nil, DropFragmentCondemned
	}
	i, d := g.check(p)
	switch d {
	case DropNone:
		return r.keep(g, i, p)
	case DropFragmentDuplicate:
		return nil, d
	}
	r.condemn(g)
	r.makeRoom(nil)
	return nil, d
}

// keep puts p, which was checked, into g at i, and ends g if that makes it whole or there is no room.
func (r *Reassembler) keep(g *datagram, i int, p *Packet) (whole []byte, d Drop) {
	held := uint64(len(g.pieces))
	r.bytes -= g.cost()
	g.insert(i, p)
	r.bytes += g.cost()
	if g.whole() {
		r.buffer = g.appendTo(r.buffer[:0])
		r.end(g, &r.stats.Completed, held)
		return r.buffer, DropNone
	}
	r.makeRoom(g)
	if r.bytes > r.maxBytes { // g has become the oldest
		r.end(g, &r.stats.Evicted, held)
		return nil, DropFragmentSpace
	}
	r.stats.Held++
	return nil, DropFragmentHeld
}

// find returns p's datagram, a new one if there is none.
func (r *Reassembler) find(now int64, p *Packet) *datagram {
	k := key{src: p.Src, dst: p.Dst, id: p.ID, proto: p.Proto}
	if g := r.datagrams[k]; g != nil {
		return g
	}
	g := &datagram{key: k, deadline: now + r.timeout, older: r.newest}
	if r.newest != nil {
		r.newest.newer = g
	} else {
		r.oldest = g
	}
	r.newest = g
	r.datagrams[k] = g
	r.bytes += g.cost()
	return g
}

// condemn drops what is there of g and keeps its name.
func (r *Reassembler) condemn(g *datagram) {
	r.count(&r.stats.Condemned, uint64(len(g.pieces)))
	r.bytes -= g.cost()
	g.pieces, g.text, g.headerLen, g.condemned = nil, nil, 0, true
	r.bytes += g.cost()
}

// makeRoom ends the oldest datagrams while there is too much, but not keep.
func (r *Reassembler) makeRoom(keep *datagram) {
	for r.bytes > r.maxBytes && r.oldest != nil && r.oldest != keep {
		r.end(r.oldest, &r.stats.Evicted, uint64(len(r.oldest.pieces)))
	}
}

// end forgets g, of which held fragments were held.
func (r *Reassembler) end(g *datagram, o *Outcome, held uint64) {
	if !g.condemned {
		r.count(o, held)
	}
	r.bytes -= g.cost()
	delete(r.datagrams, g.key)
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		r.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		r.newest = g.older
	}
}

func (r *Reassembler) count(o *Outcome, held uint64) {
	o.Datagrams++
	o.Fragments += held
	r.stats.Held -= held
}

// Expire drops the datagrams whose time is over, and returns how many; those that were dropped before are not counted.
func (r *Reassembler) Expire(now int64) int { return r.ExpireFunc(now, nil) }

// ExpireFunc is Expire that calls dropped, if not nil, with the first fragment of each datagram whose first fragment
// had come: RFC 1122 3.3.2 has a host answer those with TimeExceeded. The fragment is valid during the call, which
// must not use r.
func (r *Reassembler) ExpireFunc(now int64, dropped func(first *Packet)) int {
	n := 0
	var p Packet
	for g := r.oldest; g != nil && g.deadline <= now; g = r.oldest {
		if !g.condemned {
			n++
			if dropped != nil && g.first(&p) {
				dropped(&p)
			}
		}
		r.end(g, &r.stats.TimedOut, uint64(len(g.pieces)))
	}
	return n
}

// Deadline is when to call Expire, in ns; 0 when nothing is held.
func (r *Reassembler) Deadline() int64 {
	if r.oldest == nil {
		return 0
	}
	return r.oldest.deadline
}

// SetMost changes how many bytes are held at most. Beyond them the oldest datagrams are dropped at once.
func (r *Reassembler) SetMost(bytes int) {
	r.maxBytes = bytes
	r.makeRoom(nil)
}

// Bytes is what is held now, in bytes, bookkeeping included.
func (r *Reassembler) Bytes() int { return r.bytes }

// Stats returns the counters.
func (r *Reassembler) Stats() Stats { return r.stats }
