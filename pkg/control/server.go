package control

import (
	"context"
	_ "embed" // openapi.yaml
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// Level is the level of a log, such as a zap.AtomicLevel.
type Level interface {
	fmt.Stringer
	encoding.TextUnmarshaler
}

// Levels are those that can be set.
var Levels = []string{"debug", "info", "warn", "error"}

// Options are what a server shows of a daemon, and what it may do to it. All are needed but Complaints.
type Options struct {
	Stack      *stack.Stack
	Counters   func() observe.Counters
	Metrics    http.Handler
	Config     func() any // the configuration in force, as it is to stand in JSON
	Reload     func() (Reloaded, error)
	Level      Level
	Token      func() Token // of the page
	Stop       func()       // asks the daemon to end; it may be called more than once, and does not wait
	Complaints *log.Logger
}

// Server answers on a control socket.
type Server struct {
	opt      Options
	http     http.Server
	stopping atomic.Bool
	keep     func(*http.Request) func(*stack.Flow) bool // which flows a caller may see; nil: all
	ending   context.Context
	end      context.CancelFunc
}

// patience is how long a shard may take to answer; a healthy one does within a turn, of a few ms at most.
const patience = 2 * time.Second

// lastWords is how long answers under way may take once the server is closed.
const lastWords = time.Second

// NewServer returns a server that Serve lets answer.
func NewServer(opt Options) *Server {
	s := &Server{opt: opt}
	s.ending, s.end = context.WithCancel(context.Background())
	s.http = http.Server{
		Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: opt.Complaints,
		BaseContext: func(net.Listener) context.Context { return s.ending },
	}
	return s
}

//go:embed openapi.yaml
var openAPI []byte

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.reading(mux)
	mux.HandleFunc("DELETE /v1/connections/{id}", s.reset)
	mux.HandleFunc("GET /v1/states", s.states)
	mux.HandleFunc("GET /v1/capture", s.capture)
	mux.HandleFunc("GET /v1/listeners", s.listeners)
	mux.HandleFunc("GET /v1/token", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.opt.Token()) })
	mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.opt.Config()) })
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("GET /v1/log", s.level)
	mux.HandleFunc("PUT /v1/log", s.setLevel)
	mux.HandleFunc("POST /v1/stop", s.stop)
	mux.HandleFunc("GET /v1/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openAPI)
	})
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}

// reading is what changes nothing, and tells of connections.
func (s *Server) reading(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/connections", s.connections)
	mux.HandleFunc("GET /v1/connections/{id}", s.connection)
	mux.HandleFunc("GET /v1/ended", s.ended)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/counters", s.counters)
	mux.HandleFunc("GET /v1/fsm", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, machine()) })
}

// Serve answers on l until Close, and closes it.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Stopping tells that the daemon is about to end: it is alive still, but not ready.
func (s *Server) Stopping() { s.stopping.Store(true) }

// Close ends the server, and lets those who have asked it to stop know that it is done.
func (s *Server) Close() error {
	s.Stopping()
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// answer sends v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client has gone
}

// Problem is the answer to what can't be answered.
type Problem struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, err error) { answer(w, status, Problem{err.Error()}) }

// ask gives f the request's context, cut off when a shard takes too long, and answers for it when it fails.
func ask(w http.ResponseWriter, r *http.Request, f func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if err := f(ctx); err != nil {
		refuse(w, http.StatusServiceUnavailable, fmt.Errorf("the data path does not answer: %w", err))
		return false
	}
	return true
}

func (s *Server) connections(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	page := Page{Connections: []Connection{}}
	ok := ask(w, r, func(ctx context.Context) error {
		list, next, more, err := s.opt.Stack.Walk(ctx, q.cursor, s.shown(r, &q), make([]stack.Sight, 0, q.limit))
		for i := range list {
			page.Connections = append(page.Connections, view(&list[i], q.info))
		}
		if more {
			page.Next = next.String()
		}
		return err
	})
	if ok {
		answer(w, http.StatusOK, page)
	}
}

func (s *Server) connection(w http.ResponseWriter, r *http.Request) {
	var sight stack.Sight
	ok := s.one(w, r, func(ctx context.Context, f stack.Flow) (found bool, err error) {
		sight, found, err = s.opt.Stack.Find(ctx, f)
		return found, err
	})
	if ok {
		c := view(&sight, true)
		c.Flight = viewNotes(sight.Notes, newClock())
		c.FlightMissing = sight.Missing
		answer(w, http.StatusOK, c)
	}
}

