package tcptest

import (
	"math/bits"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// debt is what an end has sent again since all it had sent was acknowledged, and what it had reason to, in bytes of the
// wire, headers included. Reasons are
//
//   - everything once: it may be thought lost, and a router's word that it was too large says so again;
//   - twice what an acknowledgment reports as delivered, which is slow start after a time-out that was for nothing;
//   - two segments for each that comes from the peer: what conservation of packets allows for duplicate ACKs, and a tail
//     loss probe;
//   - with BBR, all that is outstanding for each acknowledgment of something new: losses take nothing from its window beyond the
//     first round, and never more than leaves four segments (BBRSetCwnd of draft-ietf-ccwg-bbr), so that what the acknowledgment
//     shows lost once more may all go at once. In a silence it has no more than others: a segment for each time-out
//     (BBROnEnterRTO);
//   - a segment for each time-out that there is time for while nothing comes, each twice as long as the one before
//     (RFC 6298 (5.5)).
//
// So what is sent again is bounded by what the wire did to the segments and to their acknowledgments, and in a silence by
// its logarithm. A sender that does not back off, that repeats what nobody complains of, or that answers each segment
// with a burst, exceeds it.
type debt struct {
	resent, reason int64
	since          mono.Time // the silence, by the host's clock
	delivered      ranges
}

// sends adds a segment to the account.
func (w *watcher) sends(f *Frame, e *end) {
	g, d := &f.Seg, &e.own.pacing
	if g.Len() == 0 {
		return
	}
	now := e.host.now()
	if e.own.told == e.max || g.Flags&tcp.SYN != 0 && e.max == e.iss {
		*d = debt{since: now, reason: 2 * int64(e.host.opt.MTU), delivered: d.delivered}
	}
	n := int64(g.Len())
	if u := w.world.users[e.flow]; u == nil || len(u.records) == 0 { // else small segments must stay small
		n += 40
	}
	if !g.Seq.Less(e.max) {
		d.reason += n
		return
	}
	if e.max.Less(g.End()) {
		d.reason += int64(g.End().Sub(e.max))
		n -= int64(g.End().Sub(e.max))
	}
	d.resent += n
	if most := d.reason + int64(timeouts(now.Sub(d.since)))*e.timeout(); d.resent > most {
		w.fail(f, "%d bytes again since all was acknowledged, and there was reason for %d", d.resent, most)
	}
}

// timeout is what one time-out may send again.
func (e *end) timeout() int64 { return int64(e.host.opt.MTU) }

// pays is for a segment of the peer's: a reason to send.
func (w *watcher) pays(e *end, g *tcp.Segment) {
	d, now := &e.own.pacing, e.host.now()
	d.reason += 2*int64(e.host.opt.MTU) + int64(timeouts(now.Sub(d.since)))*e.timeout()
	d.since = now
	news := d.delivered.add(tcp.Block{From: e.iss, To: seq.Max(e.iss, g.Ack)})
	for _, b := range g.Options.SACK[:g.Options.Blocks] {
		if e.iss.LessEq(b.From) && b.To.LessEq(e.max) {
			news += d.delivered.add(b)
		}
	}
	d.reason += 2 * int64(news)
	if u := w.world.users[e.flow]; u != nil && u.ownsWindow && news > 0 {
		d.reason += 2 * int64(e.max.Sub(e.own.told)) // with headers
	}
}

// tooBig is for a router's word that a packet was.
func (e *end) tooBig(f *Frame) {
	e.own.pacing.reason += int64(e.max.Sub(e.own.told)) + int64(len(f.Packet)-ip.HeaderLen)
}

// timeouts is how many there may be in a silence: the first after the least time-out, each twice as long as the one before,
// up to the longest.
func timeouts(silence mono.Duration) int {
	s := tcp.Defaults()
	n := bits.Len64(uint64(silence / s.RTOMin))
	doubled := bits.Len64(uint64(s.RTOMax / s.RTOMin))
	if n > doubled {
		n = doubled + int(silence/s.RTOMax)
	}
	return n
}
