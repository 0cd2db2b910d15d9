package e2e

import (
	"testing"

	"github.com/tcpd-project/tcpd/test/space"
)

// A short name for what the log consists of.
type line = space.Line

// journal is a daemon's log, read as the lives of connections.
type journal struct{ *space.Journal }

// path is the life of a connection as logged, a "FROM Event TO" for each change of state.
func (j journal) path(conn string) []string {
	var path []string
	for _, l := range j.All() {
		if l.Msg == "state" && l.Conn == conn && l.From != l.To {
			path = append(path, l.From+" "+l.Event+" "+l.To)
		}
	}
	return path
}

// checkChains holds every logged life together: each change of state begins where the last one ended, and names
// the RFC.
func (j journal) checkChains(t *testing.T) {
	t.Helper()
	last := map[string]string{}
	for _, l := range j.All() {
		if l.Msg != "state" {
			continue
		}
		if l.Conn == "" || l.From == "" || l.Event == "" || l.To == "" || l.RFC == "" {
			t.Errorf("a state change without all of conn, from, event, to, rfc: %s", l.Raw)
		}
		if before, ok := last[l.Conn]; ok && before != l.From && before != "CLOSED" {
			t.Errorf("%s was %s before: %s", l.Conn, before, l.Raw)
		}
		last[l.Conn] = l.To
	}
}
