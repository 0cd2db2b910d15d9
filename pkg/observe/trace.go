package observe

import (
	"net/netip"
	"strings"

	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// tracer writes a line for each state change.
type tracer struct{ log *zap.Logger }

// Log writes each state change to log as a line at debug level, with the connection (its local end, then its remote one) and
// the paragraph of the RFC that it follows. It asks for the level each time, which may change.
func Log(log *zap.Logger) stack.Watch {
	return stack.Watch{Kinds: stack.Transitions, Tracer: tracer{log}}
}

// Trace implements stack.Tracer.
func (t tracer) Trace(e *stack.Event) {
	line := t.log.Check(zap.DebugLevel, "state")
	if line == nil {
		return
	}
	line.Write(
		zap.String("conn", connName(e.Flow)),
		zap.Stringer("from", e.State), zap.Stringer("event", e.Event), zap.Stringer("to", e.To),
		zap.String("rfc", Paragraph(e.State, e.Event)))
}

// Panicked returns a function for stack.Config that writes a user's panic to log, with the stack of its goroutine.
func Panicked(log *zap.Logger) func(f stack.Flow, value any, trace []byte) {
	return func(f stack.Flow, value any, trace []byte) {
		log.Error("a handler has panicked, its connection is reset",
			zap.String("conn", connName(f)), zap.Any("panic", value), zap.ByteString("stack", trace))
	}
}

func connName(f stack.Flow) string {
	local := netip.AddrPortFrom(f.Local.Netip(), f.LocalPort)
	remote := netip.AddrPortFrom(f.Remote.Netip(), f.RemotePort)
	return local.String() + " " + remote.String()
}

// Paragraph is fsm.Paragraph with the RFC that most of them leave out.
func Paragraph(from fsm.State, e fsm.Event) string {
	p := fsm.Paragraph(from, e)
	if strings.HasPrefix(p, "RFC ") {
		return p
	}
	return "RFC 9293 " + p
}
