package script

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// join takes the next segments of a flow together, as many as make up the text that is expected: the stack has no
// offload, and a script may expect of a kernel one packet in their place (a superframe). The flags of the first and of the
// last count, but for PSH, which Linux sets on every superframe.
func (f *flow) join(want *Packet, strict bool) (got *Packet, used int) {
	got = f.packet(f.waiting[0])
	for used = 1; !strict && used < len(f.waiting) && got.Range.Len() < want.Range.Len(); used++ {
		next := f.packet(f.waiting[used])
		const ends = tcp.PSH | tcp.FIN
		switch {
		case next.Range.From != got.Range.To, next.Range.Len() == 0, got.Range.Len() == 0, got.Flags&tcp.FIN != 0,
			next.Flags&^ends != got.Flags&^(ends|tcp.CWR), next.Ack != got.Ack, next.IP.ECN != got.IP.ECN, *next.Window != *got.Window,
			!slices.EqualFunc(next.Options, got.Options, TCPOption.equal):
			return got, used
		}
		got.Range.To = next.Range.To
		got.Flags = got.Flags&^ends | next.Flags&^tcp.PSH | want.Flags&tcp.PSH
	}
	return got, used
}

func (o TCPOption) equal(p TCPOption) bool {
	return o.Kind == p.Kind && o.Value == p.Value && o.Echo == p.Echo && slices.Equal(o.Blocks, p.Blocks) && bytes.Equal(o.Cookie, p.Cookie)
}

// differs reports whether a segment of the stack's is another than the script expects. What the script leaves open is
// blanked in got, so that it shows no more than what was asked for.
func (r *runner) differs(f *flow, want, got *Packet, at mono.Time) bool {
	if want.Window == nil {
		got.Window = nil
	}
	if want.Urgent == nil && got.Flags&tcp.URG == 0 {
		got.Urgent = nil
	}
	if want.IP.TTL == 0 {
		got.IP.TTL = 0
	}
	switch {
	case want.IP.ECN == AnyECN:
		got.IP.ECN = AnyECN
	case want.IP.ECN == ECT01 && (got.IP.ECN == ECT0 || got.IP.ECN == ECT1):
		got.IP.ECN = ECT01
	}
	if r.how.AnyPush {
		got.Flags = got.Flags&^tcp.PSH | want.Flags&tcp.PSH
	}
	got.Ports = want.Ports
	if got.Flags&tcp.SYN != 0 { // its number is the stack's to choose
		got.Range.To += want.Range.From - got.Range.From
		got.Range.From = want.Range.From
	}
	if want.AnyOptions {
		got.AnyOptions, got.Options = true, nil
	} else {
		r.translate(f, want, got, at)
	}
	return got.String() != want.String()
}

// translate turns timestamps and cookies of the stack's into what the script calls them, where they may be that.
func (r *runner) translate(f *flow, want, got *Packet, at mono.Time) {
	for i := range got.Options {
		if i >= len(want.Options) || want.Options[i].Kind != got.Options[i].Kind {
			continue
		}
		w, g := &want.Options[i], &got.Options[i]
		switch {
		case g.Kind == Timestamps && r.stampFits(f, w.Value, g.Value, at):
			g.Value = w.Value
		case g.Kind == FastOpen && got.Flags&tcp.ACK != 0:
			if known, ok := r.cookies[string(w.Cookie)]; !ok && len(w.Cookie) > 0 || bytes.Equal(known, g.Cookie) {
				g.Cookie = w.Cookie
			}
		}
	}
}

// stampFits reports that a timestamp of the stack's may be what the script calls v: any, unless the script says how long a
// tick is; then as many ticks must have gone by as between the two that it names.
func (r *runner) stampFits(f *flow, v, wire uint32, at mono.Time) bool {
	if r.opt.tick == 0 || f.clock == nil {
		return true
	}
	ticks := int32(wire - f.clock.wire)
	want := mono.Duration(int32(v-f.clock.script)) * r.opt.tick
	off := mono.Duration(ticks)*mono.Millisecond - want
	return max(off, -off) <= r.opt.tolerance+r.opt.tick
}

// learn keeps what a segment that has been expected says of the stack's timestamps and cookies.
func (r *runner) learn(f *flow, want *Packet, k *sent) {
	for i, o := range f.optionsOf(k) {
		if want.AnyOptions || i >= len(want.Options) {
			return
		}
		switch w := &want.Options[i]; {
		case o.Kind == Timestamps:
			f.stamped(k.at, w.Value, o.Value)
		case o.Kind == FastOpen && k.segment.Flags&tcp.ACK != 0:
			r.cookies[string(w.Cookie)] = o.Cookie
		}
	}
	if k.segment.Flags&tcp.SYN != 0 {
		f.ours.script = want.Range.From
	}
}

// expect is the event of a packet from the stack.
func (r *runner) expect(e *Event) error {
	want := e.Packet
	from, to := r.window(e)
	late := r.patience(to)
	f := r.flowOf(want)
	for f == nil || len(f.waiting) == 0 || f.unfinished(want, r.opt.strict) && r.now < to {
		if !r.step(late) {
			break
		}
		if r.err != nil {
			return r.err
		}
		f = r.flowOf(want)
	}
	if f == nil || len(f.waiting) == 0 {
		return fault(e.Line, "expected %s, got nothing", r.told(want, e))
	}
	got, used := f.join(want, r.opt.strict)
	first, last := f.waiting[0], f.waiting[used-1]
	if r.differs(f, want, got, first.at) || first.at < from || last.at > to {
		return fault(e.Line, "expected %s, got %s at %s", r.told(want, e), got, r.clock(first.at))
	}
	r.learn(f, want, first)
	f.waiting = f.waiting[used:]
	return nil
}

// unfinished reports that the first segment waiting is the beginning of what is expected, of which more may come.
func (f *flow) unfinished(want *Packet, strict bool) bool {
	got, used := f.join(want, strict)
	return used == len(f.waiting) && got.Range.From == want.Range.From && got.Range.Len() > 0 && got.Range.Len() < want.Range.Len()
}

// told is a packet that is expected, and when.
func (r *runner) told(want *Packet, e *Event) string {
	if e.When.Base == Any {
		return want.String()
	}
	s := fmt.Sprintf("%s at %s", want, r.clock(r.due))
	if e.When.To != e.When.At {
		s += "~" + r.clock(r.due.Add(e.When.To-e.When.At))
	}
	return s
}
