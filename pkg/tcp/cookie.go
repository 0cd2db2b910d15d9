package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// A SYN cookie (RFC 4987 section 3.6) is an initial sequence number that says what a half-open connection would have
// kept, so that nothing need be kept:
//
//	 31    27 26  24 23                      0
//	+--------+------+-------------------------+
//	| period | MSS  | keyed hash of it all    |
//	+--------+------+-------------------------+
//
// Nothing is kept, so nothing tells that a cookie has been used: a late segment of a connection that is over, if it
// begins right after the SYN, opens it again, until the cookie is too old. So it is with all cookies.
//
// What has no room there (window scale, SACK) is in the lowest bits of our timestamp, which the peer echoes; without
// timestamps it is not offered.

const (
	cookiePeriod   = 64 * mono.Second // the hash is another in each
	cookieLife     = 2                // periods
	cookieHash     = 1<<24 - 1
	cookieBits     = 6 // of the timestamp
	cookieNoScale  = 15
	cookieSACK     = 1 << 4
	cookieECN      = 1 << 5
	cookieTSMask   = 1<<cookieBits - 1
	cookieMSSShift = 24
)

// cookieMSS are the sizes that a cookie can say, in bytes; the peer's is rounded down.
var cookieMSS = [8]uint16{48, 216, 536, 940, 1220, 1400, 1440, 1460}

func mssIndex(mss uint16) (i uint32) {
	for int(i) < len(cookieMSS)-1 && cookieMSS[i+1] <= mss {
		i++
	}
	return i
}

func period(now mono.Time) uint32 { return uint32(uint64(now) / uint64(cookiePeriod)) }

// cookie is the sequence number for a SYN that arrived as irs, in a period, with what the timestamp will say.
func (k *Secret) cookie(f *Flow, irs seq.Num, period, mss, bits uint32) seq.Num {
	h := k.mac(f, uint64(irs)<<32|uint64(period&0xffffff)<<8|uint64(mss)<<5|1<<4, uint64(bits))
	return seq.Num((period&31)<<27 | mss<<cookieMSSShift | uint32(h)&cookieHash)
}

// MakeCookie turns c, which has just been opened by a SYN (OpenPassive), into what answers it without being kept: the
// caller sends its SYN,ACK and forgets it.
func (c *Conn) MakeCookie(k *Secret, f *Flow, now mono.Time) {
	bits := uint32(cookieNoScale)
	c.unset(factAccECN) // there is no room for it: the peer falls back to RFC 3168
	if !c.is(factTimestamps) {
		c.unset(factScale | factSACK | factECN)
		c.snd.scale, c.rcv.scale = 0, 0
	}
	if c.is(factScale) {
		bits = uint32(c.snd.scale)
	}
	if c.is(factSACK) {
		bits |= cookieSACK
	}
	if c.is(factECN) {
		bits |= cookieECN
	}
	mss := mssIndex(c.mtu.most + uint16(c.optionBytes()))
	iss := k.cookie(f, c.rcv.irs, period(now), mss, bits)
	c.snd.iss, c.snd.una, c.snd.nxt, c.snd.end, c.snd.recover, c.snd.small = iss, iss, iss, iss+1, iss, iss
	if c.is(factTimestamps) {
		ts := c.timestamp(now)&^cookieTSMask | bits
		if int32(ts-c.timestamp(now)) > 0 {
			ts -= 1 << cookieBits // the clock must not seem to go back
		}
		c.ts.offset -= c.timestamp(now) - ts
	}
}

// OpenCookie makes c the connection that the ACK g completes, in SYN-RECEIVED, if it acknowledges a cookie of ours;
// Input then takes g. o's ISS is not used.
func (c *Conn) OpenCookie(x *Env, k *Secret, f *Flow, now mono.Time, o Open, g *Segment) bool {
	iss, irs := g.Ack-1, g.Seq-1
	age := (period(now) - uint32(iss)>>27) & 31
	if g.Flags&(ACK|SYN|RST) != ACK || age >= cookieLife {
		return false
	}
	bits := uint32(cookieNoScale)
	syn := Segment{Seq: irs, Flags: SYN, Options: Options{Has: HasMSS}}
	if g.Options.Has&HasTimestamps != 0 {
		bits = g.Options.TSEcr & cookieTSMask
		syn.Options.Has |= HasTimestamps
		syn.Options.TSVal = g.Options.TSVal
	}
	mss := uint32(iss) >> cookieMSSShift & 7
	if k.cookie(f, irs, period(now)-age, mss, bits) != iss {
		return false
	}
	syn.Options.MSS = cookieMSS[mss]
	if bits&15 != cookieNoScale {
		syn.Options.Has |= HasWindowScale
		syn.Options.WindowScale = uint8(bits & 15)
	}
	if bits&cookieSACK != 0 {
		syn.Options.Has |= HasSACKPermitted
	}
	if bits&cookieECN != 0 {
		syn.Flags |= ECE | CWR
	}
	o.ISS = iss
	c.OpenPassive(x, now, o, &syn)
	c.unset(factSYNDue)
	c.snd.nxt++ // the SYN went out, and nobody has kept when
	return true
}
