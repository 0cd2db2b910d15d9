package lib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// TCP Fast Open (RFC 7413) with the kernel at the other end.

// earlyWire lies between a stack and its TUN, whose one queue makes an order of all segments. It notes them, and lets its
// test change or lose them.
type earlyWire struct {
	mu    sync.Mutex
	segs  []earlySegment
	meets func(g *earlySegment) (lose bool) // the segments noted so far are w.segs; nil loses none
}

// earlySegment is one segment or superframe.
type earlySegment struct {
	tcp.Segment
	ours   bool
	lost   bool
	cookie []byte // of the packet itself, to be changed
}

type earlyDevice struct {
	link.Device
	wire *earlyWire
}

func (w *earlyWire) wrap(l *link.Link) *link.Link {
	wrapped := *l
	wrapped.Queues = nil
	for _, q := range l.Queues {
		wrapped.Queues = append(wrapped.Queues, &earlyDevice{q, w})
	}
	return &wrapped
}

// Read implements link.Device.
func (d *earlyDevice) Read(b *link.Batch) error {
	err := d.Device.Read(b)
	b.Packets = slices.DeleteFunc(b.Packets, func(p link.Packet) bool { return d.wire.passes(&p, false) })
	return err
}

// Write implements link.Device. What may be changed is a copy: p is the stack's.
func (d *earlyDevice) Write(p *link.Packet) error {
	q := *p
	q.Head = slices.Clone(p.Head)
	if d.wire.passes(&q, true) {
		return nil
	}
	return d.Device.Write(&q)
}

// passes notes a packet and reports whether it is lost.
func (w *earlyWire) passes(p *link.Packet, ours bool) (lost bool) {
	var whole ip.Packet
	g := earlySegment{ours: ours}
	if whole.Parse(p.AppendTo(nil)) != ip.DropNone || whole.Proto != ip.ProtoTCP || g.Parse(whole.Payload) != tcp.DropNone {
		return false
	}
	g.cookie = cookieIn(p.Head[ip.HeaderLen:])
	was := slices.Clone(g.cookie)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.meets != nil {
		g.lost = w.meets(&g)
	}
	if !bytes.Equal(was, g.cookie) && !p.NeedsChecksum {
		panic("the checksum of a changed cookie is wrong")
	}
	g.cookie = slices.Clone(g.cookie)
	w.segs = append(w.segs, g)
	return g.lost
}

// cookieIn is the cookie of a TCP header; nil without the option.
func cookieIn(h []byte) []byte {
	const end, nop, fastOpen = 0, 1, 34
	for o := h[tcp.HeaderLen : int(h[12]>>4)*4]; len(o) > 1 && o[0] != end; {
		switch {
		case o[0] == nop:
			o = o[1:]
			continue
		case o[0] == fastOpen:
			return o[2:o[1]:o[1]]
		}
		o = o[o[1]:]
	}
	return nil
}

// begin forgets what was noted; meets is for what comes.
func (w *earlyWire) begin(meets func(*earlySegment) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.segs, w.meets = nil, meets
}

// noted is what has gone by since begin.
func (w *earlyWire) noted() []earlySegment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.segs)
}

// answeredFirst loses all that the client sends after its SYN, and so the handshake's last ACK, until the server has sent
// text.
func (w *earlyWire) answeredFirst(clientIsOurs bool) func(*earlySegment) bool {
	answer := func(g earlySegment) bool { return g.ours != clientIsOurs && len(g.Text) > 0 }
	return func(g *earlySegment) bool {
		return g.ours == clientIsOurs && g.Flags&tcp.SYN == 0 && !slices.ContainsFunc(w.segs, answer)
	}
}

