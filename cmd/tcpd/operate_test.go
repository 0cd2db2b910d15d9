package main

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/socket"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

// operated is a stack in memory with a control socket, and clients.
type operated struct {
	t     *testing.T
	stack *stack.Stack
	peer  *stack.Stack
	level zap.AtomicLevel
	stop  chan struct{}
	ctl   *control.Server
	path  string

	reloaded control.Reloaded // what a reload comes to
	refusal  error
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	ours, peers := pipe.New(1, pipe.Options{})
	o := &operated{t: t, level: zap.NewAtomicLevel(), stop: make(chan struct{}, 1), path: filepath.Join(t.TempDir(), "s")}
	o.stack, o.peer = startStack(t, ours, "10.7.0.2"), startStack(t, peers, "10.7.0.1")
	counters := func() observe.Counters { return observe.Collect(o.stack, o.stack.Listeners(), 0, 0) }
	o.ctl = control.NewServer(control.Options{
		Stack: o.stack, Counters: counters, Metrics: observe.Metrics(observe.Source{Counters: counters, States: o.stack.States}),
		Config: func() any {
			return config.Loaded{Config: config.Defaults(), Origins: config.Origins{"mtu": {Source: config.FromFlag, Name: "--mtu"}}}
		},
		Reload: func() (control.Reloaded, error) { return o.reloaded, o.refusal }, Level: &o.level, Stop: func() { o.stop <- struct{}{} },
	})
	l, err := control.Listen(t.Context(), o.path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- o.ctl.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(o.ctl.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	for port, h := range map[uint16]stack.Handler{config.PortEcho: service.Echo{}, config.PortDaytime: service.Daytime{Now: time.Now}} {
		cfg := stack.ListenConfig{Prefix: netip.MustParsePrefix("10.7.0.2/32"), Port: port}
		if _, err := o.stack.Listen(cfg, h); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func startStack(t *testing.T, l *link.Link, addr string) *stack.Stack {
	t.Helper()
	s, err := stack.New(stack.Config{Link: l, Addrs: []netip.Prefix{netip.MustParsePrefix(addr + "/32")}, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dial opens a connection and says its port; what the service says first has come.
func (o *operated) dial(port uint16, greets bool) string {
	o.t.Helper()
	c, err := socket.Dial(o.peer, netip.AddrPortFrom(netip.MustParseAddr("10.7.0.2"), port))
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close() })
	if !greets {
		if _, err := c.Write([]byte("x")); err != nil {
			o.t.Fatal(err)
		}
	}
	if _, err := c.Read(make([]byte, 100)); err != nil {
		o.t.Fatal(err)
	}
	_, p, _ := strings.Cut(c.LocalAddr().String(), ":")
	return p
}

func (o *operated) run(args ...string) string {
	o.t.Helper()
	out, err := output(o.t, append(args, "--control", o.path)...)
	if err != nil {
		o.t.Fatalf("%v: %v", args, err)
	}
	return out
}

// TestSS holds what is printed against ss's way of printing it.
func TestSS(t *testing.T) {
	o := newOperated(t)
	a := o.dial(config.PortEcho, false)
	squeeze := func(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }
	want := "State Recv-Q Send-Q Local Address:Port Peer Address:Port\nESTAB 0 0 10.7.0.2:7 10.7.0.1:" + a + "\n"
	if got := squeeze(o.run("ss", "-tn")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := o.run("ss", "-n"); !strings.HasPrefix(got, "Netid State ") || !strings.Contains(got, "\ntcp   ESTAB ") {
		t.Error(got)
	}
	if got := o.run("ss", "-tnH", "state", "established", "dport", "=", ":"+a); !strings.HasPrefix(got, "ESTAB") || strings.Count(got, "\n") != 1 {
		t.Error(got)
	}
	want = "LISTEN 0 0 10.7.0.2:7 0.0.0.0:*\nLISTEN 0 0 10.7.0.2:13 0.0.0.0:*\n"
	if got := squeeze(o.run("ss", "-tlnH")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := o.run("ss", "-tanH"); strings.Count(got, "\n") != 3 {
		t.Error(got)
	}
	info := o.run("ss", "-tinoeH")
	for _, part := range []string{"shard:0", "\n\t ts sack cubic wscale:", " rto:", " mss:1448 ", " cwnd:10", " bytes_received:1 ", " minrtt:"} {
		if !strings.Contains(info, part) {
			t.Errorf("lacks %q:\n%s", part, info)
		}
	}
	if wide := o.run("ss", "-tnH", "--output", "wide"); strings.Count(wide, "\n") != 1 || !strings.Contains(wide, " cubic ") {
		t.Error(wide)
	}
	var v struct {
		Listeners   []control.Listener
		Connections []control.Connection
	}
	if err := json.Unmarshal([]byte(o.run("ss", "-a", "--output", "json")), &v); err != nil || len(v.Listeners) != 2 || len(v.Connections) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if text := o.run("ss", "-l", "--output", "json", "src", "10.8.0.0/16"); text != `{"listeners":[],"connections":[]}`+"\n" {
		t.Error(text)
	}
}

// TestSSFilters: states by ss's names, and what a filter is made of.
func TestSSFilters(t *testing.T) {
	usual := "CLOSE-WAIT CLOSING ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 LAST-ACK SYN-SENT"
	for _, test := range []struct {
		opt       ssOptions
		args      string
		states    string
		listening bool
	}{
		{ssOptions{}, "", usual, false},
		{ssOptions{all: true}, "", "CLOSE-WAIT CLOSING ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 LAST-ACK SYN-RECEIVED SYN-SENT TIME-WAIT", true},
		{ssOptions{listening: true}, "", "", true},
		{ssOptions{}, "state time-wait", "TIME-WAIT", false},
		{ssOptions{}, "state syn-recv state established", "SYN-RECEIVED ESTABLISHED", false},
		{ssOptions{}, "state bucket", "SYN-RECEIVED TIME-WAIT", false},
		{ssOptions{}, "state all exclude connected", "", true},
		{ssOptions{}, "state synchronized exclude bucket", "CLOSE-WAIT CLOSING ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 LAST-ACK", false},
		{ssOptions{}, "state big", usual, true},
		{ssOptions{}, "exclude established", strings.Replace(usual, "ESTABLISHED ", "", 1), false},
	} {
		q, err := parseSSFilter(&test.opt, strings.Fields(test.args))
		if err != nil || strings.Join(q.States, " ") != test.states || q.listening != test.listening {
			t.Errorf("%+v %s: %+v, %v", test.opt, test.args, q, err)
		}
	}
	q, err := parseSSFilter(&ssOptions{}, strings.Fields("src 10.7.0.2 dst 10.0.0.0/8 sport = :80 dport :1000"))
	if err != nil || q.Local != "10.7.0.2/32" || q.Remote != "10.0.0.0/8" || q.LocalPort != 80 || q.RemotePort != 1000 {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestSSFilterEnds: addresses with and without ports, ports by number and by name, and "and" between.
func TestSSFilterEnds(t *testing.T) {
	for args, want := range map[string]control.Filter{
		"sport = :http":               {LocalPort: 80},
		"sport http and dport = 81":   {LocalPort: 80, RemotePort: 81},
		"src 10.7.0.2:80":             {Local: "10.7.0.2/32", LocalPort: 80},
		"src 10.7.0.0/24:http dst :7": {Local: "10.7.0.0/24", LocalPort: 80, RemotePort: 7},
		"src *:80":                    {LocalPort: 80},
		"src 10.7.0.2 and sport = :80 and dst 10.0.0.1": {Local: "10.7.0.2/32", LocalPort: 80, Remote: "10.0.0.1/32"},
		"src 10.7.0.2:80 sport == :80":                  {Local: "10.7.0.2/32", LocalPort: 80},
	} {
		for _, list := range [][]string{strings.Fields(args), {args}} {
			q, err := parseSSFilter(&ssOptions{listening: true}, list)
			if err != nil || !reflect.DeepEqual(q.Filter, want) {
				t.Errorf("%q: %+v, %v", list, q, err)
			}
		}
	}
}

// TestSSFilterFaults: what is wrong is told with what would be right.
func TestSSFilterFaults(t *testing.T) {
	const filters, states = "state, exclude, src, dst, sport, dport", "established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait"
	for args, want := range map[string]string{
		"blah":                        `"blah" is not a filter: there are ` + filters,
		"json":                        `"json" is not a filter: there are ` + filters,
		"user root":                   `"user" is not a filter: there are ` + filters,
		"state established blah":      `"blah" is not a filter`,
		"not":                         `"not" is not supported: `,
		"not state established":       `"not" is not supported: `,
		"sport = :80 or sport = :81":  `"or" is not supported: `,
		"( sport = :80 )":             `"(" is not supported: `,
		"(sport = :80)":               `"(sport" is not supported: `,
		"sport != :80":                `"!=" is not supported: `,
		"dport > :1024":               `">" is not supported: `,
		"state":                       `"state": a state is to follow`,
		"dst":                         `"dst": an address is to follow`,
		"sport":                       `"sport": a port is to follow`,
		"sport =":                     `"sport =": a port is to follow`,
		"sport = :80 and":             `"and": another filter is to follow`,
		"and sport = :80":             `"and" is not a filter`,
		"state open":                  `"open" is no state: there are ` + states,
		"exclude open":                `"open" is no state: there are ` + states,
		"src here":                    `"here" is neither an IPv4 address nor a prefix`,
		"dst ::1":                     `"::1" is neither an IPv4 address`,
		"dst [::1]:80":                `"[::1]:80" is neither an IPv4 address`,
		"dst 2001:db8::/32":           `"2001:db8::/32" is neither an IPv4 address`,
		"src 10.7.0.2:":               `"" is neither a port`,
		"sport = :0":                  `"0" is neither a port, such as :80, nor the name of a service`,
		"sport = :65536":              `"65536" is neither a port`,
		"sport = ::1":                 `":1" is neither a port`,
		"sport = :no-such-service":    `"no-such-service" is neither a port`,
		"sport = :80 sport = :81":     `"sport": 80 is asked for already`,
		"dst 10.7.0.1 dst 10.7.0.2:7": `"dst": 10.7.0.1/32 is asked for already`,
	} {
		if q, err := parseSSFilter(&ssOptions{}, strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %s", args, q, err, want)
		}
	}
	for _, name := range ssStateNames {
		if help, err := output(t, "ss", "--help"); err != nil || ssStates(name) == nil || !strings.Contains(help, name) {
			t.Errorf("%s: %v, or the help lacks it", name, ssStates(name))
		}
	}
	for _, name := range append(control.States(), stateListen) {
		if !slices.ContainsFunc(ssStateNames, func(s string) bool { return slices.Equal(ssStates(s), []string{name}) }) {
			t.Errorf("no name for %s", name)
		}
	}
}

func TestSSTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		200 * time.Millisecond: "200ms", 1500 * time.Millisecond: "1.5sec", 55 * time.Second: "55sec",
		83 * time.Second: "1min23sec", 119*time.Minute + time.Second: "119min", 0: "0ms",
	} {
		if got := ssTime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[uint64]string{10: "80bps", 1000: "8Kbps", 1250000: "10Mbps", 1 << 30: "8.59Gbps"} {
		if got := ssRate(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestLogLevel(t *testing.T) {
	o := newOperated(t)
	if out := o.run("log-level"); out != "info\n" {
		t.Error(out)
	}
	if out := o.run("log-level", "debug", "-o", "json"); out != `{"level":"debug"}`+"\n" || o.level.Level() != zap.DebugLevel {
		t.Error(out)
	}
}

// TestReached: who changes something at a daemon that he has not named is told which it is.
func TestReached(t *testing.T) {
	c := control.NewClient("/run/tcpd/tcpd3.sock")
	if got := (&operation{}).reached(c); got != "/run/tcpd/tcpd3.sock: " {
		t.Errorf("%q", got)
	}
	if got := (&operation{path: c.Path()}).reached(c); got != "" {
		t.Errorf("%q", got)
	}
	for want, v := range map[string]*control.Reloaded{"S: nothing to change\n": {}, "S:\nmtu needs a restart\n": {Restart: []string{"mtu"}}} {
		var out strings.Builder
		if err := printReloaded(&out, "S: ", v); err != nil || out.String() != want {
			t.Errorf("%q, %v, want %q", out.String(), err, want)
		}
	}
}

func TestCounters(t *testing.T) {
	o := newOperated(t)
	o.dial(config.PortEcho, false)
	out := o.run("counters")
	if !regexp.MustCompile(`(?m)^accepted +1$`).MatchString(out) || !regexp.MustCompile(`(?m)^listeners\.7\.accepted +1$`).MatchString(out) || strings.Contains(out, "panics") {
		t.Error(out)
	}
	if out := o.run("counters", "-o", "wide"); !regexp.MustCompile(`(?m)^panics +0$`).MatchString(out) {
		t.Error(out)
	}
	var v observe.Counters
	if err := json.Unmarshal([]byte(o.run("counters", "-o", "json")), &v); err != nil || v.Accepted != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestStop: the command returns when the daemon has ended, not before.
func TestStop(t *testing.T) {
	o := newOperated(t)
	over := make(chan string, 1)
	go func() {
		out, err := output(t, "stop", "--control", o.path)
		if err != nil {
			out = err.Error()
		}
		over <- out
	}()
	<-o.stop
	select {
	case out := <-over:
		t.Fatalf("too early: %s", out)
	default:
	}
	if err := o.ctl.Close(); err != nil {
		t.Error(err)
	}
	if out := <-over; out != "stopped\n" {
		t.Error(out)
	}
}

// TestExitCodes: those that the help tells.
func TestExitCodes(t *testing.T) {
	o := newOperated(t)
	nowhere := filepath.Join(t.TempDir(), "none")
	for _, test := range []struct {
		args string
		want int
		says string
	}{
		{"ss --control " + nowhere, exitUnreachable, "tcpd run"},
		{"stop --control " + nowhere, exitUnreachable, nowhere},
		{"counters --control " + nowhere, exitUnreachable, "tcpd run"},
		{"ss state open", exitUsage, "no state"}, // whether or not a daemon runs
		{"ss --nope", exitUsage, "--nope"},
		{"ss --output xml --control " + o.path, exitUsage, "none of table, wide, json"},
		{"log-level loud --control " + o.path, exitUsage, `"loud" is no level: there are debug, info, warn, error`},
		{"stop now", exitUsage, "now"},
		{"man /dev/null/x", exitFailed, "man:"},
	} {
		_, err := output(t, strings.Fields(test.args)...)
		if err == nil || exitCode(err) != test.want || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %d, want %d: %v", test.args, exitCode(err), test.want, err)
		}
	}
	for _, code := range []string{"1 when something has failed", "2 when the command line is wrong", "3 when no daemon can be"} {
		if help, err := output(t, "--help"); err != nil || !strings.Contains(help, code) {
			t.Errorf("the help lacks %q", code)
		}
	}
}

// TestEveryCommandHasExamples: so that nobody need guess, and each has a page.
func TestEveryCommandHasExamples(t *testing.T) {
	dir := t.TempDir()
	if _, err := output(t, "man", dir); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range commands(newRoot()) {
		if !cmd.HasParent() || strings.HasPrefix(cmd.CommandPath(), "tcpd completion") || cmd.Name() == "help" { // cobra's
			continue
		}
		if cmd.Example == "" && cmd.Name() != "version" {
			t.Errorf("%s has no example", cmd.Name())
		}
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
		title := `.TH "` + strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")) + `" "1"`
		if err != nil || !strings.Contains(string(page), ".SH SYNOPSIS") || !strings.Contains(string(page), title) {
			t.Errorf("%s: %v, no %s", cmd.Name(), err, title)
		}
	}
}

// TestManKeepsLines: those that the help indents are not filled into a paragraph.
func TestManKeepsLines(t *testing.T) {
	dir := t.TempDir()
	if _, err := output(t, "man", dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"tcpd-ss.1":    `(?s)\n\.EX\n  state STATE, .*\n  src ADDRESS, [^\n]*\n  sport = :PORT, [^\n]*\n\.EE\n\n\.PP\nOf ss's language`,
		"tcpd-trace.1": `\n\.EX\n  src ADDRESS, .*\n  sport = :PORT, .*\n\.EE\n`,
	} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !regexp.MustCompile(want).Match(page) {
			t.Errorf("%s: %v, want %s in\n%s", name, err, want, page)
		}
	}
}

func TestCompletions(t *testing.T) {
	o := newOperated(t)
	id := "10.7.0.2:7-10.7.0.1:" + o.dial(config.PortEcho, false)
	const none, files, directories = ":4", ":0", ":16" // what the shell is told to do besides
	for _, test := range []struct{ args, want, without, besides string }{
		{"", "ss completion help", "extra", none},
		{"help ", "ss", "check", none},
		{"help config ", "check", "ss", none},
		{"log-level ", "warn", "state", none},
		{"ss --output ", "wide", "state", none},
		{"ss ", "state exclude src dst sport dport", "and = " + id, none},
		{"ss state ", "established listening bucket", "state", none},
		{"ss state established exclude ", "time-wait", "state", none},
		{"ss sport ", "=", "state", none},
		{"ss sport = ", "", "state =", none},
		{"ss dst ", "", "state", none},
		{"ss dst 10.7.0.1 ", "and state", "=", none},
		{"ss dst 10.7.0.1 and ", "state", "and", none},
		{"watch ", "state dport", id, none},
		{"trace --control S ", id + " src dport", "state exclude", none},
		{"trace --control S src ", "", id, none},
		{"capture --control S ", id + " src", "state exclude", none},
		{"reset --control S ", id, "src", none},
		{"reset --control S " + id + " ", "", id, none},
		{"explain --control S ", id, "src", files},
		{"explain --control " + filepath.Join(t.TempDir(), "none") + " ", "", id, files},
		{"stop ", "", id, none},
		{"config print ", "", id, none},
		{"config check ", "", id, files},
		{"man ", "", id, directories},
	} {
		words := strings.Split(strings.Replace(test.args, " S ", " "+o.path+" ", 1), " ")
		out, err := output(t, append([]string{cobra.ShellCompNoDescRequestCmd}, words...)...)
		offered := strings.Split(out, "\n")
		if err != nil || !slices.Contains(offered, test.besides) {
			t.Errorf("%q: %v, want %s of\n%s", test.args, err, test.besides, out)
		}
		for _, word := range strings.Fields(test.want) {
			if !slices.Contains(offered, word) {
				t.Errorf("%q lacks %s:\n%s", test.args, word, out)
			}
		}
		for _, word := range strings.Fields(test.without) {
			if slices.Contains(offered, word) {
				t.Errorf("%q has %s:\n%s", test.args, word, out)
			}
		}
	}
}
