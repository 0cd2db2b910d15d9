package observe

import (
	"bufio"
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/ip"
	"github.com/tcpd-project/tcpd/pkg/stack"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// logged returns the lines that write makes, as JSON.
func logged(t *testing.T, level string, write func(*zap.Logger)) []map[string]any {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	log, err := NewLogger(w, level)
	if err != nil {
		t.Fatal(err)
	}
	write(log)
	w.Close()
	var lines []map[string]any
	for in := bufio.NewScanner(r); in.Scan(); {
		var l map[string]any
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", in.Bytes(), err)
		}
		ts, _ := l["ts"].(string)
		if _, err := time.Parse(time.RFC3339Nano, ts); err != nil {
			t.Errorf("ts: %v", err)
		}
		delete(l, "ts")
		lines = append(lines, l)
	}
	return lines
}

var flow = stack.Flow{
	Local: ip.FromNetip(netip.MustParseAddr("10.7.0.2")), LocalPort: 80,
	Remote: ip.FromNetip(netip.MustParseAddr("10.7.0.1")), RemotePort: 43210,
}

func TestStateLines(t *testing.T) {
	lines := logged(t, "debug", func(log *zap.Logger) {
		change(Log(log), fsm.SynRcvd, fsm.SYNAcked, fsm.Established)
		change(Log(log), fsm.TimeWait, fsm.RcvRST, fsm.TimeWait)
	})
	want := []map[string]any{
		{"level": "debug", "msg": "state", "conn": "10.7.0.2:80 10.7.0.1:43210", "from": "SYN-RECEIVED",
			"event": "SYNAcked", "to": "ESTABLISHED", "rfc": "RFC 9293 3.10.7.4 fifth"},
		{"level": "debug", "msg": "state", "conn": "10.7.0.2:80 10.7.0.1:43210", "from": "TIME-WAIT",
			"event": "RcvRST", "to": "TIME-WAIT", "rfc": "RFC 1337 3"},
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got\n%v\nwant\n%v", lines, want)
	}
}

// change tells a watch of a state change.
func change(w stack.Watch, from fsm.State, e fsm.Event, to fsm.State) {
	w.Tracer.Trace(&stack.Event{Kind: stack.Transitions, Flow: flow, State: from, Event: e, To: to})
}

func TestLevels(t *testing.T) {
	lines := logged(t, "warn", func(log *zap.Logger) {
		log.Info("no")
		log.Warn("yes")
	})
	if len(lines) != 1 || lines[0]["msg"] != "yes" {
		t.Errorf("%v", lines)
	}
	if _, err := NewLogger(os.Stderr, "loud"); err == nil {
		t.Error("a level that does not exist")
	}
}

// TestCountersBalance adds two shards up; what the shards account for is accounted for in the sum.
func TestCountersBalance(t *testing.T) {
	var a, b stack.Counters
	a.Read, a.Delivered, a.IP[ip.DropChecksum], a.TCP[tcp.DropPAWS] = 10, 7, 1, 2
	b.Read, b.Delivered, b.IP[ip.DropChecksum], b.Stack[stack.DropLAND] = 5, 2, 2, 1
	a.Conns, b.Conns = 3, 4
	sum := newCounters()
	sum.malformed(6)
	sum.add(&a)
	sum.add(&b)
	drops := sum.Delivered
	for _, n := range sum.Drops {
		drops += n
	}
	if sum.PacketsRead != 21 || drops != 21 {
		t.Errorf("%d read, %d accounted for", sum.PacketsRead, drops)
	}
	want := map[string]uint64{"ip_checksum": 3, "tcp_paws": 2, "land": 1, "device_malformed": 6}
	if !reflect.DeepEqual(sum.Drops, want) {
		t.Errorf("drops %v, want %v", sum.Drops, want)
	}
	if sum.Connections != 7 {
		t.Errorf("%d connections", sum.Connections)
	}
	text, err := json.Marshal(sum)
	if err != nil || !strings.HasPrefix(string(text), `{"packets_read":21,"delivered":9,"drops":{`) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestEveryCounterIsAdded fills one shard's counters with ones: none may be left behind.
func TestEveryCounterIsAdded(t *testing.T) {
	var c stack.Counters
	ones(reflect.ValueOf(&c).Elem())
	sum := newCounters()
	sum.DeviceDrops, sum.Listeners[80] = 1, Listener{}
	sum.add(&c)
	v := reflect.ValueOf(sum)
	for i := range v.NumField() {
		if f := v.Field(i); f.IsZero() || f.Kind() == reflect.Map && f.Len() == 0 {
			t.Errorf("%s is never added to", v.Type().Field(i).Name)
		}
	}
}

// TestListeners adds the listeners of a port up, each number to its own.
func TestListeners(t *testing.T) {
	sum := newCounters()
	a := stack.ListenerStats{HalfOpen: 1, Waiting: 2, FastOpen: 3, Deferred: 4, Accepted: 5, Cookies: 6, Full: 7, SourceFull: 8}
	sum.listener(80, a)
	sum.listener(7, a)
	sum.listener(80, a)
	want := map[uint16]Listener{
		7:  {HalfOpen: 1, Waiting: 2, FastOpen: 3, Deferred: 4, Accepted: 5, Cookies: 6, Full: 7, SourceFull: 8},
		80: {HalfOpen: 2, Waiting: 4, FastOpen: 6, Deferred: 8, Accepted: 10, Cookies: 12, Full: 14, SourceFull: 16},
	}
	if !reflect.DeepEqual(sum.Listeners, want) {
		t.Errorf("got %+v, want %+v", sum.Listeners, want)
	}
	const text = `{"7":{"half_open":1,"waiting":2,"fast_open":3,"deferred":4,"accepted":5,"cookies":6,"full":7,"source_full":8},"80":{`
	if got, err := json.Marshal(sum.Listeners); err != nil || !strings.HasPrefix(string(got), text) {
		t.Errorf("%s, %v", got, err)
	}
}

// TestEveryCounterIsShown: what a shard or a listener counts changes something in the sum.
func TestEveryCounterIsShown(t *testing.T) {
	typ := reflect.TypeFor[stack.Counters]()
	for i := range typ.NumField() {
		var c stack.Counters
		ones(reflect.ValueOf(&c).Elem().Field(i))
		sum := newCounters()
		sum.add(&c)
		if reflect.DeepEqual(sum, newCounters()) {
			t.Errorf("%s is not shown", typ.Field(i).Name)
		}
	}
	typ = reflect.TypeFor[stack.ListenerStats]()
	for i := range typ.NumField() {
		var s stack.ListenerStats
		ones(reflect.ValueOf(&s).Elem().Field(i))
		sum := newCounters()
		sum.listener(80, s)
		if sum.Listeners[80] == (Listener{}) {
			t.Errorf("%s of a listener is not shown", typ.Field(i).Name)
		}
	}
}

func ones(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			ones(v.Field(i))
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			ones(v.Index(i))
		}
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	}
}