// opening returns the first SYN and the first SYN,ACK.
func opening(t *testing.T, segs []earlySegment) (syn, synack earlySegment) {
	t.Helper()
	var first [2]earlySegment
	for i, flags := range []tcp.Flags{tcp.SYN, tcp.SYN | tcp.ACK} {
		at := slices.IndexFunc(segs, func(g earlySegment) bool { return g.Flags&(tcp.SYN|tcp.ACK) == flags })
		if at < 0 {
			t.Fatalf("no %v among %d segments", flags, len(segs))
		}
		first[i] = segs[at]
	}
	return first[0], first[1]
}

// acknowledgedEarly is how much text of the SYN the SYN,ACK acknowledges.
func acknowledgedEarly(syn, synack *earlySegment) int { return int(synack.Ack.Sub(syn.Seq)) - 1 }

// The second addresses of both, in the same network.
var kernelIP2, ourIP2 = netip.MustParseAddr("10.7.0.11"), netip.MustParseAddr("10.7.0.12")

// earlyWorld is the stack and the kernel on such a wire, with listeners of both that take text on a SYN, and one of ours
// that does not.
type earlyWorld struct {
	t     *testing.T
	space *netspace
	host  *host
	wire  *earlyWire

	ours, plain *socket.Listener
	theirs      *net.TCPListener
}

func newEarlyWorld(t *testing.T) *earlyWorld {
	t.Helper()
	need(t)
	w := &earlyWorld{t: t, space: newSpace(t), wire: &earlyWire{}}
	w.allow(3)
	p := plan{wrap: w.wire.wrap, addrs: []netip.Prefix{netip.PrefixFrom(ourIP, 32), netip.PrefixFrom(ourIP2, 32)}}
	p.tun.Queues = 1
	w.host = startHost(t, w.space, p)
	w.space.must(func() error { return addAddress(netip.PrefixFrom(kernelIP2, 24)) })
	w.ours, w.plain = w.listen(80, 10), w.listen(81, 0)
	w.space.must(func() error {
		cfg := net.ListenConfig{KeepAlive: -1, Control: option(unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 10)}
		cfg.SetMultipathTCP(false)
		l, err := cfg.Listen(context.Background(), "tcp", addrPort(kernelIP, 8000).String())
		if err == nil {
			w.theirs = l.(*net.TCPListener)
		}
		return err
	})
	t.Cleanup(func() { w.theirs.Close() })
	return w
}

// addAddress gives the kernel's end of the device one more address. A process started for it would inherit a TUN that is
// being opened elsewhere, and keep it.
func addAddress(p netip.Prefix) error {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(p.String())
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, a)
}

// listen listens on our first address.
func (w *earlyWorld) listen(port uint16, fastOpen int) *socket.Listener {
	w.t.Helper()
	cfg := stack.ListenConfig{Prefix: netip.PrefixFrom(ourIP, 32), Port: port, FastOpen: fastOpen}
	l := must[*socket.Listener](w.t)(socket.ListenWith(w.host.Stack, cfg))
	w.t.Cleanup(func() { l.Close() })
	return l
}

// allow says what the kernel does: the sum of 1 as a client, 2 as a server, and 4 for clients that need no cookie.
func (w *earlyWorld) allow(what int) {
	w.t.Helper()
	w.space.sysctl("net/ipv4/tcp_fastopen", fmt.Sprint(what))
}

// fastOpens is how many connections cookies have opened at our end.
func (w *earlyWorld) fastOpens() uint64 { return w.host.Counters(0).FastOpens }

// option sets an option of a socket before it is used.
func option(level, name, value int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, name, value) })
		return errors.Join(err, failed)
	}
}

// earlyDial dials and sends a question, with the SYN if that may be.
type earlyDial func(question []byte) (duplex, error)

// weDial dials the kernel's listener.
func (w *earlyWorld) weDial(from netip.Addr) earlyDial {
	return func(question []byte) (duplex, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		d := socket.Dialer{Stack: w.host.Stack, Local: addrPort(from, 0)}
		return d.DialEarly(ctx, addrPort(kernelIP, 8000), question)
	}
}

