package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemon is a stack in memory with a control socket, and another one with clients.
type daemon struct {
	t       testing.TB
	stack   *stack.Stack
	peer    *stack.Stack
	level   zap.AtomicLevel
	server  *control.Server
	stopped chan struct{} // has one for each call of Stop

	reloaded control.Reloaded // what a reload comes to
	refusal  error
	path     string
	client   *control.Client
}

var (
	ours  = netip.MustParseAddr("10.7.0.2")
	peers = netip.MustParseAddr("10.7.0.1")
)

const echoPort, heldPort = 7, 80

// holder closes nothing and reads nothing.
type holder struct{}

func (holder) Ready(stack.Conn, tcp.Events) {}

// newDaemon runs until the end of the test. wrap may change the link of the stack, or be nil.
func newDaemon(t testing.TB, wrap func(*link.Link)) *daemon {
	t.Helper()
	a, b := pipe.New(2, pipe.Options{})
	if wrap != nil {
		wrap(a)
	}
	return daemonOn(t, a, b, peers.String()+"/32")
}

// daemonOn is newDaemon with its link, the clients' end of it, and their addresses.
func daemonOn(t testing.TB, a, b *link.Link, clients string) *daemon {
	t.Helper()
	d := &daemon{t: t, level: zap.NewAtomicLevel(), stopped: make(chan struct{}, 10), path: filepath.Join(t.TempDir(), "tcpd.sock")}
	d.stack, d.peer = start(t, a, netip.PrefixFrom(ours, 32)), start(t, b, netip.MustParsePrefix(clients))
	source := observe.Source{Counters: func() observe.Counters { return observe.Collect(d.stack, d.stack.Listeners(), 0, 0) }, States: d.stack.States}
	d.listen(stack.ListenConfig{Port: echoPort}, service.Echo{})
	d.listen(stack.ListenConfig{Port: heldPort, Backlog: 16}, holder{})
	d.server = control.NewServer(control.Options{
		Stack: d.stack, Counters: source.Counters, Metrics: observe.Metrics(source), Level: &d.level,
		Config: func() any { return map[string]string{"device": "tcpd0"} },
		Reload: func() (control.Reloaded, error) { return d.reloaded, d.refusal },
		Stop:   func() { d.stopped <- struct{}{} },
	})
	l, err := control.Listen(t.Context(), d.path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(l) }()
	d.client = control.NewClient(d.path)
	t.Cleanup(func() {
		d.client.Close()
		if err := errors.Join(d.server.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return d
}

func start(t testing.TB, l *link.Link, addrs netip.Prefix) *stack.Stack {
	t.Helper()
	s, err := stack.New(stack.Config{Link: l, Addrs: []netip.Prefix{addrs}, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (d *daemon) listen(cfg stack.ListenConfig, h stack.Handler) {
	d.t.Helper()
	cfg.Prefix = netip.PrefixFrom(ours, 32)
	if _, err := d.stack.Listen(cfg, h); err != nil {
		d.t.Fatal(err)
	}
}

// dial opens connections to a port, and returns the last; they are open on both sides.
func (d *daemon) dial(port uint16, n int) *socket.Conn {
	d.t.Helper()
	var last *socket.Conn
	for range n {
		c, err := socket.Dial(d.peer, netip.AddrPortFrom(ours, port))
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { c.Close() })
		last = c
	}
	d.await("connections open", func() bool { return len(d.all(control.Filter{States: []string{"ESTABLISHED"}, LocalPort: port})) >= n })
	return last
}

// await asks again until it is so: each answer takes a turn of every shard.
func (d *daemon) await(what string, so func() bool) {
	d.t.Helper()
	for range 100_000 {
		if so() {
			return
		}
	}
	d.t.Fatalf("in vain: %s", what)
}

func (d *daemon) all(f control.Filter) (list []control.Connection) {
	d.t.Helper()
	err := d.client.Connections(d.t.Context(), f, func(page []control.Connection) error {
		list = append(list, page...)
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return list
}

// get returns the status and the body.
func (d *daemon) get(method, path, body string) (int, string) {
	d.t.Helper()
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.path)
	}}}
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://tcpd"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	a, err := c.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

// TestConnections: what is asked for comes, and nothing else.
func TestConnections(t *testing.T) {
	d := newDaemon(t, nil)
	d.dial(echoPort, 10)
	c := d.dial(heldPort, 5)
	if _, err := c.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(c.LocalAddr().String()).Port()
	for _, test := range []struct {
		f    control.Filter
		want int
	}{
		{control.Filter{}, 15},
		{control.Filter{LocalPort: echoPort}, 10},
		{control.Filter{LocalPort: 8}, 0},
		{control.Filter{RemotePort: port, LocalPort: heldPort}, 1},
		{control.Filter{Local: "10.7.0.2"}, 15},
		{control.Filter{Local: "10.7.0.3"}, 0},
		{control.Filter{Remote: "10.7.0.0/30"}, 15},
		{control.Filter{Remote: "10.7.1.0/24"}, 0},
		{control.Filter{States: []string{"ESTABLISHED", "TIME-WAIT"}}, 15},
		{control.Filter{States: []string{"TIME-WAIT"}}, 0},
	} {
		if got := d.all(test.f); len(got) != test.want {
			t.Errorf("%+v: %d connections, want %d", test.f, len(got), test.want)
		}
	}
	f := control.Filter{RemotePort: port, LocalPort: heldPort, Details: true}
	d.await("unread text", func() bool { return d.all(f)[0].Receive == len("unread") })
	got := d.all(f)[0]
	if got.Info == nil || got.Info.Unread != got.Receive || !got.Info.Passive || got.Info.RTT <= 0 || got.Orphan {
		t.Errorf("%+v %+v", got, got.Info)
	}
	var one control.Connection
	status, text := d.get("GET", "/v1/connections/"+got.ID, "")
	if err := json.Unmarshal([]byte(text), &one); err != nil || status != 200 || one.Info == nil || one.ID != got.ID || one.Remote != c.LocalAddr().String() {
		t.Errorf("%d %s: %v", status, text, err)
	}
}

// TestPages: whatever their size, all connections are there, each once.
func TestPages(t *testing.T) {
	d := newDaemon(t, nil)
	d.dial(echoPort, 20)
	for _, limit := range []string{"1", "7", "20", "1000"} {
		seen, pages, path := map[string]int{}, 0, "/v1/connections?limit="+limit
		for next := path; next != ""; pages++ {
			var p control.Page
			_, text := d.get("GET", next, "")
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				t.Fatal(err)
			}
			for _, c := range p.Connections {
				seen[c.ID]++
			}
			if next = ""; p.Next != "" {
				next = path + "&cursor=" + p.Next
			}
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s is there %d times", id, n)
			}
		}
		if len(seen) != 20 || limit == "1" && pages < 20 {
			t.Errorf("%d connections on %d pages of %s", len(seen), pages, limit)
		}
	}
}

// TestClientsPages: a client reads all pages, gives up between two, and stops where his own function does.
func TestClientsPages(t *testing.T) {
	d := newDaemon(t, nil)
	d.dial(echoPort, 20)
	f := control.Filter{Page: 3}
	ids := map[string]bool{}
	for _, c := range d.all(f) {
		ids[c.ID] = true
	}
	if len(ids) != 20 {
		t.Errorf("%d connections", len(ids))
	}
	enough, calls := errors.New("enough"), 0
	err := d.client.Connections(t.Context(), f, func(page []control.Connection) error {
		if calls++; len(page) != f.Page {
			t.Errorf("%d connections on a page of %d", len(page), f.Page)
		}
		return enough
	})
	if err != enough || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = d.client.Connections(ctx, f, func([]control.Connection) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := d.client.Connections(t.Context(), control.Filter{Local: "here"}, nil); err == nil || !strings.Contains(err.Error(), "local=here") {
		t.Error(err)
	}
}

// TestTimeWait: a connection that our side has closed is shown to its end, under its name.
func TestTimeWait(t *testing.T) {
	d := newDaemon(t, nil)
	d.listen(stack.ListenConfig{Port: 13}, service.Daytime{Now: time.Now})
	c, err := socket.Dial(d.peer, netip.AddrPortFrom(ours, 13))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	c.Close()
	wait := control.Filter{States: []string{"TIME-WAIT"}}
	d.await("TIME-WAIT", func() bool { return len(d.all(wait)) == 1 })
	got := d.all(wait)[0]
	if got.Timer == nil || got.Timer.Name != "timewait" || got.Timer.Left <= 0 || got.Receive != 0 || got.Send != 0 {
		t.Errorf("%+v %+v", got, got.Timer)
	}
}

// TestRefusals: what can't be answered is said to be wrong, and what of it.
func TestRefusals(t *testing.T) {
	d := newDaemon(t, nil)
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v1/connections?state=OPEN", "", 400, `"OPEN" is no state`},
		{"GET", "/v1/connections?limit=0", "", 400, "1 to 10000"},
		{"GET", "/v1/connections?limit=10001", "", 400, "1 to 10000"},
		{"GET", "/v1/connections?cursor=x", "", 400, "no cursor"},
		{"GET", "/v1/connections?local=here", "", 400, "local=here"},
		{"GET", "/v1/connections?remote=10.0.0.0/33", "", 400, "remote="},
		{"GET", "/v1/connections?local_port=0", "", 400, "local_port=0"},
		{"GET", "/v1/connections?remote_port=65536", "", 400, "remote_port"},
		{"GET", "/v1/connections?info=perhaps", "", 400, "info=perhaps"},
		{"GET", "/v1/connections?port=80", "", 400, "no such parameter"},
		{"GET", "/v1/connections/mine", "", 400, "not the id"},
		{"GET", "/v1/connections/[::1]:80-[::1]:81", "", 400, "IPv4"},
		{"GET", "/v1/connections/10.7.0.2:80-10.7.0.1:1", "", 404, "no connection 10.7.0.2:80-10.7.0.1:1"},
		{"PUT", "/v1/log", `{"level":"loud"}`, 400, `"loud" is none of debug`},
		{"PUT", "/v1/log", `{"levle":"info"}`, 400, "levle"},
		{"PUT", "/v1/log", strings.Repeat(" ", 5000), 400, "too large"},
	} {
		status, text := d.get(test.method, test.path, test.body)
		var p control.Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil || status != test.status || !strings.Contains(p.Error, test.says) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, status, text, test.status, test.says)
		}
	}
	if status, _ := d.get("DELETE", "/v1/log", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", status)
	}
}

