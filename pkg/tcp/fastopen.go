package tcp

import (
	"encoding/binary"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// TCP Fast Open (RFC 7413): a client that has shown once that it is where it says sends text with its SYN, and the server
// answers before the handshake is over. What shows it is a cookie, which the server has given it before: a keyed hash of
// its address. The text of a SYN may come twice, by a duplicate that is late: the users on both ends must bear it.
//
// The connection says when a SYN is to carry the option (HasFastOpen); its caller, who knows the peers, fills in the cookie.

// FastOpenCookie is the option's value; the zero value asks for a cookie.
type FastOpenCookie struct {
	Len   uint8 // bytes: 0, or 4 to 16
	Bytes [16]byte
}

func (k *FastOpenCookie) take(o *Options, v []byte) {
	if len(v) != 0 && (len(v) < 4 || len(v) > len(k.Bytes) || len(v)%2 != 0) {
		return
	}
	*k = FastOpenCookie{}
	o.Has |= HasFastOpen
	k.Len = uint8(copy(k.Bytes[:], v))
}

// put writes the option, with NOPs up to a whole word.
func (k *FastOpenCookie) put(b []byte) int {
	n := 2 + int(k.Len)
	b[0], b[1] = optFastOpen, uint8(n)
	copy(b[2:n], k.Bytes[:k.Len])
	for ; n%4 != 0; n++ {
		b[n] = optNop
	}
	return n
}

// fastOpenPeriod is how long the key of cookies lasts; a cookie is taken in the period after its own, too.
const fastOpenPeriod = 3600 * mono.Second

// FastOpenCookie is the cookie for the peer of f now.
func (k *Secret) FastOpenCookie(f *Flow, now mono.Time) FastOpenCookie {
	return k.fastOpen(f, uint64(now)/uint64(fastOpenPeriod))
}

// FastOpenValid reports that the cookie was made for the peer of f, and not long ago.
func (k *Secret) FastOpenValid(f *Flow, now mono.Time, c *FastOpenCookie) bool {
	period := uint64(now) / uint64(fastOpenPeriod)
	return *c == k.fastOpen(f, period) || *c == k.fastOpen(f, period-1)
}

func (k *Secret) fastOpen(f *Flow, period uint64) (c FastOpenCookie) {
	h := k.mac(&Flow{Local: f.Local, Remote: f.Remote}, period, optFastOpen)
	c.Len = 8
	binary.BigEndian.PutUint64(c.Bytes[:], h)
	return c
}

// openEarly makes a connection that a SYN with a valid cookie opens its user's at once, with the text of the SYN.
func (c *Conn) openEarly(x *Env, now mono.Time, g *Segment) {
	c.set(factEarly)
	c.openWindow(x, now)
	c.signal(Opened | Writable)
	text := *g
	text.Seq++ // past the SYN
	text.Text = text.Text[:min(len(text.Text), int(c.rcv.adv.Sub(c.rcv.nxt)))]
	if len(text.Text) > 0 {
		c.take(x, now, &text)
	}
}

// earlyText puts text behind our SYN, as much as Open.Early allows and a segment takes.
func (c *Conn) earlyText(x *Env, now mono.Time, o *Out) {
	const options = 40 // as many as there may be
	most := min(uint32(c.snd.mss), c.snd.wnd)
	n := min(c.snd.end.Sub(c.snd.nxt), most-min(most, options))
	if n == 0 || c.snd.ring == 0 {
		return
	}
	s := span{end: c.snd.nxt.Add(n)}
	c.stamp(now, &s, 0, n)
	f := x.Memory.flightOf(&c.snd.flight)
	f.push(c.snd.una, s, uint32(c.snd.mss))
	x.Memory.weigh(f)
	o.Body[0], o.Body[1] = x.Memory.ring(c.snd.ring).slices(c.snd.nxt, int(n))
	c.snd.nxt = s.end
}

// earlyAnswered is for the SYN,ACK: what it does not acknowledge of the text on our SYN is sent again at once (RFC 7413
// section 4.2.2).
func (c *Conn) earlyAnswered(x *Env, now mono.Time, g *Segment) {
	if c.snd.flight == 0 {
		return
	}
	if g.Ack != c.snd.una {
		c.acknowledged(x, now, g, false)
	}
	if c.snd.flight != 0 {
		c.loseAll(x)
	}
}
