package stack_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// FuzzStack gives a stack of two shards any packets: bytes, and segments that answer what the stack has sent, as they are
// or altered, whole or in fragments, singly or as superframes; ICMP of all kinds; between them turns, time and the calls of
// handlers. Every packet read is delivered or dropped for a reason, Check finds no fault, no turn is followed by another for
// ever, and when all has been aborted nothing is left.
func FuzzStack(f *testing.F) {
	for op := range byte(numStackOps) {
		for flow := range byte(6) {
			hello := []byte{stackSegment, flow, 0, 2, 0, stackTurn, stackSegment, flow, 1, 16, 0, stackTurn, stackSegment, flow, 2, 24, 9, stackTurn}
			f.Add(flow&3, append(hello, op, flow, 3, 17, 40, stackTurn, op, flow, 0, 4, 0, stackTime, 200, op, flow, 64, 16, 8, stackDial, 1))
		}
	}
	f.Fuzz(func(t *testing.T, setting byte, b []byte) {
		z := newStackFuzz(t, setting)
		for n := 0; len(b) > 0 && n < 200; n++ {
			b = z.step(b)
		}
		z.finish()
	})
}

// The operations. Each is a byte, with what it asks for behind it.
const (
	stackSegment = iota
	stackRaw
	stackFragments
	stackICMP
	stackPing
	stackDatagram
	stackSuperframe
	stackAgain
	stackTurn
	stackTime
	stackDial
	numStackOps
)

// tape is a queue whose packets a test puts in and takes out.
type tape struct {
	in   []link.Packet
	sent func(p *link.Packet)
}

func (d *tape) Read(b *link.Batch) error {
	b.Reset()
	for len(d.in) > 0 {
		room := b.Room()
		if room == nil {
			break
		}
		p := d.in[0]
		q := b.Add(room, 0, copy(room[:link.MaxPacket], p.Head))
		q.NeedsChecksum, q.Verified, q.GSOSize = p.NeedsChecksum, p.Verified, p.GSOSize
		d.in = d.in[1:]
	}
	return nil
}

func (d *tape) Write(p *link.Packet) error { d.sent(p); return nil }
func (d *tape) Wait(mono.Time) error       { return nil }
func (d *tape) Wake()                      {}
func (d *tape) Close() error               { return nil }

// stackFuzz is a stack under fuzzing, with what it has last sent of each flow.
type stackFuzz struct {
	t     *testing.T
	now   mono.Time
	s     *stack.Stack
	tapes [2]*tape
	last  map[stack.Flow]*tcp.Segment
	conns map[stack.Conn]bool
	past  []link.Packet
	next  int // queue
	sent  int // packets
	from  int // ports of what is dialled
}

// The peers, and the ports that are called: each has another user behind it, the last nobody.
var (
	fuzzPeers = [...][4]byte{{10, 0, 0, 1}, {10, 0, 0, 3}}
	fuzzPorts = [...]uint16{portEcho, portSink, portSource, portClosing, portDeaf, 99}
)

const (
	portEcho    = 7
	portSink    = 9
	portSource  = 19
	portClosing = 21
	portDeaf    = 23
	portDialled = 80 // of the peers
)

