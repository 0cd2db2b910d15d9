package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// write makes a file of a text.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tcpd.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestEachSourceIsOverTheOneBefore: flags over the environment over the file over the defaults, each key by itself.
func TestEachSourceIsOverTheOneBefore(t *testing.T) {
	file := "mtu: 1401\nqueues: 1\ntcp: {mss: 501, ttl: 1}\n"
	environ := []string{"TCPD_QUEUES=2", "TCPD_TCP_MSS=502", "TCPD_TCP_TTL=2"}
	flags := []Flag{{"--mss", "tcp.mss", uint16(503)}}
	for n, want := range []struct {
		mtu, queues int
		mss         uint16
		ttl         uint8
		origins     string
	}{
		{1500, 0, 0, 64, "default default default default"},
		{1401, 1, 501, 1, "F:1 F:2 F:3 F:3"},
		{1401, 2, 502, 2, "F:1 env TCPD_QUEUES env TCPD_TCP_MSS env TCPD_TCP_TTL"},
		{1401, 2, 503, 2, "F:1 env TCPD_QUEUES flag --mss env TCPD_TCP_TTL"},
	} {
		var s Sources
		if n > 0 {
			s.File = write(t, file)
		}
		if n > 1 {
			s.Environ = environ
		}
		if n > 2 {
			s.Flags = flags
		}
		l, err := s.Load(Defaults())
		if err != nil {
			t.Fatal(err)
		}
		var at []string
		for _, key := range []string{"mtu", "queues", "tcp.mss", "tcp.ttl"} {
			at = append(at, strings.Replace(l.Origins.Of(key).String(), s.File+":", "F:", 1))
		}
		if n == 0 {
			at = strings.Fields("default default default default")
		}
		c := &l.Config
		if c.MTU != want.mtu || c.Queues != want.queues || c.TCP.MSS != want.mss || c.TCP.TTL != want.ttl || strings.Join(at, " ") != want.origins {
			t.Errorf("%d sources: %d %d %d %d, %q", n, c.MTU, c.Queues, c.TCP.MSS, c.TCP.TTL, at)
		}
	}
}

// TestEveryKeyHasAVariable of its own, by which it can be set.
func TestEveryKeyHasAVariable(t *testing.T) {
	texts := map[reflect.Type]string{
		reflect.TypeFor[string](): "off", reflect.TypeFor[bool](): "true", reflect.TypeFor[int](): "77", reflect.TypeFor[uint8](): "50",
		reflect.TypeFor[uint16](): "777", reflect.TypeFor[time.Duration](): "7s", reflect.TypeFor[Size](): "7MiB",
	}
	of := map[string]string{
		"host": "10.9.0.1/24", "addresses": "10.9.0.2", "listeners": "{port: 7}", "routes": "[{to: 10.0.0.0/8, mss: 500}]", "services": "{port: 7, service: echo}, {port: 8, service: discard}",
	}
	names := map[string]bool{}
	for _, key := range Keys() {
		c, origins := Defaults(), Origins{}
		text, ok := of[key]
		if !ok {
			text = texts[c.at(key).Type()]
		}
		if c.at(key).Kind() == reflect.Bool && c.at(key).Bool() {
			text = "false"
		}
		name := Variable(key)
		if names[name] {
			t.Errorf("%s is the variable of two keys", name)
		}
		names[name] = true
		if f := c.environ([]string{name + "=" + text}, origins); len(f) != 0 {
			t.Error(f)
		}
		d := Defaults()
		if got := c.Differ(&d); !reflect.DeepEqual(got, []string{key}) {
			t.Errorf("%s=%s changes %q", name, text, got)
		}
		if at := origins.Of(key); at.String() != "env "+name {
			t.Errorf("%s is from %v", key, at)
		}
	}
	if Variable("tcp.congestion") != "TCPD_TCP_CONGESTION" || len(names) < 50 {
		t.Errorf("%d variables: %v", len(names), names)
	}
}

