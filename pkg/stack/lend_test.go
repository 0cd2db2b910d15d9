package stack_test

import (
	"bytes"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// borrower has all text lent to him that he can, and leaves the rest unread.
type borrower struct {
	conn  stack.Conn
	text  [][]byte
	loans []*link.Loan
}

const worthLending = 16 << 10

func (u *borrower) Ready(c stack.Conn, _ tcp.Events) {
	u.conn = c
	if text, loan := c.Lend(worthLending); loan != nil {
		u.text, u.loans = append(u.text, text), append(u.loans, loan)
	}
}

// inFragments has what is written come in fragments.
type inFragments struct{ link.Device }

func (d inFragments) Write(p *link.Packet) (err error) {
	p.FinishChecksum()
	ip.Split(p.AppendTo(nil), 1500, 1, func(f []byte) { err = d.Device.Write(&link.Packet{Head: bytes.Clone(f)}) })
	return err
}

func (v *served) sendText(n int, fill byte) {
	copy(v.text, bytes.Repeat([]byte{fill}, n))
	v.send(0, tcp.ACK|tcp.PSH, n)
	v.turn()
}

// Text is lent as long as it lies in the device's buffers, is not little, and nothing unread lies in the ring.
func TestLend(t *testing.T) {
	u := &borrower{}
	v := serve(t, u, 1)
	unread := func() int { return u.conn.Info().Unread }
	for i, c := range []struct {
		name   string
		wire   link.Device
		n      int
		read   bool // all, before
		lent   int  // so far
		unread int
		ring   bool // there is one
	}{
		{"little", v.wire, worthLending - 1, false, 0, worthLending - 1, true},
		{"much, behind text in the ring", v.wire, worthLending, false, 0, 2*worthLending - 1, true},
		{"much", v.wire, worthLending, true, 1, worthLending, false},
		{"more, behind what is lent", v.wire, worthLending + 100, false, 2, 2*worthLending + 100, false},
		{"in fragments", inFragments{v.wire}, worthLending, true, 2, worthLending, true},
		{"much again", v.wire, worthLending, true, 3, worthLending, false},
		{"little, behind what is lent", v.wire, 100, false, 3, worthLending + 100, true},
	} {
		if c.read {
			u.conn.Consume(unread())
		}
		v.wire = c.wire
		v.sendText(c.n, byte(i))
		rings := v.b.Counters(0).Rings
		if len(u.loans) != c.lent || unread() != c.unread || (rings > 0) != c.ring {
			t.Errorf("%s: %d lent, not %d; %d unread, not %d; %d bytes of rings", c.name, len(u.loans), c.lent, unread(), c.unread, rings)
		}
	}
	for i, from := range []byte{2, 3, 5} {
		if text := u.text[i]; bytes.Count(text, []byte{from}) != len(text) {
			t.Errorf("what was lent has been written to: % x...", text[:16])
		}
		u.loans[i].Return()
	}
}
