package script

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
	"github.com/tcpd-project/tcpd/pkg/tcptest/bsd"
)

// RunOptions say how a script is run.
type RunOptions struct {
	// Silence holds it against the stack when it sends what the script does not expect; else such packets are overlooked
	// where no packet is expected any more.
	Silence bool
	// AnyPush takes a segment with PSH for one without, and the other way round: RFC 9293 section 3.9.1.2 leaves to the stack
	// where it is set beside the end of what is queued, and Linux sets it more often.
	AnyPush bool
	// Watches listen to the stack.
	Watches []stack.Watch
}

// Run runs a script against a stack of its own, in virtual time. The transcript shows what happened, up to the first
// difference, which is the error: an *Error.
func Run(s *Script, o RunOptions) (transcript string, err error) {
	r, err := newRunner(s, o)
	if err == nil {
		err = r.safely()
	}
	if e, ok := errors.AsType[*Error](err); ok {
		e.File = s.File
	}
	if r == nil {
		return "", err
	}
	return strings.Join(r.lines, ""), err
}

// safely runs the script to an error, if the stack panics.
func (r *runner) safely() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault(r.at, "the stack has panicked: %v", p)
		}
	}()
	return r.run()
}

// runner runs one script.
type runner struct {
	script  *Script
	how     RunOptions
	opt     header
	set     *settings
	sockets *bsd.Sockets
	wire    *bsd.Wire

	now, start mono.Time
	base       mono.Time // the time of the event before
	due        mono.Time // the time of the event at hand
	at         int       // its line

	flows    []*flow
	current  *flow
	fresh    bool           // a socket has begun to listen, and no SYN has come since
	listener netip.AddrPort // the last
	peerPort uint16
	cookies  map[string][]byte

	files   map[int]int // descriptors, by the script's number
	blocked []*waiter
	vars    map[string]any
	lines   []string
	err     error // the first thing that went wrong while something else was waited for
}

// secrets are the stack's: any will do.
var secrets = [2]tcp.Secret{{1, 2}, {3, 4}}

const firstPeerPort = 32768 // of the ports that a peer connects from

func newRunner(s *Script, o RunOptions) (*runner, error) {
	r := &runner{
		script: s, how: o, opt: newHeader(), set: newSettings(), start: mono.Time(3600 * mono.Second),
		peerPort: firstPeerPort, cookies: map[string][]byte{}, files: map[int]int{}, vars: map[string]any{},
	}
	r.now, r.base = r.start, r.start
	if err := r.opt.read(s.Options); err != nil {
		return nil, err
	}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	r.wire = &bsd.Wire{Now: func() mono.Time { return r.now }, Out: r.sent}
	sockets, err := bsd.New(stack.Config{
		Link: r.wire.Link(r.opt.mtu, false), Addrs: []netip.Prefix{netip.PrefixFrom(r.opt.local, 32)}, TCP: r.set.tcp,
		Secrets: secrets, Limits: r.set.limits, Now: r.wire.Now, Strict: true, Watches: o.Watches,
	}, bsd.Options{})
	r.sockets = sockets
	return r, err
}

// prepare has the commands before the first event do what they do, and finds what is outside in the others: what a stack is
// made with does not change any more.
func (r *runner) prepare() error {
	events := r.script.Events
	first := slices.IndexFunc(events, func(e Event) bool { return e.Command == nil })
	if first < 0 {
		first = len(events)
	}
	for i := range events[:first] {
		if err := r.command(&events[i]); err != nil {
			return err
		}
	}
	later := *r.set
	for _, e := range events[first:] {
		if e.Command == nil {
			continue
		}
		if err := later.run(e.Command.Text, e.Line); err != nil {
			return err
		}
		if later.tcp != r.set.tcp || later.limits != r.set.limits {
			return outside(e.Line, "settings that change between events: %s", strings.Join(strings.Fields(e.Command.Text), " "))
		}
	}
	return nil
}

// run runs the script.
func (r *runner) run() error {
	if err := r.play(r.script.Events); err != nil {
		return err
	}
	return r.finish()
}

// play runs events of the script.
func (r *runner) play(events []Event) error {
	for i := range events {
		e := &events[i]
		r.at, r.due = e.Line, r.time(e)
		if err := r.event(e); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
		r.base = r.now
	}
	return nil
}

// time is when an event is to be, or to begin.
func (r *runner) time(e *Event) mono.Time {
	switch e.When.Base {
	case Start:
		return r.start.Add(e.When.At)
	case Before:
		return r.base.Add(e.When.At)
	}
	return r.now
}

func (r *runner) event(e *Event) error {
	if e.Packet != nil && !e.Packet.In {
		return r.expect(e)
	}
	if r.due < r.now {
		return fault(e.Line, "its time, %s, has passed: it is %s", r.clock(r.due), r.clock(r.now))
	}
	if err := r.advance(r.due); err != nil {
		return err
	}
	switch {
	case e.Packet != nil:
		return r.inject(e)
	case e.Call != nil:
		return r.call(e)
	case e.Command != nil:
		return r.command(e)
	}
	return r.code(e)
}