// one does something with the connection that the path names, and answers if that can't be done: false.
func (s *Server) one(w http.ResponseWriter, r *http.Request, do func(context.Context, stack.Flow) (found bool, err error)) bool {
	f, err := parseID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("%q is not the id of a connection: %w", r.PathValue("id"), err))
		return false
	}
	if keep := s.sees(r); keep != nil && !keep(&f) {
		refuse(w, http.StatusForbidden, fmt.Errorf("connection %s is not yours", ID(f)))
		return false
	}
	found := false
	ok := ask(w, r, func(ctx context.Context) (err error) {
		found, err = do(ctx, f)
		return err
	})
	if ok && !found {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no connection %s", ID(f)))
	}
	return ok && found
}

// states counts the connections by state, those included in which there are none.
func (s *Server) states(w http.ResponseWriter, r *http.Request) {
	count := map[string]int{}
	ok := ask(w, r, func(ctx context.Context) error {
		all, err := s.opt.Stack.States(ctx)
		for state := fsm.SynSent; state <= fsm.TimeWait; state++ {
			count[state.String()] += all[state] // both kinds of SYN-RECEIVED have one name
		}
		return err
	})
	if ok {
		answer(w, http.StatusOK, count)
	}
}

// reset ends a connection with a RST.
func (s *Server) reset(w http.ResponseWriter, r *http.Request) {
	if s.one(w, r, s.opt.Stack.Abort) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) ended(w http.ResponseWriter, r *http.Request) {
	var list []stack.Ending
	ok := ask(w, r, func(ctx context.Context) (err error) {
		list, err = s.opt.Stack.Endings(ctx)
		return err
	})
	if !ok {
		return
	}
	clock, shown, keep := newClock(), []Ended{}, s.sees(r)
	for i := range list {
		if keep != nil && !keep(&list[i].Flow) {
			continue
		}
		shown = append(shown, viewEnding(&list[i], clock))
	}
	answer(w, http.StatusOK, shown)
}

func (s *Server) listeners(w http.ResponseWriter, _ *http.Request) {
	list := []Listener{}
	for _, l := range s.opt.Stack.Listeners() {
		list = append(list, viewListener(l))
	}
	slices.SortFunc(list, func(a, b Listener) int {
		if a.Port != b.Port {
			return int(a.Port) - int(b.Port)
		}
		return strings.Compare(a.Prefix.String(), b.Prefix.String())
	})
	answer(w, http.StatusOK, list)
}

func (s *Server) counters(w http.ResponseWriter, r *http.Request) {
	if ask(w, r, s.opt.Stack.Progress) { // who counts has no patience of its own
		answer(w, http.StatusOK, s.opt.Counters())
	}
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if ask(w, r, s.opt.Stack.Progress) {
		s.opt.Metrics.ServeHTTP(w, r)
	}
}

// LogLevel is the least level that is logged.
type LogLevel struct {
	Level string `json:"level"`
}

func (s *Server) level(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, LogLevel{s.opt.Level.String()})
}

// largestBody is more than any request has, in bytes.
const largestBody = 4096

func (s *Server) setLevel(w http.ResponseWriter, r *http.Request) {
	var to LogLevel
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestBody))
	body.DisallowUnknownFields()
	if err := body.Decode(&to); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf(`{"level": "info"} is wanted: %w`, err))
		return
	}
	if !slices.Contains(Levels, to.Level) {
		refuse(w, http.StatusBadRequest, fmt.Errorf("level %q is none of %s", to.Level, strings.Join(Levels, ", ")))
		return
	}
	if err := s.opt.Level.UnmarshalText([]byte(to.Level)); err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	s.level(w, r)
}

// Reloaded is what has come of reading the configuration again.
type Reloaded struct {
	Applied  []string `json:"applied"`  // keys whose new values are in force
	Restart  []string `json:"restart"`  // keys whose new values need a restart
	Opened   []string `json:"opened"`   // listeners, as SERVICE ADDRESS:PORT
	Replaced []string `json:"replaced"` // listeners that listen otherwise now, or for another service
	Closed   []string `json:"closed"`
}

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) {
	done, err := s.opt.Reload()
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	answer(w, http.StatusOK, done)
}

// stop begins its answer at once, and ends it when the daemon ends.
func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	s.Stopping()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"stopping": true}`+"\n")
	_ = http.NewResponseController(w).Flush()
	s.opt.Stop()
	<-r.Context().Done() // Close's, or the client has gone
}

// Health is the answer of a daemon that is well.
type Health struct {
	OK bool `json:"ok"`
}

func (s *Server) livez(w http.ResponseWriter, r *http.Request) {
	if ask(w, r, s.opt.Stack.Progress) {
		answer(w, http.StatusOK, Health{true})
	}
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		refuse(w, http.StatusServiceUnavailable, errors.New("the daemon is ending"))
		return
	}
	s.livez(w, r)
}
