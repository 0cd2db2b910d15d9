package main

import (
	"sync"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// ending is a tracer that tells when a stack's one connection is over.
type ending struct {
	next         stack.Tracer  // or nil
	left, closed chan struct{} // closed at TIME-WAIT or CLOSED, and at CLOSED
	once         [2]sync.Once
}

func newEnding(next stack.Tracer) *ending {
	return &ending{next: next, left: make(chan struct{}), closed: make(chan struct{})}
}

// Transition implements stack.Tracer.
func (n *ending) Transition(f stack.Flow, from fsm.State, e fsm.Event, to fsm.State) {
	if n.next != nil {
		n.next.Transition(f, from, e, to)
	}
	if to == fsm.TimeWait || to == fsm.Closed {
		n.once[0].Do(func() { close(n.left) })
	}
	if to == fsm.Closed {
		n.once[1].Do(func() { close(n.closed) })
	}
}
