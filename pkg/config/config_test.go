package config

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

const example = "../../configs/tcpd.yaml"

func TestExampleIsTheDefaults(t *testing.T) {
	c, _, err := Load(example)
	if err != nil {
		t.Fatal(err)
	}
	if want := Defaults(); !reflect.DeepEqual(c, want) {
		t.Errorf("%s says\n%+v\nthe defaults are\n%+v", example, c, want)
	}
}

// TestExampleHasEveryKey reads the example as a plain tree, since a key that it lacks would keep its default. Of a list
// of mappings, an entry in a comment has every key.
func TestExampleHasEveryKey(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var tree, comments map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(examples(text), &comments); err != nil {
		t.Fatal(err)
	}
	var look func(typ reflect.Type, tree map[string]any, above string)
	look = func(typ reflect.Type, tree map[string]any, above string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := f.Tag.Get("yaml")
			v, ok := tree[key]
			if !ok {
				t.Errorf("%s lacks %s%s", example, above, key)
				continue
			}
			_, value := kinds[f.Type]
			switch {
			case !value && f.Type.Kind() == reflect.Struct:
				look(f.Type, v.(map[string]any), above+key+".")
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().NumField() > 1:
				list, _ := comments[key].([]any)
				if len(list) == 0 {
					t.Errorf("%s lacks an example of %s", example, key)
					continue
				}
				all := map[string]any{} // the entries together have every key
				for _, entry := range list {
					maps.Copy(all, entry.(map[string]any))
				}
				look(f.Type.Elem(), all, above+key+".")
			}
		}
	}
	look(reflect.TypeFor[Config](), tree, "")
}

// examples are the lines that stand in comments, set off by three spaces.
func examples(text []byte) (b []byte) {
	for line := range strings.Lines(string(text)) {
		if code, ok := strings.CutPrefix(line, "#   "); ok && !strings.HasPrefix(code, "tcpd ") {
			b = append(b, code...)
		}
	}
	return b
}

