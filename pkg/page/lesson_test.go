package page

import (
	"slices"
	"strings"
	"testing"
)

// TestLessons: each lesson makes happen what it is about.
func TestLessons(t *testing.T) {
	for name, want := range map[string][]string{
		"handshake": {"client: CLOSED -> SYN-SENT", "client: SYN-SENT -> ESTABLISHED", "server: SYN-RECEIVED -> ESTABLISHED"},
		"close": {
			"client: ESTABLISHED -> FIN-WAIT-1", "server: ESTABLISHED -> CLOSE-WAIT", "client: FIN-WAIT-1 -> FIN-WAIT-2",
			"server: CLOSE-WAIT -> LAST-ACK", "client: FIN-WAIT-2 -> TIME-WAIT", "server: LAST-ACK -> CLOSED",
		},
		"half-close":         {"client: FIN-WAIT-1 -> FIN-WAIT-2", "client: FIN-WAIT-2 -> TIME-WAIT"},
		"simultaneous-close": {"client: FIN-WAIT-1 -> CLOSING", "client: CLOSING -> TIME-WAIT", "server: CLOSING -> TIME-WAIT"},
		"time-wait":          {"client: TIME-WAIT -> CLOSED"},
		"late-segment":       {"client: TIME-WAIT -> TIME-WAIT", "client: TIME-WAIT -> CLOSED"},
		"reset":              {"client: SYN-SENT -> CLOSED"},
		"isn":                {"client: SYN-SENT -> ESTABLISHED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := run(t.Context(), lessons[name])
			if err != nil {
				t.Fatal(err)
			}
			var moves []string
			syns := map[uint32]bool{}
			for _, e := range events {
				switch {
				case e.Kind == "transition":
					moves = append(moves, e.End+": "+e.State+" -> "+e.To)
				case e.Kind == "departure" && e.Segment.Flags == "SYN":
					syns[e.Segment.Seq] = true
				}
			}
			for _, w := range want {
				if !slices.Contains(moves, w) {
					t.Errorf("no %s in:\n%s", w, strings.Join(moves, "\n"))
				}
			}
			if name == "isn" && len(syns) != howMany {
				t.Errorf("first numbers: %v", syns)
			}
		})
	}
	if len(lessons) != 8 {
		t.Errorf("%d lessons", len(lessons))
	}
}
