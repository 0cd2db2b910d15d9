package tcp

import "github.com/tcpd-project/tcpd/pkg/mono"

// estimator is RFC 6298's: smoothed round-trip time and its variance, in ns.
type estimator struct {
	srtt, rttvar mono.Duration
	min          mono.Duration // 0: none yet
	at           mono.Time     // when our SYN was sent, if factTimed
}

// initialRTO is RFC 6298 (2.1)'s, and fallbackRTO (5.7)'s: for a connection whose SYN had to be sent again.
const (
	initialRTO  = mono.Second
	fallbackRTO = 3 * mono.Second
)

// longestRTT is more than the RTO ever waits for by default: what took longer was not the path, but a machine that slept.
const longestRTT = 120 * mono.Second

// sample takes one measurement (RFC 6298 section 2).
func (r *estimator) sample(d mono.Duration) {
	if d = max(d, 1); d > longestRTT {
		return
	}
	if r.min == 0 || d < r.min {
		r.min = d
	}
	if r.srtt == 0 {
		r.srtt, r.rttvar = d, d/2
		return
	}
	off := r.srtt - d
	if off < 0 {
		off = -off
	}
	r.rttvar += (off - r.rttvar) / 4
	r.srtt += (d - r.srtt) / 8
}

// rto is the retransmission time-out now, doublings included (RFC 6298 (2.3), (5.5)).
func (c *Conn) rto(x *Env) mono.Duration {
	s := c.Settings(x)
	d := initialRTO
	switch {
	case c.rtt.srtt == 0 && c.is(factSynAcked|factSYNLate):
		d = fallbackRTO
	case c.rtt.srtt != 0:
		d = max(c.rtt.srtt+max(4*c.rtt.rttvar, mono.Millisecond), s.RTOMin)
	}
	for range c.backoff {
		if d >= s.RTOMax {
			break
		}
		d *= 2
	}
	return min(d, s.RTOMax)
}

// timestamp is our clock for the timestamps option: milliseconds, from an origin of the connection's own
// (RFC 7323 section 5.4).
func (c *Conn) timestamp(now mono.Time) uint32 { return clockMS(now) + c.ts.offset }

func clockMS(now mono.Time) uint32 { return uint32(uint64(now) / uint64(mono.Millisecond)) }
