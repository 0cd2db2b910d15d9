package fsm

import (
	"flag"
	"fmt"
	"slices"
	"testing"
)

// The model explores, breadth first, every world that two ends and the wires between them can reach. A wire is a set:
// delivering a segment leaves it there (duplication), any of them may come next (reordering), and any may go (loss).

type world struct {
	nodes [2]node
	wires [2]wire // wires[i] carries what node i sent
}

const maxWire = 3

// wire is sorted and its unused rest is zero, so that equal wires compare equal.
type wire struct {
	n    int8
	segs [maxWire]segment
}

func (w *wire) put(s segment, capacity int) {
	at, found := slices.BinarySearchFunc(w.segs[:w.n], s, func(a, b segment) int { return a.key() - b.key() })
	if found || int(w.n) >= capacity {
		return // the wire loses what it has no room for
	}
	copy(w.segs[at+1:], w.segs[at:w.n])
	w.segs[at] = s
	w.n++
}

func (w *wire) lose(i int) {
	copy(w.segs[i:], w.segs[i+1:w.n])
	w.n--
	w.segs[w.n] = segment{}
}

func (s segment) key() int { return int(s.flags)<<16 | int(uint8(s.seq))<<8 | int(uint8(s.ack)) }

// scenario bounds a run.
type scenario struct {
	name     string
	capacity int // segments a direction
	listen   [2]bool
	opens    [2]int8
	texts    [2]int8
	rude     bool // users may abort, connections may give up, networks may send hard errors
	drops    bool // users may read no more, and let go with text unread
	giveUp   bool // giving up is a fair way out
	hostile  bool // the other end is no machine, but sends any segment at any time
}

// model explores one scenario with one machine.
type model struct {
	scenario
	step    func(State, Event) (Transition, bool)
	visited *[numStates][numEvents]int
	err     error

	index  map[world]int32
	worlds []world
	from   []int32   // the world that each was first reached from, for the story of a failure
	back   [][]int32 // for each world, the worlds that lead to it by a fair move
}

func explore(s scenario, step func(State, Event) (Transition, bool), visited *[numStates][numEvents]int) *model {
	m := &model{scenario: s, step: step, visited: visited, index: map[world]int32{}}
	var w world
	for i := range w.nodes {
		n := &w.nodes[i]
		n.state, n.opens, n.texts, n.iss = Closed, s.opens[i], s.texts[i], int8(10+40*i)
	}
	m.add(w, -1, false)
	for at := 0; at < len(m.worlds) && m.err == nil; at++ {
		m.expand(int32(at))
		if m.err != nil {
			m.err = fmt.Errorf("%s: %w\n%s", s.name, m.err, m.story(int32(at)))
		}
	}
	if m.err == nil {
		m.err = m.stuck()
	}
	return m
}

func (m *model) add(w world, from int32, fair bool) {
	at, known := m.index[w]
	if !known {
		at = int32(len(m.worlds))
		m.index[w] = at
		m.worlds = append(m.worlds, w)
		m.from = append(m.from, from)
		m.back = append(m.back, nil)
	}
	if fair && from != at {
		m.back[at] = append(m.back[at], from)
	}
}

