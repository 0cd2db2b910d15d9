// Package openapi holds descriptions to the truth. That of the control socket: each answer of a server is validated against it,
// and each path and status that it describes is seen. The schema of the configuration: it takes and refuses what the daemon does.
// It is a module of its own, so that tcpd does not depend on what validates.
package openapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

var (
	ours  = netip.MustParseAddr("10.7.0.2")
	peers = netip.MustParseAddr("10.7.0.1")
)

// level is a log's.
type level string

func (l *level) String() string               { return string(*l) }
func (l *level) UnmarshalText(b []byte) error { *l = level(b); return nil }

// silent is a handler that does nothing.
type silent struct{}

func (silent) Ready(stack.Conn, tcp.Events) {}

// api is a server in memory, with a client who looks at each answer, and the description.
type api struct {
	t      *testing.T
	doc    *openapi3.T
	router routers.Router
	stack  *stack.Stack
	peer   *stack.Stack
	stop   chan struct{}

	refusal error // of a reload
	server  *control.Server
	client  http.Client
	seen    map[string]bool // METHOD path status
}

func newAPI(t *testing.T) *api {
	a := &api{t: t, stop: make(chan struct{}, 1), seen: map[string]bool{}}
	var err error
	if a.doc, err = openapi3.NewLoader().LoadFromFile("../../pkg/control/openapi.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := a.doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.router, err = legacy.NewRouter(a.doc); err != nil {
		t.Fatal(err)
	}
	left, right := pipe.New(1, pipe.Options{})
	start := func(cfg stack.Config) *stack.Stack {
		s, err := stack.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	a.stack = start(stack.Config{Link: left, Addrs: []netip.Prefix{netip.PrefixFrom(ours, 32)}})
	a.peer = start(stack.Config{Link: right, Addrs: []netip.Prefix{netip.PrefixFrom(peers, 32)}})
	a.serve()
	return a
}

func (a *api) serve() {
	log := level("info")
	a.server = control.NewServer(control.Options{
		Stack: a.stack, Counters: func() observe.Counters { return observe.Collect(a.stack, a.stack.Listeners(), 1, 0) },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, "up 1\n")
		}),
		Config: func() any { return configuration(a.t) }, Level: &log,
		Token: func() control.Token {
			return control.Token{Token: "cafe", Pages: []string{"http://10.7.0.2/#cafe"}}
		},
		Stop: func() { a.stop <- struct{}{} },
		Reload: func() (control.Reloaded, error) {
			none := []string{}
			return control.Reloaded{Applied: []string{"services"}, Restart: []string{"mtu"}, Opened: none, Replaced: none, Closed: none}, a.refusal
		},
	})
	path := filepath.Join(a.t.TempDir(), "s")
	l, err := control.Listen(a.t.Context(), path)
	if err != nil {
		a.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(l) }()
	a.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	a.t.Cleanup(func() {
		a.client.CloseIdleConnections()
		_ = a.server.Close()
		if err := <-served; err != nil {
			a.t.Error(err)
		}
	})
}

