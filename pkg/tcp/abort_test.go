package tcp

import (
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
)

// Section 3.10.7.3, fourth: the SYN,ACK is acknowledged, though the user aborts before there was a turn to do so.
func TestAbortAcknowledgesTheSYNFirst(t *testing.T) {
	p := newPair(t)
	p.carry(true)  // SYN
	p.carry(false) // SYN,ACK
	if s := p.a.c.State(); s != fsm.Established {
		t.Fatalf("%v", s)
	}
	p.log = nil
	p.a.c.Abort(p.a.x, p.now)
	p.run()
	if got, want := p.flags(), []Flags{ACK, RST | ACK}; !slices.Equal(got, want) {
		t.Errorf("segments %v, not %v", got, want)
	}
	if !p.b.c.Released() || p.b.ev&Opened == 0 || p.b.ev&Reset == 0 {
		t.Errorf("the peer's user has heard %b, in %v", p.b.ev, p.b.c.State())
	}
}
