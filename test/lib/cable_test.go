package lib

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/link/fault"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/test/cable"
	"github.com/tcpd-project/tcpd/test/play"
	"github.com/tcpd-project/tcpd/test/space"
)

var update = flag.Bool("update", false, "write what the kernel's users see to ../play/plays.golden")

// The two ends of a cable.
var cableIPs = [2]netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("10.9.0.2/24")}

const cableDevice = "cable0"

// patient is how often a segment is sent again before its connection is given up.
type patient struct{ syn, text uint8 }

// impatient is for wires that are broken.
var impatient = &patient{syn: 1, text: 3}

// plugIn makes a host of plays at an end of a cable. It is as patient as usual if p is nil.
type plugIn func(t *testing.T, end *link.Link, at netip.Prefix, p *patient) play.Host

// kernelOn plugs in the kernel's TCP of a namespace of its own, by a TUN.
func kernelOn(t *testing.T, end *link.Link, at netip.Prefix, p *patient) play.Host {
	t.Helper()
	s := newSpace(t)
	var file *os.File
	s.must(func() error {
		fd, err := openTUN(cableDevice, false)
		if err == nil {
			file = os.NewFile(uintptr(fd), cableDevice)
		}
		return err
	})
	s.ip(fmt.Sprintf("link set %s up mtu %d txqueuelen 10000", cableDevice, end.MTU))
	s.ip(fmt.Sprintf("addr add %v dev %s", at, cableDevice))
	if p != nil {
		s.sysctl("net/ipv4/tcp_syn_retries", fmt.Sprint(p.syn))
		s.sysctl("net/ipv4/tcp_retries2", fmt.Sprint(p.text))
	}
	plug := cable.Insert(end, func(packet []byte) {
		_, _ = file.Write(packet) // what the device does not take is lost
	})
	read := make(chan struct{})
	go func() {
		defer close(read)
		for buf := make([]byte, link.MaxPacket); ; {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			plug.Send(buf[:n])
		}
	}()
	t.Cleanup(func() {
		plug.Pull()
		file.Close()
		<-read
	})
	return kernelHost{s, at.Addr()}
}

// oursOn gives our TCP an end of a cable.
func oursOn(t *testing.T, end *link.Link, at netip.Prefix, p *patient) play.Host {
	t.Helper()
	settings := tcp.Defaults()
	if p != nil {
		settings.SynRetries, settings.Retries2 = p.syn, p.text
	}
	st := must[*stack.Stack](t)(startStack(stack.Config{
		Link: end, Addrs: []netip.Prefix{netip.PrefixFrom(at.Addr(), 32)}, TCP: settings,
	}))
	t.Cleanup(func() { stopStack(t, st) })
	return play.Ours{Stack: st, IP: at.Addr()}
}

// cabled are hosts to be connected by a cable.
type cabled struct {
	name string
	a, b plugIn
}

var kernels = cabled{"the kernel and the kernel", kernelOn, kernelOn}

var cabledPairs = []cabled{
	kernels, {"we and the kernel", oursOn, kernelOn}, {"the kernel and we", kernelOn, oursOn}, {"we and ourselves", oursOn, oursOn},
}

// connect connects the hosts of a pairing.
func (x *cabled) connect(t *testing.T, seed uint64, w cable.Conditions, p *patient) (pairing, *cable.Cable) {
	t.Helper()
	c := cable.New(seed, w)
	name := x.name + ", a wire that " + w.Name
	return pairing{name, x.a(t, c.A, cableIPs[0], p), x.b(t, c.B, cableIPs[1], p)}, c
}

// soak is for long runs: every wire, and many seeds.
var soak = flag.Int("soak", 0, "how many seeds the tests on bad wires try, on more wires than usual")

var goodWire = cable.Conditions{Name: "does no harm"}

// The wires on which all plays are performed. More of them for a soak.
var (
	cableWires = []cable.Conditions{goodWire, {Name: "loses and reorders", Faults: fault.Faults{
		Loss: 0.01, Corrupt: 0.002, Reorder: 0.05, Late: 2 * time.Millisecond, Duplicate: 0.01, Delay: time.Millisecond,
	}}}
	soakWires = []cable.Conditions{
		{Name: "is narrow and loses", MTU: 576, Faults: fault.Faults{Loss: 0.02, Corrupt: 0.002, Delay: time.Millisecond}},
		{Name: "reorders", Faults: fault.Faults{Reorder: 0.1, Late: 2 * time.Millisecond, Duplicate: 0.02}},
	}
)

// TestEveryEndOnBadWires: what TestEveryEndAsInTheKernel says holds on a wire that loses, reorders and repeats segments,
// too, and for connections that both ends open at once.
func TestEveryEndOnBadWires(t *testing.T) {
	need(t)
	t.Parallel()
	wires := cableWires
	if *soak > 0 {
		wires = append(wires, soakWires...)
	}
	for seed := range uint64(max(*soak, 1)) {
		var stages []func()
		for _, w := range wires {
			for _, c := range cabledPairs {
				x, _ := c.connect(t, seed, w, nil)
				stages = append(stages, func() { x.performAll(t, &w) })
			}
		}
		space.InParallel(t, len(stages), 4, func(i int) error {
			stages[i]()
			return nil
		})
	}
}

// performAll performs all plays for which the wire is made, many at a time.
func (x *pairing) performAll(t *testing.T, w *cable.Conditions) {
	plays := play.All()
	space.InParallel(t, len(plays), 8, func(i int) error {
		if p := &plays[i]; !p.Cut && (w.Ordered() || !p.Ordered) {
			x.perform(t, p, firstPort+4*uint16(i), nil)
		}
		return nil
	})
}

// TestBrokenWires: a wire is broken for all who use it, so each of these plays has one of its own.
func TestBrokenWires(t *testing.T) {
	need(t)
	t.Parallel()
	var stages []func()
	for _, p := range play.All() {
		if !p.Cut {
			continue
		}
		for _, x := range cabledPairs {
			x, c := x.connect(t, 0, goodWire, impatient)
			stages = append(stages, func() { x.perform(t, &p, firstPort, c.Cut) })
		}
	}
	space.InParallel(t, len(stages), len(stages), func(i int) error {
		stages[i]()
		return nil
	})
}

// TestGolden writes plays.golden, from the kernel at both ends of a cable.
func TestGolden(t *testing.T) {
	need(t)
	if !*update {
		t.Skip("writes plays.golden with -update; the other tests hold the kernel against it")
	}
	var b strings.Builder
	for _, p := range play.All() {
		x, c := kernels.connect(t, 0, goodWire, impatient)
		b.WriteString(p.Golden(p.Perform(play.Stage{A: x.a, B: x.b, Patience: longPatience, Cut: c.Cut, Port: firstPort})))
	}
	if err := os.WriteFile("../play/plays.golden", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