// TestVariableFaults: each is told by the name of its variable, which a misspelt one may be near.
func TestVariableFaults(t *testing.T) {
	for set, want := range map[string]string{
		"TCPD_MTU=many":                   `TCPD_MTU: "many" is not a whole number`,
		"TCPD_MTU=":                       `TCPD_MTU: "" is not a whole number`,
		"TCPD_MTU=3":                      "TCPD_MTU: 3 is outside 68 to 65535",
		"TCPD_TCP_TTL=256":                `TCPD_TCP_TTL: "256" is not a whole number from 1 to 255`,
		"TCPD_TCP_MSS=65536":              `TCPD_TCP_MSS: "65536" is not a whole number from 48 to 65495, or 0`,
		"TCPD_TCP_SYN_RETRIES=256":        `TCPD_TCP_SYN_RETRIES: "256" is not a whole number from 0 to 255`,
		"TCPD_TCP_MSL=30":                 `TCPD_TCP_MSL: "30" is not a length of time`,
		"TCPD_TCP_SACK=yes":               `TCPD_TCP_SACK: "yes" is not true or false`,
		"TCPD_LIMITS_MEMORY=1GB":          `TCPD_LIMITS_MEMORY: "1GB" is not a size`,
		"TCPD_HOST=10.7.0.1":              `TCPD_HOST: "10.7.0.1" is not an address with its network`,
		"TCPD_ADDRESSES=10.7.0.2,here":    "TCPD_ADDRESSES: addresses[1]: here is not an address",
		"TCPD_ADDRESSES=":                 "TCPD_ADDRESSES: at least one is needed",
		"TCPD_SERVICES=[{port: 7":         "TCPD_SERVICES: ",
		"TCPD_SERVICES={prot: 7}":         "TCPD_SERVICES: services[0].prot: unknown key; is it to be port?",
		"TCPD_SERVICES={port: 7}":         "TCPD_SERVICES: services[0].service: a service is wanted",
		"TCPD_LISTENERS={port: 99}":       "TCPD_LISTENERS: listeners[0].port: no service listens on port 99",
		"TCPD_TCP_CONGESTOIN=reno":        "TCPD_TCP_CONGESTOIN: unknown variable; is it to be TCPD_TCP_CONGESTION?",
		"TCPD_CONGESTION=reno":            "TCPD_CONGESTION: unknown variable; is it to be TCPD_TCP_CONGESTION?",
		"TCPD_MSL=30s":                    "TCPD_MSL: unknown variable; is it to be TCPD_TCP_MSL?",
		"TCPD_tcp_msl=30s":                "TCPD_tcp_msl: unknown variable; is it to be TCPD_TCP_MSL?",
		"TCPD_TCP=x":                      "TCPD_TCP: unknown variable",
		"TCPD_SERVICE_PORT_HTTP=80":       "TCPD_SERVICE_PORT_HTTP: unknown variable",
		"TCPD_LOG_LEVEL=loud":             `TCPD_LOG_LEVEL: "loud" is none of debug`,
		"TCPD_LISTENERS={port: 7, x: [}]": "TCPD_LISTENERS: ",
	} {
		_, err := (&Sources{Environ: []string{set}}).Load(Defaults())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", set, err, want)
		}
	}
	if _, err := (&Sources{Environ: []string{"TCPDX=1", "XTCPD_MTU=3", "tcpd_mtu=3"}}).Load(Defaults()); err != nil {
		t.Errorf("other people's variables: %v", err)
	}
}

// TestFaultsOfAllSources are told at once, each where it is; what is mended by a later source is none, but what cannot be read is.
func TestFaultsOfAllSources(t *testing.T) {
	file := write(t, "mtu: 3\nqueues: 99\noffload: 1x\naddresses: [10.7.0.2, 10.7.0.1]\nlog: {level: loud}\ntcp: {msl: 30}\n")
	_, err := (&Sources{
		File: file, Environ: []string{"TCPD_LOG_LEVEL=info", "TCPD_TCP_TTL=0", "TCPD_X=1"}, Flags: []Flag{{"--mtu", "mtu", 2}, {"--addr", "addresses", []Prefix{}}},
	}).Load(Defaults())
	want := []string{
		"F:2:9: queues: 99 is outside 0 to 64", `F:3:10: offload: "1x" is none of auto, on, off`,
		"F:6:12: tcp.msl: 30 is not a length of time, such as 30s or 200ms", "TCPD_TCP_TTL: 0 is outside 1 to 255", "TCPD_X: unknown variable",
		"--addr: at least one is needed", "--mtu: 2 is outside 68 to 65535",
	}
	if got := strings.Split(strings.ReplaceAll(err.Error(), file, "F"), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTake: a key's value, and where it comes from, with its parts.
func TestTake(t *testing.T) {
	a, err := (&Sources{File: write(t, "services: [{port: 7, service: echo}]\nmtu: 1400\n")}).Load(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&Sources{Environ: []string{"TCPD_SERVICES={port: 8, service: discard},{port: 9, service: discard}"}}).Load(Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Config.Differ(&b.Config); !reflect.DeepEqual(got, []string{"mtu", "services"}) {
		t.Errorf("%q differ", got)
	}
	b.Take(&a, "services")
	if got := a.Config.Differ(&b.Config); !reflect.DeepEqual(got, []string{"mtu"}) || b.Origins.Of("services[0].port").Line != 1 || len(b.Origins) != len(a.Origins)-1 {
		t.Errorf("%q differ, %v, of %v", got, b.Origins, a.Origins)
	}
}

// TestOneFaultIsToldOnce: what could not be read is not missed besides; what another source says is looked at all the same.
func TestOneFaultIsToldOnce(t *testing.T) {
	for text, want := range map[string]string{
		"services: [{port: 7, service: echo}, {port: 70000, service: echo}]": "F:1:45: services[1].port: 70000 is not a whole number from 1 to 65535",
		"services: [{port: -1, service: echo}]":                              "F:1:19: services[0].port: -1 is not a whole number from 1 to 65535",
		"services: [{port: 0, service: echo}]":                               "F:1:19: services[0].port: a port from 1 to 65535 is wanted",
		"services: [7]":                                                      `F:1:12: services[0]: keys with values are wanted here, not "7"`,
		"services: [{port: 8, service: proxy, to: here}]":                    "F:1:42: services[0].to: here is not an address with a port, such as 127.0.0.1:8080",
		"services: [{port: 7x, service: ssh}]": "F:1:19: services[0].port: 7x is not a whole number from 1 to 65535\n" +
			`F:1:32: services[0].service: "ssh" is no service: there are echo, discard, daytime, chargen, http, proxy`,
	} {
		path := write(t, text)
		_, err := (&Sources{File: path}).Load(Defaults())
		if err == nil || strings.ReplaceAll(err.Error(), path, "F") != want {
			t.Errorf("%s:\n%v\nwant\n%s", text, err, want)
		}
	}
	flag := Flag{Name: "--mtu", Key: "mtu", Value: 3}
	_, err := (&Sources{File: write(t, "mtu: many"), Flags: []Flag{flag}}).Load(Defaults())
	if err == nil || !strings.HasSuffix(err.Error(), "mtu: many is not a whole number\n--mtu: 3 is outside 68 to 65535") {
		t.Error(err)
	}
}