// configuration has values of all sources.
func configuration(t *testing.T) config.Loaded {
	t.Helper()
	s := config.Sources{
		File: "../../configs/tcpd.yaml", Environ: []string{"TCPD_MTU=1400"}, Flags: []config.Flag{{Name: "--queues", Key: "queues", Value: 2}},
	}
	l, err := s.Load(config.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask sends a request and validates the answer.
func (a *api) ask(method, path, body string, want int) []byte {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://tcpd"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	route, params, err := a.router.FindRoute(r)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	answer, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	if want == http.StatusAccepted { // its end is the daemon's
		<-a.stop
		a.server.Close()
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if answer.StatusCode != want {
		a.t.Errorf("%s %s: %d, want %d: %s", method, path, answer.StatusCode, want, text)
	}
	if err := a.validate(r, route, params, answer, text); err != nil {
		a.t.Errorf("%s %s: %v\n%.500s", method, path, err, text)
	}
	a.seen[method+" "+route.Path+" "+strconv.Itoa(answer.StatusCode)] = true
	return text
}

func (a *api) validate(r *http.Request, route *routers.Route, params map[string]string, answer *http.Response, text []byte) error {
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}
	return openapi3filter.ValidateResponse(a.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: answer.StatusCode, Header: answer.Header, Body: io.NopCloser(bytes.NewReader(text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
}

// crowd makes the stack have something to tell: a half-open connection is left out, which no peer in memory leaves so.
func (a *api) crowd() {
	a.t.Helper()
	for port, h := range map[uint16]stack.Handler{7: service.Echo{}, 13: service.Daytime{Now: time.Now}, 80: silent{}} {
		cfg := stack.ListenConfig{Prefix: netip.PrefixFrom(ours, 32), Port: port}
		if port == 80 {
			cfg.Backlog = 8
		}
		if _, err := a.stack.Listen(cfg, h); err != nil {
			a.t.Fatal(err)
		}
	}
	for _, port := range []uint16{7, 7, 13, 80} {
		c, err := socket.Dial(a.peer, netip.AddrPortFrom(ours, port))
		if err != nil {
			a.t.Fatal(err)
		}
		a.t.Cleanup(func() { c.Close() })
		if port == 13 { // TIME-WAIT is ours
			_, _ = io.ReadAll(c)
			c.Close()
			continue
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			a.t.Fatal(err)
		}
	}
	for range 100_000 {
		states, err := a.stack.States(a.t.Context())
		if err != nil {
			a.t.Fatal(err)
		}
		total := 0
		for s, n := range states {
			if s.String() == "ESTABLISHED" || s.String() == "TIME-WAIT" {
				total += n
			}
		}
		if total == 4 {
			return
		}
	}
	a.t.Fatal("the connections do not open")
}

// TestEveryAnswer asks for all there is, and in all the ways in which it can be refused.
func TestEveryAnswer(t *testing.T) {
	a := newAPI(t)
	a.ask("GET", "/v1/connections", "", 200) // none
	a.crowd()
	a.ask("GET", "/v1/connections?limit=2", "", 200)
	var page control.Page
	if err := json.Unmarshal(a.ask("GET", "/v1/connections?info=true", "", 200), &page); err != nil || len(page.Connections) != 4 {
		t.Errorf("%d connections, %v", len(page.Connections), err)
	}
	for _, c := range page.Connections {
		a.ask("GET", "/v1/connections/"+c.ID, "", 200)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/connections?limit=0", "", 400},
		{"GET", "/v1/connections/me", "", 400},
		{"GET", "/v1/connections/10.7.0.2:1-10.7.0.1:1", "", 404},
		{"GET", "/v1/listeners", "", 200},
		{"GET", "/v1/counters", "", 200},
		{"GET", "/v1/fsm", "", 200},
		{"GET", "/v1/config", "", 200},
		{"GET", "/v1/log", "", 200},
		{"GET", "/v1/token", "", 200},
		{"POST", "/v1/reload", "", 200},
		{"PUT", "/v1/log", `{"level": "debug"}`, 200},
		{"PUT", "/v1/log", `{"level": "loud"}`, 400},
		{"GET", "/v1/openapi.yaml", "", 200},
		{"GET", "/metrics", "", 200},
		{"GET", "/livez", "", 200},
		{"GET", "/readyz", "", 200},
	} {
		a.ask(test.method, test.path, test.body, test.status)
	}
	a.ask("GET", "/v1/ended", "", 200)
	a.ask("GET", "/v1/states", "", 200)
	a.ask("DELETE", "/v1/connections/"+page.Connections[0].ID, "", 204)
	a.ask("DELETE", "/v1/connections/"+page.Connections[0].ID, "", 404)
	a.ask("DELETE", "/v1/connections/me", "", 400)
	a.ask("GET", "/v1/events?kind=rumour", "", 400)
	a.ask("GET", "/v1/capture?port=7", "", 400)
	a.stream("/v1/events?local_port=7", 7, a.event)
	a.stream("/v1/capture?local_port=7", 2, func([]byte) bool { return true }) // pcapng begins with two ends of lines
	a.refusal = errors.New("tcpd.yaml:1:6: mtu: many is not a whole number")
	a.ask("POST", "/v1/reload", "", 422)
	_ = a.stack.Close()
	for _, path := range []string{"/v1/ended", "/v1/states", "/v1/events", "/v1/capture",
		"/livez", "/readyz", "/metrics", "/v1/counters", "/v1/connections", "/v1/connections/10.7.0.2:1-10.7.0.1:1"} {
		a.ask("GET", path, "", 503)
	}
	a.ask("DELETE", "/v1/connections/10.7.0.2:1-10.7.0.1:1", "", 503)
	a.ask("POST", "/v1/stop", "", 202)
	a.checkAllSeen()
}

// stream opens a stream, makes something happen, and reads until so many lines are good.
func (a *api) stream(path string, want int, good func(line []byte) bool) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), "GET", "http://tcpd"+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	route, _, err := a.router.FindRoute(r)
	if err != nil {
		a.t.Fatal(err)
	}
	answer, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	kind, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if route.Operation.Responses.Status(answer.StatusCode).Value.Content[kind] == nil {
		a.t.Errorf("%s: %d as %s is not described", path, answer.StatusCode, kind)
	}
	a.seen["GET "+route.Path+" "+strconv.Itoa(answer.StatusCode)] = true
	c, err := socket.Dial(a.peer, netip.AddrPortFrom(ours, 7))
	if err != nil {
		a.t.Fatal(err)
	}
	defer c.Close()
	for lines := bufio.NewReader(answer.Body); want > 0; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			a.t.Fatalf("%s: %v", path, err)
		}
		if good(bytes.TrimSpace(line)) {
			want--
		}
	}
}

