package tcp

import "testing"

// TestNextTimer: what a connection's deadline is for, in a life that has most of them.
func TestNextTimer(t *testing.T) {
	p := newPair(t)
	next := func(when string, want Timer) {
		t.Helper()
		if got := p.a.c.Info(p.a.x, p.now).Timer; got != want {
			a, _ := got.MarshalText()
			b, _ := want.MarshalText()
			t.Errorf("%s: %s, not %s", when, a, b)
		}
	}
	p.carry(true)
	next("the SYN is out", TimerRetransmit)
	p.run()
	next("idle", TimerNone)
	p.a.c.Write(p.a.x, []byte("text"))
	p.carry(true)
	next("text is out", TimerRetransmit)
	p.run()
	p.a.c.snd.wnd = 0
	p.a.c.Write(p.a.x, []byte("text"))
	p.run()
	next("the window is closed", TimerProbe)
	p.a.c.snd.wnd = 60000
	p.run()
	p.a.c.SetKeepAlive(p.a.x, p.now, ms, ms, 3)
	next("keep-alive", TimerKeepAlive)
	p.a.c.SetKeepAlive(p.a.x, p.now, 0, 0, 0)
	p.a.c.Close(p.a.x, p.now)
	p.run()
	next("FIN-WAIT-2, and nobody holds it", TimerFinWait)
	p.b.read(100)
	p.b.c.Close(p.b.x, p.now)
	p.run()
	next("TIME-WAIT", TimerTimeWait)
}

func TestTimerNames(t *testing.T) {
	for i := range timerNames {
		text, err := Timer(i).MarshalText()
		var back Timer
		if err != nil || back.UnmarshalText(text) != nil || back != Timer(i) {
			t.Errorf("%d is %q, and that is %d", i, text, back)
		}
	}
	var none Timer
	if none.UnmarshalText([]byte("egg")) == nil {
		t.Error("there is no such timer")
	}
}
