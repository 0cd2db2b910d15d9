package play

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// meet opens a connection the usual way: one end listens, the other dials.
func (s *scene) meet() {
	dials, listens := s.a, s.b
	if s.Exchanged {
		dials, listens = s.b, s.a
	}
	s.call(dials, listens, func(l net.Listener) { s.answer(listens, l) })
}

// call has one end dial the other, which listens, and accepts only in what then does.
func (s *scene) call(dials, listens *actor, then func(net.Listener)) {
	l, err := s.listen(listens)
	if err == nil {
		defer l.Close()
		err = s.dial(dials, 0, listens)
	}
	if err != nil {
		s.note("%s opens: %s", dials.name, describe(err))
		return
	}
	then(l)
}

func (s *scene) listen(x *actor) (net.Listener, error) {
	l, err := x.host.Listen(x.port)
	if err != nil {
		return nil, err
	}
	if l, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
		err = l.SetDeadline(time.Now().Add(s.Patience))
	}
	return l, err
}

// answer accepts.
func (s *scene) answer(x *actor, l net.Listener) {
	c, err := l.Accept()
	if err == nil {
		err = s.hold(x, c)
	}
	if err != nil {
		s.note("%s accepts: %s", x.name, describe(err))
	}
}

func (s *scene) dial(x *actor, local uint16, to *actor) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	c, err := x.host.Dial(ctx, local, netip.AddrPortFrom(to.host.Addr(), to.port))
	if err != nil {
		return err
	}
	return s.hold(x, c)
}

// hold gives an actor its connection.
func (s *scene) hold(x *actor, c net.Conn) error {
	conn, ok := c.(Conn)
	if !ok {
		return fmt.Errorf("%T cannot do what plays ask for", c)
	}
	x.Conn = conn
	return c.SetDeadline(time.Now().Add(s.Patience))
}

// cross opens a connection from both ends at once (RFC 9293 Figure 8).
func (s *scene) cross() {
	failed := make(chan error, 2)
	for x, y := range map[*actor]*actor{s.a: s.b, s.b: s.a} {
		go func() { failed <- s.dial(x, x.port, y) }()
	}
	for range 2 {
		if err := <-failed; err != nil {
			s.note("an end opens: %s", describe(err))
		}
	}
}

// isOpen tells whether both ends have a connection.
func (s *scene) isOpen() bool { return s.a.Conn != nil && s.b.Conn != nil }
