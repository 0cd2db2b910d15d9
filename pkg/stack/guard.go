package stack

import (
	"runtime/debug"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// A user's code that panics on a shard must not take the other connections with it. What it was called for is ended: a
// handler's connection is reset, a SYN that a hook was to decide on is dropped, a foreign packet is refused. With
// Config.Strict the panic goes on, so that a simulation finds it.

// ready tells the handler of connection i what has happened.
func (s *shard) ready(i uint32, e tcp.Events) {
	defer s.guardHandler(i)
	s.owners[s.conns.at(i).owner].handler.Ready(Conn{s, i}, e)
}

func (s *shard) guardHandler(i uint32) {
	if s.stack.cfg.Strict {
		return
	}
	v := recover()
	if v == nil {
		return
	}
	rec := s.conns.at(i)
	s.panicked(rec.flow(), v)
	Conn{s, i}.SetHandler(nobody{})
	s.work(i)
	rec.tcp.Shutdown(&s.env, s.now)
}

// nobody is the handler of a connection whose own has panicked.
type nobody struct{}

// Ready implements Handler.
func (nobody) Ready(Conn, tcp.Events) {}

// admit calls the listener's hook.
func (s *shard) admit(r *Request) {
	defer s.guardHook(r)
	r.listener.Admit(r)
}

func (s *shard) guardHook(r *Request) {
	if s.stack.cfg.Strict {
		return
	}
	if v := recover(); v != nil {
		s.panicked(r.flow, v)
		r.Drop()
	}
}

// takesForeign asks Config.Foreign whether it takes a packet.
func (s *shard) takesForeign(packet []byte) bool {
	if s.stack.cfg.Foreign == nil {
		return false
	}
	defer s.guardForeign()
	return s.stack.cfg.Foreign(packet)
}

func (s *shard) guardForeign() {
	if s.stack.cfg.Strict {
		return
	}
	if v := recover(); v != nil {
		s.panicked(Flow{}, v)
	}
}

func (s *shard) panicked(f Flow, v any) {
	s.counters.Panics++
	if told := s.stack.cfg.Panicked; told != nil {
		told(f, v, debug.Stack())
	}
}
