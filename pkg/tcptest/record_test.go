package tcptest

import (
	"slices"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// lengths are those of the text that a host has sent, in order.
func (p *pair) lengths(h *Host) (list []int) {
	for _, s := range p.sent {
		if s.host == h && len(s.Text) > 0 {
			list = append(list, len(s.Text))
		}
	}
	return list
}

// No segment holds text of two records, neither at first nor when it is sent again, and each record ends in PSH.
func TestEndRecord(t *testing.T) {
	p := open(t, HostOptions{Superframe: true, Checksum: true})
	p.c.Do(func(c stack.Conn) {
		for _, n := range []uint64{700, 2000, 10} {
			p.c.want += n
			p.c.write()
			c.EndRecord()
		}
	})
	lose := true
	p.filter(func(s *sent) bool { return lose && s.host == p.a })
	p.Run(ms)
	lose = false
	p.Run(5 * second)
	p.read(0, 2710)
	ends := []tcp.Flags{}
	at := uint32(1)
	for _, s := range p.sent {
		if s.host != p.a || len(s.Text) == 0 {
			continue
		}
		from := uint32(s.Seq) - p.c.Info().InitialSend
		for _, end := range []uint32{701, 2701} {
			if from < end && end < from+uint32(len(s.Text)) {
				t.Errorf("%d..%d crosses the end of a record", from, from+uint32(len(s.Text)))
			}
		}
		if at = from + uint32(len(s.Text)); at == 701 || at == 2701 {
			ends = append(ends, s.Flags&tcp.PSH)
		}
	}
	if len(ends) < 3 || slices.Contains(ends, 0) {
		t.Errorf("PSH at the ends of records: %v", ends)
	}
	p.end()
}

// A small segment waits only while another small one is out: the end of a large write goes with it (Minshall's form of
// Nagle's algorithm, as in Linux).
func TestNagleOfLargeWrites(t *testing.T) {
	p := open(t)
	p.c.Write(2500)
	p.Run(ms)
	if got := p.lengths(p.a); !slices.Equal(got, []int{1448, 1052}) {
		t.Errorf("at once: %v", got)
	}
	p.sent = nil
	p.c.Write(10)
	p.Run(rtt / 2)
	if got := p.lengths(p.a); len(got) != 0 {
		t.Errorf("behind a small one: %v", got)
	}
	p.Run(second)
	p.read(0, 2510)
	p.end()
}

// Of text that more is to follow only full segments go, without PSH, and the rest goes with what follows.
func TestWriteMore(t *testing.T) {
	p := open(t)
	p.c.Do(func(c stack.Conn) {
		c.SetNoDelay(true)
		text := make([]byte, 1500)
		whole := newPattern(p.c.flow, 0)
		whole.fill(text)
		p.c.Wrote += uint64(c.WriteMore(text))
		p.c.want, p.c.out.at = p.c.Wrote, p.c.Wrote
	})
	p.Run(10 * ms)
	if got := p.lengths(p.a); !slices.Equal(got, []int{1448}) || p.sent[0].Flags&tcp.PSH != 0 {
		t.Errorf("at first: %v, %v", got, p.sent[0].Flags)
	}
	p.c.Write(100)
	p.Run(10 * ms)
	if got := p.lengths(p.a); !slices.Equal(got, []int{1448, 152}) {
		t.Errorf("then: %v", got)
	}
	p.Run(second)
	p.read(0, 1600)
	p.end()
}

// Settings.MSS is offered, and bounds what is sent, whatever the peer takes.
func TestMSSOfSettings(t *testing.T) {
	p := open(t, settings(func(s *tcp.Settings) { s.MSS = 1000 }), HostOptions{})
	p.c.Write(5000)
	p.s.Write(5000)
	p.Run(second)
	for _, h := range []*Host{p.a, p.b} {
		for _, n := range p.lengths(h) {
			if n+12 > 1000 {
				t.Errorf("%s sends %d bytes", h.Name, n)
			}
		}
	}
	p.read(5000, 5000)
	p.end()
}
