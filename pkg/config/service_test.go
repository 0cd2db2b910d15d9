package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestServices(t *testing.T) {
	c := parsed(t, `
services:
  - {port: 7, service: echo}
  - {port: 1007, service: echo, through: conn}
  - {port: 80, service: http, static: /srv/www, address: 10.7.0.0/28}
  - {port: 5201, service: proxy, to: 127.0.0.1:5201}
  - {port: 5202, service: proxy, to: "[::1]:5201"}
`)
	for i, want := range []string{
		"7 echo <> invalid AddrPort false", "1007 echo <> invalid AddrPort true", "80 http </srv/www> invalid AddrPort true",
		"5201 proxy <> 127.0.0.1:5201 true", "5202 proxy <> [::1]:5201 true",
	} {
		s := c.Services[i]
		if got := fmt.Sprintf("%d %s <%s> %v %v", s.Port, s.Service, s.Static, s.To, s.HasGoroutines()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := c.Services[2].Address.String(); got != "10.7.0.0/28" {
		t.Error(got)
	}
	for _, none := range []string{"services: []\n", "services: [ ]\n"} {
		if c := parsed(t, none); len(c.Services) != 0 {
			t.Errorf("%q: %+v", none, c.Services)
		}
	}
}

// TestListensAt: a service without an address leaves the others theirs.
func TestListensAt(t *testing.T) {
	c := parsed(t, `
addresses: [10.7.0.2, 10.7.0.3, 10.7.0.16/28]
services:
  - {port: 80, service: http}
  - {port: 80, service: echo, address: 10.7.0.3}
  - {port: 80, service: discard, address: 10.7.0.17}
  - {port: 7, service: echo}
  - {port: 7, service: discard, address: 10.7.0.16/28}
  - {port: 9, service: discard}
`)
	for i, want := range []string{
		"[10.7.0.2 10.7.0.16/28]", "[10.7.0.3]", "[10.7.0.17]", "[10.7.0.2 10.7.0.3]", "[10.7.0.16/28]", "[10.7.0.2 10.7.0.3 10.7.0.16/28]",
	} {
		if got := fmt.Sprint(c.ListensAt(&c.Services[i])); got != want {
			t.Errorf("%+v listens at %s, want %s", c.Services[i], got, want)
		}
	}
	if f := c.Validate(); len(f) != 0 {
		t.Error(f)
	}
}

// TestMetricsBesideServices: the metrics have an address and port that no service has, wherever the two are said.
func TestMetricsBesideServices(t *testing.T) {
	const services = "addresses: [10.7.0.2, 10.7.0.3, 10.7.0.16/28]\nservices:\n- {port: 7, service: echo}\n- {port: 80, service: http, address: 10.7.0.3}\n"
	for metrics, want := range map[string]string{
		"10.7.0.2:9100":    "",
		"10.7.0.2:7":       "F:5:10: metrics: services[0], echo, listens at 10.7.0.2:7: another port is needed",
		"10.7.0.3:80":      "F:5:10: metrics: services[1], http, listens at 10.7.0.3:80: another port is needed",
		"10.7.0.2:80":      "",
		"10.7.0.17:7":      "", // for itself, out of the service's prefix
		"192.0.2.1:7":      "", // the kernel's
		"10.7.0.2:7 again": `F:5:10: metrics: "10.7.0.2:7 again" is no address with a port, such as 10.7.0.2:9100`,
	} {
		file := filepath.Join(t.TempDir(), "tcpd.yaml")
		if err := os.WriteFile(file, []byte(services+"metrics: "+metrics+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := (&Sources{File: file}).Load(Defaults()); err != nil {
			got = strings.ReplaceAll(err.Error(), file, "F")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", metrics, got, want)
		}
	}
}

func TestServiceLoadFaults(t *testing.T) {
	for text, want := range map[string]string{
		"services: {echo: true}\n":                              "f:1:11: services: {echo: true} is not a list, such as [{port: 7, service: echo}]",
		"services: echo\n":                                      "f:1:11: services: echo is not a list, such as [{port: 7, service: echo}]",
		"services: [{port: 7, servise: echo}]\n":                "f:1:22: services[0].servise: unknown key; is it to be service?",
		"services: [{port: seven, service: echo}]\n":            "f:1:19: services[0].port: seven is not a whole number from 1 to 65535",
		"services: [{port: 7, service: proxy, to: here}]\n":     "f:1:42: services[0].to: here is not an address with a port, such as 127.0.0.1:8080",
		"services: [{port: 7, service: proxy, to: 10.0.0.1}]\n": "f:1:42: services[0].to: 10.0.0.1 is not an address with a port, such as 127.0.0.1:8080",
		"services: [{port: 7, service: echo, address: here}]\n": "f:1:46: services[0].address: here is not an address",
	} {
		_, _, err := Parse("f", []byte(text))
		if err == nil || err.Error() != want && err.Error()[:min(len(err.Error()), len(want))] != want {
			t.Errorf("%q:\n  %v, want\n  %s", text, err, want)
		}
	}
}

func TestServiceFaults(t *testing.T) {
	const there = "there are echo, discard, daytime, chargen, http, proxy"
	for text, want := range map[string][]string{
		"{port: 7, service: echo, through: conn}":                                  nil,
		"{port: 7, service: echo, through: handler}":                               nil,
		"{port: 80, service: http, through: conn, static: .}":                      nil,
		"{port: 8, service: proxy, to: 127.0.0.1:80}":                              nil,
		"{port: 7, service: echo}, {port: 7, service: discard, address: 10.7.0.2}": nil,
		"{service: echo}":                                       {"f:1:13 services[0].port: a port from 1 to 65535 is wanted"},
		"{port: 7}":                                             {"f:1:13 services[0].service: a service is wanted: " + there},
		"{port: 7, service: ehco}":                              {`f:1:31 services[0].service: "ehco" is no service; is it to be echo?`},
		"{port: 7, service: HTTP}":                              {`f:1:31 services[0].service: "HTTP" is no service; is it to be http?`},
		"{port: 7, service: ssh}":                               {`f:1:31 services[0].service: "ssh" is no service: ` + there},
		"{port: 7, service: echo, through: con}":                {`f:1:46 services[0].through: "con" is none of handler, conn`},
		"{port: 80, service: http, through: handler}":           {"f:1:47 services[0].through: http is there only through conn"},
		"{port: 7, service: echo, static: .}":                   {"f:1:45 services[0].static: echo has no files: this is for http"},
		"{port: 7, service: echo, to: 127.0.0.1:80}":            {"f:1:41 services[0].to: echo goes nowhere: this is for proxy"},
		"{port: 8, service: proxy}":                             {"f:1:13 services[0].to: a proxy wants a server to go to, such as 127.0.0.1:8080"},
		"{port: 8, service: proxy, to: 127.0.0.1:0}":            {"f:1:42 services[0].to: 127.0.0.1:0: a port from 1 to 65535 is wanted"},
		"{port: 7, service: echo, address: 10.7.0.3}":           {"f:1:46 services[0].address: 10.7.0.3 is not among the addresses that tcpd answers for"},
		"{port: 7, service: echo, address: 10.7.0.0/24}":        {"f:1:46 services[0].address: 10.7.0.0/24 is not among the addresses that tcpd answers for"},
		"{port: 7, service: echo}, {port: 7, service: discard}": {"f:1:45 services[1].port: port 7 is there twice"},
		"{port: 7, service: echo, address: 10.7.0.2}, {address: 10.7.0.2, service: discard, port: 7}": {
			"f:1:101 services[1].port: port 7 is there twice at 10.7.0.2",
		},
	} {
		c, origins, err := Parse("f", []byte("services: ["+text+"]\n"))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var got []string
		for _, f := range c.Validate() {
			got = append(got, strings.TrimSuffix(origins.near(f.Key).place(), ": ")+" "+f.Error())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q:\n  %q, want\n  %q", text, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for written, want := range map[string]string{
		"echo": "echo", "ehco": "echo", "ecco": "echo", "eco": "echo", "echoo": "echo", "Echo": "echo", "discrad": "discard", "chargne": "chargen",
		"htp": "http", "https": "http", "day-time": "daytime", "porxy": "proxy", "chat": "", "ssh": "", "": "", "x": "", "telnet": "",
	} {
		if got := nearest(written, ServiceNames); got != want {
			t.Errorf("nearest to %q is %q, want %q", written, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "axc", 1}, {"abc", "ac", 1}, {"kitten", "sitting", 3},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestServiceNames(t *testing.T) {
	c := Defaults()
	var names []string
	for i, s := range c.Services {
		names = append(names, s.Service)
		if s.HasGoroutines() != (s.Service == "http") {
			t.Errorf("%+v", c.Services[i])
		}
	}
	if want := ServiceNames[:5]; !reflect.DeepEqual(names, want) || !slices.Equal(c.ports(), []uint16{7, 9, 13, 19, 80}) {
		t.Errorf("%v on %v, want %v", names, c.ports(), want)
	}
}