// event holds an event against its schema.
func (a *api) event(line []byte) bool {
	text, ok := bytes.CutPrefix(line, []byte("data: "))
	if !ok {
		return false
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		a.t.Fatal(err)
	}
	if err := a.doc.Components.Schemas["Event"].Value.VisitJSON(v, openapi3.MultiErrors()); err != nil {
		a.t.Errorf("%v\n%s", err, text)
	}
	return true
}

// checkAllSeen: the description promises nothing that no answer was.
func (a *api) checkAllSeen() {
	for path, item := range a.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if what := method + " " + path + " " + status; !a.seen[what] {
					a.t.Errorf("%s is described, and was not seen", what)
				}
			}
		}
	}
}

// TestValidationCanFail: an answer that lacks something, or has something more, is found.
func TestValidationCanFail(t *testing.T) {
	a := newAPI(t)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://tcpd/v1/log", nil)
	if err != nil {
		t.Fatal(err)
	}
	route, params, err := a.router.FindRoute(r)
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{
		`{"level":"info"}`: true, `{}`: false, `{"level":"loud"}`: false, `{"level":"info","more":1}`: false, `[]`: false,
	} {
		answer := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}}
		if err := a.validate(r, route, params, answer, []byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestEveryRoute: what the server answers on is described; profiles, whose form is Go's own, are not.
func TestEveryRoute(t *testing.T) {
	source, err := os.ReadFile("../../pkg/control/server.go")
	if err != nil {
		t.Fatal(err)
	}
	a, found := newAPI(t), 0
	for _, rest := range strings.Split(string(source), `mux.HandleFunc("`)[1:] {
		pattern, _, _ := strings.Cut(rest, `"`)
		method, path, _ := strings.Cut(pattern, " ")
		if strings.HasPrefix(path, "/debug/pprof/") {
			continue
		}
		found++
		if item := a.doc.Paths.Find(path); item == nil || item.GetOperation(method) == nil {
			t.Errorf("%s is not described", pattern)
		}
	}
	if found == 0 {
		t.Error("no routes found")
	}
}
