package tcptest

import (
	"fmt"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// The clock of a host does not go back, but it may leap: the process was stopped, or the machine that it runs in. What was
// to happen in the meantime is then due all at once.

// leaps are up to times beyond the wheel (52 days), and beyond what a clock of milliseconds in 32 bits tells apart.
var leaps = []mono.Duration{second, 5 * second, 60 * second, hour, 24 * hour, 23 * 24 * hour, 26 * 24 * hour, 45 * 24 * hour, 60 * 24 * hour, 400 * 24 * hour}

// leapers are the hosts whose clocks leap.
func leapers() []string {
	if testing.Short() {
		return []string{"ab"}
	}
	return []string{"a", "b", "ab"}
}

// leap has the clocks of some hosts leap. The strict watcher takes a timestamp for older than the last by the same arithmetic
// as hosts do, and has a host's clock go forward.
func (p *pair) leap(who string, by mono.Duration) {
	p.Strict = p.Strict && by > 0 && by < 24*24*hour
	for _, h := range []*Host{p.a, p.b} {
		if who == h.Name || who == "ab" {
			h.jump(by)
		}
	}
}

// eachLeap runs f for every leap of every host. Beyond half of what the timestamps' clock counts, 24 days, both leap: time
// that has passed has passed for the peer, too, and if it had not, the timestamps of one of them would be old to the other.
func eachLeap(t *testing.T, leaps []mono.Duration, f func(t *testing.T, who string, by mono.Duration)) {
	for _, who := range leapers() {
		for _, by := range leaps {
			if by > 24*24*hour && who != "ab" {
				continue
			}
			t.Run(fmt.Sprintf("%s by %v", who, by), func(t *testing.T) { f(t, who, by) })
		}
	}
}

// TestLeapInTransfer has a clock leap with text in flight both ways: each connection times out once at most, so that there
// is no storm, and all arrives, soon. What would have been in flight for more than 24 days is older than its timestamp can
// say.
func TestLeapInTransfer(t *testing.T) {
	eachLeap(t, leaps[:6], func(t *testing.T, who string, by mono.Duration) {
		p := open(t)
		p.lossy(0)
		p.c.Write(1 << 20)
		p.s.Write(1 << 20)
		p.Run(110 * ms)
		if p.c.Info().Flight < 5000 || p.s.Info().Flight < 5000 {
			t.Fatalf("%d and %d bytes are in flight", p.c.Info().Flight, p.s.Info().Flight)
		}
		before := p.Segments
		p.leap(who, by)
		p.Run(0)
		if n := p.Segments - before; n > 40 {
			t.Errorf("%d segments at once", n)
		}
		p.Run(30 * second)
		p.read(1<<20, 1<<20)
		for _, u := range []*User{p.c, p.s} {
			if !u.Held {
				t.Errorf("%s has lost its connection", u.Host.Name)
			} else if i := u.Info(); i.TimeOuts > 2 {
				t.Errorf("%s: %d time-outs", u.Host.Name, i.TimeOuts)
			}
		}
		p.end()
	})
}

// TestLeapOfIdle has a clock leap while nothing is under way: it costs one keep-alive probe at most, and the connection
// goes on at once, as fast as before.
func TestLeapOfIdle(t *testing.T) {
	for _, keep := range []bool{false, true} {
		eachLeap(t, leaps, func(t *testing.T, who string, by mono.Duration) {
			p := open(t, settings(func(s *tcp.Settings) { s.KeepAlive = keep }))
			p.talk(10_000)
			p.sent = nil
			p.leap(who, by)
			p.Run(rtt)
			if n := len(p.sent); n > 4 || !keep && n > 0 {
				t.Errorf("%d segments", n)
			}
			for _, u := range []*User{p.s, p.c} {
				before, start := u.Wrote, p.now
				u.Write(100_000)
				other := map[*User]*User{p.c: p.s, p.s: p.c}[u]
				for other.Read < before+100_000 && p.Step() {
				}
				if d := p.now.Sub(start); d > second {
					t.Errorf("100,000 bytes from %s take %v", u.Host.Name, d)
				}
			}
			p.neverOld(false)
			p.end()
		})
	}
}

// TestLeapIntoZeroWindow has a clock leap while a window is closed, which is one probe early.
func TestLeapIntoZeroWindow(t *testing.T) {
	eachLeap(t, leaps, func(t *testing.T, who string, by mono.Duration) {
		p := paused(t, 20_000)
		p.c.Write(60_000)
		p.Run(60 * second)
		p.sent = nil
		p.leap(who, by)
		p.Run(second)
		if n := p.count(p.a, nil); n > 2 {
			t.Errorf("%d probes", n)
		}
		p.s.Resume()
		p.Run(60 * second)
		p.read(0, 60_000)
		p.end()
	})
}

// TestLeapInTimeWait has a clock leap over the end of TIME-WAIT, however far: then it is over, and no connection waits any
// longer than 2 MSL.
func TestLeapInTimeWait(t *testing.T) {
	eachLeap(t, leaps, func(t *testing.T, who string, by mono.Duration) {
		p := open(t)
		p.c.Close()
		p.Run(second)
		p.s.Close()
		p.Run(second)
		if n := p.a.Stack.Counters(0).TimeWait; n != 1 {
			t.Fatalf("%d in TIME-WAIT", n)
		}
		p.leap(who, by)
		p.Run(0)
		over := who != "b" && by >= 60*second
		if n := p.a.Stack.Counters(0).TimeWait; (n == 0) != over {
			t.Errorf("%d in TIME-WAIT", n)
		}
		p.Run(61 * second)
		if n := p.a.Stack.Counters(0).TimeWait; n != 0 {
			t.Errorf("after 2 MSL %d are in TIME-WAIT", n)
		}
		p.CheckIdle()
	})
}

// TestLeapInHandshake has a clock leap in SYN-SENT and SYN-RECEIVED: the SYN goes again, once, and the connection opens.
func TestLeapInHandshake(t *testing.T) {
	eachLeap(t, leaps, func(t *testing.T, who string, by mono.Duration) {
		for _, lost := range []tcp.Flags{tcp.SYN, tcp.SYN | tcp.ACK, tcp.ACK} {
			p := newPair(t)
			done := false
			p.filter(func(s *sent) bool {
				if done || !has(lost)(s) {
					return false
				}
				done = true
				return true
			})
			p.c = p.a.Dial(p.b, 80, 0)
			p.Run(100 * ms)
			p.leap(who, by)
			p.Run(5 * second)
			if n := p.count(p.a, has(tcp.SYN)) + p.count(p.b, has(tcp.SYN|tcp.ACK)); p.s == nil || p.c.Events&tcp.Opened == 0 || n > 5 {
				t.Fatalf("%v lost: events %b, %d SYNs", lost, p.c.Events, n)
			}
			p.c.Write(1000)
			p.Run(5 * second)
			p.read(0, 1000)
			p.end()
		}
	})
}

// TestLeapInClose has a clock leap in each state of closing: nothing is stuck, and who waits for a FIN or for an
// acknowledgment ends in time.
func TestLeapInClose(t *testing.T) {
	eachLeap(t, leaps, func(t *testing.T, who string, by mono.Duration) {
		for _, state := range []fsm.State{fsm.FinWait1, fsm.FinWait2, fsm.Closing, fsm.LastAck} {
			p := open(t)
			if state != fsm.FinWait2 {
				p.filter(func(s *sent) bool { return s.host == p.b })
			}
			switch state {
			case fsm.Closing:
				p.filter(func(s *sent) bool { return s.host == p.b && s.Flags&tcp.FIN == 0 })
				p.s.CloseWrite()
			case fsm.LastAck:
				p.filter(func(s *sent) bool { return s.host == p.b && s.Flags&tcp.FIN == 0 })
				p.s.CloseWrite()
				p.Run(second)
			}
			p.c.Close()
			p.Run(100 * ms)
			p.leap(who, by)
			p.Run(0)
			p.filter(nil)
			p.s.Close()
			p.over()
		}
	})
}

// TestLeapOfCrowd has the clocks of a crowd's hosts leap by a minute while each connection has text in flight: each sends
// no more than its window says, and one time-out later all is well.
func TestLeapOfCrowd(t *testing.T) {
	crowd := int(few(300))
	for _, who := range leapers() {
		p := newPair(t)
		p.Log.Verbose, p.CheckEvery = false, 50
		p.ab.Filter, p.ba.Filter = nil, nil
		var all []*User
		for range crowd {
			all = append(all, p.a.Dial(p.b, 80, 0))
		}
		p.Run(5 * second)
		for _, u := range append(all, p.l.Users...) {
			u.Write(10_000)
		}
		p.Run(5 * ms)
		before := p.Segments
		p.leap(who, 60*second)
		p.Run(0)
		if n := p.Segments - before; n > 4*crowd {
			t.Errorf("%s: %d segments at once, of %d connections", who, n, crowd)
		}
		p.Run(20 * second)
		for _, u := range append(all, p.l.Users...) {
			if u.Read != 10_000 || !u.Held {
				t.Fatalf("%s: %s has read %d bytes", who, u.Host.Name, u.Read)
			}
		}
		for _, u := range append(all, p.l.Users...) {
			u.Close()
		}
		p.over()
	}
}

// TestClockGoesBack has a clock go back, as none should: for the stack it stands still until it has caught up. Everything
// goes on, if late.
func TestClockGoesBack(t *testing.T) {
	for _, who := range leapers() {
		for _, by := range []mono.Duration{ms, second, 20 * second} {
			p := open(t)
			p.lossy(0)
			p.c.Write(1 << 20)
			p.s.Write(1 << 20)
			p.Run(110 * ms)
			turns := p.Turns
			p.leap(who, -by)
			p.Run(by)
			if n := p.Turns - turns; n > 10_000 {
				t.Errorf("%s back by %v: %d turns meanwhile", who, by, n)
			}
			p.Run(30 * second)
			p.read(1<<20, 1<<20)
			p.neverOld(false)
			p.end()
		}
	}
}

// TestLeapOfUserTimeout: a user who has set how long he waits for progress has waited that long when the clock has leapt,
// if there was text to be acknowledged; else nothing was waited for.
func TestLeapOfUserTimeout(t *testing.T) {
	for _, waits := range []bool{false, true} {
		p := open(t)
		p.c.Do(func(c stack.Conn) { c.SetUserTimeout(10 * second) })
		p.Run(second)
		if waits {
			p.filter(lostAll)
			p.c.Write(1000)
			p.Run(second)
		}
		p.leap("a", 60*second)
		p.Run(second)
		p.filter(nil)
		if p.c.Held == waits || waits && p.c.Events&tcp.TimedOut == 0 {
			t.Errorf("waits %v: held %v, events %b", waits, p.c.Held, p.c.Events)
		}
		if !waits {
			p.talk(1000)
		}
		p.c.Abort()
		p.s.Abort()
		p.over()
	}
}
