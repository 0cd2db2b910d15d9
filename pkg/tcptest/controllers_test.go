package tcptest

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/seq"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

var update = flag.Bool("update", false, "write the golden files")

// The same transfer goes through the same wires under each congestion controller, and what it cost is held against a
// golden file. The n-th frame meets the same chance whoever sends it, as long as the wire draws nothing for ACKs.
//
// The file is held with margins. One ACK more or less moves every later frame to another draw and to another place in
// the queue: a change that is neither better nor worse gives other figures, as another seed does. So the figures are
// means over seeds, and the margin is a tenth, a bit for small counts, and four times what the mean of so many seeds
// deviates by chance. The deviation is in the file, too: each figure is a mean and, after the sign, the standard
// deviation of one transfer, of more seeds than the test runs. The file guards against what costs more; what costs
// less passes, and is to be written down with -update.

const (
	goldenFile  = "testdata/controllers.golden"
	goldenSeeds = 20 // that -update runs
	testSeeds   = 5

	shortBytes = 250_000 // the most of a transfer in short mode

	mbit = 1_000_000 / 8 // a second, in bytes
)

// tenth and deviations are the margin; small is what counts may grow by besides, a transfer: 5 in all.
const (
	tenth      = 0.1
	deviations = 4
	small      = 5.0 / testSeeds
)

// wire is one row of the table.
type wire struct {
	name   string
	bytes  int           // of the transfer
	super  bool          // the sender's link takes superframes: the wire splits them
	there  Path          // for the text
	back   Path          // for the ACKs
	police int64         // what a policer lets through, bytes a second; 0: there is none
	outage mono.Duration // nothing comes through in either direction for so long, from outageFrom on
}

const (
	outageFrom  = 200 * ms
	policeBurst = 50 * 1500 // bytes
)

func wires() []wire {
	clean := Path{Rate: 200 * mbit, Delay: 5 * ms, Queue: 400 * 1500}
	ack := Path{Delay: 5 * ms}
	but := func(p Path, change func(p *Path)) Path { change(&p); return p }
	shallow := but(clean, func(p *Path) { p.Queue = 40 * 1500 })
	lucky := but(clean, func(p *Path) { p.Queue = 0 }) // nothing overflows: all that goes wrong is the wire's chance
	loss1 := but(lucky, func(p *Path) { p.Loss = 10 })
	loss3 := but(lucky, func(p *Path) { p.Loss = 30 })
	jitter := but(lucky, func(p *Path) { p.Jitter = 4 * ms })
	duplicates := but(lucky, func(p *Path) { p.Duplicate = 20 })
	unclean := func(p *Path) { p.Loss, p.Duplicate, p.Corrupt, p.Jitter = 5, 10, 3, 3*ms }
	long := Path{Rate: 400 * mbit, Delay: 25 * ms, Queue: 1600 * 1500}
	slow := Path{Rate: 2 * mbit, Delay: 20 * ms, Queue: 30 * 1500}
	deep := Path{Rate: 50 * mbit, Delay: 10 * ms}
	return []wire{
		{name: "clean", bytes: 8e6, there: clean, back: ack},
		{name: "clean/super", bytes: 8e6, there: clean, back: ack, super: true},
		{name: "shallow", bytes: 8e6, there: shallow, back: ack},
		{name: "shallow/super", bytes: 8e6, there: shallow, back: ack, super: true},
		{name: "loss1", bytes: 5e6, there: loss1, back: ack},
		{name: "loss1/super", bytes: 5e6, there: loss1, back: ack, super: true},
		{name: "loss3", bytes: 5e6, there: loss3, back: ack},
		{name: "jitter", bytes: 5e6, there: jitter, back: ack},
		{name: "jitter/super", bytes: 5e6, there: jitter, back: ack, super: true},
		{name: "duplicates", bytes: 5e6, there: duplicates, back: ack},
		{name: "long", bytes: 12e6, there: long, back: Path{Delay: long.Delay}},
		{name: "long/super", bytes: 12e6, there: long, back: Path{Delay: long.Delay}, super: true},
		{name: "mess", bytes: 5e6, there: but(lucky, unclean), back: but(ack, unclean)},
		{name: "mess/super", bytes: 5e6, there: but(lucky, unclean), back: but(ack, unclean), super: true},
		{name: "slow", bytes: 1e6, there: slow, back: Path{Delay: slow.Delay}},
		{name: "deep", bytes: 3e6, there: deep, back: Path{Delay: deep.Delay}},
		{name: "policed", bytes: 3e6, there: clean, back: ack, police: 20 * mbit},
		{name: "outage", bytes: 3e6, there: clean, back: ack, outage: 1500 * ms},
	}
}

