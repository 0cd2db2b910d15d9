package main

import (
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
)

// TestShortForm: trace and capture take the end of a connection's id, as explain does; where it names none, and where nobody looks,
// it is told how to ask for a port.
func TestShortForm(t *testing.T) {
	o := newOperated(t)
	port := o.dial(config.PortEcho, false)
	c := control.NewClient(o.path)
	defer c.Close()
	for _, name := range []string{":" + port, "10.7.0.1:" + port, "10.7.0.2:7-10.7.0.1:" + port} {
		f, err := findEventFilter(t.Context(), c, []string{name})
		if err != nil || f.Connection != "10.7.0.2:7-10.7.0.1:"+port {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if f, err := findEventFilter(t.Context(), c, []string{"sport", "=", ":7"}); err != nil || f.LocalPort != 7 || f.Connection != "" {
		t.Errorf("%+v, %v", f, err)
	}
	o.dial(config.PortEcho, false)
	for command, want := range map[string]string{
		"trace :7": "names 2 connections", "trace :99": "there is no connection", "capture -w " + t.TempDir() + "/none :7": "names 2 connections", "watch :7": `":7": `,
	} {
		_, err := output(t, append(strings.Fields(command), "--control", o.path)...)
		_, port, _ := strings.Cut(command, ":")
		hint := `say "sport = :` + port + `" for tcpd's port, "dport = :` + port + `" for the peer's`
		if err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := parseEventFilter([]string{":7"}); err == nil || !strings.Contains(err.Error(), "dport = :7") {
		t.Error(err)
	}
}

// A filter that is wrong is told as such, though no daemon runs.
func TestFiltersAreReadFirst(t *testing.T) {
	for _, command := range []string{"ss", "trace", "capture -w " + t.TempDir() + "/none", "watch -o json"} {
		args := append(strings.Fields(command), "--control", "/nonexistent")
		if _, err := output(t, append(args, "blah")...); err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), "is not a filter") {
			t.Errorf("%s: %v", command, err)
		}
		if _, err := output(t, append(args, "sport", "=", ":7")...); err == nil || exitCode(err) == exitUsage {
			t.Errorf("%s of a good one: %v", command, err)
		}
	}
}
