// Package attack attacks the daemon as outsiders do: the built binary on a real TUN, with honest clients of the kernel's
// TCP beside. Packets are forged here and written straight into the device's reader, past the kernel's checks; or the
// tools that everybody has are let loose. After each attack the daemon lives, the honest have been served, the counter
// that names the attack has risen by what was sent, and what is kept is within the bound that docs/threat-model.md states.
package attack

import (
	"flag"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

var (
	full = flag.Bool("full", false, "ten times the packets, and all of what the tools do")
	seed = flag.Uint64("seed", 1, "what forged numbers are drawn from")
)

const (
	device = "tcpd0"
	hostIP = "10.7.0.1"

	echoPort    = 7
	discardPort = 9
	daytimePort = 13
	chargenPort = 19
	httpPort    = 80
	closedPort  = 81
)

// daemonIP is the daemon's address, peerIP one that is nobody's: the kernel passes over in silence what is sent there.
var (
	daemonIP = netip.MustParseAddr("10.7.0.2")
	peerIP   = netip.MustParseAddr("10.7.0.77")
)

// tcpd is the daemon under test.
var tcpd string

func TestMain(m *testing.M) { os.Exit(space.RunWithDaemon(m, &tcpd)) }

// packets is how many packets an attack has.
func packets(n int) int {
	switch {
	case *full:
		return 10 * n
	case testing.Short():
		return n / 10
	}
	return n
}

// deadline is when a test stops waiting for what must happen: late, since under attack it may take its time.
func deadline() time.Time { return time.Now().Add(3 * space.Patience) }
