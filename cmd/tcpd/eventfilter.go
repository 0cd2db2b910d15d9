package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// eventFilterHelp tells of the filters of trace and capture.
const eventFilterHelp = "FILTER is a connection that there is, named as for \"tcpd explain\": by its id, LOCAL-REMOTE as \"tcpd ss --output json\" has\n" +
	"it, or an end of it, such as :40614. Or it is one or more of these, all of which must hold:\n" +
	"  src ADDRESS, dst ADDRESS     tcpd's address or the peer's, or a prefix; :PORT may follow, or stand alone\n" +
	"  sport = :PORT, dport = :PORT a number, or the name of a service"

// findEventFilter reads a filter of trace and capture, in which a connection may be named in short.
func findEventFilter(ctx context.Context, c *control.Client, args []string) (control.EventFilter, error) {
	hint := shortForm(args)
	if hint == nil {
		f, err := parseEventFilter(args)
		if err != nil {
			return f, usageError{err}
		}
		return f, nil
	}
	id, err := findConnection(ctx, c, args[0])
	if _, several := errors.AsType[usageError](err); several {
		err = usageError{fmt.Errorf("%w; %w", err, hint)}
	}
	if err == nil && id == "" {
		err = usageError{fmt.Errorf("there is no connection %q now; %w", args[0], hint)}
	}
	return control.EventFilter{Connection: id}, err
}

// checkEventFilter finds what is wrong with a filter before any daemon is asked.
func checkEventFilter(_ *cobra.Command, args []string) error {
	if shortForm(args) != nil { // who is asked knows
		return nil
	}
	_, err := parseEventFilter(args)
	return err
}

// shortForm is an error for a filter that is the end of a connection's id and no more, as explain and reset take it; it tells how to
// ask for the port.
func shortForm(args []string) error {
	if len(args) != 1 || strings.ContainsAny(args[0], "-= ") {
		return nil
	}
	_, port, ok := strings.Cut(args[0], ":")
	if !ok {
		return nil
	}
	return fmt.Errorf("as a filter say \"sport = :%s\" for tcpd's port, \"dport = :%s\" for the peer's", port, port)
}

// parseEventFilter reads a filter of trace and capture.
func parseEventFilter(args []string) (f control.EventFilter, err error) {
	if len(args) == 1 && strings.Contains(args[0], "-") {
		f.Connection = args[0]
		return f, nil
	}
	if err := shortForm(args); err != nil {
		return f, fmt.Errorf("%q: %w", args[0], err)
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
