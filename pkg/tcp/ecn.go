package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// ECN is whether a connection uses Explicit Congestion Notification (RFC 3168).
type ECN uint8

// The choices; Linux's tcp_ecn 2, 0 and 1.
const (
	ECNPassive ECN = iota // when the peer asks for it
	ECNOff
	ECNOn // asking for it, too
)

// The codepoints of the IP header's ECN field (RFC 3168 section 5).
const (
	notECT = 0
	ect0   = 2
	ce     = 3
)

// ecnOffer is what our SYN or SYN,ACK says of ECN (RFC 3168 section 6.1.1).
func (c *Conn) ecnOffer(x *Env) Flags {
	switch {
	case c.is(factSynRcvd) && c.is(factECN):
		return ECE
	case !c.is(factSynRcvd) && c.Settings(x).ECN == ECNOn && c.retries == 0: // a middlebox may drop such SYNs
		return ECE | CWR
	}
	return 0
}

// ecnNegotiate takes what the peer's SYN or SYN,ACK says. Our own SYN asked for it only if the setting is on.
func (c *Conn) ecnNegotiate(x *Env, g *Segment) {
	want := ECE | CWR
	if g.Flags&ACK != 0 {
		want = ECE
	}
	set := c.Settings(x).ECN
	if g.Flags&(ECE|CWR) == want && (set == ECNOn || set == ECNPassive && g.Flags&ACK == 0) {
		c.set(factECN)
	}
}

// ecnMarked is the receiver's part (section 6.1.3): from a mark on, ACKs echo it until the sender says that it has
// slowed down.
func (c *Conn) ecnMarked(g *Segment) {
	if !c.is(factECN) {
		return
	}
	if g.Flags&CWR != 0 {
		c.unset(factEcho)
	}
	if g.ECN == ce {
		if !c.is(factEcho) {
			c.ackNow()
		}
		c.set(factEcho)
	}
}

// ecnEchoed is the sender's part (section 6.1.2): the peer has seen a mark. One reduction a window.
func (c *Conn) ecnEchoed(x *Env, now mono.Time, g *Segment) {
	if !c.is(factECN) || g.Flags&ECE == 0 || c.any(factRecovery|factLoss) || c.snd.una.Less(c.snd.recover) {
		return
	}
	c.Settings(x).Congestion.Loss(&c.cw, now, cc.Episode{Flight: c.outstanding(), ECN: true})
	if !c.cw.Owns {
		c.cw.Cwnd = min(c.cw.Cwnd, c.cw.Ssthresh)
	}
	c.snd.recover = c.snd.nxt
	c.unset(factUndo)
	c.set(factCWR | factReduced)
}

// ecnMark sets the ECN field of new text, and says once that we have slowed down. CWR goes on a segment of its own: a
// superframe would repeat it.
func (c *Conn) ecnMark(o *Out) {
	if !c.is(factECN) || len(o.Body[0]) == 0 {
		return
	}
	o.ECN = ect0
	if c.is(factCWR) && o.GSOSize == 0 {
		c.unset(factCWR)
		o.Flags |= CWR
	}
}