// inOrder reports that the wire brings all that it does not lose once, and in order.
func (wi *wire) inOrder() bool {
	for _, p := range []*Path{&wi.there, &wi.back} {
		if p.Jitter != 0 || p.Duplicate != 0 {
			return false
		}
	}
	return wi.outage == 0
}

// tally counts what a transfer cost, in segments with text as they are on the wire.
type tally struct {
	sent     int
	resent   int // begin below the end of what was sent before
	timeouts int // expiries of the retransmission timer, of which a controller hears: the first before anything comes
	spurious int // arrived, and the receiver had said that it has them; the wire's own duplicates not
	lost     int // by the wire, or corrupted
	bytes    int
	ms       int           // from the receiver's open connection until it had read all
	stall    mono.Duration // the longest time in which the receiver read nothing
}

// figure is a mean over transfers, and the standard deviation of one.
type figure struct{ mean, deviation float64 }

// figureOf makes a figure of what each transfer has.
func figureOf(list []*tally, what func(*tally) int) figure {
	var sum, squares float64
	for _, x := range list {
		v := float64(what(x))
		sum, squares = sum+v, squares+v*v
	}
	n := float64(len(list))
	mean := sum / n
	return figure{mean, math.Sqrt(max(squares/n-mean*mean, 0))}
}

// measure is one column of the golden file.
type measure struct {
	name string
	of   func(*tally) int
	most func(golden float64) float64 // without the deviation; nil: it is not held
}

func growth(golden float64) float64 { return golden*(1+tenth) + small }

var measures = []measure{
	{"sent", func(x *tally) int { return x.sent }, nil},
	{"lost", func(x *tally) int { return x.lost }, nil},
	{"resent", func(x *tally) int { return x.resent }, growth},
	{"spurious", func(x *tally) int { return x.spurious }, growth},
	{"timeouts", func(x *tally) int { return x.timeouts }, growth},
	{"ms", func(x *tally) int { return x.ms }, func(golden float64) float64 { return golden / (1 - tenth) }}, // goodput
}

// counting is a controller whose time-outs are counted.
type counting struct {
	cc.Algorithm
	timeouts *int
}

func (a counting) Timeout(w *cc.Window, now mono.Time, flight uint32) {
	*a.timeouts++
	a.Algorithm.Timeout(w, now, flight)
}

// had is what the receiver has said that it has.
type had struct {
	ack  seq.Num
	runs []tcp.Block // beyond ack, apart from each other
}

// hear takes what an ACK says.
func (h *had) hear(g *tcp.Segment) {
	if g.Flags&tcp.SYN != 0 {
		h.ack = g.Ack
	}
	h.ack = seq.Max(h.ack, g.Ack)
	for _, b := range g.Options.SACK[:g.Options.Blocks] {
		h.add(b)
	}
}

func (h *had) add(b tcp.Block) {
	kept := h.runs[:0]
	for _, r := range h.runs {
		switch {
		case r.To.LessEq(h.ack):
		case r.To.Less(b.From) || b.To.Less(r.From):
			kept = append(kept, r)
		default:
			b = tcp.Block{From: seq.Min(b.From, r.From), To: seq.Max(b.To, r.To)}
		}
	}
	if h.ack.Less(b.To) {
		kept = append(kept, b)
	}
	h.runs = kept
}

func (h *had) all(from, to seq.Num) bool {
	for _, r := range h.runs {
		if r.From.LessEq(from) && to.LessEq(r.To) {
			return true
		}
	}
	return to.LessEq(h.ack)
}

// transfer is one run: who sends, what is on its way, and what is counted.
type transfer struct {
	*World
	wire     *wire
	began    mono.Time
	max      seq.Num // the end of all that was sent
	coming   map[*Frame]bool
	had      had
	tokens   int64 // the policer's, bytes
	refilled mono.Time
	tally
}

