package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// ICMPError is the type and the code of an ICMP error; the zero value is none.
type ICMPError struct{ Type, Code uint8 }

// An ICMP error is believed only when it quotes a sequence number that is in flight (RFC 5927 section 4.1). The calls
// below return whether it was.

// HardError tells the connection of an ICMP hard error (section 3.9.2.2): while it opens, that ends it; later it is kept
// for who asks why the peer is silent (RFC 5927 section 5.2).
func (c *Conn) HardError(x *Env, now mono.Time, quoted seq.Num, e ICMPError) bool {
	if !c.inFlight(quoted) || c.is(factReleased) {
		return false
	}
	c.icmp = e
	c.fire(x, now, fsm.HardError)
	return true
}

// SoftError tells the connection of an ICMP soft error (section 3.9.2.2, RFC 5461): the way to the peer is broken, perhaps
// not for long. It ends nothing (MUST-56); should the connection be given up, it is the reason. unreachable tells that a
// router had no way to the peer: then it was not congestion that took the segment, and the time-out need not have been
// doubled for it (RFC 6069 section 4.1).
func (c *Conn) SoftError(x *Env, now mono.Time, quoted seq.Num, e ICMPError, unreachable bool) bool {
	if !c.inFlight(quoted) || c.is(factReleased) {
		return false
	}
	if c.icmp != e {
		c.icmp = e
		c.signal(Troubled) // MUST-47
	}
	if unreachable && c.is(factLoss) && quoted == c.snd.una && c.backoff > 0 {
		c.backoff--
		c.timer[timerRetransmit] = min(c.timer[timerRetransmit], now.Add(c.rto(x)))
	}
	return true
}

func (c *Conn) inFlight(quoted seq.Num) bool {
	return c.snd.una.LessEq(quoted) && quoted.Less(c.snd.nxt)
}
