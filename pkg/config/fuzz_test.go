package config

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzParse: no text makes Parse or Validate panic. Each fault says where it is, within the text, and without a fault the
// keys that are set have a place.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, s := range []string{
		"", "tcp:\n  msl: 30s\n", "listeners:\n  - port: 80\n    tcp: {msl: 1s, nodelay: true}\n", "a: [1, 2", "mtu: &x 1500\nqueues: *x\n",
		"addresses: [10.7.0.2, 10.8.0.0/16]\n---\nmtu: 1\n", "tcp: !!str x", "<<: {mtu: 9}\n", "routes:\n- {to: 1.2.3.0/24, mss: 500}", "mtu: 1e3\nmtu: 2",
		"? [a]\n: b\n", "\xff\xfe", "limits: {memory: 9223372036854775807GiB}", "- mtu: 1", "tcp: ~", "services:\n- {port: 5201, service: proxy, to: 127.0.0.1:5201}\n- {port: 8, service: ehco, through: conn}", "device: |\n  tcpd0\n",
	} {
		f.Add([]byte(s))
	}
	placed := regexp.MustCompile(`^f(:\d+:\d+)?: `)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, origins, err := Parse("f", text)
		if err != nil {
			list, ok := err.(interface{ Unwrap() []error })
			if !ok {
				t.Fatalf("%T: %v", err, err)
			}
			for _, e := range list.Unwrap() {
				if !placed.MatchString(e.Error()) {
					t.Fatalf("a fault without a place: %v", e)
				}
			}
			return
		}
		for key, at := range origins {
			if !placed.MatchString(at.place()) {
				t.Fatalf("%s is at %q", key, at)
			}
		}
		for i := range c.Services {
			c.Services[i].Static = "" // else Validate looks at the disk
		}
		for _, fault := range c.Validate() {
			if fault.Key == "" || fault.Text == "" {
				t.Fatalf("%+v", fault)
			}
		}
	})
}

// FuzzValues: a size, a prefix and a length of time are refused, or written so that they are read as the same again.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"0", "65536", "64KiB", "1 MiB", "8589934591GiB", "8589934592GiB", "-1", "+1B", "10.7.0.2", "10.7.0.0/28", "::1/64", "fe80::1%eth0", "1h2m", "KiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var size, size2 Size
		if size.UnmarshalText([]byte(s)) == nil {
			if err := size2.UnmarshalText([]byte(size.String())); err != nil || size2 != size || size < 0 {
				t.Errorf("%q is %d, written %s, read %d: %v", s, size, size, size2, err)
			}
		}
		var p, p2 Prefix
		if p.UnmarshalText([]byte(s)) == nil {
			if err := p2.UnmarshalText([]byte(p.String())); err != nil || p2 != p {
				t.Errorf("%q is %v, read %v: %v", s, p, p2, err)
			}
		}
		c, _, err := Parse("f", []byte("tcp: {msl: "+s+"}"))
		if d := c.TCP.MSL; err == nil {
			again, _, err := Parse("f", []byte("tcp: {msl: "+d.String()+"}"))
			if err != nil || again.TCP.MSL != d {
				t.Errorf("%q is %v, read %v: %v", s, d, again.TCP.MSL, errors.Join(err))
			}
		} else if c.TCP.MSL != 30*time.Second {
			t.Errorf("%q is refused, and sets %v", s, c.TCP.MSL)
		}
	})
}

// FuzzVariables: whatever a variable holds, it is refused by its name, or sets a value that is printed so that it is read as the
// same again, unless the configuration is refused.
func FuzzVariables(f *testing.F) {
	for i := range Keys() {
		for _, text := range []string{"", "7", "[", "{port: 7, service: echo}, {port: 8, service: discard, through: conn}", "10.7.0.2, 10.8.0.0/16", "a, #b", "\"x\ny\"", "1h2m", "64KiB", "true", "{port: 7, tcp: {ecn: off}}", "\xd10", "?"} {
			f.Add(uint8(i), text)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, text string) {
		key := Keys()[int(i)%len(Keys())]
		if key == "services" && strings.Contains(text, "static") {
			t.Skip("the disk decides")
		}
		l, err := (&Sources{Environ: []string{Variable(key) + "=" + text}}).Load(Defaults())
		if err != nil {
			if !strings.Contains(err.Error(), Variable(key)+": ") {
				t.Fatalf("%s: %v", Variable(key), err)
			}
			return
		}
		again, _, err := Parse("f", l.YAML())
		if err != nil || !reflect.DeepEqual(again, l.Config) {
			t.Fatalf("%s=%q: %v\n%s", Variable(key), text, err, l.YAML())
		}
	})
}
