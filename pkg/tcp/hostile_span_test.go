package tcp

import "testing"

// spansOf is how many spans the scoreboard of e has, and how much room they take.
func (e *end) spansOf() (n, room int) {
	if e.c.snd.flight == 0 {
		return 0, 0
	}
	f := &e.x.Memory.flights[e.c.snd.flight]
	return len(f.live()), cap(f.spans) * spanBytes
}

// A peer who acknowledges each small segment by itself, at a time of its own, has the sender note as many sendings as there
// are segments in flight: neighbours are merged beyond a bound, and what was sent when is forgotten before anything grows.
func TestScoreboardIsBounded(t *testing.T) {
	p := established(t)
	a := &p.a
	a.c.snd.mss, a.c.cw.MSS, a.c.mtu.most = MinMSS, MinMSS, MinMSS
	a.c.snd.wnd, a.c.snd.maxWnd, a.c.cw.Cwnd = 16<<20, 16<<20, 16<<20
	a.c.SetBuffers(16<<20, 0)
	most := 0
	for range 3 * maxSpans {
		p.now++
		a.c.Write(a.x, make([]byte, MinMSS))
		p.drain(a)
		n, _ := a.spansOf()
		most = max(most, n)
	}
	if most < maxSpans/2 || most > maxSpans+2 {
		t.Errorf("%d spans", most)
	}
	_, room := a.spansOf()
	if a.x.Memory.Lists != room || room > 4*maxSpans*spanBytes {
		t.Errorf("they take %d bytes, and %d are counted", room, a.x.Memory.Lists)
	}
	p.next(a) // the time-out, after which each is sent again by itself
	for range maxSpans {
		p.now++
		g := a.expects(p.now)
		g.Ack, g.Window = a.c.snd.una+1, 65535
		p.deliver(a, &g)
		p.drain(a)
		n, _ := a.spansOf()
		most = max(most, n)
	}
	if most > maxSpans+2 {
		t.Errorf("after a time-out %d spans", most)
	}
}

// While all lists together take more than an eighth of the memory, each is kept short; what a SACK would cut is ignored, and
// counted.
func TestListsAreBoundedTogether(t *testing.T) {
	p := established(t)
	a, b := &p.a, &p.b
	a.x.Memory.Limit, a.x.Memory.Lists = 8<<20, 2<<20 // by others
	a.c.SetNoDelay(true)
	for range 10 * fewSpans {
		p.now++
		a.c.Write(a.x, make([]byte, 10))
		p.drain(a)
	}
	if n, _ := a.spansOf(); n > fewSpans+2 {
		t.Errorf("%d spans", n)
	}
	b.x.Memory.Limit, b.x.Memory.Lists = 8<<20, 2<<20
	kept := 0
	for k := range 2 * fewHoles {
		g := b.expects(p.now)
		g.Seq, g.Text = g.Seq.Add(uint32(20*k+10)), make([]byte, 10)
		if p.deliver(b, &g) == DropNone {
			kept++
		}
		p.drain(b)
	}
	if kept != fewHoles {
		t.Errorf("%d runs out of order were kept", kept)
	}
}
