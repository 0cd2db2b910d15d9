package tcptest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// hostile is a host that listens on port 81 with Fast Open, and whose peer obeys no rule. Its users answer what they read
// with 1,000 bytes.
type hostile struct {
	*byHand
	l *Listener
}

func newHostile(t *testing.T, most int, o HostOptions) *hostile {
	h := &hostile{byHand: newHand(t, o, tcp.Options{})}
	h.flow.RemotePort = 81
	h.l = h.host.ListenWith(stack.ListenConfig{Port: 81, FastOpen: most})
	h.l.Accept = func(u *User) { h.user, u.want = u, 1000 }
	back := h.host.paths[h.peer.number()]
	tap(back, func(f *Frame) {
		if e := f.end; f.Seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN|tcp.ACK { // the watcher does not know that a SYN with a cookie grants a window
			e.granted = e.iss.Add(1 + uint32(e.peer.syn.Window))
		}
	})
	h.Connect(h.host, nil, *back) // other addresses
	return h
}

// cookie is the one of the peer's address.
func (h *hostile) cookie() []byte {
	f := reverse(h.flow)
	c := h.host.secrets[0].FastOpenCookie(&f, h.now)
	return c.Bytes[:c.Len]
}

// fastOpen is the option.
func fastOpen(cookie []byte) []byte { return append([]byte{34, byte(2 + len(cookie))}, cookie...) }

// evil is a SYN of the peer's, with options as bytes.
type evil struct {
	flags   tcp.Flags // besides SYN; an ACK is of h.ack
	window  uint16
	options []byte
	words   int // the data offset, if it is to be wrong
	text    int
}

// strike has the SYN arrive. The watcher is told of it, and does not judge it.
func (h *hostile) strike(e evil) {
	h.t.Helper()
	text := make([]byte, e.text)
	out := newPattern(h.flow, 0)
	out.fill(text)
	options := append(slices.Clone(e.options), make([]byte, (4-len(e.options)%4)%4)...)
	g := tcp.Segment{SrcPort: h.flow.LocalPort, DstPort: h.flow.RemotePort, Seq: h.iss, Flags: tcp.SYN | e.flags, Window: e.window}
	if e.flags&tcp.ACK != 0 {
		g.Ack = h.ack
	}
	f := &Frame{Src: h.peer, Dst: h.host, Packet: buildRaw(h.flow, &g, options, e.words, text)}
	var p ip.Packet
	if d := p.Parse(f.Packet); d != ip.DropNone {
		h.t.Fatalf("the packet: %v", d)
	}
	if f.parse(&p); f.TCP {
		f.end = h.watch.of(f)
		f.end.begin(&f.Seg)
		f.end.max, f.life = f.Seg.End(), f.end.life
		if e.flags&tcp.ACK != 0 {
			f.end.meet()
		}
	}
	h.After(0, func() { h.host.receive(f) })
}

// buildRaw is a packet whose options are given as bytes, and its data offset as it is if words is not 0.
func buildRaw(f stack.Flow, g *tcp.Segment, options []byte, words int, text []byte) []byte {
	b := make([]byte, ip.HeaderLen+tcp.HeaderLen)
	g.Put(b[ip.HeaderLen:], 0)
	b = append(append(b, options...), text...)
	if words == 0 {
		words = (tcp.HeaderLen + len(options)) / 4
	}
	segment := b[ip.HeaderLen:]
	segment[12] = byte(words)<<4 | segment[12]&15
	binary.BigEndian.PutUint16(segment[16:], ^ip.Fold(ip.Sum(segment, ip.PseudoSum(f.Local, f.Remote, ip.ProtoTCP, len(segment)))))
	head := ip.Header{Src: f.Local, Dst: f.Remote, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: len(b)}
	head.Put(b)
	return b
}

// gone demands that nothing is left when all SYN,ACKs have been sent.
func (h *hostile) gone() {
	h.t.Helper()
	h.RunOut(1_000_000, 1000*second)
	h.CheckIdle()
	if s := h.l.Stats(); s.FastOpen != 0 || s.HalfOpen != 0 {
		h.t.Errorf("left: %+v", s)
	}
	for _, u := range h.l.Users {
		if u.Held || u.Events&tcp.Reset == 0 {
			h.t.Errorf("the user of port %d does not know that nobody was there: events %b", u.flow.RemotePort, u.Events)
		}
	}
}

