package control

import (
	"net/http"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Token is what lets a caller of the page see and do everything there.
type Token struct {
	Token string   `json:"token"`
	Pages []string `json:"pages"` // where the page is, each with the token in its fragment
}

// Restricted answers what changes nothing and tells of connections, on the same paths as a Server; of flows it knows, for each
// request, only those that keep's answer wants, which is asked on the shards, too. It is for callers who are not the operator.
func Restricted(s *stack.Stack, counters func() observe.Counters, keep func(*http.Request) func(*stack.Flow) bool) http.Handler {
	mux := http.NewServeMux()
	(&Server{opt: Options{Stack: s, Counters: counters}, keep: keep}).reading(mux)
	return mux
}

// sees is which flows the caller may see; nil: all.
func (s *Server) sees(r *http.Request) func(*stack.Flow) bool {
	if s.keep == nil {
		return nil
	}
	return s.keep(r)
}

// shown is what a listing has in it: what is asked for, of what may be seen.
func (s *Server) shown(r *http.Request, q *query) func(*stack.Flow, fsm.State) bool {
	may := s.sees(r)
	if may == nil {
		return q.keep
	}
	return func(f *stack.Flow, state fsm.State) bool { return q.keep(f, state) && may(f) }
}

// told is the same for a stream of events.
func (s *Server) told(r *http.Request, q *eventQuery) func(*stack.Flow) bool {
	may := s.sees(r)
	if may == nil {
		return q.keepFlow
	}
	return func(f *stack.Flow) bool { return q.keepFlow(f) && may(f) }
}

// EventOf is how a stream would show e; it keeps nothing of it.
func EventOf(e *stack.Event) *Event { return viewEvent(copyOf(e), newClock()) }
