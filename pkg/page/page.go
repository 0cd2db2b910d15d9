package page

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/explain"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

//go:embed static
var embedded embed.FS

// The paths of what belongs to the page. Their names begin with a dot, so no file of a user's is hidden by them.
const (
	root  = "/.tcpd/"
	asked = root + "api/"
)

// Page is the handler. It answers / with the page, and what is below /.tcpd/.
type Page struct {
	stack    *stack.Stack
	counters func() observe.Counters
	token    string
	mux      *http.ServeMux
	lesson   chan struct{} // has room for the lesson that is given

	mu        sync.Mutex // of the rest
	totals    []byte     // as JSON, as of counted
	counted   time.Time
	streaming atomic.Pointer[flows] // the connections that carry streams of events; shards read it without the lock
}

// flows is a set that does not change.
type flows map[stack.Flow]struct{}

// New returns a page that shows s, with a token of its own.
func New(s *stack.Stack, counters func() observe.Counters) *Page {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it never fails
	p := &Page{
		stack: s, counters: counters, token: hex.EncodeToString(key), lesson: make(chan struct{}, 1),
	}
	p.streaming.Store(&flows{})
	p.mux = p.routes()
	return p
}

// Token is what lets a caller see and do everything.
func (p *Page) Token() string { return p.token }

func (p *Page) routes() *http.ServeMux {
	static, _ := fs.Sub(embedded, "static") // it is there
	files := http.FileServerFS(static)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, static, "index.html") })
	mux.Handle("GET "+root, http.StripPrefix(strings.TrimSuffix(root, "/"), files))
	view := http.StripPrefix(strings.TrimSuffix(asked, "/"), control.Restricted(p.stack, p.counters, p.keep))
	listings := gates{newGate(mostForAll, mostForOne), newGate(mostForAll, mostForAll)}
	streams := gates{newGate(mostStreamsForAll, mostStreamsForOne), newGate(mostForAll, mostForAll)}
	mux.Handle("GET "+asked+"v1/connections", p.bounded(listings, view))
	mux.Handle("GET "+asked+"v1/connections/{id}", p.bounded(listings, view))
	mux.Handle("GET "+asked+"v1/ended", p.bounded(listings, view))
	mux.Handle("GET "+asked+"v1/events", p.bounded(streams, p.streamed(view)))
	mux.Handle("GET "+asked+"v1/fsm", view)
	mux.HandleFunc("GET "+asked+"you", p.you)
	mux.HandleFunc("GET "+asked+"totals", p.total)
	mux.HandleFunc("GET "+asked+"explain", explained)
	mux.HandleFunc("POST "+asked+"lessons/{name}", p.teach)
	return mux
}

// policy lets a browser load nothing but what is embedded, and show the page in no frame of anybody's.
const policy = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if status, err := p.admits(r); err != nil {
		refuse(w, status, err)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// admits reports whether a request is for us, and from a page of ours if it is from one. A name that somebody has pointed to our
// address would make his page one of ours for a browser (DNS rebinding), so only the address itself is our host.
func (p *Page) admits(r *http.Request) (status int, err error) {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || !sameHost(r.Host, at.String()) {
		return http.StatusMisdirectedRequest, errors.New("the page is at its own address only: " + r.Host + " is not it")
	}
	origin := r.Header.Get("Origin")
	if origin != "" && origin != "http://"+r.Host || origin == "" && r.Method == http.MethodPost {
		return http.StatusForbidden, errors.New("only the page itself may ask for this")
	}
	if r.Header.Get("Authorization") != "" && !p.trusted(r) {
		return http.StatusUnauthorized, errors.New("this is not the token of this daemon: tcpd token prints it")
	}
	return 0, nil
}

// sameHost compares a Host with an address and port; port 80 may be left out.
func sameHost(host, at string) bool { return host == at || host+":80" == at }

// trusted reports whether the request has the token.
func (p *Page) trusted(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+p.token)) == 1
}

// remote is the caller's address; a request whose own is not known has the address of nobody.
func remote(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap()
}

