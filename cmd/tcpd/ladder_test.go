package main

import (
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/control"
)

const traced = "10.7.0.2:80-10.7.0.1:40614"

func scale(n uint8) *uint8 { return &n }

// handshake is as the control socket tells it, and an ACK that goes wrong.
func handshake() []control.Event {
	at := int64(1e18)
	next := func(e control.Event) control.Event {
		at += 1e6
		e.At, e.Connection = at, traced
		return e
	}
	return []control.Event{
		next(control.Event{Kind: "arrival", State: "LISTEN", Segment: &control.Segment{
			Flags: "SYN", Seq: 1000, Window: 64240, MSS: 1460, SACKOK: true, Stamps: &[2]uint32{1, 0}, Scale: scale(7)}}),
		next(control.Event{Kind: "transition", State: "LISTEN", Event: "RcvSYN", To: "SYN-RECEIVED", RFC: "RFC 9293 3.10.7.2 third"}),
		next(control.Event{Kind: "departure", State: "SYN-RECEIVED", Segment: &control.Segment{
			Flags: "SYN,ACK", Seq: 1 << 31, Ack: 1001, Window: 65535, MSS: 1460, SACKOK: true, Stamps: &[2]uint32{2, 1}, Scale: scale(14)}}),
		next(control.Event{Kind: "verdict", State: "LISTEN", To: "SYN-RECEIVED", Segment: &control.Segment{Flags: "SYN", Seq: 1000}}),
		next(control.Event{Kind: "arrival", State: "SYN-RECEIVED", Segment: &control.Segment{
			Flags: "ACK", Seq: 1001, Ack: 1<<31 + 9, Window: 63}}),
		next(control.Event{Kind: "drop", Reason: "tcp_future_ack"}),
		next(control.Event{Kind: "incident", State: "SYN-RECEIVED", Incident: "syn_timeout", RFC: "RFC 6298 (5.4)"}),
		next(control.Event{Kind: "departure", State: "SYN-RECEIVED", Again: "tail_probe", Lost: 2, Segment: &control.Segment{
			Flags: "PSH,ACK", Seq: 1<<31 + 1, Ack: 1001, Window: 63, Text: 3000, Segments: 3, SACK: [][2]uint32{{1010, 1020}}}}),
		next(control.Event{Kind: "call", State: "SYN-RECEIVED", Call: "close_write"}),
	}
}

func draw(t *testing.T, l *ladder, out *strings.Builder, events ...control.Event) string {
	t.Helper()
	for i := range events {
		if err := l.show(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestLadder(t *testing.T) {
	var out strings.Builder
	got := draw(t, newLadder(&out, true), &out, handshake()...)
	want := `
           10.7.0.1:40614                                                             10.7.0.2:80
  0.000000 │─── SYN 0 win 64240 <mss 1460, sackOK, timestamps, wscale 7> ────────────▶│ LISTEN
  0.001000 │                                                                          │ → SYN-RECEIVED  (RcvSYN, RFC 9293 3.10.7.2 third)
  0.002000 │◀─── SYN,ACK 0 ack 1 win 65535 <mss 1460, sackOK, timestamps, wscale 14> ─│ SYN-RECEIVED
  0.004000 │─── ACK 1 ack 9 win 63 ──────────────────────────────────────────────────▶│ SYN-RECEIVED
  0.005000 │                                                                          │ not taken: tcp_future_ack
  0.006000 │                                                                          │ syn timeout  (RFC 6298 (5.4))
2 events are missing here: they came faster than they could be read
  0.007000 │◀── PSH,ACK 1 text 3000 in 3 segments ack 1 win 63 <sack 10-20> again: tail probe ─│ SYN-RECEIVED
  0.008000 │                                                                          │ user: close write
`
	if got != want {
		t.Errorf("drawn\n%s\nnot\n%s", got, want)
	}
}

// TestLadderOnAScreen: no line is wider than the screen, the two lines are straight, and nothing is left out.
func TestLadderOnAScreen(t *testing.T) {
	var out strings.Builder
	l := newLadder(&out, true)
	l.fit(70)
	got := draw(t, l, &out, handshake()...)
	want := `
           10.7.0.1:40614                  10.7.0.2:80
  0.000000 │─── SYN 0 win 64240 <mss ─────▶│ LISTEN
           │    1460, sackOK, timestamps,  │
           │    wscale 7>                  │
  0.001000 │                               │ → SYN-RECEIVED
           │                               │ (RcvSYN, RFC 9293
           │                               │ 3.10.7.2 third)
  0.002000 │◀── SYN,ACK 0 ack 1 win 65535 ─│ SYN-RECEIVED
           │    <mss 1460, sackOK,         │
           │    timestamps, wscale 14>     │
  0.004000 │─── ACK 1 ack 9 win 63 ───────▶│ SYN-RECEIVED
  0.005000 │                               │ not taken: tcp_future_ack
  0.006000 │                               │ syn timeout
           │                               │ (RFC 6298 (5.4))
2 events are missing here: they came faster than they could be read
  0.007000 │◀─── PSH,ACK 1 text 3000 in 3 ─│ SYN-RECEIVED
           │    segments ack 1 win 63      │
           │    <sack 10-20> again: tail   │
           │    probe                      │
  0.008000 │                               │ user: close write
`
	if got != want {
		t.Errorf("drawn\n%s\nnot\n%s", got, want)
	}
	whole := func(s string) string {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("│─▶◀ \n", r) }), " ")
	}
	for width := 48; width < 130; width++ {
		var out strings.Builder
		l := newLadder(&out, true)
		l.color, l.sentences = true, true
		l.fit(width)
		drawn := attributes.ReplaceAllString(draw(t, l, &out, handshake()...), "")
		bars := map[int]bool{}
		for line := range strings.Lines(drawn) {
			columns := []rune(strings.TrimRight(line, "\n"))
			if len(columns) > width {
				t.Errorf("%d columns on a screen of %d: %s", len(columns), width, line)
			}
			if i := strings.LastIndex(line, "│"); i >= 0 {
				bars[len([]rune(line[:i]))] = true
			}
		}
		if len(bars) != 1 {
			t.Errorf("%d columns: tcpd's line is not straight: %v\n%s", width, bars, drawn)
		}
		for _, part := range []string{"(RcvSYN, RFC 9293 3.10.7.2 third)", "not taken: tcp_future_ack", "probe"} {
			if !strings.Contains(whole(drawn), part) {
				t.Errorf("%d columns: %q is not in\n%s", width, part, drawn)
			}
		}
	}
}