// transferred runs the transfer of one seed to its end.
func transferred(wi *wire, controller string, seed uint64) (*tally, error) {
	x := &transfer{World: NewWorld(seed), wire: wi, coming: map[*Frame]bool{}, tokens: policeBurst}
	x.Blind, x.began, x.refilled, x.bytes = true, x.now, x.now, wi.bytes
	if testing.Short() {
		x.bytes = min(x.bytes, shortBytes)
	}
	s := tcp.Defaults()
	a, _ := cc.ByName(controller)
	s.Congestion = counting{a, &x.timeouts}
	from := x.Host("a", HostOptions{TCP: &s, Superframe: wi.super, Checksum: wi.super})
	to := x.Host("b", HostOptions{Queues: 2, Steer: x.arrived}) // of one queue nobody is asked which
	there, back := wi.there, wi.back
	there.MTU, there.Filter, back.Filter = 1500, x.sent, x.answered
	there.Delay += mono.Duration(x.Rand.Int64N(int64(there.Delay / 5))) // or all seeds would be alike to a wire without chance
	x.Connect(from, to, there)
	x.Connect(to, from, back)
	l := to.Listen(80, 0)
	u := from.Dial(to, 80, 0)
	u.want = uint64(x.bytes)
	x.watchProgress(l)
	u.Close()
	for _, v := range l.Users {
		v.Close()
	}
	x.RunOut(1_000_000, 3600*second)
	x.CheckIdle()
	x.lost = len(x.coming)
	return &x.tally, x.err
}

// watchProgress runs until all has been read.
func (x *transfer) watchProgress(l *Listener) {
	read, opened, at := uint64(0), x.now, x.now
	for read < uint64(x.bytes) && x.now.Sub(x.began) < 60*second && x.Step() {
		switch {
		case len(l.Users) == 0:
			opened, at = x.now, x.now // how long a lost SYN takes is no controller's doing
		case l.Users[0].Read > read:
			x.stall = max(x.stall, x.now.Sub(at))
			read, at = l.Users[0].Read, x.now
		}
	}
	x.ms = int(x.now.Sub(opened) / ms)
	if read < uint64(x.bytes) {
		x.fail("%d of %d bytes in %v", read, x.bytes, x.now.Sub(x.began))
	}
}

// sent sees each frame that the sender puts onto the wire.
func (x *transfer) sent(f *Frame) Verdict {
	if n := uint32(len(f.Seg.Text)); n > 0 {
		if x.tally.sent == 0 {
			x.max = f.Seg.Seq
		}
		x.tally.sent++
		if f.Seg.Seq.Less(x.max) {
			x.resent++
		}
		x.max = seq.Max(x.max, f.Seg.Seq.Add(n))
		x.coming[f] = true
	}
	if x.out() || x.policed(int64(len(f.Packet))) {
		return Lose
	}
	return Pass
}

// arrived sees each frame that reaches the receiver, before it is read.
func (x *transfer) arrived(f *Frame, _ int) int {
	if x.coming[f] && !f.corrupted {
		delete(x.coming, f)
		if x.had.all(f.Seg.Seq, f.Seg.Seq.Add(uint32(len(f.Seg.Text)))) {
			x.spurious++
		}
	}
	return 0
}

// answered sees each frame of the receiver's.
func (x *transfer) answered(f *Frame) Verdict {
	x.had.hear(&f.Seg)
	if x.out() {
		return Lose
	}
	return Pass
}

// out reports that the wire is out of service.
func (x *transfer) out() bool {
	d := x.now.Sub(x.began)
	return d >= outageFrom && d < outageFrom+x.wire.outage
}

// policed reports that the policer drops n bytes. It queues nothing: a token bucket.
func (x *transfer) policed(n int64) bool {
	if x.wire.police == 0 {
		return false
	}
	x.tokens = min(x.tokens+int64(x.now.Sub(x.refilled))*x.wire.police/int64(second), policeBurst)
	x.refilled = x.now
	if x.tokens < n {
		return true
	}
	x.tokens -= n
	return false
}

// sane holds one transfer against what needs no golden figure.
func sane(t *testing.T, wi *wire, controller string, x *tally) {
	t.Helper()
	if g := goodput([]*tally{x}); g < 1 {
		t.Errorf("%s: %.2f Mbit/s", controller, g)
	}
	// The outage doubles the time-out until it is over: the next try may be as far away as it was long.
	if most := second + 2*wi.outage; x.stall > most {
		t.Errorf("%s: nothing came for %v", controller, x.stall)
	}
	if wi.inOrder() && x.spurious > 2 {
		t.Errorf("%s: %d segments were sent that the receiver had, over a wire in order", controller, x.spurious)
	}
	if x.lost == 0 && x.timeouts > 0 {
		t.Errorf("%s: %d time-outs, and nothing was lost", controller, x.timeouts)
	}
}

// cell is a wire under a controller.
type cell struct{ wire, controller string }

func cells() (list []cell) {
	for _, wi := range wires() {
		for _, c := range cc.Names() {
			list = append(list, cell{wi.name, c})
		}
	}
	return list
}

