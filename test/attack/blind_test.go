package attack

import (
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/space"
)

// challengesIn is the most challenge ACKs of one connection while d passes: one in half a second. An ACK that was delayed
// looks the same.
func challengesIn(d time.Duration) int { return int(d/(500*time.Millisecond)) + 2 }

// sweep sends a guess for every stride of the sequence space, from first on. Then the victim's connection must still be
// there. It returns how many guesses there were, and how many ACKs that nobody asked for the victim had.
func (x *target) sweep(victim *client, first seq.Num, stride uint64, guess func(n seq.Num)) (guesses, answers int) {
	x.t.Helper()
	for n := uint64(0); n+stride <= 1<<32; n += stride {
		guess(first.Add(uint32(n)))
		guesses++
		if guesses%20_000 == 10_000 {
			x.honest.round()
		}
	}
	victim.echoed("still here") // behind them all on the device's queue
	return guesses, victim.strays
}

// TestBlindRST guesses all over the sequence space, a window apart, as it took with RFC 793 to hit for certain; then
// everywhere in the window. Nothing but RCV.NXT itself resets the connection (RFC 5961 section 3): the odds of a guess are
// 1 to 2^32.
func TestBlindRST(t *testing.T) {
	x := newTarget(t, "")
	victim := x.attacker().open(peer(4000), echoPort, 65535, plain)
	blind := x.attacker()
	rst := func(n seq.Num) { blind.send(victim.local, victim.remote, tcp.Segment{Seq: n, Flags: tcp.RST}) }

	x.begin()
	began := time.Now()
	wnd := victim.offered
	guesses, answers := x.sweep(victim, victim.seq+1, uint64(wnd), rst)
	now := x.Counters()
	hits, misses := x.drops(now, "tcp_blind_rst"), x.drops(now, "tcp_sequence")
	if hits != 1 || hits+misses+now.DeviceDrops-x.before.DeviceDrops < uint64(guesses) {
		t.Errorf("%d guesses, %d bytes apart: %d in the window, which should be 1, and %d outside", guesses, wnd, hits, misses)
	}

	if now.Challenges == x.before.Challenges {
		t.Error("no challenge for the guess in the window")
	}

	x.begin()
	const stride = 16
	inside := 0
	for n := uint32(1); n < wnd; n += stride {
		rst(victim.seq.Add(n))
		inside++
	}
	victim.echoed("and here")
	now = x.Counters()
	if hits := x.drops(now, "tcp_blind_rst"); hits < uint64(inside*9/10) { // RCV.NXT has moved by the text since
		t.Errorf("%d of %d guesses are counted as inside the window", hits, inside)
	}
	if n := now.Challenges - x.before.Challenges + now.ChallengesLimited - x.before.ChallengesLimited; n < uint64(inside*9/10) {
		t.Errorf("%d challenges sent or kept back, for %d guesses", n, inside)
	}
	if most := challengesIn(time.Since(began)); answers+victim.strays > most {
		t.Errorf("%d challenge ACKs, at most %d are allowed", answers+victim.strays, most)
	}
	t.Logf("%d guesses over 2^32 and %d in a window of %d: none took effect; RFC 793 would have fallen to the first in the window, 1 in %d",
		guesses, inside, wnd, uint64(1)<<32/uint64(wnd))

	x.begin()
	rst(victim.seq)
	x.until("the exact number to take effect", func(now *space.Counters) bool { return now.Connections < x.before.Connections })
	x.survived()
}

