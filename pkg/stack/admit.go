package stack

import (
	"container/heap"
	"context"
	"net/netip"
	"sync/atomic"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Request is a SYN that ListenConfig.Admit is to decide on. Nothing has been answered yet: the client knows no more than
// if the SYN were on its way. Admit is called on a shard and must not block; whoever has the Request calls one of Accept,
// Refuse, RefuseICMP and Drop, in Admit or later and from any goroutine. The first of these calls counts; they report
// false when they come too late.
//
// While a request is undecided the client repeats its SYN, and its context lasts. When the client gives up, which it
// need not tell of, or the listener is closed, the context is cancelled.
type Request struct {
	Local, Remote netip.AddrPort
	SYN           tcp.Segment // its text is there only until Admit returns

	listener *Listener
	shard    *shard
	syn      tcp.Segment // the last one: the shard's own
	text     uint32      // bytes of text that it had
	flow     Flow
	hash     uint64
	iss      seq.Num
	context  context.Context
	cancel   context.CancelFunc
	verdict  atomic.Uint32
	task     *Task

	heard, until mono.Time     // the last SYN; when the client has given up
	gap          mono.Duration // the longest between two SYNs
	place        int           // in the shard's heap
}

// What has become of a request. From asking on, Admit is being asked; from deferred on, nobody has decided yet.
const (
	asking uint32 = iota
	deferred
	gone
	admitted
	dropped
	reset
	refused // and above: with the ICMP code verdict-refused
)

// Context is cancelled when the client has given up, or the request has been decided on otherwise than by Accept.
func (r *Request) Context() context.Context { return r.context }

// Accept lets the handshake go on.
func (r *Request) Accept() bool { return r.decide(admitted) }

// Drop answers nothing, as if the SYN had been lost.
func (r *Request) Drop() bool { return r.decide(dropped) }

// Refuse answers with a RST: connection refused.
func (r *Request) Refuse() bool { return r.decide(reset) }

// RefuseICMP answers with an ICMP destination unreachable of the code given, ip.CodeHost or ip.CodeAdminProhibited for
// instance.
func (r *Request) RefuseICMP(code uint8) bool { return r.decide(refused + uint32(code)) }

func (r *Request) decide(v uint32) bool {
	if r.verdict.CompareAndSwap(asking, v) {
		return true // ask will see it
	}
	if !r.verdict.CompareAndSwap(deferred, v) {
		return false
	}
	r.shard.post(r.task)
	return true
}

// ask lets the listener's hook decide on a SYN.
func (s *shard) ask(l *Listener, h uint64, f *Flow, g *tcp.Segment, iss seq.Num) {
	r := &Request{
		Local:  netip.AddrPortFrom(f.Local.Netip(), f.LocalPort),
		Remote: netip.AddrPortFrom(f.Remote.Netip(), f.RemotePort),
		SYN:    *g, syn: *g, listener: l, shard: s, flow: *f, hash: h, iss: iss, heard: s.now,
	}
	r.context, r.cancel = context.WithCancel(context.Background())
	r.task = NewTask(func() { s.decided(r) })
	s.admit(r)
	if r.verdict.CompareAndSwap(asking, deferred) {
		s.keepRequest(r)
		return
	}
	s.execute(r)
}

// keepRequest waits for the verdict. Beyond the limits of half-open connections there is no room to wait in.
func (s *shard) keepRequest(r *Request) {
	if !s.roomForHalf(r.listener, r.flow.Remote) {
		if !r.verdict.CompareAndSwap(deferred, gone) {
			s.execute(r) // just now it has been decided on
			return
		}
		r.cancel()
		s.drop(DropAdmissionFull)
		return
	}
	s.counters.Delivered++
	s.counters.Deferred++
	r.text, r.syn.Text = uint32(len(r.syn.Text)), nil
	r.listener.countHalf(r.flow.Remote, 1)
	r.listener.deferred.Add(1)
	s.present.add(r.hash)
	s.requests[r.flow] = r
	r.until = s.now.Add(leastPatience)
	heap.Push(&s.patience, r)
}

// forgetRequest takes a request out of everything.
func (s *shard) forgetRequest(r *Request) {
	delete(s.requests, r.flow)
	heap.Remove(&s.patience, r.place)
	s.present.remove(r.hash)
	r.listener.countHalf(r.flow.Remote, -1)
	r.listener.deferred.Add(-1)
}

// decided carries out the verdict on a request that has waited.
func (s *shard) decided(r *Request) {
	if s.requests[r.flow] != r {
		return
	}
	s.forgetRequest(r)
	s.counters.Delivered-- // execute counts the SYN
	s.execute(r)
}

// execute carries out a verdict.
func (s *shard) execute(r *Request) {
	v := r.verdict.Load()
	if r.listener.closed.Load() {
		v = reset
	}
	if v != admitted {
		r.cancel()
	}
	switch v {
	case admitted:
		s.openPassive(r.listener, r.hash, &r.flow, &r.syn, r.iss)
	case dropped:
		s.drop(DropAdmission)
	case reset:
		s.dropTCP(tcp.DropRefused)
		if rst, ok := tcp.ResetFor(&r.syn); ok {
			rst.Ack = rst.Ack.Add(r.text)
			s.sendBare(&r.flow, &rst)
		}
	default:
		s.drop(DropAdmissionICMP)
		s.refuseICMP(r, uint8(v-refused))
	}
}

// refuseICMP quotes the SYN, as far as the client looks at it: addresses, ports and sequence number.
func (s *shard) refuseICMP(r *Request, code uint8) {
	var b [ip.HeaderLen + tcp.MaxHeaderLen]byte
	n := ip.HeaderLen + r.syn.Put(b[ip.HeaderLen:], 0)
	head := ip.Header{Src: r.flow.Remote, Dst: r.flow.Local, Proto: ip.ProtoTCP, TTL: 64, DF: true, Len: n}
	head.Put(b[:])
	a := arrival{raw: b[:n]}
	if a.Parse(a.raw) == ip.DropNone {
		s.unreachable(&a, code)
	}
}

// recall takes a segment for a request that waits; false if there is none, or none any more.
func (s *shard) recall(f *Flow, g *tcp.Segment) bool {
	r := s.requests[*f]
	if r == nil {
		return false
	}
	const kinds = tcp.SYN | tcp.ACK | tcp.RST
	switch {
	case g.Flags&kinds == tcp.SYN && g.Seq == r.syn.Seq: // again
		r.gap = max(r.gap, s.now.Sub(r.heard))
		r.until = max(r.until, s.now.Add(min(max(leastPatience, 5*r.gap/2), mostPatience)))
		r.heard = s.now
		r.syn.Options = g.Options
		heap.Fix(&s.patience, r.place)
		s.dropTCP(tcp.DropRepeatedSYN)
		return true
	case g.Flags&kinds == tcp.SYN: // another one: the old client is gone
		if s.abandon(r) {
			return false
		}
		s.dropTCP(tcp.DropRepeatedSYN) // the old one's verdict has come first; this one will come again
		return true
	case g.Flags&tcp.RST != 0 && g.Seq == r.syn.Seq+1:
		s.abandon(r)
		s.counters.Delivered++
		return true
	}
	return false
}

// abandon is for a client that has given up. It reports false when a verdict has come before, which is carried out.
func (s *shard) abandon(r *Request) bool {
	if !r.verdict.CompareAndSwap(deferred, gone) {
		s.decided(r)
		return false
	}
	s.forgetRequest(r)
	r.cancel()
	return true
}

// expireRequests gives up the clients that have been silent for too long.
func (s *shard) expireRequests() {
	for len(s.patience) > 0 && s.patience[0].until <= s.now {
		s.abandon(s.patience[0])
	}
}

// cancelRequests gives up the requests of a listener that is closed; nil: of all.
func (s *shard) cancelRequests(l *Listener) {
	for _, r := range s.requests {
		if l == nil || r.listener == l {
			s.abandon(r)
		}
	}
}

// leastPatience is how long a client may be silent before it is taken for gone, and mostPatience how long at most. One that
// is there repeats its SYN after a second, and then after at most twice the time before (RFC 6298 (5.5)); the first that
// is heard of may have been preceded by others, which were lost.
const (
	leastPatience = 10 * mono.Second
	mostPatience  = 130 * mono.Second
)

// patience is a heap of requests, the one that ends first at the top.
type patience []*Request

func (p patience) Len() int           { return len(p) }
func (p patience) Less(i, j int) bool { return p[i].until < p[j].until }
func (p patience) Swap(i, j int) {
	p[i], p[j] = p[j], p[i]
	p[i].place, p[j].place = i, j
}

// Push implements heap.Interface.
func (p *patience) Push(r any) {
	r.(*Request).place = len(*p)
	*p = append(*p, r.(*Request))
}

// Pop implements heap.Interface.
func (p *patience) Pop() any {
	old := *p
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*p = old[:len(old)-1]
	return r
}
