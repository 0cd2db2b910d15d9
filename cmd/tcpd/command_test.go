package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// output runs a command line and returns what it writes to stdout.
func output(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

func TestFSM(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, fsm.Grid()},
		{[]string{"--format", "grid"}, fsm.Grid()},
		{[]string{"--format", "mermaid"}, fsm.Mermaid()},
		{[]string{"--format", "dot"}, fsm.Dot()},
	} {
		if got, err := output(t, append([]string{"fsm"}, test.args...)...); err != nil || got != test.want {
			t.Errorf("%v: %v, %q", test.args, err, got)
		}
	}
}

func TestVersion(t *testing.T) {
	out, err := output(t, "version")
	if err != nil || !strings.HasPrefix(out, "tcpd ") {
		t.Errorf("%v, %q", err, out)
	}
	if flag, err := output(t, "--version"); err != nil || flag != out {
		t.Errorf("%v, %q", err, flag)
	}
	b := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"},
	}}
	if v := version(b, true); !strings.HasPrefix(v, "tcpd v1.2.3 abc (modified) go") {
		t.Errorf("%q", v)
	}
	if v := version(nil, false); !strings.HasPrefix(v, "tcpd unknown version go") {
		t.Errorf("%q", v)
	}
}

// TestFaults: what is wrong on the command line is told before anything is touched, by the name of the flag.
func TestFaults(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"run --mtu 3", "--mtu: 3 is outside"},
		{"run --mtu many", `"--mtu"`},
		{"run --queues 99", "--queues: 99 is outside"},
		{"run --offload maybe", `--offload: "maybe" is none of`},
		{"run --log-level loud", `--log-level: "loud" is none of`},
		{"run --msl 0s", "--msl: 0s is outside"},
		{"run --msl 30", `"--msl"`},
		{"run --host 10.7.0.1", `"--host"`},
		{"run --addr here", `"--addr"`},
		{"run --addr 10.7.0.1", "--addr: 10.7.0.1 is the kernel's end"},
		{"run --device a/b", "--device: "},
		{"run --mtu 3 --queues 99", "--queues"},
		{"run --metrics 9100", `--metrics: "9100" is no address`},
		{"run --metrics [::1]:9100", "--metrics: "},
		{"run --control " + strings.Repeat("x", 108), "--control: "},
		{"run -c no/such/file", "no/such/file"},
		{"run more", `"more": tcpd run takes no arguments`},
		{"connect", "a HOST is wanted: tcpd connect HOST PORT"},
		{"connect 10.8.0.1", "a PORT is wanted: tcpd connect HOST PORT"},
		{"connect 10.8.0.1 80 81", `"81" is too much: tcpd connect HOST PORT`},
		{"script", "a FILE is wanted: tcpd script FILE..."},
		{"connect 10.8.0.1 0", `port "0"`},
		{"connect 10.8.0.1 65536", `port "65536"`},
		{"connect 127.0.0.1 80", "another of its addresses"},
		{"connect --mtu 1 10.8.0.1 80", "--mtu: 1 is outside"},
		{"fsm --format svg", `--format "svg" is none of`},
		{"wach", `unknown command "wach" for "tcpd"; is it to be watch?`},
		{"walk -x", `unknown command "walk"`},
		{"config chck", `unknown command "chck" for "tcpd config"; is it to be check?`},
		{"help config chck", `unknown command "chck" for "tcpd config"`},
		{"help walk", `unknown command "walk"`},
	} {
		_, err := output(t, strings.Fields(test.args)...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.args, err, test.want)
		}
	}
}

