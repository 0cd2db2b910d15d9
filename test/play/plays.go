package play

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
)

// ends are all orders in which a connection can end.
var ends = []Play{
	{Name: "a closes first", act: func(s *scene) { // RFC 9293 Figure 12
		s.exchange()
		s.a.closeWrite()
		s.b.read()
		s.b.closeWrite()
		s.a.read()
	}},
	{Name: "b goes on after a's FIN", act: func(s *scene) { // half-close (RFC 9293 section 3.6)
		s.a.closeWrite()
		s.b.read()
		s.carry(s.b, s.a, 300_000)
		s.a.write(1)
		s.b.closeWrite()
		s.a.read()
	}},
	{Name: "both close at once", act: func(s *scene) { // Figure 13
		s.exchange()
		s.both((*actor).closeWrite)
		s.both((*actor).read)
	}},
	{Name: "text and FIN cross", act: func(s *scene) {
		s.both(func(x *actor) {
			x.write(100)
			x.closeWrite()
			x.read()
		})
	}},
	{Name: "both let go at once", act: func(s *scene) {
		s.exchange()
		s.both((*actor).close)
	}},
	{Name: "a closes and b still reads", act: func(s *scene) {
		s.exchange()
		s.a.write(50_000)
		s.a.close()
		s.b.read()
	}},
	{Name: "a closes with much on the way", act: func(s *scene) {
		s.together(func(a *actor) {
			a.write(3_000_000)
			a.close()
		}, (*actor).read)
	}},
	{Name: "a waits in its close for all to arrive", act: func(s *scene) {
		s.together(func(a *actor) {
			a.s.note("a lingers: %s", describe(a.SetLinger(int(s.Patience.Seconds()))))
			a.write(100_000)
			a.close()
		}, (*actor).read)
	}},
	{Name: "b writes to a that has closed", act: func(s *scene) {
		s.exchange()
		s.a.close()
		s.b.read()
		s.b.writeOn()
		s.b.write(1)
	}},
	{Name: "a aborts, b reads", act: func(s *scene) {
		s.exchange()
		s.a.abort()
		s.b.read()
	}},
	{Name: "a aborts, b writes", act: func(s *scene) {
		s.exchange()
		s.a.abort()
		s.b.writeOn()
		s.b.write(1)
	}},
	{Name: "a aborts while b reads", act: func(s *scene) {
		s.exchange()
		s.together((*actor).abort, (*actor).read)
	}},
	{Name: "a aborts while b writes", act: func(s *scene) {
		s.exchange()
		s.together((*actor).abort, (*actor).writeOn)
	}},
	{Name: "both abort at once", act: func(s *scene) {
		s.exchange()
		s.both((*actor).abort)
	}},
	{Name: "a aborts at once", act: func(s *scene) {
		s.a.abort()
		s.b.read()
	}},
	{Name: "a aborts after b's FIN", act: func(s *scene) {
		s.b.closeWrite()
		s.a.read()
		s.a.abort()
		s.b.read()
	}},
	{Name: "a aborts after its own FIN", act: func(s *scene) {
		s.a.closeWrite()
		s.b.read()
		s.a.abort()
		s.b.writeOn()
	}},
	{Name: "a aborts after both FINs", act: func(s *scene) {
		s.both((*actor).closeWrite)
		s.both((*actor).read)
		s.a.abort()
		s.b.read()
	}},
	{Name: "b reads what a wrote before it aborted", Ordered: true, act: func(s *scene) {
		s.a.write(1000)
		s.a.abort()
		s.b.read()
	}},
	{Name: "a closes with text unread", act: func(s *scene) { // RFC 1122 section 4.2.2.13
		s.exchange()
		s.b.write(1000)
		s.a.readSome(1)
		s.a.close()
		s.b.read()
	}},
	{Name: "a closes with text unread after its FIN", act: func(s *scene) {
		s.a.closeWrite()
		s.b.read()
		s.b.write(1000)
		s.a.readSome(1)
		s.a.close()
		s.b.writeOn()
	}},
	{Name: "a closes with text unread after b's FIN", act: func(s *scene) {
		s.b.write(1000)
		s.b.closeWrite()
		s.a.readSome(1)
		s.a.close()
		s.b.read()
	}},
	{Name: "b writes on and on, and a closes", act: func(s *scene) {
		s.together(func(a *actor) {
			a.readSome(1) // the rest of that segment is unread
			a.close()
		}, (*actor).writeOn)
	}},
	{Name: "b closes after a's FIN", act: func(s *scene) {
		s.a.closeWrite()
		s.b.read()
		s.b.close()
		s.a.read()
	}},
	{Name: "a stops reading", act: func(s *scene) {
		s.exchange()
		s.a.closeRead()
		s.a.read()
		s.a.write(1000)
		s.b.readSome(1000)
		s.b.closeWrite()
		s.a.closeWrite()
		s.b.read()
	}},
	{Name: "b writes to a that has stopped reading and writing", act: func(s *scene) {
		s.a.closeRead()
		s.a.closeWrite()
		s.b.read()
		s.b.writeOn()
	}},
	{Name: "b reads when a has filled the window", act: func(s *scene) { // RFC 9293 section 3.8.6.1
		n := s.a.fill()
		s.a.closeWrite()
		p, err := io.ReadAll(s.b)
		s.note("b reads all of it: %v, %s", bytes.Equal(p, Random(0, n)), describe(err))
		s.b.closeWrite()
		s.a.read()
	}},
	{Name: "a writes in pieces", act: func(s *scene) {
		s.together(func(a *actor) {
			a.writeInPieces(300_000)
			a.closeWrite()
		}, (*actor).read)
		s.b.closeWrite()
		s.a.read()
	}},
	{Name: "nobody says a word", act: func(s *scene) {
		s.a.close()
		s.b.read()
	}},
}

