package observe

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/stack"
)

func counts() Counters {
	var c stack.Counters
	ones(reflect.ValueOf(&c).Elem())
	sum := newCounters()
	sum.DeviceDrops, sum.Listeners[80] = 3, Listener{Waiting: 5, Accepted: 6}
	sum.add(&c)
	return sum
}

func states(context.Context) (map[fsm.State]int, error) {
	return map[fsm.State]int{fsm.Established: 7, fsm.SynRcvd: 2, fsm.SynRcvdOpen: 1}, nil
}

// scrape is what Prometheus is told.
func scrape(t *testing.T, s Source) (status int, text string) {
	t.Helper()
	w := httptest.NewRecorder()
	Metrics(s).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

func TestMetrics(t *testing.T) {
	c := newCollector(Source{counts, states})
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	_, text := scrape(t, Source{counts, states})
	for _, line := range []string{
		`tcpd_connections{state="ESTABLISHED"} 7`, `tcpd_connections{state="SYN-RECEIVED"} 3`, `tcpd_connections{state="LAST-ACK"} 0`,
		`tcpd_resent_total{reason="recovery"} 1`, `tcpd_incidents_total{incident="window_closed"} 1`, `tcpd_text_received_total 1`,
		`tcpd_rtt_seconds_bucket{le="4e-06"} 3`, `tcpd_handshake_seconds_bucket{le="4e-06"} 3`,
		`tcpd_transitions_total{cause="segment",event="RcvFIN",from="ESTABLISHED",to="CLOSE-WAIT"} 1`,
		`tcpd_transitions_total{cause="segment",event="SYNAcked",from="SYN-RECEIVED",to="ESTABLISHED"} 2`,
		`tcpd_drops_total{reason="land"} 1`, `tcpd_packets_read_total 1`, `tcpd_device_drops_total 3`, `tcpd_ring_bytes 1`,
		`tcpd_listener_waiting{port="80"} 5`, `tcpd_listener_accepted_total{port="80"} 6`, `# TYPE tcpd_turns_total counter`,
		`tcpd_turn_seconds_bucket{le="1e-06"} 1`, `tcpd_turn_seconds_bucket{le="4e-06"} 3`, `# TYPE tcpd_timer_late_seconds histogram`,
		`tcpd_turn_seconds_bucket{le="4.194304"} 23`, `tcpd_turn_seconds_bucket{le="+Inf"} 24`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_open_fds "} {
		if !strings.Contains(text, name) {
			t.Errorf("lacks %q", name)
		}
	}
}

// TestEveryCounterIsAMetric: none is without its help, but for those that the states show.
func TestEveryCounterIsAMetric(t *testing.T) {
	other := map[string]bool{
		"drops": true, "listeners": true, "connections": true, "half_open": true, "time_wait": true, "turn_us": true, "timer_late_us": true,
		"resent": true, "incidents": true, "transitions": true, "rtt_us": true, "handshake_us": true,
	}
	for _, c := range []struct {
		typ  reflect.Type
		help map[string]string
	}{{reflect.TypeFor[Counters](), help}, {reflect.TypeFor[Listener](), listenerHelp}} {
		named := map[string]bool{}
		for i := range c.typ.NumField() {
			name := c.typ.Field(i).Tag.Get("json")
			named[name] = true
			if _, ok := c.help[name]; !ok && !(other[name] && c.typ == reflect.TypeFor[Counters]()) {
				t.Errorf("%v: %s is no metric", c.typ, name)
			}
		}
		for name := range c.help {
			if !named[name] {
				t.Errorf("%v: there is no %s", c.typ, name)
			}
		}
	}
}

// TestSilentStates: a stack that can't say makes the scrape fail, and does not look empty.
func TestSilentStates(t *testing.T) {
	status, text := scrape(t, Source{counts, func(context.Context) (map[fsm.State]int, error) { return nil, errors.New("stuck") }})
	if status != 500 || !strings.Contains(text, "stuck") {
		t.Errorf("%d %s", status, text)
	}
}

// metricName finds names of metrics in expressions.
var metricName = regexp.MustCompile(`\b(?:tcpd|go|process)_[a-z0-9_]+`)

// TestDashboardAndAlerts: what they ask for is there, and each alert says what it means.
func TestDashboardAndAlerts(t *testing.T) {
	_, text := scrape(t, Source{counts, states})
	labels := map[string]string{} // of each metric
	for _, m := range regexp.MustCompile(`(?m)^([a-z_0-9]+)(?:\{([a-z_]+)=)?`).FindAllStringSubmatch(text, -1) {
		labels[m[1]] = m[2]
	}
	check := func(where, expr string) {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for nothing of ours: %s", where, expr)
		}
		for _, name := range names {
			if _, ok := labels[name]; !ok {
				t.Errorf("%s asks for %s, which there is not", where, name)
			}
		}
		for _, m := range regexp.MustCompile(`([a-z_0-9]+)\{([a-z]+)`).FindAllStringSubmatch(expr, -1) {
			if labels[m[1]] != m[2] {
				t.Errorf("%s: %s has no label %s", where, m[1], m[2])
			}
		}
	}
	var board struct {
		Title  string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	load(t, "../../configs/grafana.json", &board)
	if board.Title == "" || len(board.Panels) < 8 {
		t.Errorf("%q with %d panels", board.Title, len(board.Panels))
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			check("panel "+p.Title, target.Expr)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	load(t, "../../configs/alerts.yaml", &rules)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			check("alert "+r.Alert, r.Expr)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alert %s does not say what it means: %+v", r.Alert, r)
			}
		}
	}
}

// load reads YAML, or JSON, which is YAML.
func load(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// TestLevelChanges: a log takes what its level lets through now, state changes, too.
func TestLevelChanges(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	level := zap.NewAtomicLevelAt(zap.InfoLevel)
	watch := Log(LoggerAt(w, level))
	change(watch, fsm.SynRcvd, fsm.SYNAcked, fsm.Established)
	level.SetLevel(zap.DebugLevel)
	change(watch, fsm.Established, fsm.RcvFIN, fsm.CloseWait)
	level.SetLevel(zap.WarnLevel)
	change(watch, fsm.CloseWait, fsm.Close, fsm.LastAck)
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"to":"CLOSE-WAIT"`) {
		t.Errorf("%s, %v", text, err)
	}
}