func TestListenersAndCounters(t *testing.T) {
	d := newDaemon(t, nil)
	d.dial(heldPort, 3)
	list, err := d.client.Listeners(t.Context())
	if err != nil || len(list) != 2 || list[0].Port != echoPort || list[1].Waiting != 3 || list[1].Backlog != 16 {
		t.Errorf("%+v, %v", list, err)
	}
	c, err := d.client.Counters(t.Context())
	if err != nil || c.Connections != 3 || c.Accepted != 3 || c.Listeners[heldPort].Waiting != 3 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestMachine: every cell of the table is there.
func TestMachine(t *testing.T) {
	d := newDaemon(t, nil)
	_, text := d.get("GET", "/v1/fsm", "")
	var cells []control.Cell
	if err := json.Unmarshal([]byte(text), &cells); err != nil {
		t.Fatal(err)
	}
	want := 0
	for s := range 1 << 8 {
		for e := range 25 {
			if _, ok := fsm.Step(fsm.State(min(s, int(fsm.TimeWait))), fsm.Event(e)); ok && s <= int(fsm.TimeWait) {
				want++
			}
		}
	}
	first := control.Cell{State: "CLOSED", Event: "OpenPassive", Next: "LISTEN", Do: []string{}, RFC: observe.Paragraph(fsm.Closed, fsm.OpenPassive)}
	if len(cells) != want || !reflect.DeepEqual(cells[0], first) {
		t.Errorf("%d cells of %d, the first is %+v, not %+v", len(cells), want, cells[0], first)
	}
}

func TestConfigAndDescription(t *testing.T) {
	d := newDaemon(t, nil)
	if status, text := d.get("GET", "/v1/config", ""); status != 200 || strings.TrimSpace(text) != `{"device":"tcpd0"}` {
		t.Errorf("%d %s", status, text)
	}
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if status, text := d.get("GET", "/v1/openapi.yaml", ""); status != 200 || text != string(want) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := d.get("GET", "/debug/pprof/goroutine?debug=1", ""); status != 200 || !strings.Contains(text, "goroutine profile") {
		t.Errorf("%d %s", status, text)
	}
}

func TestLevel(t *testing.T) {
	d := newDaemon(t, nil)
	for _, want := range control.Levels {
		if err := d.client.SetLevel(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := d.client.Level(t.Context()); err != nil || got != want || d.level.String() != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	if err := d.client.SetLevel(t.Context(), "loud"); err == nil || !strings.Contains(err.Error(), "none of") {
		t.Error(err)
	}
}

// TestStop: the daemon is asked to end, is not ready from then on, and the answer ends when it has ended.
func TestStop(t *testing.T) {
	d := newDaemon(t, nil)
	if status, text := d.get("GET", "/readyz", ""); status != 200 || text != `{"ok":true}`+"\n" {
		t.Errorf("%d %s", status, text)
	}
	over := make(chan error, 1)
	go func() { over <- d.client.Stop(t.Context()) }()
	<-d.stopped
	if status, _ := d.get("GET", "/livez", ""); status != 200 {
		t.Errorf("livez: %d", status)
	}
	if status, text := d.get("GET", "/readyz", ""); status != 503 || !strings.Contains(text, "ending") {
		t.Errorf("readyz: %d %s", status, text)
	}
	select {
	case err := <-over:
		t.Errorf("the answer has ended before the daemon: %v", err)
	default:
	}
	if err := d.server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// held is a device that can be kept from reading.
type held struct {
	link.Device
	hold, release chan struct{}
}

func (d *held) Read(b *link.Batch) error {
	select {
	case <-d.hold:
		<-d.release
	default:
	}
	return d.Device.Read(b)
}

// TestStandstill: when a shard does not get on, the daemon is neither alive nor ready, and says which it is.
func TestStandstill(t *testing.T) {
	h := &held{hold: make(chan struct{}, 1), release: make(chan struct{})}
	d := newDaemon(t, func(l *link.Link) {
		h.Device = l.Queues[1]
		l.Queues[1] = h
	})
	if status, text := d.get("GET", "/livez", ""); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	h.hold <- struct{}{}
	var asking sync.WaitGroup
	for _, path := range []string{"/livez", "/readyz", "/v1/counters", "/v1/connections", "/metrics"} {
		asking.Go(func() {
			if status, text := d.get("GET", path, ""); status != 503 || !strings.Contains(text, "does not answer") {
				t.Errorf("%s: %d %s", path, status, text)
			}
		})
	}
	asking.Wait()
	close(h.release)
	if status, text := d.get("GET", "/readyz", ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	d.stack.Close()
	if status, text := d.get("GET", "/livez", ""); status != 503 || !strings.Contains(text, "closed") {
		t.Errorf("%d %s", status, text)
	}
}

// TestEvents follows one connection, and not the other, from its SYN to its end.
func TestEvents(t *testing.T) {
	d := newDaemon(t, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	seen := map[string]int{}
	listening := make(chan struct{})
	done := make(chan error, 1)
	errEnough := errors.New("enough")
	go func() {
		filter := control.EventFilter{Kinds: []string{"transition", "call"}, Filter: control.Filter{LocalPort: echoPort}}
		done <- d.client.Events(ctx, filter, func() { close(listening) }, func(e *control.Event) error {
			seen[e.Kind+" "+e.Event+e.Call]++
			if !strings.HasPrefix(e.Connection, ours.String()+":7-") {
				t.Errorf("%+v", e)
			}
			if e.To == "CLOSED" {
				return errEnough
			}
			return nil
		})
	}()
	<-listening
	for _, port := range []uint16{heldPort, echoPort} {
		c, err := socket.Dial(d.peer, netip.AddrPortFrom(ours, port))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if port == echoPort {
			if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
	}
	if err := <-done; !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	cancel(nil)
	for _, what := range []string{
		"transition RcvSYN", "transition SYNAcked", "transition RcvFIN", "transition Close", "transition FINAcked", "call read", "call write", "call close",
	} {
		if seen[what] == 0 {
			t.Errorf("%s is not among %v", what, seen)
		}
	}
	var ended []control.Ended
	d.await("the ending", func() bool { // the shard keeps it at the end of the turn in which it told of CLOSED
		var err error
		if ended, err = d.client.Ended(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(ended) > 0
	})
	if ended[0].State != "CLOSED" || ended[0].BytesIn != 5 || len(ended[0].Flight) < 4 {
		t.Errorf("%+v", ended)
	}
}

// TestStreamsEndWithTheDaemon: who listens is not left waiting.
func TestStreamsEndWithTheDaemon(t *testing.T) {
	d := newDaemon(t, nil)
	packets, err := d.client.Capture(t.Context(), control.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	listening, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- d.client.Events(t.Context(), control.EventFilter{}, func() { close(listening) }, func(*control.Event) error { return nil })
	}()
	<-listening
	d.server.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, packets); err != nil {
		t.Error(err)
	}
}

// TestReload: what has come of it is told, or why nothing has, on all its lines.
func TestReload(t *testing.T) {
	d := newDaemon(t, nil)
	d.reloaded = control.Reloaded{Applied: []string{"services"}, Restart: []string{"mtu"}, Opened: []string{"echo 10.7.0.2:8"}}
	if got, err := d.client.Reload(t.Context()); err != nil || !reflect.DeepEqual(got, d.reloaded) {
		t.Errorf("%+v, %v", got, err)
	}
	d.refusal = errors.New("f:1:6: mtu: many\nf:2:1: mut: unknown key")
	if _, err := d.client.Reload(t.Context()); err == nil || err.Error() != d.path+": "+d.refusal.Error() {
		t.Error(err)
	}
}