// Nothing but the valid cookie, whole and in an option of its own length, opens a connection early. What is no cookie by its
// length (RFC 7413 section 4.1.1: 4 to 16 bytes, and even) is as no option at all; what may be one is answered with one that
// is valid. Options that are longer than the header cost the SYN.
func TestFastOpenHostileOptions(t *testing.T) {
	const taken, given, plain, dropped = "taken", "given", "plain", "dropped"
	type row struct {
		name    string
		options func(valid []byte) []byte
		words   int
		want    string
	}
	rows := []row{
		{"none", func([]byte) []byte { return nil }, 0, plain},
		{"valid twice", func(v []byte) []byte { return append(fastOpen(v), fastOpen(v)...) }, 0, taken},
		{"another, then valid", func(v []byte) []byte { return append(fastOpen(make([]byte, 8)), fastOpen(v)...) }, 0, taken},
		{"valid, then another", func(v []byte) []byte { return append(fastOpen(v), fastOpen(make([]byte, 8))...) }, 0, given},
		{"valid, then a request", func(v []byte) []byte { return append(fastOpen(v), fastOpen(nil)...) }, 0, given},
		{"valid after the end", func(v []byte) []byte { return append([]byte{0}, fastOpen(v)...) }, 0, plain},
		{"valid after NOPs", func(v []byte) []byte { return append([]byte{1, 1, 1}, fastOpen(v)...) }, 0, taken},
		{"valid in an unknown option", func(v []byte) []byte { return append([]byte{254, 12}, fastOpen(v)...) }, 0, plain},
		{"beyond the header by one", func(v []byte) []byte { return append([]byte{1, 1}, append([]byte{34, 11}, v...)...) }, 0, dropped},
		{"of length 255", func(v []byte) []byte { return append([]byte{34, 255}, v...) }, 0, dropped},
		{"of length 0", func(v []byte) []byte { return append([]byte{34, 0}, v...) }, 0, dropped},
		{"of length 1", func(v []byte) []byte { return append([]byte{34, 1}, v...) }, 0, dropped},
		{"its kind alone", func([]byte) []byte { return []byte{1, 1, 1, 34} }, 0, dropped},
		{"cut by the data offset", fastOpen, 7, dropped},
		{"in the text", fastOpen, 5, plain},
		{"data offset of 4 words", fastOpen, 4, dropped},
		{"data offset beyond the packet", fastOpen, 15, dropped},
	}
	for n := range 19 {
		want := given
		switch {
		case n == 8:
			want = taken
		case n != 0 && n < 4, n%2 != 0, n > 16:
			want = plain
		}
		longer := func(v []byte) []byte { return fastOpen(append(slices.Clone(v), make([]byte, 10)...)[:n]) }
		rows = append(rows, row{fmt.Sprintf("%d bytes, beginning as the valid one", n), longer, 0, want})
	}
	for bit := range 64 {
		wrong := func(v []byte) []byte { w := slices.Clone(v); w[bit/8] ^= 1 << (bit % 8); return fastOpen(w) }
		rows = append(rows, row{fmt.Sprintf("bit %d wrong", bit), wrong, 0, given})
	}
	for _, r := range rows {
		h := newHostile(t, 10, HostOptions{})
		size := 4
		if r.words == 15 {
			size = 0
		}
		h.strike(evil{window: 60_000, options: r.options(h.cookie()), words: r.words, text: size})
		h.Run(0)
		got := dropped
		if all := h.take(); len(all) > 0 {
			switch o := all[0].Options; {
			case h.user != nil:
				got = taken
			case o.Has&tcp.HasFastOpen == 0:
				got = plain
			case bytes.Equal(o.FastOpen.Bytes[:o.FastOpen.Len], h.cookie()):
				got = given
			}
			if n := all[0].Ack.Sub(h.iss) - 1; (n != 0) != (got == taken) {
				t.Errorf("%s: %d bytes acknowledged", r.name, n)
			}
		}
		if got != r.want {
			t.Errorf("%s: %s, not %s", r.name, got, r.want)
		}
		h.gone()
	}
}

