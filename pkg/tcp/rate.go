package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// rate measures how fast the network delivers (draft-ietf-ccwg-bbr section 4.1): each span remembers how much had
// been delivered when it was sent.
type rate struct {
	delivered   uint64    // bytes, over the connection's life
	deliveredAt mono.Time // when delivered last grew
	firstAt     mono.Time // when the span was sent that began the interval being measured
	appLimited  uint64    // up to here samples are the application's doing; 0: none
	roundEnd    uint64    // the round ends when what was sent at this much delivered comes back

	loss loss

	// The last sample: bytes delivered within interval.
	sampled  uint32
	interval mono.Duration
}

// loss is what was found lost since the algorithm last heard: how much, and what stands in the last sent of it.
type loss struct {
	bytes        uint32
	flight, lost uint32
	appLimited   bool
}

// tell fills in what has been found lost; total is all that ever was.
func (l *loss) tell(total uint32, to *cc.Ack) {
	if l.bytes > 0 {
		to.Lost, to.LossTxInFlight, to.LossLostSince, to.LossAppLimited = l.bytes, l.flight, total-l.lost, l.appLimited
	}
	*l = loss{}
}

// stamp gives a span what a rate sample will need; pipe is without it, n its length.
func (c *Conn) stamp(now mono.Time, s *span, pipe, n uint32) {
	if pipe == 0 || c.rate.firstAt == 0 { // text may go while our SYN is still out (RFC 7413)
		c.rate.firstAt, c.rate.deliveredAt = now, now
	}
	s.at, s.delivered, s.deliveredAt, s.firstAt = now, c.rate.delivered, c.rate.deliveredAt, c.rate.firstAt
	s.appLimited, s.flight, s.lost = c.rate.appLimited != 0, pipe+n, uint32(c.count.bytesLost)
}

// applicationLimited notes that there is nothing more to send though there might be.
func (c *Conn) applicationLimited(pipe uint32) {
	c.rate.appLimited = max(c.rate.delivered+uint64(pipe), 1)
}

// sampleRate fills in what the acknowledgment says of rates and rounds.
func (c *Conn) sampleRate(now mono.Time, a *acked, to *cc.Ack) {
	to.Delivered = c.rate.delivered
	if c.rate.appLimited != 0 && c.rate.delivered > c.rate.appLimited {
		c.rate.appLimited = 0
	}
	if !a.any {
		return
	}
	s := &a.sample
	c.rate.deliveredAt = now
	c.rate.firstAt = s.at
	if s.delivered >= c.rate.roundEnd {
		to.Round = true
		c.rate.roundEnd = c.rate.delivered
	}
	interval := max(s.at.Sub(s.firstAt), now.Sub(s.deliveredAt))
	to.Sampled, to.AppLimited = uint32(c.rate.delivered-s.delivered), s.appLimited
	to.TxInFlight, to.LostSince = s.flight, uint32(c.count.bytesLost)-s.lost
	if interval < c.rtt.min || interval <= 0 {
		return
	}
	to.Interval = interval
	if !s.appLimited || uint64(to.Sampled)*uint64(c.rate.interval) >= uint64(c.rate.sampled)*uint64(interval) {
		c.rate.sampled, c.rate.interval = to.Sampled, interval
	}
}
