package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var (
	client = netip.MustParsePrefix("10.7.0.8/29")
	server = netip.MustParsePrefix("10.7.0.2/32")
)

// newStack runs a stack on one end of a pipe.
func newStack(t *testing.T, l *link.Link, at netip.Prefix, c *config.Config, secret uint64) *stack.Stack {
	t.Helper()
	s, err := stack.New(stack.Config{
		Link: l, Addrs: []netip.Prefix{at}, TCP: settings(&c.TCP), Secrets: [2]tcp.Secret{{secret, 1}, {secret, 2}}, Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newPair returns a stack of the server's address with the services of c on it, and one to call them from.
func newPair(t *testing.T, c *config.Config) (there, here *stack.Stack) {
	t.Helper()
	a, b := pipe.New(1, pipe.Options{})
	there, here = newStack(t, a, server, c, 1), newStack(t, b, client, c, 2)
	run, err := serve(there, c, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.close(patience) })
	return there, here
}

// listening is how each port listens.
func listening(t *testing.T, c *config.Config) map[uint16]stack.ListenConfig {
	t.Helper()
	there, _ := newPair(t, c)
	m := map[uint16]stack.ListenConfig{}
	for _, l := range there.Listeners() {
		m[l.Port] = l.ListenConfig
	}
	return m
}

func loaded(t *testing.T, text string) *config.Config {
	t.Helper()
	c, _, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Validate() {
		t.Fatal(f)
	}
	return &c
}

// TestServicesListen: without settings of their own, the services are those of the defaults.
func TestServicesListen(t *testing.T) {
	c := loaded(t, "")
	want := map[uint16]stack.ListenConfig{}
	for _, v := range c.Services {
		want[v.Port] = stack.ListenConfig{Prefix: server, Port: v.Port}
	}
	http := want[config.PortHTTP]
	set := settings(&c.TCP)
	set.UserTimeout = longestStall
	http.Backlog, http.Connections, http.TCP = socket.DefaultBacklog, mostServed, &set
	want[config.PortHTTP] = http
	if got := listening(t, c); len(want) != 5 || !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestListenersFollow: an entry reaches the listener of its port, and no other.
func TestListenersFollow(t *testing.T) {
	plain := listening(t, loaded(t, "tcp: {rto_min: 300ms}"))
	for port := range plain {
		c := loaded(t, fmt.Sprintf(`
listeners:
  - port: %d
    backlog: 11
    half_open: 12
    source_backlog: 13
    source_half_open: 14
    connections: 16
    source_connections: 17
    fast_open: 15
    tcp: {congestion: bbr3, sack: false}
tcp: {rto_min: 300ms}
`, port))
		set := settings(&c.TCP)
		set.Congestion, set.SACK = cc.BBR3{}, false
		if port == config.PortHTTP {
			set.UserTimeout = longestStall
		}
		want := maps.Clone(plain)
		want[port] = stack.ListenConfig{
			Prefix: server, Port: port, Backlog: 11, HalfOpen: 12, SourceBacklog: 13, SourceHalfOpen: 14,
			Connections: 16, SourceConnections: 17, FastOpen: 15, TCP: &set,
		}
		if got := listening(t, c); !reflect.DeepEqual(got, want) {
			t.Errorf("port %d: got\n%+v\nwant\n%+v", port, got, want)
		}
	}
}

// TestListenersConfigure: an entry has a key for every setting of a listener that is not code.
func TestListenersConfigure(t *testing.T) {
	var cfg stack.ListenConfig
	for i, typ := 0, reflect.TypeOf(cfg); i < typ.NumField(); i++ {
		name := typ.Field(i).Name
		if _, ok := reflect.TypeFor[config.Listener]().FieldByName(name); !ok && name != "Prefix" && name != "Admit" && name != "Replace" {
			t.Errorf("%s cannot be configured", name)
		}
	}
}

// TestListenerKeysFollow: each key of an entry reaches the listener by itself.
func TestListenerKeysFollow(t *testing.T) {
	plain := listening(t, loaded(t, "listeners: [{port: 80}]"))[80]
	entry := reflect.TypeFor[config.Listener]()
	for i := range entry.NumField() {
		c := loaded(t, "listeners: [{port: 80}]")
		if f := reflect.ValueOf(&c.Listeners[0]).Elem().Field(i); f.CanInt() {
			f.SetInt(77)
		} else {
			continue // the port, and tcp, which follows
		}
		if got := listening(t, c)[80]; reflect.DeepEqual(got, plain) {
			t.Errorf("%s changes nothing", entry.Field(i).Name)
		}
	}
	section := reflect.TypeFor[config.TCP]()
	for i := range section.NumField() {
		c := loaded(t, "listeners: [{port: 80}]")
		changed := c.TCP
		f := reflect.ValueOf(&changed).Elem().Field(i)
		spoil(f)
		key := section.Field(i).Tag.Get("yaml")
		if key == "msl" {
			continue
		}
		c.Listeners[0].TCP = config.Changes{key: f.Interface()}
		got, want := listening(t, c)[80].TCP, settings(&changed)
		if want.UserTimeout == 0 {
			want.UserTimeout = longestStall
		}
		if !reflect.DeepEqual(*got, want) || reflect.DeepEqual(*got, *plain.TCP) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", key, *got, want)
		}
	}
}

// TestListenersSettings: connections have the settings of the port that they are to. Flags change the section, and so
// what an entry does not say.
func TestListenersSettings(t *testing.T) {
	c := loaded(t, "listeners: [{port: 7, tcp: {congestion: bbr, timestamps: false}}, {port: 9, tcp: {sack: false}}]")
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f := newFlags(set, c)
	if err := set.Parse([]string{"--congestion", "reno", "--msl", "1s"}); err != nil {
		t.Fatal(err)
	}
	l, err := (&config.Sources{Flags: f.given()}).Load(*c)
	if err != nil {
		t.Fatal(err)
	}
	c = &l.Config
	there, here := newPair(t, c)
	for _, l := range there.Listeners() {
		if want := map[uint16]string{7: "bbr", 9: "reno"}[l.Port]; want != "" && (l.TCP.Congestion.Name() != want || l.TCP.MSL != time.Second) {
			t.Errorf("port %d: %s and an MSL of %v, want %s and 1s", l.Port, l.TCP.Congestion.Name(), l.TCP.MSL, want)
		}
	}
	for port, want := range map[uint16][2]bool{7: {false, true}, 9: {true, false}, 80: {true, true}} {
		info, ok := dial(t, here, port).Info()
		if got := [2]bool{info.Timestamps, info.SACK}; !ok || got != want {
			t.Errorf("port %d: timestamps and SACK %v, want %v", port, got, want)
		}
	}
}

// TestServicesTake: the services on the shard fill no backlog.
func TestServicesTake(t *testing.T) {
	c := loaded(t, "listeners: [{port: 7, backlog: 2, source_backlog: 1}]")
	there, here := newPair(t, c)
	const calls = 5
	for range calls {
		echo(t, dial(t, here, config.PortEcho))
	}
	got := observe.Collect(there, there.Listeners(), 0, 0).Listeners[config.PortEcho]
	if want := (observe.Listener{Accepted: calls}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestCountersOutliveListeners: those of a stack that has ended show every port, though the web server has gone.
func TestCountersOutliveListeners(t *testing.T) {
	c := loaded(t, "")
	there, here := newPair(t, c)
	echo(t, dial(t, here, config.PortEcho))
	h := &host{Stack: there}
	h.listen()
	if err := there.Close(); err != nil {
		t.Fatal(err)
	}
	for _, l := range there.Listeners() {
		l.Close()
	}
	h.listen()
	got := observe.Collect(there, h.listeners, 0, 0).Listeners
	if len(got) != 5 || got[config.PortEcho].Accepted != 1 || got[config.PortHTTP].Accepted != 0 {
		t.Errorf("%+v", got)
	}
}

func dial(t *testing.T, s *stack.Stack, port uint16) *socket.Conn {
	t.Helper()
	c, err := socket.Dial(s, netip.AddrPortFrom(server.Addr(), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(t *testing.T, c *socket.Conn) {
	t.Helper()
	text := make([]byte, 5)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, text); err != nil || string(text) != "hello" {
		t.Fatalf("%q, %v", text, err)
	}
}

// TestServicesWhereListed: each listens at its port and address, in its way.
func TestServicesWhereListed(t *testing.T) {
	c := loaded(t, `
services:
  - {port: 1007, service: echo, through: conn}
  - {port: 2007, service: echo, through: handler, address: 10.7.0.2}
  - {port: 8080, service: http, static: .}
`)
	got := listening(t, c)
	for port, served := range map[uint16]int{1007: mostServed, 2007: 0, 8080: mostServed} {
		if l, ok := got[port]; !ok || l.Connections != served || l.Prefix != server {
			t.Errorf("port %d: %v, %+v", port, ok, l)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d ports", len(got))
	}
	_, here := newPair(t, c)
	echo(t, dial(t, here, 1007))
	echo(t, dial(t, here, 2007))
}

// TestServicesFault: where one cannot listen, none is left that does.
func TestServicesFault(t *testing.T) {
	c := loaded(t, "services: [{port: 80, service: http, static: .}, {port: 7, service: echo, through: conn}]")
	c.Services = append(c.Services, config.Service{Port: 8080, Service: "http", Static: "no/such/dir"})
	a, _ := pipe.New(1, pipe.Options{})
	there := newStack(t, a, server, c, 1)
	_, err := serve(there, c, nil, zap.NewNop())
	if err == nil || !strings.HasPrefix(err.Error(), "services[2]: http on port 8080: static: open no/such/dir") {
		t.Error(err)
	}
	if left := there.Listeners(); len(left) != 0 {
		t.Errorf("%d listeners are left", len(left))
	}
}

// TestStaticOfEach: each web server has files of its own, or none.
func TestStaticOfEach(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{one: "one", two: "two"} {
		if err := os.WriteFile(filepath.Join(dir, "name"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, here := newPair(t, loaded(t, fmt.Sprintf(`
services:
  - {port: 80, service: http, static: %q}
  - {port: 8080, service: http, static: %q}
  - {port: 8081, service: http}
`, one, two)))
	transport := &http.Transport{DialContext: (&socket.Dialer{Stack: here}).DialContext}
	defer transport.CloseIdleConnections()
	web := http.Client{Transport: transport, Timeout: patience}
	for port, want := range map[int]string{80: "200 one", 8080: "200 two", 8081: "404 404 page not found\n"} {
		r, err := web.Get(fmt.Sprintf("http://%v:%d/name", server.Addr(), port))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if got := fmt.Sprintf("%d %s", r.StatusCode, body); err != nil || got != want {
			t.Errorf("port %d: %q, %v, want %q", port, got, err, want)
		}
	}
}
