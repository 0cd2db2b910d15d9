// Package gvisor holds our TCP against gVisor's: both run in this process, in virtual time, on wires in memory, and what
// users see of every play must be what the kernel's users see. It is a module of its own, so that ours needs no gVisor.
package gvisor

import (
	"flag"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/fault"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/cable"
	"github.com/tcpd-project/tcpd/test/play"
)

// host is a TCP at an end of a cable.
type host interface {
	play.Host
	close(t *testing.T)
}

type ours struct{ play.Ours }

func startOurs(t *testing.T, end *link.Link, addr netip.Addr) host {
	s, err := stack.New(stack.Config{
		Link: end, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 32)}, Strict: true, Secrets: [2]tcp.Secret{{1, 2}, {3, 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	return ours{play.Ours{Stack: s, IP: addr}}
}

// close closes the stack, in which then everything must be as its invariants say.
func (o ours) close(t *testing.T) {
	if err := o.Stack.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-o.Stack.Failed():
		t.Errorf("a shard has failed: %v", err)
	default:
	}
	if err := o.Stack.Check(); err != nil {
		t.Error(err)
	}
}

// start starts a host.
type start func(t *testing.T, end *link.Link, addr netip.Addr) host

var pairings = []struct {
	name string
	a, b start
}{
	{"ours and gVisor's", startOurs, startTheirs},
	{"gVisor's and ours", startTheirs, startOurs},
	{"ours and ours", startOurs, startOurs},
	{"gVisor's and gVisor's", startTheirs, startTheirs},
}

// The wires on which all plays are performed. More of them for a soak.
var (
	wires = []cable.Conditions{
		{Name: "clean", Faults: fault.Faults{Delay: time.Millisecond}},
		{Name: "lossy and reordering", Faults: fault.Faults{
			Loss: 0.03, Corrupt: 0.005, Duplicate: 0.02, Reorder: 0.1, Late: 3 * time.Millisecond,
			Delay: 2 * time.Millisecond, Jitter: time.Millisecond / 2,
		}},
	}
	soakWires = []cable.Conditions{
		{Name: "lossy", Faults: fault.Faults{Loss: 0.03, Corrupt: 0.005, Delay: 10 * time.Millisecond}},
		{Name: "reordering", Faults: fault.Faults{
			Reorder: 0.2, Late: 10 * time.Millisecond, Duplicate: 0.05, Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond,
		}},
		{Name: "narrow", MTU: 576, Faults: fault.Faults{Delay: time.Millisecond}},
		{Name: "narrow and lossy", MTU: 296, Faults: fault.Faults{Loss: 0.05, Delay: 20 * time.Millisecond}},
		{Name: "wide", MTU: 9000, Faults: fault.Faults{Loss: 0.01, Reorder: 0.01, Delay: 50 * time.Millisecond}},
	}
)

var (
	seeds = flag.Int("soak", 0, "how many seeds to try, on more wires than usual")
	first = flag.Uint64("seed", 1, "the first seed")
)

// patience is virtual time: it only ends what waits for ever.
const patience = 2 * time.Hour

var addrs = [2]netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")}

// TestEveryEndAsInTheKernel performs every play with every pairing on every wire.
func TestEveryEndAsInTheKernel(t *testing.T) {
	wires, n := wires, 1
	if *seeds > 0 {
		wires, n = append(wires, soakWires...), *seeds
	}
	for seed := *first; seed < *first+uint64(n); seed++ {
		for _, w := range wires {
			for _, p := range play.All() {
				if p.Ordered && !w.Ordered() {
					continue
				}
				t.Run(fmt.Sprintf("seed %d, %s wire, %s", seed, w.Name, p.Name), func(t *testing.T) {
					t.Parallel()
					perform(t, &p, w, seed)
				})
			}
		}
	}
}

// perform performs a play with every pairing, and with the parts exchanged.
func perform(t *testing.T, p *play.Play, w cable.Conditions, seed uint64) {
	for _, x := range pairings {
		for _, exchanged := range []bool{false, true} {
			if exchanged && p.Even {
				break
			}
			name := x.name
			if exchanged {
				name += ", exchanged"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := cable.New(seed, w)
					a, b := x.a(t, c.A, addrs[0]), x.b(t, c.B, addrs[1])
					if d := p.Check(play.Stage{A: a, B: b, Patience: patience, Cut: c.Cut, Exchanged: exchanged, Port: 5000}); d != "" {
						t.Error(d)
					}
					a.close(t)
					b.close(t)
				})
			})
		}
	}
}

// differences are where the users of gVisor's TCP see something else than the kernel's, and gVisor may.
var differences = []play.Difference{{
	Play: "b writes to a that has stopped reading and writing",
	Line: "a reads 0 bytes, sum 00000000: read tcp: read ECONNRESET",
	Is:   "a reads 0 bytes, sum 00000000: read tcp: read ECONNABORTED",
	Why:  "no RFC names the error for a connection that its own TCP has reset (RFC 1122 section 4.2.2.13)",
}}

func TestNoDifferenceIsStale(t *testing.T) {
	for _, name := range play.Stale(differences) {
		t.Errorf("there is no play %q", name)
	}
}
