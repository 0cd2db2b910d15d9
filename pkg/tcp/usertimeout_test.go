package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

const minute = 60 * mono.Second

// RFC 5482 section 3.1: USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)), unless the user has set his own, or
// the option is off, as it is by default.
func TestUserTimeoutOption(t *testing.T) {
	for _, c := range []struct {
		enabled       bool
		local, remote mono.Duration // settings of the two
		set           mono.Duration // by the local user
		want          mono.Duration
	}{
		{true, minute, 5 * minute, 0, 5 * minute},
		{true, 5 * minute, minute, 0, 5 * minute},
		{true, minute, 30 * mono.Second, 0, 100 * mono.Second},
		{true, minute, 24 * 60 * minute, 0, 60 * minute},
		{true, 0, 5 * minute, 0, 0},
		{true, 0, 30 * minute, 0, 30 * minute},
		{true, minute, 0, 0, minute},
		{true, minute, 5 * minute, 2 * minute, 2 * minute},
		{false, minute, 5 * minute, 0, minute},
	} {
		for _, passive := range []bool{false, true} {
			p := newPair(t)
			us, them := &p.a, &p.b
			if passive {
				us, them = them, us
			}
			us.x.Settings[0].UserTimeout, them.x.Settings[0].UserTimeout = c.local, c.remote
			us.x.Settings[0].UserTimeoutOption, them.x.Settings[0].UserTimeoutOption = c.enabled, true
			p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 7})
			p.run()
			if c.set != 0 {
				us.c.SetUserTimeout(us.x, p.now, c.set)
				them.c.SetUserTimeout(them.x, p.now, c.remote+minute)
				p.run()
			}
			if got := us.c.Info(us.x, p.now).UserTimeout; got != c.want {
				t.Errorf("passive %v, %+v: %v", passive, c, got)
			}
		}
	}
}

// The option is in the SYNs, once in a segment without text after the handshake, and when the user sets another; in no
// segment whose text leaves it no room. A half-open connection that was packed, or a cookie, knows of it by the second.
func TestUserTimeoutIsTold(t *testing.T) {
	p := newPair(t)
	for _, e := range []*end{&p.a, &p.b} {
		e.x.Settings[0].UserTimeout, e.x.Settings[0].UserTimeoutOption = minute, true
	}
	p.a.c.OpenActive(p.a.x, p.now, Open{ISS: 7})
	p.run()
	p.a.c.Write(p.a.x, randomText(100_000, 1))
	for range 20 {
		p.run()
		p.b.read(1 << 20)
	}
	p.a.c.SetUserTimeout(p.a.x, p.now, 10*60*minute)
	p.run()
	told := map[bool]int{}
	for _, g := range p.log {
		if g.Options.Has&HasUserTimeout != 0 {
			told[g.Flags&SYN != 0]++
			if len(g.Text) > 0 || g.Options.UserTimeout != 60 && g.Options.UserTimeout != inMinutes|600 {
				t.Errorf("%v with %d bytes says %d", g.Flags, len(g.Text), g.Options.UserTimeout)
			}
		}
	}
	if told[true] != 2 || told[false] != 3 {
		t.Errorf("told in %d SYNs and %d other segments", told[true], told[false])
	}
}
