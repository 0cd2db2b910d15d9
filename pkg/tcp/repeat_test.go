package tcp

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// A text that repeats goes on for as long as the connection may send, losses or not, and holds no memory.
func TestRepeat(t *testing.T) {
	const cycle = 7001
	text := randomText(cycle, 6)
	for len(text) < cycle+MaxRepeat {
		text = append(text, text[:cycle]...)
	}
	p := established(t)
	p.a.x.Frame = 65535
	n := 0
	p.lose = func(fromA bool, g *Segment) bool {
		n++
		return fromA && len(g.Text) > 0 && n%50 == 0
	}
	if p.a.c.Repeat(p.a.x, text[:cycle+MaxRepeat-1], cycle) || !p.a.c.Repeat(p.a.x, text, cycle) || p.a.c.Repeat(p.a.x, text, cycle) {
		t.Fatal("a text that is too short is taken, or one that is not refused, or a second one is taken")
	}
	if p.a.c.Write(p.a.x, text) != 0 {
		t.Error("Write takes text, too")
	}
	for at := 0; at < 4<<20; {
		p.run()
		p.b.read(1 << 20)
		for i, b := range p.b.got {
			if b != text[(at+i)%cycle] {
				t.Fatalf("byte %d is %#x, not %#x", at+i, b, text[(at+i)%cycle])
			}
		}
		if at += len(p.b.got); at > 2<<20 && n < 1<<20 { // as if a gigabyte had gone: the place where the text begins is to move
			n = 1 << 20
			p.a.x.Memory.ring(p.a.c.snd.ring).origin -= 1 << 30 / cycle * cycle
		}
		p.b.got = p.b.got[:0]
		if err := p.a.c.Check(p.a.x); err != nil {
			t.Fatal(err)
		}
		p.wait(p.now.Add(mono.Millisecond))
	}
	r := p.a.x.Memory.ring(p.a.c.snd.ring)
	if gone := p.a.c.snd.una.Sub(r.origin); gone >= 1<<30 {
		t.Errorf("the text begins %d bytes before SND.UNA", gone)
	}
	if p.a.x.Memory.InUse != 0 || p.a.c.count.retransmits == 0 {
		t.Errorf("%d bytes of rings, %d retransmissions", p.a.x.Memory.InUse, p.a.c.count.retransmits)
	}
	p.a.c.Close(p.a.x, p.now)
	for i := 0; p.b.c.EOF() == false && i < 1000; i++ {
		p.run()
		p.b.read(1 << 20)
		p.wait(p.now.Add(mono.Millisecond))
	}
	if !p.b.c.EOF() {
		t.Error("Close does not end it")
	}
}
