package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// TestPackedTimeWait: what a connection in TIME-WAIT is packed into gives the same back, at any uptime and however
// often it is packed: never an end before 2 MSL, and never a challenge ACK withheld that nothing was sent for.
func TestPackedTimeWait(t *testing.T) {
	x := &Env{Settings: []Settings{Defaults()}, Memory: NewMemory(0), MTU: 1500}
	for _, uptime := range []mono.Duration{mono.Second, 3600 * mono.Second, 5 * 3600 * mono.Second, 50 * 86400 * mono.Second} {
		now := mono.Time(uptime + 123456)
		var c Conn
		c.OpenActive(x, now, Open{})
		c.set(factSynAcked | factSynRcvd | factFinQueued | factFinAcked | factFinRcvd | factLetGo)
		c.timer[timerWait] = now.Add(60 * mono.Second)
		want := c.timer[timerWait]
		for k := range 10 {
			var w TimeWait
			if !c.PackTimeWait(&w) {
				t.Fatal("not packed")
			}
			w.Unpack(x, now, &c)
			now = now.Add(1234567)
			if late := c.timer[timerWait].Sub(want); late < 0 || late >= mono.Millisecond {
				t.Errorf("uptime %v: packed %d times, the wait ends %v late", uptime, k+1, late)
			}
			if now < c.challenge {
				t.Errorf("uptime %v: a challenge ACK is withheld for %v", uptime, c.challenge.Sub(now))
			}
		}
		c.challenge = now.Add(challengeInterval)
		var w TimeWait
		c.PackTimeWait(&w)
		w.Unpack(x, now, &c)
		if wait := c.challenge.Sub(now); wait < challengeInterval || wait > 2*challengeInterval {
			t.Errorf("uptime %v: the next challenge ACK comes after %v", uptime, wait)
		}
	}
}
