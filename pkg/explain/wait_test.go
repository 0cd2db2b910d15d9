package explain

import (
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// TestNoOtherTimersDeadline wants a wait to tell when its own timer is due, not when a delayed acknowledgment is.
func TestNoOtherTimersDeadline(t *testing.T) {
	for _, c := range []Connection{
		{State: "SYN-SENT", Timer: "on", Info: tcp.Info{Flight: 1, Retries: 1}},
		{State: "ESTABLISHED", Timer: "persist", Info: tcp.Info{Unsent: 1}},
		{State: "FIN-WAIT-2", Timer: "timewait", Orphan: true},
		{State: "TIME-WAIT", Timer: "timewait"},
	} {
		c.Left = 7 * mono.Second
		own := c.waits()[0].Text
		c.Timer = "unknown"
		if other := c.waits()[0].Text; !strings.Contains(own, ", in 7s") || strings.Contains(other, ", in ") {
			t.Errorf("%s: %q; with another timer %q", c.State, own, other)
		}
	}
}
