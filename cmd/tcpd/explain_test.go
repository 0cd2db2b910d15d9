package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/config"
)

// TestExplain: a connection that is there, by its peer's port, and one that is over.
func TestExplain(t *testing.T) {
	o := newOperated(t)
	port := o.dial(config.PortEcho, false)
	out := o.run("explain", ":"+port)
	for _, part := range []string{
		"10.7.0.2:7-10.7.0.1:" + port + ": ESTABLISHED\n", "What happened", "SYN-RECEIVED SYNAcked ESTABLISHED  (RFC 9293 3.10.7.4 fifth)",
		"The third segment", "What it waits for\n  nobody", "Nothing is due",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not in\n%s", part, out)
		}
	}
	if strings.Contains(out, "simultaneous") {
		t.Errorf("it was a passive open:\n%s", out)
	}
	for line := range strings.Lines(out) {
		if len(line) > 120 {
			t.Errorf("a line is as long as %q", line)
		}
	}
	daytime := o.dial(config.PortDaytime, true) // its server closes at once
	var s story
	for !s.Ended {
		if err := json.Unmarshal([]byte(o.run("explain", "-o", "json", ":"+daytime)), &s); err != nil {
			t.Fatal(err)
		}
		if s.State == "FIN-WAIT-2" {
			break
		}
	}
	if len(s.Happened) < 2 || s.Happened[1].What != "ESTABLISHED Close FIN-WAIT-1" {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"/nonexistent/x.pcapng", "nonexistent.pcap"} {
		if _, err := output(t, "explain", name, "--control", o.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := output(t, "explain", "10.7", "--control", o.path); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("part of an address names a connection: %v", err)
	}
}

func TestNamed(t *testing.T) {
	const id = "10.7.0.2:80-10.7.0.1:40614"
	for name, want := range map[string]bool{
		id: true, "10.7.0.1:40614-10.7.0.2:80": true, ":40614": true, "10.7.0.1:40614": true, ":80": true, "10.7.0.2:80": true, "10.7.0.2": true,
		"0.1:40614": false, "0614": false, "40614": false, ":8": false, "": false, ":": false, "-": false,
	} {
		if named(id, name) != want {
			t.Errorf("%q names it: %v", name, !want)
		}
	}
}
