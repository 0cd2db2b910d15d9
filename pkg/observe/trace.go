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

// Tracer returns a tracer that writes each state change to log as a line at debug level, with the connection (its
// local end, then its remote one) and the paragraph of the RFC that it follows. It returns nil when log does not
// take that level, so that tracing costs nothing then.
func Tracer(log *zap.Logger) stack.Tracer {
	if !log.Core().Enabled(zap.DebugLevel) {
		return nil
	}
	return tracer{log}
}

// LiveTracer is Tracer for a log whose level may change: it asks for the level at each state change.
func LiveTracer(log *zap.Logger) stack.Tracer { return tracer{log} }

// Transition implements stack.Tracer.
func (t tracer) Transition(f stack.Flow, from fsm.State, e fsm.Event, to fsm.State) {
	line := t.log.Check(zap.DebugLevel, "state")
	if line == nil {
		return
	}
	line.Write(
		zap.String("conn", connName(f)),
		zap.Stringer("from", from), zap.Stringer("event", e), zap.Stringer("to", to),
		zap.String("rfc", Paragraph(from, e)))
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
