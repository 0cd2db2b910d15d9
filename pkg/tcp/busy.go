package tcp

import "github.com/tcpd-project/tcpd/pkg/mono"

// waiting is what a connection that has text to send waits for.
type waiting uint8

const (
	waitingNone    waiting = iota // it has none
	waitingNetwork                // acknowledgments, cwnd or pacing
	waitingReceive                // the peer's window
	waitingSend                   // the user has more, for which the send buffer has no room
	numWaiting
)

// busy is how long a connection has waited for what (Linux's tcp_chrono).
type busy struct {
	on    waiting
	since mono.Time
	total [numWaiting - 1]mono.Duration
}

func (b *busy) turn(to waiting, now mono.Time) {
	if b.on == to {
		return
	}
	if b.on != waitingNone {
		b.total[b.on-1] += now.Sub(b.since)
	}
	b.on, b.since = to, now
}

// sum is the time spent on one thing up to now.
func (b *busy) sum(of waiting, now mono.Time) mono.Duration {
	d := b.total[of-1]
	if b.on == of {
		d += now.Sub(b.since)
	}
	return d
}

// rest notes what the connection waits for, now that it has sent what it may.
func (c *Conn) rest(now mono.Time) {
	to := waitingNone
	switch queued := c.snd.end.Sub(c.snd.nxt); {
	case c.snd.nxt.Less(c.snd.end) && c.snd.wnd < c.outstanding()+min(queued, uint32(c.snd.mss)):
		to = waitingReceive
	case c.snd.nxt == c.snd.end && c.is(factStarved):
		to = waitingSend
	case c.snd.una.Less(c.snd.end):
		to = waitingNetwork
	}
	c.busy.turn(to, now)
}
