package stack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/link/pipe"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/service"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// journal spells the events that it is told of.
type journal []string

// Trace implements stack.Tracer.
func (j *journal) Trace(e *stack.Event) {
	text := ""
	switch e.Kind {
	case stack.Transitions:
		text = fmt.Sprintf("%v --%v--> %v", e.State, e.Event, e.To)
	case stack.Incidents:
		text = fmt.Sprintf("%v: %v", e.State, e.Incident)
	case stack.Arrivals:
		text = fmt.Sprintf("in %v: < %v %d", e.State, e.Segment.Flags, e.Text)
	case stack.Verdicts:
		text = fmt.Sprintf("taken %v %v>%v %s", e.Segment.Flags, e.State, e.To, e.Reason)
	case stack.Departures:
		text = fmt.Sprintf("in %v: > %v %d %v", e.State, e.Segment.Flags, e.Text, e.Again)
	case stack.Drops:
		text = "drop " + e.Reason
	case stack.Calls:
		text = fmt.Sprintf("call %v %d", e.Call, e.Bytes)
	}
	*j = append(*j, strings.TrimSpace(text))
}

// greeter says five bytes and closes.
type greeter struct{}

func (greeter) Ready(c stack.Conn, e tcp.Events) {
	if e&tcp.Opened != 0 {
		c.Write([]byte("hello"))
		c.Close()
	}
}

