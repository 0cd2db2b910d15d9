package tcp

import (
	"slices"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// acked gathers what one acknowledgment says, while it is worked through.
type acked struct {
	prior    uint32        // pipe before it, bytes
	bytes    uint32        // by which SND.UNA moved
	new      uint32        // delivered: by SND.UNA or by SACK
	lost     uint32        // found lost
	lostAt   mono.Time     // when the last sent of it was sent
	oldest   mono.Duration // round trip of the oldest segment that it acknowledges and that was sent once; 0: none
	newest   mono.Duration // of the newest
	sample   span          // the newest of those delivered
	any      bool          // sample is set
	original bool          // something sent once was delivered
	early    bool          // and it was sent before the episode under way
	resent   bool          // something sent again was delivered
	selected bool          // something was delivered by SACK
	dsack    bool          // the peer reports a duplicate
	undone   bool          // it has shown an episode to be spurious
}

// delivered takes a run [from, s.end) that the peer now has and did not have before.
func (c *Conn) delivered(now mono.Time, g *Segment, from seq.Num, s span, a *acked) {
	a.new += s.end.Sub(from)
	c.rate.delivered += uint64(s.end.Sub(from))
	rtt := now.Sub(s.at)
	if s.probe {
		c.probeTaken(now)
	}
	a.resent = a.resent || s.again
	if !s.again {
		a.original = true
		a.early = a.early || s.end.LessEq(c.snd.recover)
		a.oldest = max(a.oldest, rtt, 1)
		if a.newest == 0 || rtt < a.newest {
			a.newest = max(rtt, 1)
		}
	}
	if !a.any || s.at > a.sample.at || s.at == a.sample.at && a.sample.end.Less(s.end) {
		a.any, a.sample = true, s
	}
	if s.fate == lost && !s.again {
		c.rackLate(rtt - c.rack.rtt)
	}
	c.rackDelivered(g, from, s, rtt)
}

// advance lets the scoreboard follow SND.UNA to ack.
func (c *Conn) advance(x *Env, now mono.Time, g *Segment, ack seq.Num, a *acked) {
	if c.snd.flight == 0 {
		return
	}
	f := &x.Memory.flights[c.snd.flight]
	from := c.snd.una
	for len(f.live()) > 0 && from != ack {
		s := f.live()[0]
		whole := s.end.LessEq(ack)
		if !whole {
			s.end = ack
		}
		f.uncount(s.fate, s.end.Sub(from))
		if s.fate != sacked {
			c.delivered(now, g, from, s, a)
		}
		from = s.end
		if whole {
			f.pop()
		}
	}
	if len(f.live()) == 0 {
		x.Memory.freeFlight(&c.snd.flight)
	}
}

func (f *flight) count(as fate, n uint32) {
	switch as {
	case sacked:
		f.sacked += n
	case lost:
		f.lost += n
	}
}

func (f *flight) uncount(as fate, n uint32) {
	switch as {
	case sacked:
		f.sacked -= n
	case lost:
		f.lost -= n
	}
}

// mark gives span i another fate.
func (f *flight) mark(una seq.Num, i int, as fate) {
	s := &f.live()[i]
	n := s.end.Sub(f.start(una, i))
	f.uncount(s.fate, n)
	f.count(as, n)
	s.fate = as
}

// takeSACK takes the blocks of a segment (RFC 2018 section 5, RFC 2883). prior is SND.UNA before the segment.
func (c *Conn) takeSACK(x *Env, now mono.Time, g *Segment, prior seq.Num, a *acked) {
	blocks := g.Options.SACK[:g.Options.Blocks]
	if len(blocks) == 0 || !c.is(factSACK) {
		return
	}
	if c.isDSACK(blocks, g.Ack) {
		c.takeDSACK(blocks[0], prior, a)
		blocks = blocks[1:]
	}
	// The newest comes first. In the order of the stream, an older one that is new to us is no sign of reordering.
	slices.SortFunc(blocks, func(a, b Block) int { return int(int32(a.From - b.From)) })
	for _, b := range blocks {
		b.From = seq.Max(b.From, c.snd.una)
		if c.snd.flight == 0 || !b.From.Less(b.To) || c.snd.nxt.Less(b.To) || !b.From.Less(c.snd.nxt) {
			continue // nothing of ours; From half the ring away passes each of the other comparisons
		}
		f := &x.Memory.flights[c.snd.flight]
		if b = f.whole(c.snd.una, b, uint32(c.snd.mss)); !b.From.Less(b.To) {
			x.Count.SACKIgnored++
			continue
		}
		if i := f.index(c.snd.una, b.From); f.live()[i].fate == sacked && b.To.LessEq(f.live()[i].end) {
			continue
		}
		if len(f.live()) >= x.Memory.mostSpans() {
			x.Count.SACKIgnored++
			continue
		}
		c.selected(f, now, g, b, a)
		x.Memory.weigh(f)
	}
}

// whole is what a block within the flight covers of segments of mss bytes that it covers whole, as with Linux: no receiver
// has a part of a segment, but one who wants our list of spans to grow.
func (f *flight) whole(una seq.Num, b Block, mss uint32) Block {
	i, j := f.index(una, b.From), f.index(una, b.To-1)
	if part := b.From.Sub(f.start(una, i)) % mss; part > 0 {
		b.From = seq.Min(b.From.Add(mss-part), f.live()[i].end)
	}
	if b.To != f.live()[j].end {
		b.To -= seq.Num(b.To.Sub(f.start(una, j)) % mss)
	}
	return b
}

// selected marks what a block covers.
func (c *Conn) selected(f *flight, now mono.Time, g *Segment, b Block, a *acked) {
	i := f.cut(c.snd.una, b.From)
	j := f.cut(c.snd.una, b.To)
	for k := i; k < j; k++ {
		s := f.live()[k]
		if s.fate != sacked {
			a.selected = true
			c.delivered(now, g, f.start(c.snd.una, k), s, a)
			f.mark(c.snd.una, k, sacked)
		}
	}
	f.join(i)
}

// isDSACK reports that the first block tells of a duplicate: it lies below the ACK, or within the second block
// (RFC 2883 section 4).
func (c *Conn) isDSACK(b []Block, ack seq.Num) bool {
	switch {
	case !b[0].From.Less(b[0].To):
		return false
	case b[0].From.Less(ack):
		return true
	}
	return len(b) > 1 && b[1].From.LessEq(b[0].From) && b[0].To.LessEq(b[1].To)
}

// takeDSACK takes the report of a duplicate: a retransmission of this episode was not needed.
func (c *Conn) takeDSACK(b Block, prior seq.Num, a *acked) {
	a.dsack = true
	c.count.dsacks++
	n := b.To.Sub(b.From)
	if c.is(factUndo) && c.episode.resent > 0 && b.To.LessEq(c.snd.recover) && n <= 1<<30 {
		c.episode.resent -= min(c.episode.resent, n)
		c.set(factReordering) // what was sent again came, and late
	}
	c.rackDuplicate(prior)
}

// The receiver's side.

// noteArrival keeps the order in which text beyond a hole came, for the blocks to be reported (RFC 2018 section 4).
func (h *holes) noteArrival(at seq.Num) {
	copy(h.recent[1:], h.recent[:])
	h.recent[0] = at
}

// duplicate notes text that we had already, for the next ACK to report (RFC 2883).
func (c *Conn) duplicate(from, to seq.Num) {
	if c.is(factSACK) && from.Less(to) {
		c.rcv.dup = Block{from, to}
		c.set(factDSACK)
	}
}

// blocks fills in what the next ACK reports, room permitting: a duplicate first, then the runs beyond holes, the
// newest first.
func (c *Conn) blocks(x *Env, o *Options) {
	if !c.is(factSACK) || c.rcv.holes == 0 && !c.is(factDSACK) {
		return
	}
	most := 4
	if c.is(factTimestamps) {
		most = 3
	}
	add := func(b Block) {
		for _, have := range o.SACK[min(o.Blocks, c.first()):o.Blocks] {
			if have == b {
				return
			}
		}
		if int(o.Blocks) < most {
			o.SACK[o.Blocks] = b
			o.Blocks++
		}
	}
	if c.is(factDSACK) {
		add(c.rcv.dup)
	}
	if c.rcv.holes == 0 {
		return
	}
	h := &x.Memory.holes[c.rcv.holes]
	if b, ok := h.holding(c.rcv.dup.From); ok && c.is(factDSACK) {
		add(b) // second, so that the first is known for a duplicate (RFC 2883 section 4)
	}
	for _, at := range h.recent {
		if b, ok := h.holding(at); ok {
			add(b)
		}
	}
	for i := len(h.run) - 1; i >= 0 && int(o.Blocks) < most; i-- {
		add(h.run[i])
	}
}

// first is how many blocks the duplicate takes: it may stand again among the others.
func (c *Conn) first() uint8 {
	if c.is(factDSACK) {
		return 1
	}
	return 0
}
