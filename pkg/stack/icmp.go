package stack

import (
	"encoding/binary"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// rate bounds what is sent in a second.
type rate struct {
	window mono.Time
	used   int
}

// The most that all shards together send in a second: of ICMP errors (RFC 1812 section 4.3.2.8), and of answers to pings,
// which cost more than they look when they are larger than the MTU.
const (
	errorsPerSecond = 1000
	pingsPerSecond  = 20_000
)

func (r *rate) allow(now mono.Time, perSecond int) bool {
	if now >= r.window {
		r.window, r.used = now.Add(mono.Second), 0
	}
	r.used++
	return r.used <= perSecond
}

// unreachable tells the sender of a packet that nobody here wants it.
func (s *shard) unreachable(a *arrival, code uint8) {
	if !s.errorRate.allow(s.now, errorsPerSecond/len(s.stack.shards)) {
		s.counters.ICMPLimited++
		return
	}
	s.counters.ICMPErrors++
	s.writeICMP(s.scratch[:ip.Unreachable(s.scratch[:], &a.Packet, code, a.Dst)])
}

func (s *shard) writeICMP(b []byte) {
	if len(b) == 0 {
		return
	}
	s.packet = link.Packet{Head: b}
	s.write(&s.packet)
}

// icmp answers echo requests and heeds errors about our own segments.
func (s *shard) icmp(a *arrival) {
	var m ip.ICMP
	if d := m.Parse(a.Payload); d != ip.DropNone {
		s.dropIP(d)
		return
	}
	if m.Type == ip.ICMPEchoRequest {
		if !s.pingRate.allow(s.now, pingsPerSecond/len(s.stack.shards)) {
			s.drop(DropPings)
			return
		}
		s.counters.Delivered++
		s.counters.Pings++
		s.echo(a)
		return
	}
	e, ok, d := m.Error()
	switch {
	case d != ip.DropNone:
		s.dropIP(d)
	case ok && e.Proto == ip.ProtoTCP && s.stack.ours(e.Src):
		s.icmpError(a, &e)
	default:
		s.drop(DropICMPOther)
	}
}

// echo answers a ping; one that is larger than the MTU, in fragments.
func (s *shard) echo(a *arrival) {
	if n := ip.EchoReply(s.scratch[:], &a.Packet); n > 0 && n <= s.stack.cfg.Link.MTU {
		s.writeICMP(s.scratch[:n])
		return
	}
	whole := make([]byte, len(a.raw)+ip.HeaderLen)
	n := ip.EchoReply(whole, &a.Packet)
	ip.Split(whole[:n], s.stack.cfg.Link.MTU, a.ID, s.writeICMP)
}

// icmpError finds the connection that an error speaks of and tells it. Only the whole connection is told: one in
// SYN-RECEIVED or TIME-WAIT is none the worse for not knowing.
func (s *shard) icmpError(a *arrival, e *ip.ICMPError) {
	f := Flow{
		Local: e.Src, Remote: e.Dst,
		LocalPort:  binary.BigEndian.Uint16(e.Transport),
		RemotePort: binary.BigEndian.Uint16(e.Transport[2:]),
	}
	h := s.hash(&f)
	r := s.table.find(h, keyOf(&f))
	if r == 0 && s.sendOn(h, a) {
		return
	}
	if r == 0 || r.kind() != kindConn {
		s.drop(DropICMPOther)
		return
	}
	s.work(r.index())
	c := &s.conns.at(r.index()).tcp
	heeded := false
	quoted := seq.Num(binary.BigEndian.Uint32(e.Transport[4:]))
	cause := tcp.ICMPError{Type: e.Type, Code: e.Code}
	switch {
	case e.Type == ip.ICMPSourceQuench: // RFC 6633: ignored (MUST-55)
	case e.Type != ip.ICMPUnreachable:
		heeded = c.SoftError(&s.env, s.now, quoted, cause, false)
	case e.Code == ip.CodeFragNeeded:
		heeded = c.TooBig(&s.env, s.now, quoted, int(e.MTU))
	case e.Code == ip.CodeProtocol || e.Code == ip.CodePort:
		heeded = c.HardError(&s.env, s.now, quoted, cause)
	default:
		heeded = c.SoftError(&s.env, s.now, quoted, cause, e.Code == ip.CodeNet || e.Code == ip.CodeHost)
	}
	if !heeded {
		s.drop(DropICMPOther)
		return
	}
	s.counters.Delivered++
	s.settle(r.index())
}