// TestOverride: flags over the environment over the file over the defaults.
func TestOverride(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tcpd.yaml")
	if err := os.WriteFile(file, []byte("mtu: 1400\nqueues: 3\nlog:\n  level: warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TCPD_QUEUES", "4")
	t.Setenv("TCPD_TCP_MSL", "2s")
	defaults := config.Defaults()
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f := newFlags(set, &defaults)
	f.daemonFlags(&defaults)
	args := "--config " + file + " --mtu 1300 --log-level debug --msl 1s --addr 10.7.0.8/29 --addr 10.7.0.3,10.7.0.4"
	if err := set.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	l, err := f.sources().Load(defaults)
	if err != nil {
		t.Fatal(err)
	}
	got := l.Config
	want := config.Defaults()
	want.MTU, want.Queues, want.Log.Level, want.TCP.MSL = 1300, 4, "debug", time.Second
	if addrs := strings.Join(texts(got.Addresses), " "); addrs != "10.7.0.8/29 10.7.0.3 10.7.0.4" {
		t.Errorf("addresses %s", addrs)
	}
	got.Addresses = want.Addresses
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestOneFaultDoesNotHideAnother: the file's, the environment's and the flags' are told at once.
func TestOneFaultDoesNotHideAnother(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tcpd.yaml")
	if err := os.WriteFile(file, []byte("nope: 1\nqueues: 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TCPD_LOG_LEVLE", "info")
	_, err := output(t, "run", "-c", file, "--mtu", "3")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"TCPD_LOG_LEVLE: unknown variable; is it to be TCPD_LOG_LEVEL?", file + ":1:1: nope: unknown key", file + ":2:9: queues: 99 is outside", "\n--mtu: 3 is outside"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("lacks %q:\n%v", want, err)
		}
	}
}

// TestConnectHasNoEnvironment: that is the daemon's, whose device and addresses it must not take.
func TestConnectHasNoEnvironment(t *testing.T) {
	t.Setenv("TCPD_DEVICE", "a/b")
	if _, err := output(t, "connect", "127.0.0.1", "80"); err == nil || !strings.Contains(err.Error(), "another of its addresses") {
		t.Error(err)
	}
	if _, err := output(t, "run"); err == nil || !strings.Contains(err.Error(), "TCPD_DEVICE: ") {
		t.Error(err)
	}
}

// TestHelpNamesControllers: all that there are, and the default.
func TestHelpNamesControllers(t *testing.T) {
	for _, command := range []string{"run", "connect"} {
		out, err := output(t, command, "--help")
		want := "congestion control algorithm: " + strings.Join(cc.Names(), ", ") + ` (default "cubic")`
		if err != nil || !strings.Contains(out, want) || !strings.Contains(want, "bbr3") {
			t.Errorf("%s: %v, %s\nlacks %s", command, err, out, want)
		}
	}
}

// TestSettingsFollow: every setting that the configuration has reaches the connections, and there is none beside.
func TestSettingsFollow(t *testing.T) {
	defaults := config.Defaults().TCP
	before := reflect.ValueOf(settings(&defaults))
	changed := map[string]bool{}
	v := reflect.ValueOf(&defaults).Elem()
	for i := range v.NumField() {
		c := defaults
		f := reflect.ValueOf(&c).Elem().Field(i)
		spoil(f)
		if reflect.DeepEqual(settings(&c), settings(&defaults)) {
			t.Errorf("%s changes nothing", v.Type().Field(i).Name)
		}
		after := reflect.ValueOf(settings(&c))
		for k := range after.NumField() {
			if !after.Field(k).Equal(before.Field(k)) {
				changed[after.Type().Field(k).Name] = true
			}
		}
	}
	for k := range before.NumField() {
		if name := before.Type().Field(k).Name; !changed[name] {
			t.Errorf("%s cannot be configured", name)
		}
	}
}

// spoil gives a setting another value, which is allowed, too.
func spoil(f reflect.Value) {
	switch {
	case f.Kind() == reflect.Bool:
		f.SetBool(!f.Bool())
	case f.CanInt():
		f.SetInt(f.Int() + 1)
	case f.CanUint():
		f.SetUint(f.Uint() + 1)
	case f.Kind() == reflect.String:
		f.SetString(map[string]string{"cubic": "bbr", "passive": "on", "black-hole": "off"}[f.String()])
	}
}

// TestSettings: the configuration's defaults are those of the packages that they are for.
func TestSettings(t *testing.T) {
	c := config.Defaults()
	if got, want := settings(&c.TCP), tcp.Defaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestRoutes(t *testing.T) {
	for _, test := range []struct {
		host  string
		addrs []string
		want  []string
	}{
		{"10.7.0.1/24", []string{"10.7.0.2", "10.7.0.8/29"}, nil},
		{"10.7.0.1/24", []string{"10.7.0.2", "192.0.2.0/24", "10.7.0.0/16"}, []string{"192.0.2.0/24", "10.7.0.0/16"}},
		{"10.7.0.1/24", []string{"0.0.0.0/0"}, []string{"0.0.0.0/0"}},
		{"", []string{"10.7.0.2"}, []string{"10.7.0.2/32"}},
	} {
		var c config.Config
		if test.host != "" {
			if err := c.Host.UnmarshalText([]byte(test.host)); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range test.addrs {
			var p config.Prefix
			if err := p.UnmarshalText([]byte(a)); err != nil {
				t.Fatal(err)
			}
			c.Addresses = append(c.Addresses, p)
		}
		var got []string
		for _, p := range routes(&c) {
			got = append(got, p.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("host %q, addresses %v: routes %v, want %v", test.host, test.addrs, got, test.want)
		}
	}
}

func TestConnectStandsBesideRun(t *testing.T) {
	r, c := config.Defaults(), connectDefaults()
	if c.Device == r.Device || c.Host.Overlaps(r.Host) {
		t.Errorf("connect's %s on %s meets run's %s on %s", c.Host, c.Device, r.Host, r.Device)
	}
	for _, f := range c.Validate() {
		t.Error(f)
	}
}
