package observe

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// help says what each counter means, by its name in JSON. Those that only ever grow are counters of Prometheus's, with the
// suffix _total; the rest are gauges.
var help = map[string]string{
	"segments_read":     "Segments of TCP that have come, each of a superframe counted.",
	"segments_written":  "Segments of TCP sent, each of a superframe counted.",
	"text_received":     "Bytes of text taken in order.",
	"text_acknowledged": "Bytes of text, and FINs, that peers have acknowledged.",
	"packets_read":      "Packets that the device has delivered.",
	"delivered":         "Packets that were taken; the others have a reason in tcpd_drops_total.",
	"packets_written":   "Packets and superframes written to the device.",
	"write_errors":      "Packets that the device did not take.",
	"forwarded":         "Packets that came to another shard than their connection's.",
	"device_drops":      "Packets that the kernel dropped before they could be read.",

	"opened":             "Connections opened by us.",
	"accepted":           "Connections opened by peers.",
	"ended":              "Connections that are over.",
	"resets_sent":        "RSTs sent.",
	"time_wait_evicted":  "TIME-WAITs ended early, for there were too many.",
	"orphans_aborted":    "Connections that nobody held, reset, for there were too many.",
	"deferred":           "SYNs on which the admission hook did not decide at once.",
	"fast_opens":         "Connections opened by the cookie of a client (RFC 7413).",
	"cookies_sent":       "SYNs answered by a SYN cookie.",
	"cookies_taken":      "Connections that came of SYN cookies.",
	"panics":             "Panics of handlers and hooks.",
	"memory_aborted":     "Connections ended for want of memory.",
	"reneged":            "Connections whose text out of order was forgotten for want of memory.",
	"icmp_errors":        "ICMP errors sent.",
	"icmp_limited":       "ICMP errors not sent, for there were too many.",
	"pings":              "Pings answered.",
	"challenges":         "ACKs that no text asked for (RFC 5961).",
	"challenges_limited": "Such ACKs that a limit has kept back.",
	"sack_ignored":       "SACK blocks that were ignored.",
	"impossible":         "Events for which the state machine has no cell: bugs.",
	"no_memory":          "Times that no memory was found.",

	"orphans":        "Connections that nobody holds any more.",
	"ring_bytes":     "Bytes of send and receive rings.",
	"list_bytes":     "Bytes of scoreboards and of lists of text out of order.",
	"fragment_bytes": "Bytes of incomplete datagrams.",
	"fragments_held": "Fragments that were kept for the rest of their datagram.",
	"turns":          "Turns of the shards.",

	"datagrams_completed": "Datagrams put together from fragments.",
	"datagrams_timed_out": "Datagrams whose rest did not come.",
	"datagrams_evicted":   "Incomplete datagrams forgotten for want of room.",
	"datagrams_condemned": "Datagrams whose fragments contradicted each other.",
}

// listenerHelp is the same for what is counted of the listeners of a port.
var listenerHelp = map[string]string{
	"half_open":   "Connections in SYN-RECEIVED, by port.",
	"waiting":     "Connections that wait to be taken, by port: the depth of the accept queue.",
	"fast_open":   "Connections opened by cookies whose handshake is not over, by port.",
	"deferred":    "SYNs on which the admission hook has not decided yet, by port.",
	"accepted":    "Connections opened by peers, by port.",
	"cookies":     "SYNs answered by a SYN cookie, by port.",
	"full":        "Last ACKs of handshakes not taken, for the backlog was full, by port.",
	"source_full": "Last ACKs of handshakes not taken, for one source had too much of the backlog, by port.",
}

// counted are the members of a struct that is counted in, each with how it is told.
type counted []struct {
	field int
	desc  *prometheus.Desc
	kind  prometheus.ValueType
}

func count(t reflect.Type, prefix string, help map[string]string, labels ...string) (list counted) {
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("json")
		text := help[name]
		if text == "" {
			continue
		}
		kind := prometheus.GaugeValue
		if t.Field(i).Type.Kind() == reflect.Uint64 {
			name, kind = name+"_total", prometheus.CounterValue
		}
		list = append(list, struct {
			field int
			desc  *prometheus.Desc
			kind  prometheus.ValueType
		}{i, prometheus.NewDesc(prefix+name, text, labels, nil), kind})
	}
	return list
}

func (list counted) collect(v reflect.Value, to chan<- prometheus.Metric, labels ...string) {
	for _, c := range list {
		n := v.Field(c.field).Convert(reflect.TypeFor[float64]()).Float()
		to <- prometheus.MustNewConstMetric(c.desc, c.kind, n, labels...)
	}
}

