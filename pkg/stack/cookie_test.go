package stack_test

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// keeper counts what it reads and keeps what is known of the connection.
type keeper struct {
	sink
	info tcp.Info
}

func (k *keeper) Ready(c stack.Conn, e tcp.Events) {
	k.sink.Ready(c, e)
	k.info = c.Info()
}

// A connection opened through a SYN cookie has what it would have had otherwise; without timestamps, less.
func TestCookieKeepsOptions(t *testing.T) {
	for _, timestamps := range []bool{true, false} {
		n := &bench{tb: t, now: 1e12}
		la, lb := pipe.New(2, pipe.Options{Plain: true})
		settings := tcp.Defaults()
		settings.Timestamps = timestamps
		n.a = n.hostWith(la, addrA, settings, stack.Limits{})
		n.b = n.hostWith(lb, addrB, settings, stack.Limits{HalfOpen: -1})
		to := &keeper{}
		n.listen(to)
		n.dial()
		for range 100 {
			n.turn()
		}
		if c := n.total(n.b); c.CookiesSent == 0 || c.CookiesTaken != 1 || c.HalfOpen != 0 || c.Accepted != 1 {
			t.Errorf("%d cookies sent, %d taken, %d half-open, %d accepted", c.CookiesSent, c.CookiesTaken, c.HalfOpen, c.Accepted)
		}
		if i := to.info; i.WindowScale != timestamps || i.SACK != timestamps || i.Timestamps != timestamps || i.SendMSS < 1400 {
			t.Errorf("timestamps %v: %+v", timestamps, i)
		}
		if to.got == 0 {
			t.Error("no text came")
		}
	}
}

// An ACK that acknowledges no cookie, or one too old, is answered with a RST.
func TestCookieIsNotGuessed(t *testing.T) {
	key := tcp.Secret{5, 6}
	env := &tcp.Env{Settings: []tcp.Settings{tcp.Defaults()}, Memory: tcp.NewMemory(0), MTU: 1500}
	f := stack.Flow{LocalPort: 80, RemotePort: 4000}
	syn := tcp.Segment{Seq: 1000, Flags: tcp.SYN, Window: 1000, Options: tcp.Options{Has: tcp.HasMSS, MSS: 1460}}
	now := mono.Time(1e15)
	var c tcp.Conn
	c.OpenPassive(env, now, tcp.Open{}, &syn)
	c.MakeCookie(&key, &f, now)
	var o tcp.Out
	if !c.Output(env, now, &o) {
		t.Fatal("no SYN,ACK")
	}
	ack := tcp.Segment{Seq: 1001, Ack: o.Seq + 1, Flags: tcp.ACK, Window: 1000}
	open := func(k *tcp.Secret, f *stack.Flow, now mono.Time, g tcp.Segment) bool {
		var c tcp.Conn
		return c.OpenCookie(env, k, f, now, tcp.Open{}, &g)
	}
	if !open(&key, &f, now, ack) || !open(&key, &f, now.Add(60*mono.Second), ack) {
		t.Error("the cookie was refused")
	}
	other := f
	other.RemotePort++
	wrong := ack
	wrong.Ack++
	late := ack
	late.Seq++
	taken := 0
	for i, is := range []bool{
		open(&tcp.Secret{5, 7}, &f, now, ack), open(&key, &other, now, ack), open(&key, &f, now, wrong),
		open(&key, &f, now, late), open(&key, &f, now.Add(200*mono.Second), ack),
	} {
		if is {
			t.Errorf("forgery %d was taken", i)
		}
	}
	for i := range uint32(100000) {
		wrong.Ack = ack.Ack.Add(i*31337 + 1)
		if open(&key, &f, now, wrong) {
			taken++
		}
	}
	if taken > 3 {
		t.Errorf("%d of 100,000 guesses were taken", taken)
	}
}
