package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func parsed(t *testing.T, text string) Config {
	t.Helper()
	c, _, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatalf("%s:\n%v", text, err)
	}
	return c
}

// TestListeners: an entry says what is different, whatever comes first in the file and in the entry.
func TestListeners(t *testing.T) {
	const section = "tcp:\n  congestion: reno\n  rto_min: 1s\n  sack: false\n"
	for _, list := range []string{
		"listeners:\n  - port: 80\n    backlog: 7\n    tcp:\n      congestion: bbr\n      nodelay: true\n      send_buffer: 8KiB\n",
		"listeners: [{tcp: {send_buffer: 8192, nodelay: true, congestion: bbr}, backlog: 7, port: 80}]\n",
	} {
		for _, text := range []string{section + list, list + section} {
			c := parsed(t, text)
			want := []Listener{{Port: 80, Backlog: 7, TCP: Changes{"congestion": "bbr", "nodelay": true, "send_buffer": 8 * KiB}}}
			if !reflect.DeepEqual(c.Listeners, want) {
				t.Fatalf("%s\ngot %+v, want %+v", text, c.Listeners, want)
			}
			merged := Defaults().TCP
			merged.RTOMin, merged.SACK = time.Second, false
			merged.Congestion, merged.NoDelay, merged.SendBuffer = "bbr", true, 8*KiB
			if got := c.Listeners[0].TCP.Over(c.TCP); got != merged {
				t.Errorf("%s\ngot\n%+v\nwant\n%+v", text, got, merged)
			}
			if c.TCP.Congestion != "reno" || c.TCP.NoDelay {
				t.Errorf("%s\nchanges the section itself: %+v", text, c.TCP)
			}
		}
	}
}