// openings are ways to begin, other than that one dials and the other accepts.
var openings = []Play{
	{Name: "nobody listens", act: func(s *scene) {
		s.note("a opens: %s", describe(s.dial(s.a, 0, s.b)))
	}},
	{Name: "the one who dials closes before he is accepted", act: func(s *scene) {
		s.call(s.a, s.b, func(l net.Listener) {
			s.a.write(5000)
			s.a.close()
			s.answer(s.b, l)
		})
		s.b.read()
	}},
	{Name: "the one who dials aborts before he is accepted", Ordered: true, act: func(s *scene) {
		s.call(s.a, s.b, func(l net.Listener) {
			s.a.abort()
			s.answer(s.b, l)
		})
		s.b.read()
	}},
	{Name: "the one who dials writes and aborts before he is accepted", Ordered: true, act: func(s *scene) {
		s.call(s.a, s.b, func(l net.Listener) {
			s.a.write(1000)
			s.a.abort()
			s.answer(s.b, l)
		})
		s.b.read()
	}},
	{Name: "the listener is gone when he is accepted", act: func(s *scene) {
		s.meet()
		s.note("a opens again: %s", describe(s.dial(&actor{host: s.a.host}, 0, s.b)))
		s.exchange()
		s.both((*actor).closeWrite)
		s.both((*actor).read)
	}},
	{Name: "the wire breaks before the SYN", Cut: true, act: func(s *scene) {
		s.Cut()
		s.note("a opens: %s", describe(s.dial(s.a, 0, s.b)))
	}},
}

// sizes are bytes, about what segments and buffers take.
var sizes = []int{0, 1, 1447, 1448, 1449, 65_535, 65_536, 65_537, 1 << 20, 4 << 20}

// endings is one play for each way to end a connection that was begun like this.
func endings(begin func(*scene)) (list []Play) {
	for _, p := range ends {
		act := p.act
		p.act = func(s *scene) {
			if begin(s); s.isOpen() {
				act(s)
			}
		}
		list = append(list, p)
	}
	return list
}

// crossing is how the names of crossings begin.
const crossing = "both open at once: "

// crossings are ends of connections that both ends have opened.
func crossings() (list []Play) {
	for _, p := range endings((*scene).cross) {
		p.Name = crossing + p.Name
		p.Crossing = true
		list = append(list, p)
	}
	return list
}

// transfers carry texts of all sizes.
func transfers() (list []Play) {
	for _, n := range sizes {
		list = append(list, Play{Name: fmt.Sprintf("a sends %d bytes", n), act: func(s *scene) {
			if s.meet(); !s.isOpen() {
				return
			}
			s.together(func(a *actor) {
				a.write(n)
				a.closeWrite()
				a.read()
			}, func(b *actor) {
				b.read()
				b.close()
			})
		}})
	}
	return list
}

// cuts are broken wires.
func cuts() []Play {
	return []Play{
		{Name: "the wire breaks, b writes", Cut: true, Even: true, act: func(s *scene) {
			if s.meet(); s.isOpen() {
				s.exchange()
				s.Cut()
				s.b.writeOn()
				s.a.abort()
			}
		}},
		{Name: "the wire breaks, b waits", Cut: true, Even: true, act: func(s *scene) {
			if s.meet(); s.isOpen() {
				s.exchange()
				s.b.keepAlive()
				s.Cut()
				s.b.read()
				s.a.abort()
			}
		}},
		{Name: "the wire breaks after a's FIN, b writes", Cut: true, Even: true, act: func(s *scene) {
			if s.meet(); s.isOpen() {
				s.a.closeWrite()
				s.b.read()
				s.Cut()
				s.b.writeOn()
				s.a.abort()
			}
		}},
	}
}

// All are all plays.
func All() (list []Play) {
	for _, l := range [][]Play{crossings(), openings} {
		for _, p := range l {
			p.Even = true
			list = append(list, p)
		}
	}
	return append(slices.Concat(endings((*scene).meet), transfers(), cuts()), list...)
}
