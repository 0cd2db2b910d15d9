package tcptest

import (
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// watcher holds every segment against what RFC 9293 lets a host send, given what has reached it.
type watcher struct {
	world *World
	ends  map[stack.Flow]*end
	fresh []*end // that have been told something in this turn
}

// end is one end of a connection, as the wire knows it.
type end struct {
	host *Host
	flow stack.Flow
	peer *end

	gone   bool   // its stack has vanished, and has sent no SYN since
	opens  bool   // it has left LISTEN, and has sent nothing since
	frames uint64 // that it has sent
	life   int    // incarnations: SYNs with a new sequence number
	knows  int    // the peer's incarnation that this end has answered
	syn    tcp.Segment
	iss    seq.Num
	max    seq.Num // the end of all that was sent
	fin    bool    // a FIN was sent, at max-1
	far    bool    // max is so far from iss that they do not compare

	came    seq.Num // the end of all of the peer's that has reached this end
	gotFIN  bool    // the peer's FIN has reached this end
	edge    seq.Num // the right edge that this end has advertised
	granted seq.Num // the right edge of the peer's that has reached this end
	synCame bool    // the peer's SYN has reached this end

	got  received
	own  known
	said said
}

func newWatcher(w *World) *watcher { return &watcher{world: w, ends: map[stack.Flow]*end{}} }

// of returns the sending end of a frame.
func (w *watcher) of(f *Frame) *end {
	e := w.ends[f.Flow]
	if e == nil {
		e = &end{host: f.Src, flow: f.Flow}
		back := stack.Flow{Local: f.Flow.Remote, Remote: f.Flow.Local, LocalPort: f.Flow.RemotePort, RemotePort: f.Flow.LocalPort}
		e.peer = &end{host: f.Dst, flow: back, peer: e}
		w.ends[f.Flow], w.ends[back] = e, e.peer
	}
	return e
}

func (w *watcher) fail(f *Frame, format string, args ...any) {
	w.world.failAs(format, "%s sends %s: "+format, append([]any{f.Src.Name, w.world.Log.segment(f)}, args...)...)
}

// vanished is for a host that has forgotten all its connections. What it has sent is still on its way.
func (w *watcher) vanished(h *Host) {
	for _, e := range w.ends {
		if e.host == h && e.life > 0 {
			e.gone = true
			e.synCame, e.gotFIN, e.came, e.granted = false, false, e.peer.iss, 0
			e.got, e.said.resets = received{}, 0
		}
	}
}

// sent looks at a segment that leaves its host.
func (w *watcher) sent(f *Frame) {
	e, g := w.of(f), &f.Seg
	f.end = e
	began := g.Flags&tcp.SYN != 0 && (e.life == 0 || e.gone || g.Seq != e.iss)
	if began {
		e.begin(g)
	}
	if e.opens && g.Flags&tcp.RST == 0 && !e.gone && e.life > 0 && !began {
		e.reopen()
	}
	e.opens = e.opens && g.Flags&tcp.RST != 0
	f.life = e.life
	if e.gone && g.Flags&tcp.RST == 0 {
		w.fail(f, "of a connection that vanished with its host")
	}
	if g.Flags&(tcp.ACK|tcp.RST) == tcp.ACK && e.synCame && e.peer.iss.Less(g.Ack) && g.Ack.LessEq(e.came) {
		e.meet()
		if g.Flags&tcp.SYN != 0 {
			e.grant(e.iss.Add(1 + uint32(e.peer.syn.Window))) // to one opened by a cookie
		}
	}
	w.options(f, e)
	strict := w.world.Strict
	if strict {
		w.header(f)
	}
	if strict && g.Flags&tcp.RST != 0 {
		w.reset(f, e)
	}
	if g.Flags&tcp.RST != 0 || e.life == 0 || e.knows != e.peer.life && g.Flags&tcp.ACK != 0 {
		if g.Flags&tcp.RST == 0 && e.life > 0 && g.Seq.LessEq(e.max) {
			e.reach(g)
		}
		return // of no connection, or of one that has made room for another, and does not know it yet
	}
	if strict {
		w.sends(f, e)
		w.fin(f, e)
	}
	w.stream(f, e)
	if g.Flags&tcp.ACK != 0 {
		w.acknowledges(f, e)
	}
	if strict {
		w.strict(f, e)
	}
}

// begin is a new incarnation of this end.
func (e *end) begin(g *tcp.Segment) {
	e.life++
	e.gone = false
	e.syn, e.iss, e.max, e.fin, e.far = *g, g.Seq, g.Seq, false, false
	e.syn.Text = nil
	e.peer.came, e.peer.gotFIN, e.peer.synCame = g.Seq, false, false
	e.peer.got.have, e.peer.got.twice, e.peer.got.ts = nil, nil, stamps{}
	e.granted, e.knows = 0, 0
	e.own, e.said = known{told: g.Seq, heard: g.Seq, next: g.Seq}, said{resets: e.said.resets}
}

// reopen is for a late segment that has opened a connection again by its SYN cookie: nothing tells that a cookie has been
// used. No SYN,ACK goes out, and the numbers are the same. So they are if a late SYN opens it within a tick of the clock
// from which they come.
func (e *end) reopen() {
	e.max, e.fin, e.far, e.edge = e.iss+1, false, false, e.peer.iss+1
	e.own, e.said = known{told: e.iss, heard: e.iss, next: e.iss}, said{resets: e.said.resets}
}

// opened is for a connection that has left LISTEN.
func (w *watcher) opened(f stack.Flow) {
	if e := w.ends[f]; e != nil {
		e.opens = true
	}
}

// grant notes a right edge that has reached this end.
func (e *end) grant(right seq.Num) {
	if e.granted == 0 {
		e.granted = right
	}
	e.granted = seq.Max(e.granted, right)
}

// meet notes that this end answers the peer's present incarnation.
func (e *end) meet() {
	if e.knows != e.peer.life {
		e.knows = e.peer.life
		e.edge = e.peer.iss + 1
		if e.syn.Flags&tcp.ACK == 0 { // our SYN promised this much
			e.edge = e.edge.Add(uint32(e.syn.Window))
		}
	}
}

// agreed reports whether both SYNs carried the option.
func (e *end) agreed(o tcp.Has) bool { return e.syn.Options.Has&e.peer.syn.Options.Has&o != 0 }

func (e *end) scaled(g *tcp.Segment) uint32 {
	if g.Flags&tcp.SYN != 0 || !e.agreed(tcp.HasWindowScale) {
		return uint32(g.Window)
	}
	return uint32(g.Window) << e.syn.Options.WindowScale
}

// unit is what the window field counts in, in bytes.
func (e *end) unit() uint32 { return e.scaled(&tcp.Segment{Window: 1}) }

// stream checks the segment's place in the send sequence space.
func (w *watcher) stream(f *Frame, e *end) {
	g := &f.Seg
	n := uint32(len(g.Text))
	switch {
	case g.Seq+1 == e.iss && n == 0: // a keep-alive before anything was sent
	case !e.far && g.Seq.Less(e.iss):
		w.fail(f, "before its SYN")
	case e.max.Less(g.Seq) && g.Flags&tcp.SYN == 0:
		w.fail(f, "leaves out %d..%d", e.max-e.iss, g.Seq-e.iss)
	case e.fin && (e.max.Less(g.End()) || g.Flags&tcp.FIN != 0 && g.End() != e.max):
		w.fail(f, "its FIN was at %d", e.max-1-e.iss)
	case n > 1 && g.Flags&tcp.SYN == 0 && e.granted.Less(g.Seq.Add(n)): // of a SYN with text nothing has been granted
		w.fail(f, "%d beyond the window, which ends at %d", g.Seq.Add(n)-e.granted, e.granted-e.iss)
	}
	if n > 0 && g.Flags&tcp.SYN == 0 { // else it is the MSS of a connection before
		w.size(f, e)
	}
	if n > 0 && !w.world.Blind {
		w.content(f, e)
	}
	e.reach(g)
}

// reach notes how far the stream has been sent.
func (e *end) reach(g *tcp.Segment) {
	e.max = seq.Max(e.max, g.End())
	e.far = e.far || e.max.Sub(e.iss) > 1<<30
	e.fin = e.fin || g.Flags&tcp.FIN != 0
}

// size holds the text against the peer's MSS (RFC 6691: options are taken off).
func (w *watcher) size(f *Frame, e *end) {
	mss := 536
	if e.peer.syn.Options.Has&tcp.HasMSS != 0 {
		mss = int(e.peer.syn.Options.MSS)
	}
	options := len(f.Packet) - len(f.Seg.Text) - 40
	n := len(f.Seg.Text)
	if f.GSO != 0 {
		if n <= int(f.GSO) {
			w.fail(f, "a superframe of one segment")
		}
		n = int(f.GSO)
	}
	if n+options > mss {
		w.fail(f, "the peer's MSS is %d, options are %d", mss, options)
	}
}

// content compares the text with what the users write.
func (w *watcher) content(f *Frame, e *end) {
	at := f.Seg.Seq
	if f.Seg.Flags&tcp.SYN != 0 {
		at++
	}
	p := newPattern(e.flow, uint64(at-e.iss-1))
	if k := p.compare(f.Seg.Text); k >= 0 {
		w.fail(f, "byte %d is not what was written", k)
	}
}

// acknowledges checks ACK and window.
func (w *watcher) acknowledges(f *Frame, e *end) {
	g := &f.Seg
	if !e.peer.far && g.Ack.Less(e.peer.iss) || e.came.Less(g.Ack) {
		w.fail(f, "up to %d has come", e.came-e.peer.iss)
		return
	}
	if e.peer.fin && g.Ack == e.peer.max {
		return // no text can follow: the window says nothing
	}
	right := g.Ack.Add(e.scaled(g))
	// A SYN's window is not scaled: it may not say all that was promised. Others lose less than a unit (RFC 7323 2.4).
	if right.Add(e.unit()-1).Less(e.edge) && g.Flags&tcp.SYN == 0 {
		w.fail(f, "the right edge goes back from %d to %d", e.edge-e.peer.iss, right-e.peer.iss)
	}
	e.edge = seq.Max(e.edge, right)
}

// options checks which options a segment carries.
func (w *watcher) options(f *Frame, e *end) {
	g := &f.Seg
	const onlySYN = tcp.HasMSS | tcp.HasWindowScale | tcp.HasSACKPermitted
	has := g.Options.Has
	switch {
	case g.Flags&(tcp.SYN|tcp.RST) == 0 && has&onlySYN != 0:
		w.fail(f, "an option of a SYN")
	case g.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN|tcp.ACK && e.knows == e.peer.life &&
		has&^e.peer.syn.Options.Has&(tcp.HasWindowScale|tcp.HasTimestamps|tcp.HasSACKPermitted) != 0:
		w.fail(f, "an option that the peer's SYN has not")
	case g.Flags&tcp.RST == 0 && g.Flags&tcp.SYN == 0 && e.life > 0 && e.knows == e.peer.life &&
		(has&tcp.HasTimestamps != 0) != e.agreed(tcp.HasTimestamps):
		w.fail(f, "timestamps were agreed: %v", e.agreed(tcp.HasTimestamps))
	case g.Flags&tcp.ACK == 0 && g.Options.TSEcr != 0:
		w.fail(f, "TSecr without ACK")
	case g.Options.Blocks > 0 && !e.agreed(tcp.HasSACKPermitted):
		w.fail(f, "SACK was not agreed")
	case g.Flags == 0 || g.Flags&(tcp.SYN|tcp.FIN) == tcp.SYN|tcp.FIN || g.Flags&(tcp.SYN|tcp.RST) == tcp.SYN|tcp.RST:
		w.fail(f, "flags")
	}
}

// arrived looks at a frame that a host has read.
func (w *watcher) arrived(h *Host, f *Frame) {
	if f.corrupted || f.end == nil || f.Seg.Flags&tcp.RST != 0 {
		return
	}
	f.end.peer.got.question(&f.Seg)
	if f.end.life != f.life {
		return
	}
	from, e, g := f.end, f.end.peer, &f.Seg
	e.take(w, f)
	if g.Flags&tcp.SYN != 0 {
		e.synCame = true
	}
	e.came = seq.Max(e.came, g.End())
	if g.Flags&tcp.ACK != 0 && from.knows == e.life {
		e.grant(g.Ack.Add(from.scaled(g)))
	}
	if g.Flags&tcp.SYN != 0 && g.Flags&tcp.ACK == 0 && e.granted == 0 && e.life > 0 {
		e.granted = e.iss.Add(1 + uint32(g.Window)) // simultaneous open
	}
}