// kernelDials dials a listener of ours; its receive buffer is of so many bytes, or of the usual size if 0.
func (w *earlyWorld) kernelDials(from netip.Addr, port uint16, buffer int) earlyDial {
	control := option(unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1)
	if buffer > 0 {
		early := control
		control = func(network, address string, raw syscall.RawConn) error {
			return errors.Join(early(network, address, raw), option(unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)(network, address, raw))
		}
	}
	return func(question []byte) (c duplex, err error) {
		err = w.space.Inside(func() error {
			d := net.Dialer{KeepAlive: -1, Timeout: patience, Control: control, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
			conn, err := d.Dial("tcp", addrPort(ourIP, port).String())
			if err == nil {
				c = conn.(duplex)
			}
			return err
		})
		if err == nil {
			_, err = c.Write(question)
		}
		return c, err
	}
}

// talk has a client ask, and a server answer as soon as it has read the first of the question. It returns the two ends,
// which are closed with the test.
func (w *earlyWorld) talk(dial earlyDial, l net.Listener, question, answer int) (client, server duplex) {
	w.t.Helper()
	asks, answers := random(1, question), random(2, answer)
	dialled := make(chan error, 1)
	go func() {
		var err error
		if client, err = dial(asks); err == nil {
			err = expect(client, answers)
		}
		dialled <- err
	}()
	if l, ok := l.(*net.TCPListener); ok {
		if err := l.SetDeadline(deadline()); err != nil {
			w.t.Fatal(err)
		}
	}
	server = must[net.Conn](w.t)(l.Accept()).(duplex)
	w.t.Cleanup(func() { server.Close() })
	if err := server.SetDeadline(deadline()); err != nil {
		w.t.Fatal(err)
	}
	first := min(question, 1000)
	err := expect(server, asks[:first])
	wrote := make(chan error, 1)
	go func() {
		_, err := server.Write(answers)
		wrote <- err
	}()
	err = errors.Join(err, expect(server, asks[first:]), <-wrote, <-dialled)
	if client != nil {
		w.t.Cleanup(func() { client.Close() })
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return client, server
}

// expect reads a text.
func expect(from duplex, text []byte) error {
	if err := from.SetReadDeadline(deadline()); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if n, err := io.ReadFull(from, got); err != nil {
		return fmt.Errorf("read %d bytes of %d: %w", n, len(text), err)
	}
	if !bytes.Equal(got, text) {
		return fmt.Errorf("%d bytes have arrived, not those that were sent", len(got))
	}
	return nil
}

// synData is what the kernel says in TCP_INFO: at a client that the text on its SYN has been acknowledged by the SYN,ACK, at
// a server that it has taken such text.
func synData(t *testing.T, a, b duplex) bool {
	t.Helper()
	const optSynData = 32 // TCPI_OPT_SYN_DATA
	c, ok := a.(*net.TCPConn)
	if !ok {
		c = b.(*net.TCPConn)
	}
	var info *unix.TCPInfo
	raw, err := c.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) { info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
		err = errors.Join(err, failed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Options&optSynData != 0
}

// earlyWay is who meets whom: dial is the usual client, other the one with another address.
func (w *earlyWorld) earlyWay(weDial bool) (dial, other earlyDial, l net.Listener) {
	if weDial {
		return w.weDial(ourIP), w.weDial(ourIP2), w.theirs
	}
	return w.kernelDials(kernelIP, 80, 0), w.kernelDials(kernelIP2, 80, 0), w.ours
}

// bothDial runs f for us as the client, and for the kernel, at the same time.
func bothDial(t *testing.T, f func(t *testing.T, weDial bool)) {
	for name, weDial := range map[string]bool{"we dial": true, "the kernel dials": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, weDial)
		})
	}
}

