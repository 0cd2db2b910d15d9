package main

import (
	"fmt"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// eventFilterHelp tells of the filters of trace and capture.
const eventFilterHelp = "FILTER is the id of a connection, LOCAL-REMOTE as \"tcpd ss --output json\" has it, or one or more of these, all of\n" +
	"which must hold:\n" +
	"  src ADDRESS, dst ADDRESS     tcpd's address or the peer's, or a prefix; :PORT may follow, or stand alone\n" +
	"  sport = :PORT, dport = :PORT a number, or the name of a service"

// parseEventFilter reads a filter of trace and capture.
func parseEventFilter(args []string) (f control.EventFilter, err error) {
	if len(args) == 1 && strings.Contains(args[0], "-") {
		f.Connection = args[0]
		return f, nil
	}
	q, err := parseSSFilter(&ssOptions{}, args)
	if err != nil {
		return f, err
	}
	for _, word := range filterWords(args) {
		if word == "state" || word == "exclude" {
			return f, fmt.Errorf("%q: what happens can't be asked for by state; it changes", word)
		}
	}
	f.Filter = q.Filter
	f.States = nil
	return f, nil
}