// TestListenerSaysNothing: an entry without tcp, or with an empty one, leaves the section as it is.
func TestListenerSaysNothing(t *testing.T) {
	for _, text := range []string{"{port: 7}", "{port: 7, tcp: {}}", "{port: 7, tcp: }"} {
		c := parsed(t, "listeners: ["+text+"]\n")
		if want := []Listener{{Port: 7}}; !reflect.DeepEqual(c.Listeners, want) {
			t.Errorf("%s: %+v", text, c.Listeners)
		}
		if got := c.Listeners[0].TCP.Over(c.TCP); got != c.TCP {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// TestListenerKeepsWhatIsRight: a value that cannot be read changes nothing, and those beside it are read.
func TestListenerKeepsWhatIsRight(t *testing.T) {
	c, _, err := Parse("f", []byte("listeners: [{port: 7, tcp: {rto_min: soon, sack: false, mls: 3s, msl: 3s}}]\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not three lines:\n%v", err)
	}
	if want := []Listener{{Port: 7, TCP: Changes{"sack": false}}}; !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("got %+v, want %+v", c.Listeners, want)
	}
}

// TestListenerChangesEveryKey: any key of the tcp section can be an entry's, and changes that value alone; but the MSL.
func TestListenerChangesEveryKey(t *testing.T) {
	other := map[reflect.Type]string{
		reflect.TypeFor[time.Duration](): "77ms", reflect.TypeFor[Size](): "77KiB", reflect.TypeFor[uint8](): "77", reflect.TypeFor[uint16](): "77",
		reflect.TypeFor[string](): "other",
	}
	section := reflect.TypeFor[TCP]()
	for i := range section.NumField() {
		key := section.Field(i).Tag.Get("yaml")
		before := Defaults().TCP
		value := other[section.Field(i).Type]
		if f := reflect.ValueOf(before).Field(i); f.Kind() == reflect.Bool {
			value = fmt.Sprint(!f.Bool())
		}
		text := fmt.Sprintf("listeners: [{port: 80, tcp: {%s: %s}}]\n", key, value)
		if key == "msl" {
			_, _, err := Parse("f", []byte(text))
			if want := "f:1:30: listeners[0].tcp.msl: the MSL is the whole stack's"; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
			continue
		}
		after := parsed(t, text).Listeners[0].TCP.Over(before)
		for k := range section.NumField() {
			same := reflect.ValueOf(before).Field(k).Equal(reflect.ValueOf(after).Field(k))
			if same == (k == i) {
				t.Errorf("%s: %s is %v", text, section.Field(k).Name, reflect.ValueOf(after).Field(k))
			}
		}
	}
}

func TestListenerLoadFaults(t *testing.T) {
	for text, want := range map[string]string{
		"listeners: 80\n":                                               "f:1:12: listeners: 80 is not a list",
		"listeners: [80]\n":                                             "f:1:13: listeners[0]: keys with values are wanted here",
		"listeners: [{port: 65536}]\n":                                  "f:1:20: listeners[0].port: 65536 is not a whole number from 1 to 65535",
		"listeners: [{port: http}]\n":                                   "f:1:20: listeners[0].port: http is not a whole number",
		"listeners:\n  - port: 80\n    blacklog: 3\n":                   "f:3:5: listeners[0].blacklog: unknown key; is it to be backlog?",
		"listeners:\n  - port: 80\n    backlog: many\n":                 "f:3:14: listeners[0].backlog: many is not a whole number",
		"listeners:\n  - {port: 7}\n  - port: 9\n    tcp: 3\n":          "f:4:10: listeners[1].tcp: keys with values are wanted here",
		"listeners:\n  - tcp:\n      mls: 3s\n":                         "f:3:7: listeners[0].tcp.mls: unknown key; is it to be msl?",
		"listeners:\n  - {port: 7, tcp: {ttl: 256}}\n":                  "f:2:26: listeners[0].tcp.ttl: 256 is not a whole number from 1 to 255",
		"listeners:\n  - tcp:\n      rto_min: 3\n":                      "f:3:16: listeners[0].tcp.rto_min: 3 is not a length of time",
		"listeners:\n  - tcp:\n      msl: 3s\n":                         "f:3:7: listeners[0].tcp.msl: the MSL is the whole stack's: tcp.msl sets it",
		"listeners:\n  - {port: 7,\n     port: 9}\n":                    "f:3:6: mapping key \"port\" already defined",
		"routes:\n  - {to: 10.0.0.0/8, mss: 1}\n  - {to: here, mss: 1}": "f:3:10: routes[1].to: here is not an address",
	} {
		_, _, err := Parse("f", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n  %v, want\n  %s", text, err, want)
		}
	}
}

// TestListenerFaults: what is wrong with an entry is told with its place in the file, and once.
func TestListenerFaults(t *testing.T) {
	for text, want := range map[string][]string{
		"listeners: [{port: 80}]\n": nil,
		"listeners: [{port: 81}]\n": {"f:1:20 listeners[0].port: no service listens on port 81: there are services on 7, 9, 13, 19, 80"},
		"listeners: [{port: 7}]\nservices: [{port: 9, service: discard}, {port: 80, service: http}, {port: 9, service: echo, address: 10.7.0.2}]\n": {"f:1:20 listeners[0].port: no service listens on port 7: there are services on 9, 80"},
		"listeners: [{backlog: 3}]\n":                                             {"f:1:14 listeners[0].port: a port from 1 to 65535 is wanted"},
		"listeners:\n  - port: 7\n  - port: 80\n  - port: 7\n":                    {"f:4:11 listeners[2].port: port 7 is there twice"},
		"listeners:\n  - port: 7\n    backlog: -1\n":                              {"f:3:14 listeners[0].backlog: -1 is outside 0 to 1048576"},
		"listeners:\n  - port: 7\n    half_open: -1\n":                            {"f:3:16 listeners[0].half_open: -1 is outside 0 to 1073741824"},
		"listeners:\n  - port: 7\n    source_backlog: -1\n":                       {"f:3:21 listeners[0].source_backlog: -1 is outside 0 to 1048576"},
		"listeners:\n  - port: 7\n    source_half_open: -1\n":                     {"f:3:23 listeners[0].source_half_open: -1 is outside 0 to 1073741824"},
		"listeners:\n  - port: 7\n    fast_open: -1\n":                            {"f:3:16 listeners[0].fast_open: -1 is outside 0 to 1073741824"},
		"listeners:\n  - port: 7\n    tcp:\n      congestion: vegas\n":            {`f:4:19 listeners[0].tcp.congestion: "vegas" is none of reno, cubic, bbr, bbr3`},
		"listeners:\n  - port: 7\n    tcp:\n      send_buffer: 32MiB\n":           {"f:3:5 listeners[0].tcp.send_buffer_max: 16MiB is outside 32MiB to 1GiB"},
		"listeners:\n  - port: 7\n    tcp:\n      rto_min: 3s\ntcp:\n  msl: 0s\n": {"f:6:8 tcp.msl: 0s is outside 1ms to 1h0m0s"},
		"tcp: {ecn: no}\nlisteners: [{port: 7, tcp: {ecn: no}}]\n":                {`f:1:12 tcp.ecn: "no" is none of passive, off, on, accurate`, `f:2:34 listeners[0].tcp.ecn: "no" is none of passive, off, on, accurate`},
		"tcp: {ecn: no}\nlisteners: [{port: 7, tcp: {ecn: on}}]\n":                {`f:1:12 tcp.ecn: "no" is none of passive, off, on, accurate`},
		"tcp: {rto_min: 30s, rto_max: 40s}\nlisteners: [{port: 7, tcp: {rto_max: 9s}}]\n": {
			"f:2:38 listeners[0].tcp.rto_max: 9s is outside 30s to 1h0m0s",
		},
	} {
		c, origins, err := Parse("f", []byte(text))
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

func TestOrigins(t *testing.T) {
	_, origins, err := Parse("f", []byte("mtu: 1400\nlog:\n  level: warn\naddresses:\n  - 10.7.0.2\nroutes: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"mtu": "f:1:6", "log": "f:2:1", "log.level": "f:3:10", "log.other": "f:2:1", "addresses": "f:4:1", "addresses[0]": "f:5:5",
		"addresses[1]": "f:4:1", "routes": "f:6:1", "routes[0].mss": "f:6:1", "queues": "", "tcp.msl": "", "": "",
	} {
		if got := strings.TrimSuffix(origins.near(key).place(), ": "); got != want {
			t.Errorf("%q is at %q, want %q", key, got, want)
		}
	}
	for key, want := range map[string]string{"mtu": "f:1", "log.other": "default", "addresses[1]": "f:4", "routes": "f:6", "queues": "default"} {
		if got := origins.Of(key).String(); got != want {
			t.Errorf("%q is from %q, want %q", key, got, want)
		}
	}
	if got := Origins(nil).Of("mtu"); got.String() != "default" {
		t.Errorf("without a file: %q", got)
	}
}
