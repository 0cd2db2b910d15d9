package main

import (
	"sync"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// ending is a tracer that tells when a stack's one connection is over.
type ending struct {
	left, closed chan struct{} // closed at TIME-WAIT or CLOSED, and at CLOSED
	once         [2]sync.Once
}

func newEnding() *ending {
	return &ending{left: make(chan struct{}), closed: make(chan struct{})}
}

// Trace implements stack.Tracer.
func (n *ending) Trace(e *stack.Event) {
	if e.To == fsm.TimeWait || e.To == fsm.Closed {
		n.once[0].Do(func() { close(n.left) })
	}
	if e.To == fsm.Closed {
		n.once[1].Do(func() { close(n.closed) })
	}
}
