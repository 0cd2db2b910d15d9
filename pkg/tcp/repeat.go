package tcp

import "github.com/tcpd-project/tcpd/pkg/seq"

// Repeat sends text over and over, for as long as the connection may send, in place of what Write would queue: nothing is
// copied, no memory is held, and no Writable need be waited for. text is to begin anew after cycle bytes, to be MaxRepeat bytes
// longer than that at least, and never to be changed. It reports false, and does nothing, when something has been written
// already, or can't be.
func (c *Conn) Repeat(x *Env, text []byte, cycle int) bool {
	if c.snd.ring != 0 || c.Space() == 0 || c.snd.end != c.firstText() || cycle <= 0 || len(text) < cycle+MaxRepeat {
		return false
	}
	c.snd.ring = x.Memory.newRing()
	*x.Memory.ring(c.snd.ring) = ring{buf: text, shared: true, cycle: uint32(cycle), origin: c.snd.end}
	c.refill(x)
	return true
}

// MaxRepeat is the most text in bytes that goes out at once.
const MaxRepeat = 65535

// refill queues as much of a text that repeats as the send buffer's size allows.
func (c *Conn) refill(x *Env) {
	r := x.Memory.ring(c.snd.ring)
	if r.cycle == 0 || c.any(factFinQueued|factCloseDue) {
		return
	}
	una := c.firstText()
	c.snd.end = seq.Max(c.snd.end, una.Add(c.snd.buf))
	if gone := una.Sub(r.origin); gone >= 1<<30 {
		r.origin = r.origin.Add(gone / r.cycle * r.cycle)
	}
}