// TestExamplesAreValid: what stands in the comments can be used as it is.
func TestExamplesAreValid(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := Parse("examples", examples(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Services {
		c.Services[i].Static = "" // whether there is such a directory is not the example's to say
	}
	for _, f := range c.Validate() {
		t.Error(f)
	}
	if len(c.Listeners) == 0 || len(c.Routes) == 0 || reflect.DeepEqual(c.Services, Defaults().Services) {
		t.Errorf("no examples: %+v", c)
	}
}

// TestExampleNamesEveryChoice: whoever reads it need not guess.
func TestExampleNamesEveryChoice(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for key, names := range map[string][]string{
		"level": Levels, "offload": Offloads, "mtu_probing": MTUProbings, "ecn": ECNs, "congestion": cc.Names(),
		"services": slices.Concat(ServiceNames, Throughs),
	} {
		comment := regexp.MustCompile(`((?m:^ *#.*\n)+) *` + key + `:`).FindSubmatch(text)
		if comment == nil {
			t.Errorf("%s is without a comment", key)
			continue
		}
		for _, name := range names {
			if !regexp.MustCompile(`\b` + name + `\b`).Match(comment[1]) {
				t.Errorf("what is said of %s does not name %s", key, name)
			}
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	c := Defaults()
	for _, f := range c.Validate() {
		t.Error(f)
	}
}

func TestLoadOverDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tcpd.yaml")
	text := `
device: tun7
host: 192.0.2.1/30
addresses:
  - 192.0.2.2
  - 198.51.100.77/24
offload: off
tcp:
  msl: 2m
  send_buffer: 65536
  receive_buffer: 256 KiB
  nodelay: true
services:
  - {port: 8080, service: http, address: 192.0.2.2}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Device, want.Offload = "tun7", "off"
	want.Host = netip.MustParsePrefix("192.0.2.1/30")
	want.Addresses = []Prefix{{netip.MustParsePrefix("192.0.2.2/32")}, {netip.MustParsePrefix("198.51.100.0/24")}}
	want.TCP.MSL, want.TCP.SendBuffer, want.TCP.ReceiveBuffer, want.TCP.NoDelay = 2*time.Minute, 64*KiB, 256*KiB, true
	want.Services = []Service{{Port: 8080, Service: "http", Address: want.Addresses[0]}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestNothingSaysNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n", "tcp:\n", "tcp: {}\n"} {
		if c, _, err := Parse("f", []byte(text)); err != nil || !reflect.DeepEqual(c, Defaults()) {
			t.Errorf("%q: %v, %+v", text, err, c)
		}
	}
}

func TestLoadFaults(t *testing.T) {
	for text, want := range map[string]string{
		"tcp:\n  msl: 30s\n  mls: 30s\n": "f:3:3: tcp.mls: unknown key; is it to be msl?",
		"mtu: 1500\nmtu: 1400\n":         `f:2:1: mapping key "mtu" already defined`,
		"{\"mut\": 1500}\n":              "f:1:2: mut: unknown key; is it to be mtu?",
		"colour: red\n":                  "f:1:1: colour: unknown key: there are device, host, addresses, mtu, ",
		"mtu: 1500\n\"mtu\": 1400\n":     `f:2:1: mapping key "mtu" already defined`,
		"mtu: many\n":                    "f:1:6: mtu: many is not a whole number",
		"mtu: 15.5\n":                    "f:1:6: mtu: 15.5 is not a whole number",
		"mtu: \"1500\"\n":                `f:1:6: mtu: "1500" is not a whole number`,
		"mtu:\n":                         "f:1:6: mtu: nothing is not a whole number",
		"mtu: [1500]\n":                  "f:1:6: mtu: [1500] is not a whole number",
		"mtu: *x\n":                      "f:1:6: mtu: *x is not a whole number",
		"tcp:\n  retries2: 300\n":        "f:2:13: tcp.retries2: 300 is not a whole number from 3 to 253",
		"tcp:\n  msl: 30\n":              "f:2:8: tcp.msl: 30 is not a length of time",
		"tcp:\n  msl: 30x\n":             "f:2:8: tcp.msl: 30x is not a length of time",
		"tcp:\n  keepalive: yes\n":       "f:2:14: tcp.keepalive: yes is not true or false",
		"tcp:\n  send_buffer: 1MB\n":     "f:2:16: tcp.send_buffer: 1MB is not a size",
		"tcp: 3\n":                       "f:1:6: tcp: keys with values are wanted here",
		"host: 10.7.0.1\n":               "f:1:7: host: 10.7.0.1 is not an address with its network",
		"addresses: 10.7.0.2\n":          "f:1:12: addresses: 10.7.0.2 is not a list",
		"addresses:\n":                   "f:1:12: addresses: a list is wanted, and there is nothing: an empty one is []",
		"services:\nmtu: 1400\n":         "f:1:10: services: a list is wanted, and there is nothing: an empty one is []",
		"listeners: null\n":              "f:1:12: listeners: a list is wanted, and there is nothing: an empty one is []",
		"routes: ~\n":                    "f:1:9: routes: a list is wanted, and there is nothing: an empty one is []",
		"addresses: [10.7.0.2, here]\n":  "f:1:23: addresses[1]: here is not an address",
		"- a\n":                          "f:1:1: keys with values are wanted here",
		"a: [\n":                         "f:1:4: ",
		"mtu: 1500\n---\nmtu: 1400\n":    "f:3:4: a second document",
	} {
		_, _, err := Parse("f", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n  %v, want\n  %s", text, err, want)
		}
	}
}

func TestLoadTellsAllAtOnce(t *testing.T) {
	c, _, err := Parse("f", []byte("mtu: many\nnope: 1\nqueues: 3\ntcp:\n  mls: 1s\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not three lines:\n%v", err)
	}
	if c.Queues != 3 || c.MTU != 1500 {
		t.Errorf("queues %d and MTU %d: what is right should be set, what is wrong should not", c.Queues, c.MTU)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	if _, _, err := Load("no/such/file"); err == nil || !strings.Contains(err.Error(), "no/such/file") {
		t.Errorf("%v", err)
	}
}

func TestValidate(t *testing.T) {
	prefixes := func(list ...string) (p []Prefix) {
		for _, s := range list {
			p = append(p, Prefix{netip.MustParsePrefix(s)})
		}
		return p
	}
	for _, test := range []struct {
		key   string // the only fault, or empty
		spoil func(*Config)
	}{
		{"", func(c *Config) { c.Device = "" }},
		{"", func(c *Config) { c.Host = netip.Prefix{} }},
		{"", func(c *Config) { c.Addresses = prefixes("0.0.0.0/0") }},
		{"", func(c *Config) { c.MTU, c.Queues = 68, 64 }},
		{"", func(c *Config) { c.TCP.DelayedAck = 0 }},
		{"", func(c *Config) { c.Services[4].Static = "." }},
		{"device", func(c *Config) { c.Device = "sixteen-byte-name" }},
		{"device", func(c *Config) { c.Device = "a/b" }},
		{"host", func(c *Config) { c.Host = netip.MustParsePrefix("2001:db8::1/64") }},
		{"host", func(c *Config) { c.Host = netip.MustParsePrefix("224.0.0.1/24") }},
		{"addresses", func(c *Config) { c.Addresses = nil }},
		{"addresses", func(c *Config) { c.Addresses = prefixes("10.7.0.1/32") }},
		{"addresses", func(c *Config) { c.Addresses = prefixes("127.0.0.1/32") }},
		{"addresses", func(c *Config) { c.Addresses = prefixes("2001:db8::2/128") }},
		{"addresses", func(c *Config) { c.Addresses = prefixes("10.7.0.2/32", "10.7.0.3/32", "10.7.0.2/32") }},
		{"mtu", func(c *Config) { c.MTU = 67 }},
		{"mtu", func(c *Config) { c.MTU = 65536 }},
		{"queues", func(c *Config) { c.Queues = 65 }},
		{"offload", func(c *Config) { c.Offload = "maybe" }},
		{"log.level", func(c *Config) { c.Log.Level = "trace" }},
		{"tcp.msl", func(c *Config) { c.TCP.MSL = 0 }},
		{"tcp.delayed_ack", func(c *Config) { c.TCP.DelayedAck = time.Second }},
		{"tcp.rto_max", func(c *Config) { c.TCP.RTOMin, c.TCP.RTOMax = 20*time.Second, 10*time.Second }},
		{"tcp.send_buffer", func(c *Config) { c.TCP.SendBuffer = 1 }},
		{"", func(c *Config) { c.TCP.SendBufferMax, c.TCP.ReceiveBufferMax, c.Limits.HalfOpen = 0, 0, 0 }},
		{"tcp.send_buffer_max", func(c *Config) { c.TCP.SendBufferMax = c.TCP.SendBuffer - 1 }},
		{"tcp.receive_buffer_max", func(c *Config) { c.TCP.ReceiveBufferMax = 2 * GiB }},
		{"limits.half_open", func(c *Config) { c.Limits.HalfOpen = -1 }},
		{"tcp.congestion", func(c *Config) { c.TCP.Congestion = "vegas" }},
		{"tcp.ecn", func(c *Config) { c.TCP.ECN = "maybe" }},
		{"limits.memory", func(c *Config) { c.Limits.Memory = KiB }},
		{"services[4].static", func(c *Config) { c.Services[4].Static = "no/such/dir" }},
		{"services[4].static", func(c *Config) { c.Services[4].Static = "config.go" }},
	} {
		c := Defaults()
		test.spoil(&c)
		var keys []string
		for _, f := range c.Validate() {
			keys = append(keys, f.Key)
		}
		if got := strings.Join(keys, " "); got != test.key {
			t.Errorf("faults of %q, want of %q: %v", got, test.key, c.Validate())
		}
	}
}

func TestValidateTellsAllAtOnce(t *testing.T) {
	c := Defaults()
	c.MTU, c.Log.Level, c.TCP.MSL = 0, "", 0
	if f := c.Validate(); len(f) != 3 {
		t.Errorf("%d faults: %v", len(f), f)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1023": 1023, "64KiB": 64 * KiB, "3 MiB": 3 * MiB, "2GiB": 2 * GiB, "12B": 12,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %d, %v", text, s, err)
		}
		var again Size
		if err := again.UnmarshalText([]byte(want.String())); err != nil || again != want {
			t.Errorf("%d is written %q and read as %d, %v", want, want, again, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1.5MiB", "9223372036854775807KiB", "1kb", "0x10"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d", text, s)
		}
	}
}

func TestPrefix(t *testing.T) {
	for text, want := range map[string]string{"10.7.0.2": "10.7.0.2", "10.7.0.2/32": "10.7.0.2", "10.7.0.9/28": "10.7.0.0/28"} {
		var p Prefix
		if err := p.UnmarshalText([]byte(text)); err != nil || p.String() != want {
			t.Errorf("%q: %s, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "10.7", "10.7.0.2/33", "host", "10.7.0.2/"} {
		var p Prefix
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %s", text, p)
		}
	}
}
