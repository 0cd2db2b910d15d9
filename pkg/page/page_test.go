package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

var (
	ours     = netip.MustParseAddrPort("10.7.0.2:80")
	caller   = netip.MustParseAddr("10.7.0.1")
	stranger = netip.MustParseAddr("10.7.0.9")
)

// site is a page, and a peer with two addresses: one of the caller's, one of somebody else's.
type site struct {
	t    *testing.T
	page *Page
	peer *stack.Stack
}

func newSite(t *testing.T) *site {
	t.Helper()
	a, b := pipe.New(1, pipe.Options{})
	start := func(cfg stack.Config) *stack.Stack {
		s, err := stack.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := start(stack.Config{Link: a, Addrs: []netip.Prefix{netip.PrefixFrom(ours.Addr(), 32)}, Secrets: [2]tcp.Secret{{1}, {2}}})
	peer := start(stack.Config{Link: b, Secrets: [2]tcp.Secret{{3}, {4}}, Addrs: []netip.Prefix{
		netip.PrefixFrom(caller, 32), netip.PrefixFrom(stranger, 32),
	}})
	p := New(s, func() observe.Counters { return observe.Collect(s, s.Listeners(), 0, 0) })
	l, err := socket.Listen(s, ours)
	if err != nil {
		t.Fatal(err)
	}
	srv, served := &http.Server{Handler: p}, make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return &site{t, p, peer}
}

// from is a client with an address of its own.
func (s *site) from(a netip.Addr) *http.Client {
	d := &socket.Dialer{Stack: s.peer, Local: netip.AddrPortFrom(a, 0)}
	transport := &http.Transport{DialContext: d.DialContext}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask sends a request with headers, as name: value; Host is one of them.
func (s *site) ask(c *http.Client, method, path string, headers ...string) (int, string, http.Header) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+ours.String()+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	a, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.StatusCode, string(text), a.Header
}

func (s *site) bearer() string { return "Authorization: Bearer " + s.page.Token() }

const origin = "Origin: http://10.7.0.2:80"

// TestWhoMayAsk: the host is the address itself, the origin is the page, and a token is this daemon's.
func TestWhoMayAsk(t *testing.T) {
	s := newSite(t)
	c := s.from(caller)
	for _, row := range []struct {
		method, path string
		headers      []string
		want         int
	}{
		{"GET", "/", nil, 200},
		{"GET", "/", []string{"Host: 10.7.0.2"}, 200},
		{"GET", "/", []string{"Host: evil.example"}, 421},
		{"GET", "/", []string{"Host: 10.7.0.2:8080"}, 421},
		{"GET", "/.tcpd/api/totals", []string{"Host: evil.example:80"}, 421},
		{"GET", "/.tcpd/app.js", nil, 200},
		{"GET", "/.tcpd/vendor/uPlot.js", nil, 200},
		{"GET", "/.tcpd/page.go", nil, 404},
		{"GET", "/.tcpd/api/v1/fsm", nil, 200},
		{"GET", "/.tcpd/api/v1/stop", nil, 404},
		{"GET", "/.tcpd/api/v1/token", nil, 404},
		{"GET", "/.tcpd/api/you", []string{origin}, 200},
		{"GET", "/.tcpd/api/you", []string{"Origin: http://evil.example"}, 403},
		{"GET", "/.tcpd/api/you", []string{"Origin: null"}, 403},
		{"GET", "/.tcpd/api/you", []string{s.bearer()}, 200},
		{"GET", "/.tcpd/api/you", []string{"Authorization: Bearer 00000000000000000000000000000000"}, 401},
		{"GET", "/.tcpd/api/you", []string{"Authorization: " + s.page.Token()}, 401},
		{"POST", "/.tcpd/api/lessons/reset", []string{origin}, 401},
		{"POST", "/.tcpd/api/lessons/reset", []string{s.bearer()}, 403}, // no origin
		{"POST", "/.tcpd/api/lessons/reset", []string{s.bearer(), "Origin: http://evil.example"}, 403},
		{"POST", "/.tcpd/api/lessons/none", []string{s.bearer(), origin}, 404},
		{"GET", "/.tcpd/api/lessons/reset", []string{s.bearer(), origin}, 404}, // a file, which there is not
		{"POST", "/.tcpd/api/lessons/reset", []string{s.bearer(), origin}, 200},
	} {
		status, text, h := s.ask(c, row.method, row.path, row.headers...)
		if status != row.want {
			t.Errorf("%s %s %q: %d, want %d: %.200s", row.method, row.path, row.headers, status, row.want, text)
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'self'") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", row.method, row.path, h)
		}
	}
	if len(s.page.Token()) != 32 || New(s.peer, nil).Token() == s.page.Token() {
		t.Error("the token is not one of 128 bits, or not drawn anew")
	}
}