// With a valid cookie, whatever else the SYN has: no more text is taken than there is window for, no FIN, and no text is
// sent into a closed window before the handshake.
func TestFastOpenHostileSYN(t *testing.T) {
	small := settings(func(s *tcp.Settings) { s.ReceiveBuffer, s.ReceiveBufferMax = 4096, 4096 })
	for _, c := range []struct {
		name   string
		o      HostOptions
		syn    evil
		paused bool
		read   uint64
		most   int // of the answer, before the handshake's end
	}{
		{"no text", HostOptions{}, evil{window: 60_000}, false, 0, 1000},
		{"FIN", HostOptions{}, evil{flags: tcp.FIN, window: 60_000}, false, 0, 1000},
		{"text and FIN", HostOptions{}, evil{flags: tcp.FIN, window: 60_000, text: 100}, false, 100, 1000},
		{"text and FIN unread", HostOptions{}, evil{flags: tcp.FIN, window: 60_000, text: 100}, true, 0, 1000},
		{"all flags", HostOptions{}, evil{flags: tcp.FIN | tcp.PSH | tcp.URG | tcp.ECE | tcp.CWR | tcp.AE, window: 60_000, text: 100}, false, 100, 1000},
		{"more text than window", small, evil{window: 60_000, text: 20_000}, false, 4096, 1000},
		{"more text than window, unread", small, evil{window: 60_000, text: 20_000}, true, 0, 1000},
		{"more text than window and FIN", small, evil{flags: tcp.FIN, window: 60_000, text: 20_000}, false, 4096, 1000},
		{"text of a whole datagram", HostOptions{}, evil{window: 60_000, text: 65_000}, false, 65_000, 1000},
		{"window 0", HostOptions{}, evil{text: 100}, false, 100, 0},
		{"window 0, no text", HostOptions{}, evil{}, false, 0, 0},
		{"window 1", HostOptions{}, evil{window: 1, text: 100}, false, 100, 1},
	} {
		h := newHostile(t, 10, c.o)
		accept := h.l.Accept
		h.l.Accept = func(u *User) { accept(u); u.Paused = c.paused }
		c.syn.options = fastOpen(h.cookie())
		h.strike(c.syn)
		h.Run(0)
		if h.user == nil {
			t.Errorf("%s: not opened", c.name)
			continue
		}
		room := min(c.syn.text, 65_535)
		if c.o.TCP != nil {
			room = min(room, c.o.TCP.ReceiveBuffer)
		}
		if n := int(h.got[0].Ack.Sub(h.iss)) - 1; n != room || h.user.Read != c.read || h.user.EOF || h.user.Events&tcp.EOF != 0 {
			t.Errorf("%s: %d bytes acknowledged, %d read, EOF %v", c.name, n, h.user.Read, h.user.EOF)
		}
		h.RunOut(1_000_000, 1000*second)
		end := 0
		for _, g := range h.got {
			if len(g.Text) > 0 {
				end = max(end, int(g.End().Sub(h.got[0].Seq))-1)
			}
		}
		if end > c.most {
			t.Errorf("%s: %d bytes of the answer are sent", c.name, end)
		}
		h.gone()
	}
}

// A RST ends what a cookie has opened if it stands at RCV.NXT, and only then (RFC 5961 section 3).
func TestFastOpenHostileRST(t *testing.T) {
	for _, c := range []struct {
		at   uint32 // from the SYN
		ends bool
	}{{0, false}, {1, false}, {100, false}, {101, true}, {102, false}, {65_000, false}, {70_000, false}} {
		h := newHostile(t, 10, HostOptions{})
		h.strike(evil{window: 60_000, options: fastOpen(h.cookie()), text: 100})
		h.Run(10 * ms)
		h.inject(tcp.Segment{Seq: h.iss.Add(c.at), Flags: tcp.RST})
		if ended := !h.user.Held; ended != c.ends || (h.l.Stats().FastOpen == 0) != c.ends {
			t.Errorf("RST at %d: ended %v, %+v", c.at, ended, h.l.Stats())
		}
		h.gone()
	}
}

// The same SYN again brings the SYN,ACK again, under the limit of one in 500 ms, and its text only once.
func TestFastOpenRepeatedSYN(t *testing.T) {
	h := newHostile(t, 10, HostOptions{})
	syn := evil{window: 60_000, options: fastOpen(h.cookie()), text: 100}
	h.strike(syn)
	h.Run(ms)
	h.take()
	for range 1000 {
		h.strike(syn)
		h.Run(ms / 2)
	}
	if g := h.got[0]; g.Flags != tcp.SYN|tcp.ACK || g.Ack != h.iss.Add(101) || g.Options.Has&tcp.HasFastOpen != 0 {
		t.Errorf("%v of %d, %+v", g.Flags, g.Ack.Sub(h.iss), g.Options)
	}
	if n := len(h.got); n > 2 || h.user.Read != 100 || len(h.l.Users) != 1 {
		t.Errorf("%d segments, %d bytes read by %d users", n, h.user.Read, len(h.l.Users))
	}
	h.gone()
}

// dialEarly has the host dial the peer with text, and returns its SYN.
func (h *hostile) dialEarly(text uint64) got {
	h.t.Helper()
	h.user = h.host.DialWith(stack.DialConfig{FastOpen: true}, h.peer, h.flow.LocalPort)
	h.user.want = text
	h.Run(0)
	g := h.one()
	h.take()
	h.flow.RemotePort, h.ack = g.SrcPort, g.Seq+1
	return g
}