// TestBlindSYN: a SYN inside a connection is answered with a challenge, wherever it stands, and ends nothing (RFC 5961
// section 4).
func TestBlindSYN(t *testing.T) {
	x := newTarget(t, "")
	victim := x.attacker().open(peer(4000), echoPort, 65535, plain)
	blind := x.attacker()
	x.begin()
	began := time.Now()
	guesses, answers := x.sweep(victim, victim.seq, uint64(victim.offered), func(n seq.Num) {
		blind.send(victim.local, victim.remote, tcp.Segment{Seq: n, Flags: tcp.SYN, Window: 65535, Options: plain})
	})
	now := x.Counters()
	hits, misses := x.drops(now, "tcp_blind_syn"), x.drops(now, "tcp_sequence")
	if hits == 0 || hits+misses+now.DeviceDrops-x.before.DeviceDrops < uint64(guesses) {
		t.Errorf("%d guesses: %d in the window and %d outside", guesses, hits, misses)
	}
	if most := challengesIn(time.Since(began)); answers > most {
		t.Errorf("%d challenge ACKs, at most %d are allowed", answers, most)
	}
	t.Logf("%d guesses, %d in the window, %d answers", guesses, hits, answers)
	x.survived()
}

// TestBlindData guesses acknowledgment numbers for text in the window. RFC 793 took half of them; RFC 5961 section 5 takes
// those that are no further back than the largest window that the victim has offered, here 2^16 of 2^32. And text that
// got in beyond a hole is not what the user reads: what the victim sends is.
func TestBlindData(t *testing.T) {
	const stride = 1 << 16
	x := newTarget(t, "")
	victim := x.attacker().open(peer(4000), echoPort, 65535, plain)
	blind := x.attacker()
	x.begin()
	began := time.Now()
	at := victim.seq + 1
	guesses, answers := x.sweep(victim, victim.ack+1, stride, func(n seq.Num) {
		blind.send(victim.local, victim.remote, tcp.Segment{Seq: at, Ack: n, Flags: tcp.ACK, Window: 65535, Text: []byte("evil")})
	})
	now := x.Counters()
	refused := x.drops(now, "tcp_old_ack") + x.drops(now, "tcp_future_ack")
	lost := now.DeviceDrops - x.before.DeviceDrops
	taken := uint64(guesses) - refused - lost
	if taken > 2 || taken+lost == 0 {
		t.Errorf("%d of %d guesses were taken: by RFC 5961 it should be 1, by RFC 793 it were %d", taken, guesses, guesses/2)
	}
	if most := challengesIn(time.Since(began)); answers > most {
		t.Errorf("%d answers, at most %d are allowed", answers, most)
	}
	t.Logf("%d guesses of the ACK, %d taken, %d answers", guesses, taken, answers)
	x.survived()
}

// TestBlindICMP: errors by ICMP that quote a number not in flight are ignored, and those that do end no connection that is
// open (RFC 5927).
func TestBlindICMP(t *testing.T) {
	x := newTarget(t, "")
	victim := x.attacker().open(peer(4000), echoPort, 65535, plain)
	blind := x.attacker()
	for _, f := range []struct {
		name  string
		code  uint8
		extra uint32
	}{
		{"host unreachable", ip.CodeHost, 0}, {"protocol unreachable", ip.CodeProtocol, 0}, {"port unreachable", ip.CodePort, 0},
		{"fragmentation needed", ip.CodeFragNeeded, 68},
	} {
		x.begin()
		guesses, _ := x.sweep(victim, victim.ack+1, 1<<20, func(n seq.Num) {
			blind.unreachable(f.code, f.extra, victim.remote, victim.local, tcp.Segment{Seq: n, Flags: tcp.ACK})
		})
		x.dropped(guesses, "icmp_ignored")
	}
	una := victim.ack
	victim.say(tcp.ACK|tcp.PSH, "in flight")
	victim.await("echo", func(g *tcp.Segment) bool { return len(g.Text) > 0 })
	x.begin()
	for _, code := range []uint8{ip.CodeHost, ip.CodeProtocol, ip.CodePort} {
		blind.unreachable(code, 0, victim.remote, victim.local, tcp.Segment{Seq: una, Flags: tcp.ACK})
	}
	x.until("errors that quote what is in flight to be heard", func(now *space.Counters) bool { return now.Delivered >= x.before.Delivered+3 })
	victim.say(tcp.ACK, "")
	victim.echoed("alive")
	x.survived()
}