// getCookie is a first connection.
func (w *earlyWorld) getCookie(dial earlyDial, l net.Listener) (cookie []byte) {
	w.t.Helper()
	w.wire.begin(nil)
	client, server := w.talk(dial, l, 100, 100)
	syn, synack := opening(w.t, w.wire.noted())
	if syn.cookie == nil || len(syn.cookie) != 0 || len(syn.Text) != 0 || len(synack.cookie) < 4 || synData(w.t, client, server) {
		w.t.Fatalf("a SYN with cookie %x and %d bytes, answered with cookie %x", syn.cookie, len(syn.Text), synack.cookie)
	}
	return synack.cookie
}

// TestFastOpenWithKernel: the first connection brings a cookie (RFC 7413 section 3), and from the second one on the text on
// the SYN is taken, and answered before the handshake's last ACK, of which none arrives until there is an answer.
func TestFastOpenWithKernel(t *testing.T) {
	bothDial(t, func(t *testing.T, weDial bool) {
		w := newEarlyWorld(t)
		dial, _, l := w.earlyWay(weDial)
		cookie := w.getCookie(dial, l)
		before := w.fastOpens()
		sizes := []struct{ question, answer, buffer int }{{1, 1, 0}, {1000, 1000, 0}, {1000, 300_000, 2048}, {300_000, 1000, 0}}
		for _, n := range sizes {
			if !weDial {
				dial = w.kernelDials(kernelIP, 80, n.buffer)
			}
			w.wire.begin(nil)
			if n.question <= 1000 { // more must be sent after the SYN, and would be lost
				w.wire.begin(w.wire.answeredFirst(weDial))
			}
			client, server := w.talk(dial, l, n.question, n.answer)
			segs := w.wire.noted()
			syn, synack := opening(t, segs)
			if got := len(syn.Text); got < min(n.question, 1400) || !bytes.Equal(syn.cookie, cookie) {
				t.Errorf("%v: %d bytes on a SYN with cookie %x, want %x", n, got, syn.cookie, cookie)
			}
			if got := acknowledgedEarly(&syn, &synack); got != len(syn.Text) {
				t.Errorf("%v: the SYN,ACK acknowledges %d bytes of %d", n, got, len(syn.Text))
			}
			if !synData(t, client, server) {
				t.Errorf("%v: the kernel does not know of text on the SYN", n)
			}
			if got := early(segs, weDial); got > int(syn.Window) || n.buffer != 0 && int(syn.Window) >= n.answer {
				t.Errorf("%v: %d bytes of the answer were sent into a window of %d", n, got, syn.Window)
			}
		}
		opened := uint64(len(sizes))
		if weDial {
			opened = 0
		}
		if got := w.fastOpens() - before; got != opened {
			t.Errorf("%d opened by cookie, not %d", got, opened)
		}
	})
}

// early is how far the answer was sent when something of the client's after its SYN arrived. What is late of the connection
// before, from another port, does not count.
func early(segs []earlySegment, weDial bool) (n int) {
	syn := slices.IndexFunc(segs, func(g earlySegment) bool { return g.ours == weDial && g.Flags&tcp.SYN != 0 })
	if syn < 0 {
		return 0
	}
	var synack tcp.Segment
	for _, g := range segs[syn:] {
		switch port := segs[syn].SrcPort; {
		case g.SrcPort != port && g.DstPort != port:
		case g.ours == weDial && g.Flags&tcp.SYN == 0 && !g.lost:
			return n
		case g.ours != weDial && g.Flags&tcp.SYN != 0:
			synack = g.Segment
		case g.ours != weDial:
			n = max(n, int(g.End().Sub(synack.Seq))-1)
		}
	}
	return n
}