func newStackFuzz(t *testing.T, setting byte) *stackFuzz {
	z := &stackFuzz{t: t, now: 1e12, last: map[stack.Flow]*tcp.Segment{}, conns: map[stack.Conn]bool{}}
	l := &link.Link{MTU: 1500}
	if setting&1 != 0 {
		l.Superframe, l.Checksum = link.MaxPacket, true
	}
	for i := range z.tapes {
		z.tapes[i] = &tape{sent: z.take}
		l.Queues = append(l.Queues, z.tapes[i])
	}
	limits := stack.Limits{Memory: 1 << 20, Fragments: 1 << 16}
	if setting&2 != 0 {
		limits = stack.Limits{Connections: 6, HalfOpen: 2, TimeWait: 2, Orphans: 2, Memory: 64 << 10, Fragments: 4096}
	}
	settings := tcp.Defaults()
	settings.ECN, settings.UserTimeoutOption = tcp.ECN(setting>>2&3), setting&16 != 0
	s, err := stack.New(stack.Config{
		Link: l, Addrs: []netip.Prefix{netip.PrefixFrom(addrB, 32)}, Strict: true, TCP: settings, Limits: limits,
		Now: func() mono.Time { return z.now }, Secrets: [2]tcp.Secret{{1, 2}, {3, 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	z.s = s
	for i, port := range fuzzPorts[:len(fuzzPorts)-1] {
		cfg := stack.ListenConfig{Prefix: netip.PrefixFrom(addrB, 32), Port: port, FastOpen: int(setting>>5&1) * 3}
		if i == 1 && setting&64 != 0 {
			cfg.HalfOpen, cfg.SourceHalfOpen, cfg.SourceConnections = 2, 1, 2
		}
		if i == 2 && setting&128 != 0 {
			cfg.Admit = func(r *stack.Request) {
				switch r.SYN.Seq % 4 {
				case 0:
					r.Drop()
				case 1:
					r.RefuseICMP(ip.CodeHost)
				case 2:
					r.Accept()
				}
			}
		}
		if _, err := s.Listen(cfg, fuzzUser{z, port}); err != nil {
			t.Fatal(err)
		}
	}
	return z
}

// fuzzUser does with a connection what its port says.
type fuzzUser struct {
	z    *stackFuzz
	port uint16
}

func (u fuzzUser) Ready(c stack.Conn, e tcp.Events) {
	u.z.conns[c] = true
	if e&tcp.Ended != 0 {
		delete(u.z.conns, c)
	}
	if u.port != portDeaf {
		for p := c.Next(); len(p) > 0; p = c.Next() {
			n := len(p)
			if u.port == portEcho {
				if n = c.Write(p); n == 0 {
					break
				}
			}
			c.Consume(n)
		}
	}
	switch {
	case e&tcp.Ended != 0:
		c.Close()
	case u.port == portSource && e&tcp.Writable != 0:
		c.Write(make([]byte, 5000))
	case u.port == portClosing && e&tcp.Opened != 0:
		c.Close()
	case u.port != portDeaf && e&tcp.EOF != 0:
		c.Close()
	}
}

// take notes what the stack sends of a flow.
func (z *stackFuzz) take(p *link.Packet) {
	if z.sent++; z.sent > 200_000 {
		z.t.Fatal("it sends for ever")
	}
	whole := p.AppendTo(nil)
	var q ip.Packet
	if d := q.Parse(whole); d != ip.DropNone {
		z.t.Fatalf("it sends % x: %v", p.Head, d)
	}
	if len(whole) > 1500 && p.GSOSize == 0 {
		z.t.Fatalf("it sends %d bytes", len(whole))
	}
	var g tcp.Segment
	if q.Proto != ip.ProtoTCP {
		return
	}
	if d := g.Parse(q.Payload); d != tcp.DropNone {
		z.t.Fatalf("it sends % x: %v", p.Head, d)
	}
	if !p.NeedsChecksum && !tcp.ChecksumOK(q.Src, q.Dst, q.Payload) {
		z.t.Fatalf("it sends % x: a wrong checksum", p.Head)
	}
	if g.Flags&tcp.RST == 0 {
		z.last[stack.Flow{Local: q.Src, Remote: q.Dst, LocalPort: g.SrcPort, RemotePort: g.DstPort}] = &g
	}
}

// step reads an operation, does it, and returns the rest.
func (z *stackFuzz) step(b []byte) []byte {
	var v [5]byte
	n := copy(v[:], b)
	op := v[0] % numStackOps
	switch op {
	case stackTurn:
		z.turn()
		return b[1:]
	case stackTime, stackDial:
		if op == stackDial {
			z.dial(v[1])
		} else {
			z.pass(mono.Duration(1) << (v[1] % 44))
		}
		return b[min(n, 2):]
	case stackRaw:
		size := min(int(v[1]), len(b)-min(n, 2))
		raw := append([]byte(nil), b[min(n, 2):][:size]...)
		z.put(link.Packet{Head: z.mend(raw, v[1]&1 != 0)})
		return b[min(n, 2)+size:]
	case stackAgain:
		if len(z.past) > 0 {
			z.put(z.past[int(v[1])%len(z.past)])
		}
		return b[min(n, 2):]
	}
	z.packet(op, v)
	return b[n:]
}

// packet is one that is made up for a flow: v has which, what is altered, the flags, and how much.
func (z *stackFuzz) packet(op byte, v [5]byte) {
	switch whole := z.segment(v); op {
	case stackSegment:
		z.put(link.Packet{Head: whole})
	case stackFragments:
		i := byte(0)
		ip.Split(whole, 68+int(v[4]), uint16(v[3]), func(f []byte) {
			if i++; i%8 != v[2]&7 {
				z.put(link.Packet{Head: append([]byte(nil), f...)})
			}
		})
	case stackSuperframe:
		z.put(link.Packet{Head: whole, GSOSize: 1 + uint16(v[4])<<3, NeedsChecksum: v[2]&1 != 0, Verified: v[2]&2 != 0})
	case stackICMP:
		z.icmpError(v)
	case stackPing:
		m := append([]byte{8, v[2] & 1, 0, 0, 0, 1, 0, 1}, make([]byte, int(v[4]))...)
		z.put(link.Packet{Head: z.wrap(v, ip.ProtoICMP, sumICMP(m))})
	case stackDatagram:
		z.put(link.Packet{Head: z.wrap(v, [...]byte{ip.ProtoUDP, 2, 47, 255}[v[3]&3], make([]byte, 8+int(v[4])))})
	}
}

// flow is the one that v names, as the stack sees it: of a listener, or one that the stack has dialled.
func (z *stackFuzz) flow(v byte) stack.Flow {
	f := stack.Flow{Local: ip.FromNetip(addrB), Remote: ip.V4(fuzzPeers[v>>3&1]), RemotePort: 4000 + uint16(v>>4&3)}
	if v >= 192 && z.from > 0 {
		f.LocalPort, f.RemotePort = 30000+uint16(int(v&7)%z.from), portDialled
		return f
	}
	f.LocalPort = fuzzPorts[int(v&7)%len(fuzzPorts)]
	return f
}

// segment answers the last of the flow: at the number and with the ACK that the stack expects, but for what v alters.
func (z *stackFuzz) segment(v [5]byte) []byte {
	f := z.flow(v[1])
	g := tcp.Segment{SrcPort: f.RemotePort, DstPort: f.LocalPort, Seq: 1000 + seq.Num(v[2]), Flags: tcp.Flags(v[3]), Window: 20000}
	n := int(v[4]) * 5
	last := z.last[f]
	if last != nil {
		g.Seq, g.Ack = last.Ack, last.End()
	}
	if last == nil || g.Flags&tcp.SYN != 0 {
		g.Options = tcp.Options{Has: tcp.HasMSS | tcp.HasSACKPermitted | tcp.HasWindowScale | tcp.HasTimestamps, MSS: 1460, WindowScale: 3, TSVal: uint32(z.now / 1e6)}
		if v[2]&32 != 0 {
			g.Options.Has = tcp.HasMSS | tcp.HasFastOpen
		}
	} else if last.Options.Has&tcp.HasTimestamps != 0 {
		g.Options = tcp.Options{Has: tcp.HasTimestamps, TSVal: uint32(z.now / 1e6), TSEcr: last.Options.TSVal}
	}
	switch v[2] >> 6 {
	case 1:
		g.Seq += seq.Num(1) << (v[2] & 31)
	case 2:
		g.Ack -= seq.Num(1) << (v[2] & 31)
	case 3:
		g.Window = uint16(v[2]&31) << 2
	}
	head := make([]byte, ip.HeaderLen+tcp.MaxHeaderLen+n)
	h := ip.HeaderLen + g.Put(head[ip.HeaderLen:], 0)
	return z.address(head[:h+n], v, ip.ProtoTCP)
}

// address writes the IP header, and the checksum of TCP.
func (z *stackFuzz) address(b []byte, v [5]byte, proto byte) []byte {
	f := z.flow(v[1])
	h := ip.Header{Src: f.Remote, Dst: f.Local, Proto: proto, TTL: 64, TOS: v[2] & 3, Len: len(b)}
	h.Put(b)
	if proto == ip.ProtoTCP {
		sum := ^ip.Fold(ip.Sum(b[ip.HeaderLen:], ip.PseudoSum(h.Src, h.Dst, proto, len(b)-ip.HeaderLen)))
		binary.BigEndian.PutUint16(b[ip.HeaderLen+16:], sum)
	}
	return b
}

// wrap puts a message into a packet of the flow's.
func (z *stackFuzz) wrap(v [5]byte, proto byte, m []byte) []byte {
	return z.address(append(make([]byte, ip.HeaderLen), m...), v, proto)
}

func sumICMP(m []byte) []byte {
	binary.BigEndian.PutUint16(m[2:], 0)
	binary.BigEndian.PutUint16(m[2:], ^ip.Fold(ip.Sum(m, 0)))
	return m
}

// icmpError quotes the last segment of the flow.
func (z *stackFuzz) icmpError(v [5]byte) {
	f := z.flow(v[1])
	m := []byte{[...]byte{3, 3, 11, 12, 4, 5}[v[3]%6], v[3] >> 3 & 15, 0, 0, 0, 0, v[4], v[2]}
	quoted := tcp.Segment{SrcPort: f.LocalPort, DstPort: f.RemotePort}
	if g := z.last[f]; g != nil {
		quoted.Seq = g.Seq + seq.Num(v[2]>>7)*70000
	}
	q := make([]byte, ip.HeaderLen+tcp.MaxHeaderLen)
	n := ip.HeaderLen + quoted.Put(q[ip.HeaderLen:], 0)
	h := ip.Header{Src: f.Local, Dst: f.Remote, Proto: ip.ProtoTCP, TTL: 1, Len: n}
	h.Put(q)
	z.put(link.Packet{Head: z.wrap(v, ip.ProtoICMP, sumICMP(append(m, q[:n]...)))})
}

// mend makes bytes a packet for the stack, as far as its header goes; with a TCP checksum if sum is set.
func (z *stackFuzz) mend(b []byte, sum bool) []byte {
	if len(b) < ip.HeaderLen+tcp.HeaderLen {
		return b
	}
	b[0] = 0x45
	h := ip.Header{Src: ip.V4(fuzzPeers[b[15]&1]), Dst: ip.FromNetip(addrB), Proto: b[9], TTL: b[8], TOS: b[1], Len: len(b)}
	if sum {
		h.Proto = ip.ProtoTCP
		binary.BigEndian.PutUint16(b[ip.HeaderLen+2:], fuzzPorts[int(b[ip.HeaderLen+3])%len(fuzzPorts)])
		b[ip.HeaderLen+16], b[ip.HeaderLen+17] = 0, 0
		binary.BigEndian.PutUint16(b[ip.HeaderLen+16:], ^ip.Fold(ip.Sum(b[ip.HeaderLen:], ip.PseudoSum(h.Src, h.Dst, h.Proto, len(b)-ip.HeaderLen))))
	}
	h.Put(b)
	return b
}

// put has a packet arrive at one queue or the other in turn.
func (z *stackFuzz) put(p link.Packet) {
	z.next++
	z.past = append(z.past, p)
	q := z.tapes[z.next/3%len(z.tapes)]
	q.in = append(q.in, p)
}

// dial opens a connection to a peer, from a port known here.
func (z *stackFuzz) dial(v byte) {
	cfg := stack.DialConfig{
		Local: netip.AddrPortFrom(netip.Addr{}, 30000+uint16(z.from)), FastOpen: v&2 != 0,
		Remote: netip.AddrPortFrom(netip.AddrFrom4(fuzzPeers[v&1]), portDialled),
	}
	z.from++
	if err := z.s.Dial(cfg, fuzzUser{z, fuzzPorts[int(v>>2)%5]}, func(stack.Conn, error) {}); err != nil {
		z.t.Fatal(err)
	}
}

// turn turns both shards until neither has more to do, and checks. It returns when they are to be turned again.
func (z *stackFuzz) turn() mono.Time {
	for n := 0; ; n++ {
		due := mono.Never
		for i := range z.tapes {
			next, err := z.s.Turn(i)
			if err != nil {
				z.t.Fatal(err)
			}
			due = min(due, next)
		}
		if n > 1 && due > z.now && len(z.tapes[0].in)+len(z.tapes[1].in) == 0 {
			if err := z.s.Check(); err != nil {
				z.t.Fatal(err)
			}
			return due
		}
		if n > 1000 {
			z.t.Fatal("a thousand turns without time")
		}
	}
}

// pass lets time pass, with what is due in it, up to a number of turns.
func (z *stackFuzz) pass(d mono.Duration) {
	until := z.now.Add(d)
	for range 100 {
		due := z.turn()
		if due > until {
			break
		}
		z.now = max(z.now, due)
	}
	z.now = max(z.now, until)
}

// finish ends all that there is, and waits until it is forgotten.
func (z *stackFuzz) finish() {
	z.turn()
	for _, l := range z.s.Listeners() {
		l.Close()
	}
	for c := range z.conns {
		c.Abort()
	}
	for range 2000 {
		due := z.turn()
		if due == mono.Never {
			break
		}
		z.now = max(z.now, due)
	}
	if err := z.s.Idle(); err != nil {
		z.t.Fatal(err)
	}
}