// command has a command do what it does.
func (r *runner) command(e *Event) error { return r.set.run(e.Command.Text, e.Line) }

// inject has a packet arrive.
func (r *runner) inject(e *Event) error {
	k := e.Packet
	f := r.flowTo(k)
	if k.ICMP == nil {
		f.heard(k)
	}
	b, why := f.build(k)
	if why != "" {
		return fault(e.Line, "%s", why)
	}
	r.note(k.String())
	r.wire.Deliver(b)
	return r.turn()
}

// advance lets time pass, and has all happen that is due by then.
func (r *runner) advance(to mono.Time) error {
	for r.step(to) {
		if err := r.overdue(); err != nil {
			return err
		}
	}
	r.now = max(r.now, to)
	if r.err != nil {
		return r.err
	}
	return r.overdue()
}

// step moves the clock to what is due next, and has it happen. It reports false when nothing is, up to a time.
func (r *runner) step(to mono.Time) bool {
	at := r.sockets.Deadline()
	for _, w := range r.blocked {
		at = min(at, w.deadline)
	}
	if at > to || r.err != nil {
		return false
	}
	r.now = max(r.now, at)
	if err := r.turn(); err != nil && r.err == nil {
		r.err = err
	}
	return true
}

// turn turns the stack, and has calls that wait try again.
func (r *runner) turn() error {
	if _, err := r.sockets.Turn(); err != nil {
		return fault(r.at, "the stack has failed: %v", err)
	}
	if err := r.sockets.Stack.Check(); err != nil {
		return fault(r.at, "the stack is not sound: %v", err)
	}
	return r.retry()
}

// sent takes a packet of the stack's.
func (r *runner) sent(at mono.Time, b []byte) {
	k, fault := parseSent(at, b)
	switch {
	case fault != "":
		r.fail("the stack sent %s", fault)
	case k.packet.Proto != ip.ProtoTCP:
		r.note(fmt.Sprintf("> %d bytes that are not TCP", len(b)))
	default:
		f := r.flowFrom(k)
		f.take(k)
		f.waiting = append(f.waiting, k)
		r.note(f.packet(k).brief())
	}
}

// brief is the packet without what is the same in most.
func (k *Packet) brief() string {
	b := *k
	b.IP.TTL = 0
	if b.IP.ECN == NoECN {
		b.IP.ECN = AnyECN
	}
	return b.String()
}

func (r *runner) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault(r.at, format, args...)
	}
}

// window is when a packet may come: the time of its event and the tolerance on both sides.
func (r *runner) window(e *Event) (from, to mono.Time) {
	if e.When.Base == Any {
		return 0, mono.Never
	}
	return r.due.Add(-r.opt.tolerance), r.due.Add(e.When.To - e.When.At + r.opt.tolerance)
}

// patience is how long a packet is waited for though it is late, so that the error tells when it came.
func (r *runner) patience(to mono.Time) mono.Time {
	const long = 600 * mono.Second
	if to == mono.Never {
		to = r.now
	}
	return to.Add(long)
}

// overdue finds a call that should have returned; and a packet that nobody has expected, if the script is one that expects
// all.
func (r *runner) overdue() error {
	for _, w := range r.blocked {
		if r.now > w.to {
			return fault(w.event.Line, "expected %s at %s, it has not returned", w.event.Call, r.clock(w.to.Add(-r.opt.tolerance)))
		}
	}
	if !r.how.Silence {
		return nil
	}
	for _, f := range r.flows {
		if len(f.waiting) > 0 && r.now > f.waiting[0].at.Add(r.opt.tolerance) {
			k := f.waiting[0]
			return fault(r.at, "expected nothing, got %s at %s", f.packet(k).brief(), r.clock(k.at))
		}
	}
	return nil
}

// finish waits for the calls that have not returned.
func (r *runner) finish() error {
	for len(r.blocked) > 0 {
		if err := r.advance(r.blocked[0].to + 1); err != nil {
			return err
		}
	}
	r.now += mono.Time(r.opt.tolerance) // for overdue alone: nothing happens any more
	r.now++
	return r.overdue()
}

// note adds a line to the transcript.
func (r *runner) note(s string) { r.lines = append(r.lines, r.line(s)) }

func (r *runner) line(s string) string { return r.clock(r.now) + " " + s + "\n" }

// clock is a time since the script began, in seconds: to the millisecond, or to the microsecond if that is more.
func (r *runner) clock(t mono.Time) string {
	s := strconv.FormatFloat(t.Sub(r.start).Seconds(), 'f', 6, 64)
	return strings.TrimSuffix(s, "000")
}
