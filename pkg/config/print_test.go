package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// origins are what a configuration of all sources comes from.
func allSources(t *testing.T) Loaded {
	t.Helper()
	file := write(t, "mtu: 1400\nqueues: 3\ntcp:\n  rto_min: 90s\n  rto_max: 50m10s\n  send_buffer: 65537\nlisteners:\n- {port: 80, backlog: 7, tcp: {user_timeout: 2m, ecn: off}}\n"+
		"routes: [{to: 192.0.2.0/24, mss: 1360}, {to: 0.0.0.0/0, mss: 1300}]\nservices:\n- {port: 80, service: http}\n- {port: 5201, service: proxy, to: \"[::1]:5201\"}\n")
	s := Sources{
		File:    file,
		Environ: []string{"HOME=/", "TCPD_QUEUES=4", "TCPD_TCP_ECN=off", "TCPD_ADDRESSES=10.7.0.2, 10.7.0.16/28", "TCPD_TCP_RTO_MIN=60s", "TCPD_HOST="},
		Flags:   []Flag{{"--device", "device", "a,#b"}, {"--queues", "queues", 5}, {"--metrics", "metrics", "10.7.0.2:9100"}},
	}
	l, err := s.Load(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPrintSaysAll: what is printed is the configuration, when it is read again, whatever it holds.
func TestPrintSaysAll(t *testing.T) {
	for _, l := range []Loaded{{Config: Defaults()}, allSources(t)} {
		again, _, err := Parse("f", l.YAML())
		if err != nil || !reflect.DeepEqual(again, l.Config) {
			t.Errorf("%v\n%s\nis read as\n%+v, it was\n%+v", err, l.YAML(), again, l.Config)
		}
	}
}

// TestPrintTellsOrigins: of each value, and of each entry of a list of mappings.
func TestPrintTellsOrigins(t *testing.T) {
	text := string(allSources(t).YAML())
	for _, want := range []string{
		`device: "a,#b" # flag --device`, `host: "" # env TCPD_HOST`, "addresses: [10.7.0.2, 10.7.0.16/28] # env TCPD_ADDRESSES", "mtu: 1400 # F:1",
		"queues: 5 # flag --queues", "offload: auto # default", "  rto_min: 1m # env TCPD_TCP_RTO_MIN", "  rto_max: 50m10s # F:5", "  send_buffer: 65537 # F:6",
		"  ecn: \"off\" # env TCPD_TCP_ECN", "listeners: # F:7", "  - {port: 80, backlog: 7, tcp: {user_timeout: 2m, ecn: \"off\"}} # F:8",
		"  - {to: 0.0.0.0/0, mss: 1300} # F:9", `  - {port: 5201, service: proxy, to: "[::1]:5201"} # F:12`,
	} {
		found := false
		for line := range strings.Lines(text) {
			code, comment, _ := strings.Cut(line, " # ")
			if i := strings.LastIndex(comment, ".yaml:"); i >= 0 {
				comment = "F" + comment[i+len(".yaml"):]
			}
			found = found || strings.TrimRight(code, " ")+" # "+strings.TrimSuffix(comment, "\n") == want
		}
		if !found {
			t.Errorf("lacks %s\n%s", want, text)
		}
	}
}

// TestPrintJSON: the keys of the file with their values, and every key's origin.
func TestPrintJSON(t *testing.T) {
	l := allSources(t)
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Config  map[string]any
		Origins map[string]Origin
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	tcp := v.Config["tcp"].(map[string]any)
	if v.Config["mtu"] != 1400.0 || v.Config["host"] != "" || tcp["send_buffer"] != 65537.0 || tcp["rto_min"] != "1m" || tcp["sack"] != true {
		t.Errorf("%s", text)
	}
	if got := v.Config["services"].([]any)[0]; !reflect.DeepEqual(got, map[string]any{"port": 80.0, "service": "http"}) {
		t.Errorf("what an entry does not say is there: %v", got)
	}
	for _, key := range append(Keys(), "services[1]", "routes[0]", "addresses[1]") {
		at, ok := v.Origins[key]
		if want := l.Origins.Of(key); !ok || at.String() != want.String() || at.Source == "" {
			t.Errorf("%s: %+v, want %+v", key, at, want)
		}
	}
	if at := v.Origins["queues"]; at != (Origin{Source: FromFlag, Name: "--queues"}) {
		t.Errorf("%+v", at)
	}
}

// TestPrintJSONIsRead: who asks a daemon has what it has.
func TestPrintJSONIsRead(t *testing.T) {
	for _, l := range []Loaded{{Config: Defaults()}, allSources(t)} {
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var again Loaded
		if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again.Config, l.Config) || string(again.YAML()) != string(l.YAML()) {
			t.Errorf("%v\n%s\nis read as\n%s", err, l.YAML(), again.YAML())
		}
	}
	var l Loaded
	if err := json.Unmarshal([]byte(`{"config": {"mut": 3}}`), &l); err == nil || !strings.Contains(err.Error(), "mut: unknown key") {
		t.Error(err)
	}
}

// TestValues: every key, and the entries of lists of mappings in its place.
func TestValues(t *testing.T) {
	got := map[string]string{}
	l := allSources(t)
	for _, v := range l.Values() {
		got[v.Key] = v.Text + " " + string(v.Origin.Source)
	}
	for key, want := range map[string]string{
		"mtu": "1400 file", "addresses": "[10.7.0.2, 10.7.0.16/28] env", "services[0]": "{port: 80, service: http} file", "tcp.sack": "true default", "queues": "5 flag",
	} {
		if got[key] != want {
			t.Errorf("%s is %s, want %s", key, got[key], want)
		}
	}
	if want := len(Keys()) + 2; len(got) != want || got["services"] != "" {
		t.Errorf("%d values, want %d", len(got), want)
	}
}

func TestBrief(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0s", "10s": "10s", "200ms": "200ms", "60s": "1m", "70s": "1m10s", "2h": "2h", "100m": "1h40m", "3610s": "1h0m10s", "10m": "10m", "20h": "20h",
	} {
		c := Defaults()
		if f := c.variable(Origin{key: "tcp.msl"}, text); f != nil {
			t.Error(f)
		}
		if got := brief(c.TCP.MSL); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