// A connection whose SYNs were not seen is counted from where tcpd says that it began; one that it knows no more, from its first
// segments.
func TestLadderInTheMiddle(t *testing.T) {
	e := control.Event{Kind: "arrival", Connection: traced, State: "ESTABLISHED", Segment: &control.Segment{Flags: "ACK", Seq: 500, Ack: 900}}
	for _, known := range []bool{false, true} {
		var out strings.Builder
		l := newLadder(&out, false)
		l.known = func(id string) (ours, theirs uint32, ok bool) { return 800, 400, known && id == traced }
		want := "ACK 0 ack 1 win"
		if known {
			want = "ACK 100 ack 100 win"
		}
		if got := draw(t, l, &out, e); !strings.Contains(got, want) {
			t.Errorf("known %v: drawn %s, not %s", known, got, want)
		}
	}
}

// TestOneIsSingular: where one thing is counted it is said so.
func TestOneIsSingular(t *testing.T) {
	for n, want := range map[int]string{0: "0 packets", 1: "1 packet", 2: "2 packets"} {
		if got := number(n, "packet"); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	var out strings.Builder
	if got := draw(t, newLadder(&out, false), &out, control.Event{Kind: "incident", Incident: "syn_timeout", Lost: 1}); !strings.Contains(got, "1 event is missing here: it came") {
		t.Error(got)
	}
	s := liveStory(&control.Connection{Info: &control.Details{SegmentsIn: 1, BytesIn: 1, BytesOut: 2}})
	if want := "1 segment in, 0 out; 1 byte in, 2 out; 0 sent again"; s.sums != want {
		t.Errorf("%q, not %q", s.sums, want)
	}
	s = endedStory(&control.Ended{SegmentsIn: 1, BytesIn: 1})
	if want := "1 segment in, 0 out; 1 byte in, 0 out; 0 sent again; ended "; !strings.HasPrefix(s.sums, want) {
		t.Errorf("%q, not %q", s.sums, want)
	}
}

// TestOnce: a trace of one connection ends with it.
func TestOnce(t *testing.T) {
	other := control.Event{Kind: "transition", Connection: "other", To: "CLOSED"}
	move := func(to string) control.Event { return control.Event{Kind: "transition", Connection: traced, To: to} }
	for _, c := range []struct {
		name   string
		events []control.Event
		shown  int
	}{
		{"closed", []control.Event{move("ESTABLISHED"), other, move("CLOSED"), {Kind: "verdict", Connection: traced, To: "CLOSED"}}, 3},
		{"TIME-WAIT", []control.Event{
			move("ESTABLISHED"), move("TIME-WAIT"), {Kind: "verdict", Connection: traced, To: "TIME-WAIT"}, {Kind: "departure", Connection: traced}}, 4},
	} {
		shown, err := 0, error(nil)
		show := untilEnd(func(*control.Event) error { shown++; return nil })
		for i := range c.events {
			if err != nil {
				t.Errorf("%s: it has ended before event %d", c.name, i)
			}
			err = show(&c.events[i])
		}
		if err != errTraced || shown != c.shown {
			t.Errorf("%s: %v after %d events of %d", c.name, err, shown, c.shown)
		}
	}
}

func TestEventFilter(t *testing.T) {
	for _, c := range []struct {
		args []string
		want control.EventFilter
		bad  bool
	}{
		{nil, control.EventFilter{}, false},
		{[]string{traced}, control.EventFilter{Connection: traced}, false},
		{[]string{"sport", "=", ":80", "dst", "10.7.0.1"}, control.EventFilter{Filter: control.Filter{LocalPort: 80, Remote: "10.7.0.1/32"}}, false},
		{[]string{"state", "established"}, control.EventFilter{}, true},
		{[]string{"port", "80"}, control.EventFilter{}, true},
	} {
		f, err := parseEventFilter(c.args)
		if (err != nil) != c.bad || err == nil && (f.Connection != c.want.Connection || f.LocalPort != c.want.LocalPort || f.Remote != c.want.Remote || len(f.States) > 0) {
			t.Errorf("%q: %+v, %v", c.args, f, err)
		}
	}
}