// TestStrangersSeeTheirOwn: listings, single connections and streams tell a caller of the connections from his address, and one with the
// token of all.
func TestStrangersSeeTheirOwn(t *testing.T) {
	s := newSite(t)
	one, other := s.from(caller), s.from(stranger)
	var you You
	_, text, _ := s.ask(other, "GET", "/.tcpd/api/you")
	if err := json.Unmarshal([]byte(text), &you); err != nil || you.Address != stranger.String() || you.Trusted {
		t.Fatalf("%+v, %v", you, err)
	}
	remotes := func(headers ...string) string {
		var page control.Page
		_, text, _ := s.ask(one, "GET", "/.tcpd/api/v1/connections", headers...)
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		seen := ""
		for _, c := range page.Connections {
			a, _, _ := strings.Cut(c.Remote, ":")
			seen += a + " "
		}
		return seen
	}
	if got := remotes(); got != caller.String()+" " {
		t.Errorf("a stranger sees %s", got)
	}
	if got := remotes(s.bearer()); !strings.Contains(got, stranger.String()) || !strings.Contains(got, caller.String()) {
		t.Errorf("with the token: %s", got)
	}
	if status, _, _ := s.ask(one, "GET", "/.tcpd/api/v1/connections/"+you.Connection); status != 403 {
		t.Errorf("another's connection: %d", status)
	}
	if status, _, _ := s.ask(one, "GET", "/.tcpd/api/v1/connections/"+you.Connection, s.bearer()); status != 200 {
		t.Errorf("another's connection with the token: %d", status)
	}
	if status, text, _ := s.ask(one, "GET", "/.tcpd/api/totals"); status != 200 || !strings.Contains(text, `"states":{"ESTABLISHED":2}`) {
		t.Errorf("totals: %d, %s", status, text)
	}
}

// TestStreams: a stream of a stranger's tells of his connections alone, and not of the one that carries it.
func TestStreams(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+ours.String()+"/.tcpd/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	streaming := s.from(caller)
	a, err := streaming.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	lines := bufio.NewScanner(a.Body)
	if !lines.Scan() || lines.Text() != ": listening" {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	s.ask(s.from(stranger), "GET", "/.tcpd/api/you")
	s.ask(s.from(caller), "GET", "/.tcpd/api/you")
	var carrier string
	for f := range *s.page.streaming.Load() {
		carrier = control.ID(f)
	}
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		var e control.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(e.Connection, "-"+caller.String()+":") || e.Connection == carrier {
			t.Fatalf("a stream on %s tells of %+v", carrier, e)
		}
		if e.Kind == "call" && e.Call == "write" { // the answer: all of it has been told
			return
		}
	}
	t.Fatal(lines.Err())
}

// TestGate: there is an end to what is let in, from one address and from all, and what leaves makes room.
func TestGate(t *testing.T) {
	g := newGate(3, 2)
	in := func(a netip.Addr, want bool) {
		t.Helper()
		if g.enter(a) != want {
			t.Errorf("%v: want %v", a, want)
		}
	}
	in(caller, true)
	in(caller, true)
	in(caller, false)
	in(stranger, true)
	in(stranger, false)
	g.leave(caller)
	in(stranger, true)
	for _, a := range []netip.Addr{caller, stranger, stranger} {
		g.leave(a)
	}
	if g.inside != 0 || len(g.from) != 0 {
		t.Errorf("%d inside, %v", g.inside, g.from)
	}
}

// TestExplained: a sentence for what is known, none for what is not, and a complaint when nothing is asked.
func TestExplained(t *testing.T) {
	s := newSite(t)
	c := s.from(caller)
	for query, want := range map[string]struct {
		status int
		begins string
	}{
		"": {400, `{"error":"say what to explain: `}, "?from=LISTEN": {400, `{"error":"say what to explain: `}, "?incident=none": {200, `{"text":""}`},
		"?from=ESTABLISHED&event=RcvFIN&to=CLOSE-WAIT": {200, `{"text":"`},
	} {
		status, text, _ := s.ask(c, "GET", "/.tcpd/api/explain"+query)
		if status != want.status || !strings.HasPrefix(text, want.begins) || status == 200 && (len(text) > 20) != strings.Contains(query, "event") {
			t.Errorf("%q: %d %s", query, status, text)
		}
	}
}