func TestControllers(t *testing.T) {
	seeds := testSeeds
	switch {
	case testing.Short():
		seeds = 1
		t.Logf("short: one seed, at most %d bytes and no golden file, for the race detector takes its time", shortBytes)
	case *update:
		seeds = goldenSeeds
	}
	got := map[cell][]*tally{}
	for _, c := range cells() {
		got[c] = make([]*tally, seeds)
	}
	t.Run("over", func(t *testing.T) { // is over when all within are
		for _, wi := range wires() {
			t.Run(wi.name, func(t *testing.T) {
				t.Parallel()
				for _, controller := range cc.Names() {
					transfers(t, &wi, controller, got[cell{wi.name, controller}])
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	maps.DeleteFunc(got, func(_ cell, list []*tally) bool { return list[0] == nil }) // -run has left it out
	t.Log(goodputs(got))
	switch {
	case testing.Short():
	case *update && len(got) < len(cells()):
		t.Fatal("-update wants every cell")
	case *update:
		writeGolden(t, got)
	default:
		holdGolden(t, got)
	}
}

// transfers runs one cell: seed 1 and on, into got.
func transfers(t *testing.T, wi *wire, controller string, got []*tally) {
	for i := range got {
		x, err := transferred(wi, controller, uint64(i+1))
		if err != nil {
			t.Fatalf("%s, seed %d: %v", controller, i+1, err)
		}
		sane(t, wi, controller, x)
		got[i] = x
	}
}

// goodput is in Mbit/s.
func goodput(list []*tally) float64 {
	if len(list) == 0 {
		return 0
	}
	bytes := figureOf(list, func(x *tally) int { return x.bytes })
	ms := figureOf(list, func(x *tally) int { return x.ms })
	return bytes.mean * 8 / 1000 / max(ms.mean, 1)
}

// goodputs is the table of goodput by wire and controller.
func goodputs(got map[cell][]*tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "goodput, Mbit/s\n%-15s", "")
	for _, c := range cc.Names() {
		fmt.Fprintf(&b, "%8s", c)
	}
	for _, wi := range wires() {
		fmt.Fprintf(&b, "\n%-15s", wi.name)
		for _, c := range cc.Names() {
			fmt.Fprintf(&b, "%8.1f", goodput(got[cell{wi.name, c}]))
		}
	}
	return b.String()
}

func writeGolden(t *testing.T, got map[cell][]*tally) {
	var b strings.Builder
	fmt.Fprintf(&b, "# TestControllers holds these, says how, and writes them with -update. Mean ~ standard deviation, of %d seeds.\n", goldenSeeds)
	fmt.Fprintf(&b, "%-13s %-10s", "# wire", "controller")
	for _, m := range measures {
		fmt.Fprintf(&b, " %17s", m.name)
	}
	for _, c := range cells() {
		fmt.Fprintf(&b, "\n%-13s %-10s", c.wire, c.controller)
		for _, m := range measures {
			f := figureOf(got[c], m.of)
			fmt.Fprintf(&b, " %8.1f ~ %6.1f", f.mean, f.deviation)
		}
	}
	b.WriteByte('\n')
	if err := os.WriteFile(goldenFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readGolden(t *testing.T) map[cell][]figure {
	file, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[cell][]figure{}
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var c cell
		list := make([]figure, len(measures))
		to := []any{&c.wire, &c.controller}
		for i := range list {
			to = append(to, &list[i].mean, &list[i].deviation)
		}
		if _, err := fmt.Sscan(strings.ReplaceAll(line, "~", " "), to...); err != nil {
			t.Fatalf("%s: %q: %v", goldenFile, line, err)
		}
		golden[c] = list
	}
	return golden
}

// holdGolden compares, within the margins.
func holdGolden(t *testing.T, got map[cell][]*tally) {
	golden := readGolden(t)
	for _, c := range cells() {
		if got[c] == nil {
			continue
		}
		if golden[c] == nil {
			t.Errorf("%s knows nothing of %s over %s: look at its figures, and write them with -update", goldenFile, c.controller, c.wire)
			continue
		}
		for i, m := range measures {
			if m.most == nil {
				continue
			}
			g, x := golden[c][i], figureOf(got[c], m.of)
			most := m.most(g.mean) + deviations*g.deviation/math.Sqrt(testSeeds)
			if x.mean > most {
				t.Errorf("%s over %s: %s %.1f, golden %.1f, and %.1f is the most", c.controller, c.wire, m.name, x.mean, g.mean, most)
			}
		}
	}
}