// TestEvents is one short connection, as its passive end tells it.
func TestEvents(t *testing.T) {
	n := newBench(t, pipe.Options{MTU: 1500}, 0)
	n.listen(greeter{})
	var all, some, none journal
	watch := func(w stack.Watch) func() {
		stop, err := n.b.Watch(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	stop := watch(stack.Watch{Kinds: stack.AllKinds, Tracer: &all})
	defer watch(stack.Watch{Kinds: stack.Transitions, Tracer: &some})()
	defer watch(stack.Watch{Kinds: stack.AllKinds, Tracer: &none, Keep: func(f *stack.Flow) bool { return f.LocalPort != 9 }})()
	dialTo(t, n.a, 9, &closing{})
	for range 10 {
		n.turn()
	}
	want := []string{
		"in LISTEN: < SYN 0", "LISTEN --RcvSYN--> SYN-RECEIVED", "in SYN-RECEIVED: > SYN,ACK 0", "taken SYN LISTEN>SYN-RECEIVED",
		"in SYN-RECEIVED: < ACK 0", "SYN-RECEIVED --SYNAcked--> ESTABLISHED", "call write 5", "call close 0",
		"ESTABLISHED --Close--> FIN-WAIT-1", "taken ACK SYN-RECEIVED>FIN-WAIT-1",
		"in FIN-WAIT-1: > FIN,PSH,ACK 5",
		"in FIN-WAIT-1: < FIN,ACK 0", "FIN-WAIT-1 --FINAcked--> FIN-WAIT-2", "FIN-WAIT-2 --RcvFIN--> TIME-WAIT", "taken FIN,ACK FIN-WAIT-1>TIME-WAIT",
		"in TIME-WAIT: > ACK 0",
	}
	if !slices.Equal(all, want) {
		t.Errorf("told\n%s\nnot\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	moves := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return !strings.Contains(s, "--") })
	if !slices.Equal(some, moves) || len(none) != 0 {
		t.Errorf("who wants transitions is told %q; who wants another port, %q", some, none)
	}
	stop()
	told := len(all)
	dialTo(t, n.a, 9, &closing{})
	n.turn()
	if len(all) != told {
		t.Errorf("after stop it is told %q", all[told:])
	}
}

// closing closes when its peer has.
type closing struct{}

func (*closing) Ready(c stack.Conn, e tcp.Events) {
	for text := c.Next(); len(text) > 0; text = c.Next() {
		c.Consume(len(text))
	}
	if e&tcp.EOF != 0 {
		c.Close()
	}
}

// TestDropsAreTold: of a segment, and of what is none.
func TestDropsAreTold(t *testing.T) {
	n := newBench(t, pipe.Options{MTU: 1500}, 0)
	var told journal
	stop, err := n.b.Watch(t.Context(), stack.Watch{Kinds: stack.Verdicts | stack.Drops, Tracer: &told})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dialTo(t, n.a, 9, &sink{}) // nobody listens
	n.turn()
	if want := []string{"drop tcp_refused", "taken SYN CLOSED>CLOSED tcp_refused"}; !slices.Equal(told, want) {
		t.Errorf("told %q, not %q", told, want)
	}
}

func spell(notes []stack.Note) (list []string) {
	for _, n := range notes {
		switch n.Kind {
		case stack.Transitions:
			list = append(list, fmt.Sprintf("%v --%v--> %v", n.State, n.Event, n.To))
		case stack.Incidents:
			list = append(list, n.Incident.String())
		case stack.Drops:
			list = append(list, fmt.Sprint(n.Drop, " ", n.Flags))
		}
	}
	return list
}

// TestFlightRecord: what was remarkable is kept while the connection lives, and after.
func TestFlightRecord(t *testing.T) {
	n := newBench(t, pipe.Options{MTU: 1500}, 0)
	n.listen(&closing{})
	var c stack.Conn
	dialTo(t, n.a, 9, holder{&c})
	n.turn()
	list := walk(t, n.b, 10, every)
	if len(list) != 1 {
		t.Fatalf("%d connections", len(list))
	}
	find := func() stack.Sight {
		s, ok, err := n.b.Find(t.Context(), list[0].Flow)
		if err != nil || !ok {
			t.Fatal("it is not found: ", err)
		}
		return s
	}
	if got, want := spell(find().Notes), []string{"SYN-RECEIVED --SYNAcked--> ESTABLISHED"}; !slices.Equal(got, want) {
		t.Errorf("noted %q, not %q", got, want)
	}
	c.CloseWrite()
	c.Flush()
	n.turn()
	n.turn()
	end, err := n.b.Endings(t.Context())
	if err != nil || len(end) != 1 {
		t.Fatalf("%d endings, %v", len(end), err)
	}
	want := []string{
		"SYN-RECEIVED --SYNAcked--> ESTABLISHED", "ESTABLISHED --RcvFIN--> CLOSE-WAIT", "CLOSE-WAIT --Close--> LAST-ACK", "LAST-ACK --FINAcked--> CLOSED",
	}
	if got := spell(end[0].Notes); !slices.Equal(got, want) || end[0].Flow != list[0].Flow || end[0].State != fsm.Closed || !end[0].Passive {
		t.Errorf("noted %q, not %q; %+v", got, want, end[0])
	}
}

// holder hands its connection out.
type holder struct{ c *stack.Conn }

func (h holder) Ready(c stack.Conn, _ tcp.Events) { *h.c = c }

// TestFlightRecordsAreBounded: with room for few, the latest have them.
func TestFlightRecordsAreBounded(t *testing.T) {
	n := newBench(t, pipe.Options{MTU: 1500, Packets: 4096, Bytes: 64 << 20}, 0)
	const records = 400
	la, lb := pipe.New(1, pipe.Options{MTU: 1500, Packets: 4096, Bytes: 64 << 20})
	n.a = n.host(la, addrA)
	n.b = n.hostWith(lb, addrB, tcp.Settings{}, stack.Limits{FlightRecorder: records * 296})
	n.listen(&sink{})
	for range 2 * records {
		n.dial()
	}
	for range 20 {
		n.turn()
	}
	with := 0
	for _, s := range walk(t, n.b, 1000, every) {
		found, _, err := n.b.Find(t.Context(), s.Flow)
		if err != nil {
			t.Fatal(err)
		}
		with += len(found.Notes)
	}
	if with != records-1 {
		t.Errorf("%d connections have a record, of which there are %d", with, records-1)
	}
}

// TestHalfOpenThatFails: how a connection ended that came no further than SYN-RECEIVED is kept, too, and however many of them
// there are, those that were open are not forgotten for them.
func TestHalfOpenThatFails(t *testing.T) {
	v := serve(t, service.Echo{}, 1)
	v.send(0, tcp.RST, 0)
	v.unanswered()
	v.clients = make([]client, 400)
	v.send(0, tcp.SYN, 0)
	for range 200 {
		v.now = v.now.Add(mono.Second)
		v.unanswered()
	}
	end := endingsOf(t, v.b)
	if len(end) != 2 || !slices.Equal(spell(end[0].Notes), []string{"LISTEN --RcvSYN--> SYN-RECEIVED", "SYN-RECEIVED --GaveUp--> CLOSED"}) || end[0].At.Sub(end[0].Notes[0].At) < 60*mono.Second || end[0].Retransmits != uint32(tcp.Defaults().SynAckRetries) {
		t.Errorf("of a SYN,ACK that was never acknowledged there is told %+v", end[0])
	}
	v.send(1, tcp.SYN, 0)
	v.unanswered()
	flow := end[0].Flow
	flow.RemotePort++
	if found, err := v.b.Abort(t.Context(), flow); err != nil || !found {
		t.Fatal(found, err)
	}
	end = endingsOf(t, v.b)
	if want := []string{"LISTEN --RcvSYN--> SYN-RECEIVED", "operator_reset", "SYN-RECEIVED --Abort--> CLOSED"}; !slices.Equal(spell(end[0].Notes), want) {
		t.Errorf("of one that the operator has reset there is noted %q, not %q", spell(end[0].Notes), want)
	}
	for i := 2; i < len(v.clients); i++ {
		v.send(i, tcp.SYN, 0)
		v.unanswered()
		v.send(i, tcp.RST, 0)
		v.unanswered()
	}
	end = endingsOf(t, v.b)
	if want := []string{"LISTEN --RcvSYN--> SYN-RECEIVED", "SYN-RECEIVED --RcvRST--> CLOSED"}; !slices.Equal(spell(end[0].Notes), want) {
		t.Errorf("of one that was reset there is noted %q, not %q", spell(end[0].Notes), want)
	}
	last := end[len(end)-1]
	if want := []string{"SYN-RECEIVED --SYNAcked--> ESTABLISHED", "ESTABLISHED --RcvRST--> CLOSED"}; len(end) != 65 || !slices.Equal(spell(last.Notes), want) {
		t.Errorf("%d are remembered, and of the one that was open %q, not %q", len(end), spell(last.Notes), want)
	}
}

// unanswered is a turn whose segments nobody hears.
func (v *served) unanswered() {
	if _, err := v.b.Turn(0); err != nil {
		v.tb.Fatal(err)
	}
	for {
		if err := v.wire.Read(v.heard); err != nil {
			v.tb.Fatal(err)
		}
		if len(v.heard.Packets) == 0 {
			return
		}
	}
}

// endingsOf are the latest first.
func endingsOf(t *testing.T, s *stack.Stack) []stack.Ending {
	t.Helper()
	list, err := s.Endings(t.Context())
	if err != nil || len(list) == 0 {
		t.Fatalf("%d endings, %v", len(list), err)
	}
	return list
}