// keep is which flows a caller may see. The connections that carry streams of events are in no stream: each event would be the
// cause of the next.
func (p *Page) keep(r *http.Request) func(*stack.Flow) bool {
	all, caller, stream := p.trusted(r), remote(r), strings.HasSuffix(r.URL.Path, "/events")
	from := ip.Addr{}
	if caller.Is4() {
		from = ip.FromNetip(caller)
	}
	return func(f *stack.Flow) bool {
		return (all || caller.Is4() && f.Remote == from) && !(stream && p.streams(f))
	}
}

func (p *Page) streams(f *stack.Flow) bool {
	_, is := (*p.streaming.Load())[*f]
	return is
}

// streamed notes that the request's connection carries a stream, for as long as it does.
func (p *Page) streamed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := flowOf(r)
		if !ok {
			refuse(w, http.StatusInternalServerError, errors.New("this connection is not one of tcpd's"))
			return
		}
		p.note(func(s flows) { s[f] = struct{}{} })
		defer p.note(func(s flows) { delete(s, f) })
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // there is nothing more to read, and that is well
		h.ServeHTTP(w, r)
	})
}

// note changes which connections carry streams.
func (p *Page) note(change func(flows)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(*p.streaming.Load())
	change(next)
	p.streaming.Store(&next)
}

// flowOf is the connection that a request has come on.
func flowOf(r *http.Request) (f stack.Flow, ok bool) {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if at == nil || err != nil || !from.Addr().Is4() {
		return f, false
	}
	to := at.AddrPort()
	return stack.Flow{
		Local: ip.FromNetip(to.Addr().Unmap()), LocalPort: to.Port(), Remote: ip.FromNetip(from.Addr()), RemotePort: from.Port(),
	}, true
}

// You is what the page must know of its caller.
type You struct {
	Connection string `json:"connection"` // that the question came on
	Address    string `json:"address"`
	Trusted    bool   `json:"trusted"` // he has the token
}

func (p *Page) you(w http.ResponseWriter, r *http.Request) {
	y := You{Address: remote(r).String(), Trusted: p.trusted(r)}
	if f, ok := flowOf(r); ok {
		y.Connection = control.ID(f)
	}
	answer(w, http.StatusOK, y)
}

// Totals are of all connections, whoever asks.
type Totals struct {
	Counters observe.Counters `json:"counters"`
	States   map[string]int   `json:"states"` // how many connections are in each
}

// total answers from a copy of a second's age at most: to count a million connections is work, and anybody may ask.
func (p *Page) total(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	text, fresh := p.totals, time.Since(p.counted) < time.Second
	if !fresh {
		p.counted = time.Now() // nobody else is to count meanwhile
	}
	p.mu.Unlock()
	if !fresh || text == nil {
		var err error
		if text, err = p.count(r.Context()); err != nil {
			refuse(w, http.StatusServiceUnavailable, err)
			return
		}
		p.mu.Lock()
		p.totals = text
		p.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// patience is how long the shards may take to count.
const patience = 2 * time.Second

func (p *Page) count(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	states, err := p.stack.States(ctx)
	if err != nil {
		return nil, err
	}
	t := Totals{Counters: p.counters(), States: map[string]int{}}
	for s, n := range states {
		t.States[s.String()] += n
	}
	return json.Marshal(t)
}

// explained says what a transition, an incident or a drop means.
func explained(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	text := ""
	switch {
	case q.Has("event"):
		text = explain.Transition(q.Get("from"), q.Get("open"), q.Get("event"), q.Get("to"))
	case q.Has("incident"):
		text = explain.Incident(q.Get("incident"))
	case q.Has("drop"):
		text = explain.Drop(q.Get("drop"))
	default:
		refuse(w, http.StatusBadRequest, errors.New("say what to explain: ?event= with from, to and open, ?incident= or ?drop="))
		return
	}
	answer(w, http.StatusOK, map[string]string{"text": text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client has gone
}

func refuse(w http.ResponseWriter, status int, err error) {
	answer(w, status, control.Problem{Error: err.Error()})
}