// TestFastOpenLostSYN: a SYN with text that is lost is sent again without either, and the text arrives after the handshake.
func TestFastOpenLostSYN(t *testing.T) {
	bothDial(t, func(t *testing.T, weDial bool) {
		w := newEarlyWorld(t)
		dial, _, l := w.earlyWay(weDial)
		w.getCookie(dial, l)
		before := w.fastOpens()
		w.wire.begin(func(g *earlySegment) bool { return g.Flags&tcp.SYN != 0 && len(g.Text) > 0 })
		client, server := w.talk(dial, l, 1000, 1000)
		var syns []earlySegment
		for _, g := range w.wire.noted() {
			if g.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN {
				syns = append(syns, g)
			}
		}
		if len(syns) != 2 || len(syns[0].Text) != 1000 || len(syns[1].Text) != 0 || syns[1].cookie != nil {
			t.Errorf("%d SYNs, the last with %d bytes and cookie %x", len(syns), len(syns[len(syns)-1].Text), syns[len(syns)-1].cookie)
		}
		if synData(t, client, server) || w.fastOpens() != before {
			t.Error("text on a lost SYN counts as taken")
		}
	})
}

// TestFastOpenRefused: without a cookie that is the client's, and where it is off, text on a SYN is not taken. It arrives all
// the same after the handshake.
func TestFastOpenRefused(t *testing.T) {
	bothDial(t, func(t *testing.T, weDial bool) {
		w := newEarlyWorld(t)
		dial, other, l := w.earlyWay(weDial)
		first := w.getCookie(dial, l)
		if !weDial {
			w.getCookie(other, l) // we have one for each server, the kernel one for each pair of addresses
		}
		w.refuses("forged", dial, l, func(cookie []byte) { cookie[len(cookie)-1] ^= 1 }, true)
		w.refuses("of another address", other, l, func(cookie []byte) { copy(cookie, first) }, true)
		if weDial {
			w.allow(1)
			w.refuses("off", dial, l, nil, false)
			return
		}
		w.refuses("off", w.kernelDials(kernelIP, 81, 0), w.plain, nil, false)
		w.allow(1 + 4)
		w.refuses("without a cookie", dial, l, nil, false)
	})
}

// refuses is a connection whose SYN has text and a cookie that is changed on its way. renewed: there is a new one.
func (w *earlyWorld) refuses(name string, dial earlyDial, l net.Listener, change func(cookie []byte), renewed bool) {
	w.t.Helper()
	before := w.fastOpens()
	w.wire.begin(func(g *earlySegment) bool {
		if g.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN && change != nil && len(g.cookie) > 0 {
			change(g.cookie)
		}
		return false
	})
	client, server := w.talk(dial, l, 1000, 1000)
	syn, synack := opening(w.t, w.wire.noted())
	if len(syn.Text) != 1000 {
		w.t.Errorf("%s: %d bytes on the SYN", name, len(syn.Text))
	}
	if acknowledgedEarly(&syn, &synack) != 0 || synData(w.t, client, server) || w.fastOpens() != before {
		w.t.Errorf("%s: the text is taken from the SYN", name)
	}
	if (synack.cookie != nil) != renewed || renewed && bytes.Equal(synack.cookie, syn.cookie) {
		w.t.Errorf("%s: the answer to cookie %x has cookie %x", name, syn.cookie, synack.cookie)
	}
}

// TestFastOpenOff: a server that does not take part gives no cookie, and nobody sends text on a SYN.
func TestFastOpenOff(t *testing.T) {
	bothDial(t, func(t *testing.T, weDial bool) {
		w := newEarlyWorld(t)
		dial, l := w.kernelDials(kernelIP, 81, 0), net.Listener(w.plain)
		if weDial {
			w.allow(0)
			dial, _, l = w.earlyWay(true)
		}
		for range 2 {
			w.wire.begin(nil)
			w.talk(dial, l, 1000, 1000)
			if syn, synack := opening(t, w.wire.noted()); len(syn.Text) != 0 || len(syn.cookie) != 0 || synack.cookie != nil {
				t.Errorf("%d bytes on a SYN with cookie %x, answered with cookie %x", len(syn.Text), syn.cookie, synack.cookie)
			}
		}
	})
}
