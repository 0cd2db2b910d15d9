package explain

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// checkNames wants a sentence of its own for each name, and none for anything else.
func checkNames(t *testing.T, table map[string]string, ask func(string) string, names []string) {
	t.Helper()
	said := map[string]string{}
	for _, name := range names {
		text := ask(name)
		if text == "" {
			t.Errorf("%s has no sentence", name)
		}
		if other, ok := said[text]; ok {
			t.Errorf("%s has the sentence of %s", name, other)
		}
		said[text] = name
		checkSentence(t, text)
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if !slices.Contains(names, name) {
			t.Errorf("%s: there is no such name", name)
		}
	}
	if got := ask("no_such"); got != "" {
		t.Errorf("no_such: %q", got)
	}
}

func TestEveryIncident(t *testing.T) {
	var names []string
	for i := range tcp.Incident(tcp.NumIncidents) {
		names = append(names, i.String())
	}
	checkNames(t, incidents, Incident, names)
}

func TestEveryDrop(t *testing.T) {
	var names []string
	for d := tcp.DropNone + 1; d < tcp.NumDrops; d++ {
		names = append(names, d.String())
	}
	for d := range stack.Drop(len(stack.Counters{}.Stack)) {
		if d != stack.DropNone {
			names = append(names, d.String())
		}
	}
	for d := ip.DropNone + 1; int(d) < ip.NumDrops; d++ {
		names = append(names, d.String())
	}
	checkNames(t, drops, Drop, names)
}

func TestEveryResend(t *testing.T) {
	var names []string
	for r := tcp.Resend(1); int(r) < tcp.NumResends; r++ {
		names = append(names, r.String())
	}
	checkNames(t, resends, Resend, names)
}

// callName is the name of a call, or "" if there is none of that number.
func callName(c stack.Call) (name string) {
	defer func() { _ = recover() }()
	return c.String()
}

func TestEveryCall(t *testing.T) {
	var names []string
	for c := stack.CallOpen; callName(c) != ""; c++ {
		names = append(names, callName(c))
	}
	if !slices.Contains(names, stack.CallAbort.String()) {
		t.Fatalf("only %s", strings.Join(names, ", "))
	}
	checkNames(t, calls, Call, names)
}