// Source is where metrics come from.
type Source struct {
	Counters func() Counters
	States   func(context.Context) (map[fsm.State]int, error) // stack.States
}

// collector shows a Source to Prometheus. It keeps nothing: each scrape asks anew.
type collector struct {
	Source
	counters, listeners counted
	drops, connections  *prometheus.Desc
	turns, late         *prometheus.Desc
	rtt, handshake      *prometheus.Desc
	resent, incidents   *prometheus.Desc
	transitions         *prometheus.Desc
}

func newCollector(s Source) *collector {
	return &collector{
		Source:      s,
		counters:    count(reflect.TypeFor[Counters](), "tcpd_", help),
		listeners:   count(reflect.TypeFor[Listener](), "tcpd_listener_", listenerHelp, "port"),
		drops:       prometheus.NewDesc("tcpd_drops_total", "Packets read and not taken, by reason.", []string{"reason"}, nil),
		connections: prometheus.NewDesc("tcpd_connections", "Connections, by state.", []string{"state"}, nil),
		turns:       prometheus.NewDesc("tcpd_turn_seconds", "Length of the shards' turns; the sum is estimated.", nil, nil),
		late:        prometheus.NewDesc("tcpd_timer_late_seconds", "How late connections' timers were looked at; the sum is estimated.", nil, nil),
		rtt:         prometheus.NewDesc("tcpd_rtt_seconds", "Round trips measured; the sum is estimated.", nil, nil),
		handshake:   prometheus.NewDesc("tcpd_handshake_seconds", "From our SYN to its acknowledgment; the sum is estimated.", nil, nil),
		resent:      prometheus.NewDesc("tcpd_resent_total", "Segments and superframes sent again, by reason.", []string{"reason"}, nil),
		incidents:   prometheus.NewDesc("tcpd_incidents_total", "Timers of connections, and episodes of loss and congestion.", []string{"incident"}, nil),
		transitions: prometheus.NewDesc("tcpd_transitions_total", "Moves of the state machine.", []string{"from", "event", "cause", "to"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, list := range []counted{c.counters, c.listeners} {
		for _, m := range list {
			to <- m.desc
		}
	}
	for _, d := range []*prometheus.Desc{
		c.drops, c.connections, c.turns, c.late, c.rtt, c.handshake, c.resent, c.incidents, c.transitions,
	} {
		to <- d
	}
}

// longestCount is how long the shards may take to count their connections.
const longestCount = 2 * time.Second

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	t := c.Counters()
	c.counters.collect(reflect.ValueOf(t), to)
	for port, l := range t.Listeners {
		c.listeners.collect(reflect.ValueOf(l), to, strconv.Itoa(int(port)))
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		count map[string]uint64
	}{{c.drops, t.Drops}, {c.resent, t.Resent}, {c.incidents, t.Incidents}} {
		for label, n := range m.count {
			to <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(n), label)
		}
	}
	for _, m := range t.Transitions {
		to <- prometheus.MustNewConstMetric(c.transitions, prometheus.CounterValue, float64(m.Count), m.From, m.Event, m.Cause, m.To)
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		times Times
	}{{c.turns, t.TurnLength}, {c.late, t.TimerLate}, {c.rtt, t.RTT}, {c.handshake, t.Handshake}} {
		to <- m.times.histogram(m.desc)
	}
	c.collectStates(to)
}

// histogram is t with its bounds in seconds. Of the lengths below a bound it is known only that they are half of it or more: for the
// sum they count as three quarters.
func (t Times) histogram(d *prometheus.Desc) prometheus.Metric {
	count, sum, buckets := uint64(0), 0.0, map[float64]uint64{}
	last := len(mono.Histogram{}) - 1 // has no bound
	for i := range last + 1 {
		n, bound := t[1<<i], float64(uint64(1)<<i)/1e6
		count += n
		sum += float64(n) * bound * 3 / 4
		if i < last {
			buckets[bound] = count
		}
	}
	return prometheus.MustNewConstHistogram(d, count, sum, buckets)
}

// collectStates shows every state, also one in which no connection is, so that it is a line and not a gap.
func (c *collector) collectStates(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), longestCount)
	defer cancel()
	states, err := c.States(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(c.connections, err)
		return
	}
	byName := map[string]int{}
	for s := fsm.SynSent; s <= fsm.TimeWait; s++ {
		byName[s.String()] += states[s] // both kinds of SYN-RECEIVED have one name
	}
	for name, n := range byName {
		to <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(n), name)
	}
}

// Metrics answers with what there is to know of a source, of the Go runtime and of the process, in Prometheus's format.
func Metrics(s Source) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(s), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