// stuck finds a world from which no fair move leads on to the end of both connections. Fair is what a patient user
// and a network that loses and repeats but now and then delivers will do; giving up, aborting and errors are not.
func (m *model) stuck() error {
	free := make([]bool, len(m.worlds))
	var queue []int32
	for i, w := range m.worlds {
		if !w.nodes[0].exists && !w.nodes[1].exists {
			free[i] = true
			queue = append(queue, int32(i))
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, b := range m.back[at] {
			if !free[b] {
				free[b] = true
				queue = append(queue, b)
			}
		}
	}
	if i := slices.Index(free, false); i >= 0 {
		return fmt.Errorf("%s: CLOSED is out of reach\n%s", m.name, m.story(int32(i)))
	}
	return nil
}

// story tells how a world came about.
func (m *model) story(at int32) string {
	text := ""
	for ; at >= 0; at = m.from[at] {
		w := &m.worlds[at]
		text = fmt.Sprintf("%v %v | %v %v\n", w.nodes[0].state, w.wires[0], w.nodes[1].state, w.wires[1]) + text
	}
	return text
}

func (m *model) expand(at int32) {
	w := m.worlds[at]
	move := func(fair bool, f func(w *world)) {
		next := w
		f(&next)
		if m.err == nil {
			m.add(next, at, fair)
		}
	}
	for i := range w.nodes {
		m.moves(i, &w.nodes[i], func(fair bool, f func(end)) {
			move(fair, func(w *world) { f(end{m, w, i}) })
		})
		for j := range int(w.wires[i].n) {
			move(true, func(w *world) { w.wires[i].lose(j) })
			move(true, func(w *world) { end{m, w, 1 - i}.arrive(w.wires[i].segs[j]) })
		}
	}
}

// moves lists what may happen at one end.
func (m *model) moves(i int, n *node, move func(fair bool, f func(end))) {
	if m.hostile && i == 0 {
		for _, s := range n.anySegment() {
			move(true, func(e end) { e.arrive(s) })
		}
	}
	if !n.exists {
		m.movesWithout(i, n, move)
		return
	}
	user := func(fair bool, ev Event) { move(fair, func(e end) { e.fire(ev, segment{}) }) }
	if !n.textQueued || n.synAcked() || n.finQueued {
		user(true, Close) // 3.10.4 SYN-RECEIVED: queued while text is
	}
	if n.texts > 0 && !n.textQueued && !n.finQueued {
		move(false, func(e end) { e.node().texts--; e.node().end++; e.node().textQueued = true })
	}
	if n.unread && !n.dropped {
		move(true, func(e end) { e.node().unread = false })
	}
	if m.drops && !n.dropped {
		move(true, func(e end) { e.node().dropped = true; e.fire(ReceiveDropped, segment{}) })
	}
	if m.drops && n.unread {
		move(false, func(e end) {
			e.node().unread, e.node().dropped = false, true
			e.fire(CloseUnread, segment{})
		})
	}
	if m.rude {
		user(false, Abort)
		user(false, HardError)
	}
	if (m.rude || m.giveUp) && (!n.finReceived || !n.finAcked()) {
		user(m.giveUp, GaveUp)
	}
	if n.una < n.end {
		move(true, func(e end) { e.output(false) })
		move(true, func(e end) { e.output(true) })
	}
	if n.timeWait {
		user(true, TwoMSL)
	}
	if n.finWait {
		user(true, FinWaitTimeout)
	}
}

// movesWithout is for an end without a connection.
func (m *model) movesWithout(i int, n *node, move func(fair bool, f func(end))) {
	if n.used {
		for _, ev := range []Event{Close, CloseUnread, Abort, ReceiveDropped} {
			if t, ok := m.step(Closed, ev); !ok || t != (Transition{Closed, 0}) {
				m.err = fmt.Errorf("CLOSED x %v: %v, %v", ev, t, ok)
			}
			m.visited[Closed][ev]++
		}
	}
	if n.opens > 0 {
		move(false, func(e end) {
			e.node().listening = false
			e.begin()
			e.fire(OpenActive, segment{})
		})
		if m.listen[i] && !n.listening {
			move(false, func(e end) { e.node().listening = true; e.fire(OpenPassive, segment{}) })
		}
	}
	if n.listening {
		move(false, func(e end) { e.node().listening = false; e.fire(Close, segment{}) })
		move(false, func(e end) { e.node().listening = false; e.fire(Abort, segment{}) })
	}
}

// anySegment is everything an attacker might try: each combination of flags, with sequence numbers just beside and
// far from the ones that matter.
func (n *node) anySegment() []segment {
	var segs []segment
	seqs := []int8{100}
	if n.synReceived {
		seqs = []int8{n.irs, n.irs + 1, n.rcv - 1, n.rcv, n.rcv + 1, n.rcv + 8}
	}
	acks := []int8{n.una - window - 1, n.iss, n.una, n.una + 1, n.nxt, n.nxt + 1}
	slices.Sort(seqs)
	slices.Sort(acks)
	seqs, acks = slices.Compact(seqs), slices.Compact(acks)
	for flags := range uint8(2 * flagText) {
		for _, seq := range seqs {
			if flags&flagACK == 0 {
				segs = append(segs, segment{flags, seq, 0})
				continue
			}
			for _, ack := range acks {
				segs = append(segs, segment{flags, seq, ack})
			}
		}
	}
	return segs
}

var both = [2]bool{true, true}

// scenarios are the runs of the thorough model. Where both ends open twice, two old SYNs may cross; each end then takes the
// other's old number for the new one, finds every segment out of its window, and the ACKs of 3.10.7.4 first go round
// until R2 ends it. The RFC knows no better, so there GaveUp is fair. The first two scenarios reach every cell
// soonest, which is what mutants need.
var scenarios = []scenario{
	{name: "hostile peer", listen: both, opens: [2]int8{1, 0}, texts: [2]int8{1, 0}, rude: true, drops: true, hostile: true},
	{name: "both open again", capacity: 1, listen: both, opens: [2]int8{2, 2}, giveUp: true},
	{name: "user calls", capacity: 1, listen: both, opens: [2]int8{1, 1}, rude: true, drops: true},
	{name: "wires of two", capacity: 2, listen: both, opens: [2]int8{1, 1}},
	{name: "text", capacity: 1, listen: both, opens: [2]int8{1, 1}, texts: [2]int8{1, 0}, drops: true},
	{name: "one opens again", capacity: 1, listen: both, opens: [2]int8{2, 1}, drops: true},
	{name: "wires of three", capacity: 3, listen: both, opens: [2]int8{1, 1}},
	{name: "again, rude", capacity: 1, listen: both, opens: [2]int8{2, 1}, drops: true, rude: true},
	{name: "again, two", capacity: 2, listen: both, opens: [2]int8{2, 1}},
}

var thorough = flag.Bool("thorough", false, "explore the largest worlds, and every mutant by them")

// quick are the scenarios that take little time; each cell is reached by one of them.
var quick = scenarios[:6]

// checkModel runs scenarios, and then wants every written cell to have been reached.
func checkModel(m *machine, runs []scenario) (worlds int, err error) {
	var visited [numStates][numEvents]int
	for _, s := range runs {
		run := explore(s, m.step, &visited)
		worlds += len(run.worlds)
		if run.err != nil {
			return worlds, run.err
		}
	}
	for s := range m {
		for e, c := range m[s] {
			if c.next != 0 && visited[s][e] == 0 {
				return worlds, fmt.Errorf("%v x %v: no world reaches this cell", State(s), Event(e))
			}
		}
	}
	return worlds, nil
}

func TestModel(t *testing.T) {
	runs := quick
	if *thorough {
		runs = scenarios
	}
	m := machine(table)
	worlds, err := checkModel(&m, runs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d worlds", worlds)
}
