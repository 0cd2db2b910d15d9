package bsd

import (
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// LinuxSettings are the default settings, but without pacing: Linux paces only over a queue that does it (tc-fq), which the
// device of no script has.
func LinuxSettings() tcp.Settings {
	s := tcp.Defaults()
	s.Unpaced = true
	s.Congestion = unlimited{s.Congestion}
	return s
}

// LinuxCongestion finds a congestion control, for settings without pacing, by its name.
func LinuxCongestion(name string) (cc.Algorithm, bool) {
	a, ok := cc.ByName(name)
	return unlimited{a}, ok
}

// unlimited is an algorithm whose slow start counts all that one acknowledgment tells of, though nothing paces: as in
// Linux, where RFC 9406 section 4.3 has a limit (L).
type unlimited struct{ cc.Algorithm }

// Ack is cc.Algorithm's.
func (u unlimited) Ack(w *cc.Window, now mono.Time, a *cc.Ack) {
	a.Unpaced = false
	u.Algorithm.Ack(w, now, a)
}
