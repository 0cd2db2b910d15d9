package tcp

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
)

// MTUProbing is when a connection looks for the path's MTU by itself (RFC 4821), without routers that tell of it.
type MTUProbing uint8

// The choices; Linux's tcp_mtu_probing 1, 0 and 2.
const (
	MTUProbingBlackHole MTUProbing = iota // once large segments seem to vanish, or a router has told of a small MTU
	MTUProbingOff
	MTUProbingOn // from the start
)

// mtuSearch is the search for the largest segment that the path takes, in bytes of payload, options taken off. It is
// under way while snd.mss is less than most.
//
//	floor        snd.mss            high        most
//	  |------------|-----------------|------------|
//	    the path has taken these        not these
type mtuSearch struct {
	most uint16    // what the two ends have agreed on
	high uint16    // no more than this is tried before again
	size uint16    // of the probe that is out; 0: none is
	next mono.Time // no probe before; mtuAgain after the last cut
}

const (
	// leastPathMTU bounds what an ICMP error may ask for: below 552 (Linux's min_pmtu) it is more likely hostile than true.
	leastPathMTU = 552
	// baseMSS is what a path is thought to take that has shown itself a black hole (RFC 4821 section 7.2; Linux's
	// tcp_base_mss), floorMSS what every path takes.
	baseMSS  = 1024
	floorMSS = 512
	// mtuNear is when the search is over: the two ends are as near as this (Linux's tcp_probe_threshold).
	mtuNear = 8
	// mtuAgain is how long a size that the path did not take is not tried again (RFC 4821 section 7.6, RFC 1191
	// section 6.3).
	mtuAgain = 600 * mono.Second
	// mtuReserve is how many segments there must be to send behind a probe, so that its loss is found without a time-out
	// (RFC 4821 section 7.4), and least cwnd, in segments.
	mtuReserve = 5
	mtuWindow  = 11
)

// beginMTU is called when the MSS has been agreed on.
func (c *Conn) beginMTU(x *Env) {
	c.mtu = mtuSearch{most: c.snd.mss, high: c.snd.mss}
	if c.Settings(x).MTUProbing == MTUProbingOn {
		c.snd.mss = min(c.snd.mss, baseMSS)
	}
}

func (c *Conn) setMSS(mss uint16) {
	c.snd.mss = mss
	c.cw.MSS = uint32(mss)
}

// TooBig tells the connection of an ICMP "fragmentation needed" (RFC 1191) that quotes the sequence number quoted;
// mtu is the next hop's in bytes. What was too big is sent again at once, smaller.
func (c *Conn) TooBig(x *Env, now mono.Time, quoted seq.Num, mtu int) bool {
	mss := max(mtu, leastPathMTU) - 40 - c.optionBytes()
	if !c.inFlight(quoted) || c.is(factReleased) {
		return false
	}
	if c.mtu.size != 0 && mss >= int(c.snd.mss) && mss < int(c.mtu.size) { // the probe, and no other, was too big
		c.probeTooBig(now, uint16(mss))
		return true
	}
	if mss >= int(c.snd.mss) || now.Sub(c.mtu.next.Add(-mtuAgain)) < c.rtt.srtt {
		return false // once a round trip: another router speaks when what is smaller has come to it
	}
	c.mtu.size, c.mtu.high, c.mtu.next = 0, uint16(mss), now.Add(mtuAgain)
	c.setMSS(uint16(mss))
	c.tell(x, IncidentTooBig)
	if c.snd.flight != 0 && c.is(factSynAcked) {
		c.loseAll(x)
	}
	return true
}

// doubtPath is for R1 time-outs in a row, and each one after (section 3.8.3): perhaps the path takes no large segments and
// nobody tells (RFC 4821 section 7.7, RFC 2923 section 2.1).
func (c *Conn) doubtPath(x *Env) {
	if c.Settings(x).MTUProbing == MTUProbingOff || c.snd.mss <= floorMSS || c.icmp != (ICMPError{}) {
		return // or a router has told of another reason
	}
	c.mtu.size, c.mtu.high, c.mtu.next = 0, c.mtu.most, 0
	mss := uint16(baseMSS)
	if c.snd.mss <= baseMSS {
		mss = floorMSS
	}
	c.setMSS(mss)
	c.tell(x, IncidentBlackHole)
}

// probeSize is how long a probe is to be sent now, in bytes; 0: none.
func (c *Conn) probeSize(now mono.Time, queued, wnd uint32) uint32 {
	m := &c.mtu
	if c.snd.mss >= m.most || m.size != 0 || now < m.next || c.any(factRecovery|factLoss) || c.retries > 0 {
		return 0
	}
	if m.high < c.snd.mss+mtuNear {
		m.high = m.most // the path may have become another
	}
	size := (uint32(c.snd.mss) + uint32(m.high) + 1) / 2
	if m.high < c.snd.mss+mtuNear {
		size = uint32(m.high)
	}
	need := size + mtuReserve*uint32(c.snd.mss)
	if c.cw.Cwnd < mtuWindow*uint32(c.snd.mss) || queued < need || wnd < need || c.is(factUrgentOut) || c.snd.marks != 0 {
		return 0
	}
	return size
}

// probeTaken is for the probe's arrival.
func (c *Conn) probeTaken(now mono.Time) {
	m := &c.mtu
	if m.size == 0 {
		return
	}
	c.setMSS(m.size)
	m.size = 0
	if m.high < c.snd.mss+mtuNear && m.high != m.most {
		m.next = now.Add(mtuAgain)
	}
}

// probeLost is for its loss, which says nothing of congestion (RFC 4821 section 7.5).
func (c *Conn) probeLost(now mono.Time) {
	if c.mtu.size != 0 {
		c.probeTooBig(now, c.mtu.size-1)
	}
}

func (c *Conn) probeTooBig(now mono.Time, high uint16) {
	m := &c.mtu
	m.size, m.high = 0, max(high, c.snd.mss)
	if m.high < c.snd.mss+mtuNear {
		m.next = now.Add(mtuAgain)
	}
}
