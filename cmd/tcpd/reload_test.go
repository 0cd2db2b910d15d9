package main

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// file makes one of a text.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tcpd.yaml")
	write(t, path, text)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reloaded is a daemon in memory whose file can be changed, and somebody to call it.
type reloaded struct {
	*reloader
	t    *testing.T
	path string
	here *stack.Stack
	logs *observer.ObservedLogs
}

func newReloaded(t *testing.T, text string) *reloaded {
	t.Helper()
	r := &reloaded{t: t, path: file(t, text)}
	src := &config.Sources{File: r.path}
	l, err := src.Load(config.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	level, err := zap.ParseAtomicLevel(l.Config.Log.Level)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(level)
	r.logs = logs
	a, b := pipe.New(1, pipe.Options{})
	there := newStack(t, a, server, &l.Config, 1)
	r.here = newStack(t, b, client, &l.Config, 2)
	s, err := serve(there, &l.Config, nil, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(patience) })
	r.reloader = &reloader{sources: src, stack: there, services: s, level: &level, log: zap.New(core), loaded: l}
	return r
}

// becomes reloads with another file.
func (r *reloaded) becomes(text string) (control.Reloaded, error) {
	r.t.Helper()
	write(r.t, r.path, text)
	return r.reload()
}

// must is becomes when it must succeed.
func (r *reloaded) must(text string) control.Reloaded {
	r.t.Helper()
	v, err := r.becomes(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// listeners are those of the stack, by port.
func (r *reloaded) listeners() map[uint16]*stack.Listener {
	m := map[uint16]*stack.Listener{}
	for _, l := range r.stack.Listeners() {
		m[l.Port] = l
	}
	return m
}

// refused expects that nobody listens on a port.
func (r *reloaded) refused(port uint16) {
	r.t.Helper()
	if c, err := socket.Dial(r.here, netip.AddrPortFrom(server.Addr(), port)); err == nil {
		r.t.Errorf("somebody listens on port %d", port)
		c.Close()
	}
}

const threeEchoes = `services:
- {port: 7, service: echo}
- {port: 8, service: echo, through: conn}
- {port: 9, service: echo}
`

// TestReloadServices: a listener that goes leaves its connections, one that stays is the same, a new one answers.
func TestReloadServices(t *testing.T) {
	r := newReloaded(t, threeEchoes)
	handled, served := dial(t, r.here, 7), dial(t, r.here, 8)
	echo(t, handled)
	echo(t, served)
	before := r.listeners()
	got := r.must("services:\n- {port: 9, service: echo}\n- {port: 10, service: echo}\n- {port: 11, service: echo, through: conn}\n")
	want := control.Reloaded{
		Applied: []string{"services"}, Restart: []string{}, Opened: []string{"echo 10.7.0.2:10", "echo 10.7.0.2:11"}, Replaced: []string{},
		Closed: []string{"echo 10.7.0.2:7", "echo 10.7.0.2:8"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	echo(t, handled)
	echo(t, served)
	r.refused(7)
	r.refused(8)
	for _, port := range []uint16{9, 10, 11} {
		echo(t, dial(t, r.here, port))
	}
	if after := r.listeners(); after[9] != before[9] || len(after) != 3 {
		t.Errorf("port 9 had %p and has %p; %d listen", before[9], after[9], len(after))
	}
	if l := r.inForce().(config.Loaded); len(l.Config.Services) != 3 || l.Origins.Of("services[2]").Line != 4 {
		t.Errorf("%+v", l)
	}
}

// TestReloadListeners: one that is to listen otherwise takes the other's place, whichever way it goes, and no connection is lost.
func TestReloadListeners(t *testing.T) {
	r := newReloaded(t, threeEchoes)
	handled, served := dial(t, r.here, 7), dial(t, r.here, 8)
	before := r.listeners()
	got := r.must("services:\n- {port: 7, service: echo, through: conn}\n- {port: 8, service: echo}\n- {port: 9, service: echo}\n" +
		"listeners:\n- {port: 8, backlog: 5}\n- {port: 9, half_open: 3, tcp: {congestion: reno}}\n")
	if want := []string{"echo 10.7.0.2:7", "echo 10.7.0.2:8", "echo 10.7.0.2:9"}; !slices.Equal(got.Replaced, want) || !slices.Equal(got.Applied, []string{"listeners", "services"}) {
		t.Errorf("%+v", got)
	}
	after := r.listeners()
	if after[8].Backlog != 5 || after[9].HalfOpen != 3 || after[9].TCP.Congestion.Name() != "reno" || after[7] == before[7] || len(after) != 3 {
		t.Errorf("%+v", after)
	}
	echo(t, handled)
	echo(t, served)
	for _, port := range []uint16{7, 8, 9} {
		echo(t, dial(t, r.here, port))
	}
}

// TestReloadWeb: a connection to a web server keeps its files, and a new one has the new ones.
func TestReloadWeb(t *testing.T) {
	of := func(name string) string {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "name"), name)
		return fmt.Sprintf("services: [{port: 80, service: http, static: %s}]\n", dir)
	}
	r := newReloaded(t, of("one"))
	get := func(web *http.Client) string {
		t.Helper()
		a, err := web.Get("http://10.7.0.2/name")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	clients := func() *http.Client {
		transport := &http.Transport{DialContext: (&socket.Dialer{Stack: r.here}).DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: patience}
	}
	before, after := clients(), clients()
	if got := get(before); got != "one" {
		t.Error(got)
	}
	r.must(of("two"))
	if a, b := get(before), get(after); a != "one" || b != "two" {
		t.Errorf("the old connection has %q, the new one %q", a, b)
	}
}

// TestReloadLetsGo: what has served connections ends with the last of them.
func TestReloadLetsGo(t *testing.T) {
	dir := t.TempDir()
	r := newReloaded(t, fmt.Sprintf("services:\n- {port: 8, service: echo, through: conn}\n- {port: 80, service: http, static: %s}\n", dir))
	echoed, web := dial(t, r.here, 8), dial(t, r.here, 80)
	echo(t, echoed)
	if _, err := io.WriteString(web, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := web.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	r.must("services: []\n")
	echo(t, echoed)
	if err := web.Close(); err != nil {
		t.Error(err)
	}
	if err := echoed.Close(); err != nil {
		t.Error(err)
	}
	r.services.running.Wait()
	if n := len(r.services.servers); n != 0 {
		t.Errorf("%d servers are left", n)
	}
}

// TestReloadFaults: a file with faults changes nothing, and says why to who asks and to the log.
func TestReloadFaults(t *testing.T) {
	r := newReloaded(t, threeEchoes)
	open := dial(t, r.here, 7)
	before, was := r.listeners(), r.inForce()
	for text, want := range map[string][]string{
		"services: [{port: 7, service: ehco}]\nmtu: many\n": {`F:1:31: services[0].service: "ehco" is no service; is it to be echo?`, "F:2:6: mtu: many is not a whole number"},
		"services: [": {"F:1:"},
		"addresses: [10.7.0.2, 10.7.0.3]\nservices: [{port: 7, service: echo, address: 10.7.0.3}]\n": {
			"F:2:46: services[0].address: 10.7.0.3 is not among the addresses that tcpd answers for", "addresses: needs a restart, and stays as before until then",
		},
	} {
		_, err := r.becomes(text)
		if err == nil {
			t.Fatalf("%s is taken", text)
		}
		lines := strings.Split(strings.ReplaceAll(err.Error(), r.path, "F"), "\n")
		if !slices.EqualFunc(lines, want, strings.HasPrefix) {
			t.Errorf("%s:\n%q, want\n%q", text, lines, want)
		}
		logged := r.logs.TakeAll()
		if len(logged) != 1 || logged[0].Message != "not reloaded: nothing has changed" || !strings.Contains(fmt.Sprint(logged[0].ContextMap()["faults"]), lines[0][2:]) {
			t.Errorf("the log says %v", logged)
		}
		if !reflect.DeepEqual(r.listeners(), before) || !reflect.DeepEqual(r.inForce(), was) {
			t.Errorf("%s: something has changed", text)
		}
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	if _, err := r.reload(); err == nil || err.Error() != r.path+": no such file or directory" {
		t.Error(err)
	}
	echo(t, open)
	echo(t, dial(t, r.here, 7))
}

// TestReloadCannotListen: where one service cannot, all listen as before.
func TestReloadCannotListen(t *testing.T) {
	r := newReloaded(t, threeEchoes)
	if _, err := r.stack.Listen(stack.ListenConfig{Prefix: server, Port: 9100}, simple["discard"]); err != nil {
		t.Fatal(err)
	}
	before, was := r.listeners(), r.inForce()
	_, err := r.becomes("log: {level: debug}\nlimits: {connections: 1}\nlisteners: [{port: 9, backlog: 3}]\n" +
		"services:\n- {port: 6, service: echo}\n- {port: 9, service: echo}\n- {port: 9100, service: echo}\n")
	if err == nil || err.Error() != "services[2]: echo on port 9100: stack: address already in use" {
		t.Error(err)
	}
	if !reflect.DeepEqual(r.listeners(), before) || !reflect.DeepEqual(r.inForce(), was) || r.level.Level() != zap.InfoLevel {
		t.Error("something has changed")
	}
	for _, port := range []uint16{7, 8, 9} {
		echo(t, dial(t, r.here, port))
	}
}

// TestReloadTakesBack: what had taken another's place already gives it back.
func TestReloadTakesBack(t *testing.T) {
	r := newReloaded(t, threeEchoes)
	handled, served := dial(t, r.here, 7), dial(t, r.here, 8)
	before := r.listeners()
	next := loaded(t, threeEchoes+"listeners: [{port: 7, backlog: 3}, {port: 8, backlog: 3}]\n")
	next.Services[2] = config.Service{Port: 9, Service: "http", Static: "no/such/dir"}
	if _, err := r.services.change(next); err == nil || !strings.HasPrefix(err.Error(), "services[2]: http on port 9: static:") {
		t.Error(err)
	}
	for port, l := range r.listeners() {
		if !reflect.DeepEqual(l.ListenConfig.Backlog, before[port].Backlog) {
			t.Errorf("port %d has a backlog of %d, not %d", port, l.Backlog, before[port].Backlog)
		}
	}
	echo(t, handled)
	echo(t, served)
	for _, port := range []uint16{7, 8, 9} {
		echo(t, dial(t, r.here, port))
	}
	if got := r.must(threeEchoes + "mtu: 1400\n"); len(got.Replaced)+len(got.Opened)+len(got.Closed) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestReloadNamesTheRest: what needs a restart is named each time, and stays; the rest is applied.
func TestReloadNamesTheRest(t *testing.T) {
	r := newReloaded(t, threeEchoes)
	text := threeEchoes + "device: tun9\ntcp: {congestion: reno}\nlimits: {half_open: 0, flight_recorder: 0}\nlog: {level: warn}\n"
	for i, applied := range [][]string{{"log.level", "limits.half_open"}, {}} {
		got := r.must(text)
		if !slices.Equal(got.Restart, []string{"device", "tcp.congestion", "limits.flight_recorder"}) || !slices.Equal(got.Applied, applied) {
			t.Errorf("%+v", got)
		}
		if n := r.logs.FilterLevelExact(zapcore.WarnLevel).FilterMessage("device: needs a restart").Len(); n != i+1 {
			t.Errorf("the log has named it %d times", n)
		}
	}
	l := r.inForce().(config.Loaded)
	if l.Config.Device != "tcpd0" || l.Origins.Of("device").Source != config.FromDefault || l.Origins.Of("limits.half_open").Line != 7 {
		t.Errorf("%+v", l)
	}
	echo(t, dial(t, r.here, 7))
	if n := r.listeners()[7].Stats().Cookies; n != 1 {
		t.Errorf("%d handshakes by cookies: limits.half_open has not come to the stack", n)
	}
}

// TestReloadLevel: what an operator has set is in force, and said to be his, until a reload makes it the file's again and says so.
func TestReloadLevel(t *testing.T) {
	r := newReloaded(t, "log: {level: warn}\n")
	expect := func(level, origin string) {
		t.Helper()
		l := r.inForce().(config.Loaded)
		if at := l.Origins.Of("log.level").String(); l.Config.Log.Level != level || r.level.String() != level || at != origin {
			t.Errorf("the log is at %v; %s by %s, want %s by %s", r.level, l.Config.Log.Level, at, level, origin)
		}
	}
	expect("warn", r.path+":1")
	r.level.SetLevel(zap.DebugLevel)
	expect("debug", "tcpd log-level")
	if got := r.must("log: {level: warn}\n"); !slices.Equal(got.Applied, []string{"log.level"}) {
		t.Errorf("%+v", got)
	}
	expect("warn", r.path+":1")
	if got := r.must("log: {level: warn}\n"); len(got.Applied) > 0 {
		t.Errorf("%+v", got)
	}
	r.must("log: {level: error}\n")
	expect("error", r.path+":1")
}

// TestReloadHasAllSources: the environment and the flags are over the file as at the start.
func TestReloadHasAllSources(t *testing.T) {
	r := newReloaded(t, "")
	r.sources.Environ, r.sources.Flags = []string{"TCPD_LIMITS_ORPHANS=7"}, []config.Flag{{Name: "--log-level", Key: "log.level", Value: "error"}}
	if got := r.must("limits: {orphans: 6, time_wait: 6}\nlog: {level: debug}\n"); !slices.Equal(got.Applied, []string{"log.level", "limits.time_wait", "limits.orphans"}) {
		t.Errorf("%+v", got)
	}
	l := r.inForce().(config.Loaded)
	if l.Config.Limits.Orphans != 7 || l.Config.Limits.TimeWait != 6 || r.level.Level() != zap.ErrorLevel {
		t.Errorf("%+v", l.Config)
	}
}

// TestReloadAtTheEnd: when the services are about to end, none begins.
func TestReloadAtTheEnd(t *testing.T) {
	r := newReloaded(t, "")
	r.end()
	if _, err := r.becomes(threeEchoes); err == nil || len(r.listeners()) != 5 {
		t.Error(err)
	}
}
