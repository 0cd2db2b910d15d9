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

	// The last sample: bytes delivered within interval.
	sampled  uint32
	interval mono.Duration
}

// stamp gives a span what a rate sample will need.
func (c *Conn) stamp(now mono.Time, s *span, pipe uint32) {
	if pipe == 0 {
		c.rate.firstAt, c.rate.deliveredAt = now, now
	}
	s.at, s.delivered, s.deliveredAt, s.firstAt = now, c.rate.delivered, c.rate.deliveredAt, c.rate.firstAt
	s.appLimited = c.rate.appLimited != 0
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
	if interval < c.rtt.min || interval <= 0 {
		return
	}
	to.Sampled, to.Interval, to.AppLimited = uint32(c.rate.delivered-s.delivered), interval, s.appLimited
	if !s.appLimited || uint64(to.Sampled)*uint64(c.rate.interval) >= uint64(c.rate.sampled)*uint64(interval) {
		c.rate.sampled, c.rate.interval = to.Sampled, interval
	}
}