// visit is a connection that the peer answers with options and then resets.
func (h *hostile) visit(options []byte) {
	h.t.Helper()
	h.dialEarly(0)
	h.strike(evil{flags: tcp.ACK, window: 60_000, options: options})
	h.Run(0)
	h.inject(tcp.Segment{Seq: h.iss + 1, Flags: tcp.RST})
	h.take()
}

// A server may give what it likes: only what is a cookie by its length is kept, and shown as it was given. The text goes on
// from wherever the SYN,ACK says, and an ACK of what was not sent is answered by a RST.
func TestFastOpenHostileServer(t *testing.T) {
	for n := range 19 {
		h := newHostile(t, 10, HostOptions{})
		cookie := bytes.Repeat([]byte{0xa5}, n)
		h.visit(fastOpen(cookie))
		g := h.dialEarly(100)
		want := 0
		if n >= 4 && n <= 16 && n%2 == 0 {
			want = n
		}
		if k := g.Options.FastOpen; int(k.Len) != want || !bytes.Equal(k.Bytes[:want], cookie[:want]) || (len(g.Text) == 100) != (want > 0) {
			t.Errorf("a cookie of %d bytes: %d bytes of text with %+v", n, len(g.Text), k)
		}
		h.user.Abort()
		h.gone()
	}
	for _, k := range []int{0, 1, 50, 99, 100, -1, 101, 70_000, -70_000, 1 << 31} {
		h := newHostile(t, 10, HostOptions{})
		h.visit(fastOpen(make([]byte, 16)))
		g := h.dialEarly(100)
		h.ack = g.Seq.Add(uint32(1 + k))
		h.strike(evil{flags: tcp.ACK, window: 60_000})
		h.Run(0)
		answer := h.one()
		if k < 0 || k > 100 {
			if answer.Flags != tcp.RST || answer.Seq != h.ack || h.user.Events != 0 {
				t.Errorf("acknowledged %d: %v, events %b", k, answer.Flags, h.user.Events)
			}
		} else if answer.Seq != h.ack || len(answer.Text) != 100-k || h.user.Events&tcp.Opened == 0 {
			t.Errorf("acknowledged %d: %d bytes from %d on, events %b", k, len(answer.Text), answer.Seq.Sub(g.Seq)-1, h.user.Events)
		}
		h.user.Abort()
		h.gone()
	}
}

// 10,000 SYNs with valid cookies, from one address or from as many, whose handshakes never end: as many are opened as
// FastOpen says, the others cost what a SYN costs, and when the SYN,ACKs are spent nothing is left. What has ended makes room
// for as many again.
func TestFastOpenFlood(t *testing.T) {
	const (
		syns = 10_000
		most = 16
	)
	for _, addresses := range []int{1, syns} {
		o := HostOptions{}
		o.Limits.HalfOpen = 100
		h := newHostile(t, most, o)
		h.Log.Verbose = false
		first := h.flow
		for round := range 2 {
			for i := range syns {
				a := i % addresses
				h.flow.LocalPort = first.LocalPort + uint16(i)
				h.flow.Local = ip.V4([4]byte{172, byte(16 + a>>16), byte(a >> 8), byte(a)})
				h.iss = seq.Num(i * 1000)
				h.strike(evil{window: 60_000, options: fastOpen(h.cookie()), text: 100})
				if i%50 == 49 {
					h.Run(0)
				}
				if s := h.l.Stats(); s.FastOpen > most || s.HalfOpen > 100 {
					t.Fatalf("SYN %d: %+v", i, s)
				}
			}
			c := h.host.Stack.Counters(0)
			if len(h.l.Users) != (round+1)*most || c.FastOpens != uint64((round+1)*most) || c.Conns != most || c.HalfOpen != 100 ||
				c.CookiesSent != uint64((round+1)*(syns-most-100)) {
				t.Fatalf("%d users, %d opened early, %d connections, %d half-open, %d SYN cookies",
					len(h.l.Users), c.FastOpens, c.Conns, c.HalfOpen, c.CookiesSent)
			}
			if c.Rings == 0 || c.Rings > most*8192 {
				t.Errorf("%d bytes of rings", c.Rings)
			}
			h.gone()
			if c := h.host.Stack.Counters(0); c.Rings != 0 || c.Conns != 0 {
				t.Errorf("left: %d bytes of rings of %d connections", c.Rings, c.Conns)
			}
		}
	}
}
