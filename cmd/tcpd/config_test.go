package main

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
)

// TestConfigCheck: all faults of all files, and how many files have some. What the environment says is of no matter.
func TestConfigCheck(t *testing.T) {
	t.Setenv("TCPD_MTU", "many")
	good, bad, none := file(t, "mtu: 1400\n"), file(t, "mtu: 3\nmut: 4\ntcp: {rto_min: 59s}\nlimits: {memory: 1MB}\n"), filepath.Join(t.TempDir(), "none")
	out, err := output(t, "config", "check", good)
	if err != nil || out != good+": ok\n" {
		t.Errorf("%s, %v", out, err)
	}
	out, err = output(t, "config", "check", bad, good, none)
	want := strings.ReplaceAll(`F:1:6: mtu: 3 is outside 68 to 65535
F:2:1: mut: unknown key; is it to be mtu?
F:4:18: limits.memory: 1MB is not a size, such as 65536, 64KiB or 1MiB
`, "F", bad) + good + ": ok\n" + none + ": no such file or directory\n"
	if out != want || err == nil || err.Error() != "2 of 3 files have faults" || exitCode(err) != exitFailed {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	out, err = output(t, "config", "check", "-o", "json", good, bad)
	var list []checked
	if e := json.Unmarshal([]byte(out), &list); e != nil || err == nil || len(list) != 2 || !list[0].OK || list[1].OK || list[1].File != bad {
		t.Fatalf("%s, %v, %v", out, e, err)
	}
	if got := list[1].Faults[0]; len(list[1].Faults) != 3 || got != (fault{1, 6, "mtu", "3 is outside 68 to 65535"}) {
		t.Errorf("%+v", got)
	}
	for want, files := range map[string][]string{
		"the file has faults": {none}, "1 of 2 files has faults": {good, none}, "2 of 2 files have faults": {bad, none},
	} {
		if _, err := output(t, append([]string{"config", "check"}, files...)...); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, args := range []string{"", "-o yaml x", "--nope x"} {
		if _, err := output(t, append([]string{"config", "check"}, strings.Fields(args)...)...); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestConfigPrint: what run would have, in each of the forms.
func TestConfigPrint(t *testing.T) {
	path := file(t, "mtu: 1400\ntcp: {ecn: on, rto_min: 300ms}\nservices:\n- {port: 7, service: echo}\n")
	t.Setenv("TCPD_TCP_ECN", "accurate")
	t.Setenv("TCPD_LIMITS_HALF_OPEN", "99")
	args := []string{"config", "print", "-c", path, "--mtu", "1300", "--control", ""}
	text, err := output(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Parse("f", []byte(text))
	if err != nil || c.MTU != 1300 || c.TCP.ECN != "accurate" || c.Limits.HalfOpen != 99 || len(c.Services) != 1 {
		t.Errorf("%v\n%s", err, text)
	}
	for _, want := range []string{"mtu: 1300", "# flag --mtu", "# env TCPD_TCP_ECN", "# " + path + ":2\n", "# " + path + ":4\n", "# default"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s\n%s", want, text)
		}
	}
	text, err = output(t, append(args, "-o", "table")...)
	want := "Key Value Origin\nmtu 1300 flag --mtu\ncontrol \"\" flag --control\ntcp.rto_min 300ms " + path + ":2\ntcp.ecn accurate env TCPD_TCP_ECN\n" +
		"limits.half_open 99 env TCPD_LIMITS_HALF_OPEN\nservices[0] {port: 7, service: echo} " + path + ":4\n"
	if squeezed := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), " "); err != nil || squeezed != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, squeezed, want)
	}
	if text, err = output(t, append(args, "-o", "wide")...); err != nil || !strings.Contains(text, "\ntcp.sack ") || strings.Count(text, "\n") != len(config.Keys())+1 {
		t.Errorf("%v\n%s", err, text)
	}
	text, err = output(t, append(args, "-o", "json")...)
	var l config.Loaded
	if e := json.Unmarshal([]byte(text), &l); e != nil || err != nil || !reflect.DeepEqual(l.Config, c) || l.Origins["mtu"].Name != "--mtu" || l.Origins["tcp.rto_min"].Line != 2 {
		t.Errorf("%v, %v\n%s", e, err, text)
	}
	if _, err := output(t, "config", "print", "--mtu", "3", "-c", path); err == nil || err.Error() != "--mtu: 3 is outside 68 to 65535" || exitCode(err) != exitFailed {
		t.Error(err)
	}
}

// TestConfigPrintDefaults: a table of what is not by default is not empty without a word.
func TestConfigPrintDefaults(t *testing.T) {
	if out, err := output(t, "config", "print", "-o", "table"); err != nil || out != "all is by default; -o wide has it\n" {
		t.Errorf("%v, %q", err, out)
	}
	if out, err := output(t, "config", "print", "-o", "wide"); err != nil || !strings.Contains(out, "\nmtu ") {
		t.Errorf("%v, %q", err, out)
	}
}

// TestConfigPrintLive: a daemon tells its own, and flags cannot change that.
func TestConfigPrintLive(t *testing.T) {
	o := newOperated(t)
	t.Setenv("TCPD_QUEUES", "7")
	if got := o.run("config", "print", "--live", "-o", "table"); !strings.Contains(got, "mtu 1500  flag --mtu\n") || strings.Contains(got, "QUEUES") {
		t.Error(got)
	}
	if _, err := output(t, "config", "print", "--live", "--mtu", "1400"); exitCode(err) != exitUsage {
		t.Error(err)
	}
	if _, err := output(t, "config", "print", "--live", "--control", filepath.Join(t.TempDir(), "none")); exitCode(err) != exitUnreachable {
		t.Error(err)
	}
}

func TestConfigSchema(t *testing.T) {
	out, err := output(t, "config", "schema")
	want, _ := config.Schema()
	if err != nil || out != string(want)+"\n" || !json.Valid(want) {
		t.Errorf("%v, %.200s", err, out)
	}
}

// TestReloadCommand: a line for each thing that has come of it.
func TestReloadCommand(t *testing.T) {
	o := newOperated(t)
	if out := o.run("reload"); out != "nothing to change\n" {
		t.Error(out)
	}
	o.reloaded = control.Reloaded{Applied: []string{"services"}, Restart: []string{"device", "mtu"}, Opened: []string{"echo 10.7.0.2:8"}}
	if out := o.run("reload"); out != "services        applied\necho 10.7.0.2:8 opened\ndevice          needs a restart\nmtu             needs a restart\n" {
		t.Error(out)
	}
	var v control.Reloaded
	if err := json.Unmarshal([]byte(o.run("reload", "-o", "json")), &v); err != nil || !reflect.DeepEqual(v, o.reloaded) {
		t.Errorf("%+v, %v", v, err)
	}
	o.refusal = errors.New("f:1:6: mtu: many is not a whole number")
	if _, err := output(t, "reload", "--control", o.path); err == nil || exitCode(err) != exitFailed || !strings.HasSuffix(err.Error(), o.refusal.Error()) {
		t.Error(err)
	}
}
