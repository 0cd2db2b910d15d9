package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Listener is how the service on a port listens, at each of the addresses.
type Listener struct {
	// That of a service.
	Port uint16 `yaml:"port"`
	// Connections that wait to be taken; when full, handshakes wait. 0: 4096 where connections have goroutines, no limit elsewhere.
	Backlog int `yaml:"backlog"`
	// Connections in SYN-RECEIVED; beyond, SYNs get cookies. 0: limits.half_open alone.
	HalfOpen int `yaml:"half_open"`
	// What one remote address may have of the backlog. 0: no limit.
	SourceBacklog int `yaml:"source_backlog"`
	// What one remote address may have of half_open. 0: no limit.
	SourceHalfOpen int `yaml:"source_half_open"`
	// Connections that are open; when so many are, handshakes wait. 0: 16384 where connections have goroutines, no limit elsewhere.
	Connections int `yaml:"connections"`
	// What one remote address may have of connections. 0: no limit.
	SourceConnections int `yaml:"source_connections"`
	// Connections opened by cookies (RFC 7413) and not yet confirmed. 0: TCP Fast Open is off.
	FastOpen int `yaml:"fast_open"`
	// What is otherwise for connections to this port than in the section tcp.
	TCP Changes `yaml:"tcp"`
}

// notOfPorts is the key of the tcp section that is the whole stack's.
const notOfPorts = "msl"

// Changes are the values by which some connections differ from the tcp section, by their keys there. They are put over
// the section only when all of it is known, wherever it stands in the file and whatever the command line makes of it.
type Changes map[string]any

// Over returns t with the changes made.
func (c Changes) Over(t TCP) TCP {
	for key, value := range c {
		fieldOf(reflect.ValueOf(&t).Elem(), key).Set(reflect.ValueOf(value))
	}
	return t
}

func (v *faults) listeners(c *Config) {
	ports := c.ports()
	for i, l := range c.Listeners {
		key := fmt.Sprintf("listeners[%d]", i)
		v.rule(key+".port", anyPort)
		switch {
		case l.Port == 0:
			v.add(key+".port", "a port from 1 to 65535 is wanted")
		case slices.ContainsFunc(c.Listeners[:i], func(o Listener) bool { return o.Port == l.Port }):
			v.add(key+".port", "port %d is there twice", l.Port)
		case !slices.Contains(ports, l.Port):
			v.add(key+".port", "no service listens on port %d: %s", l.Port, listening(ports))
		}
		within(v, key+".backlog", l.Backlog, 0, 1<<20)
		within(v, key+".half_open", l.HalfOpen, 0, mostRecords)
		within(v, key+".source_backlog", l.SourceBacklog, 0, 1<<20)
		within(v, key+".source_half_open", l.SourceHalfOpen, 0, mostRecords)
		within(v, key+".connections", l.Connections, 0, mostRecords)
		within(v, key+".source_connections", l.SourceConnections, 0, mostRecords)
		within(v, key+".fast_open", l.FastOpen, 0, mostRecords)
		v.changes(key, l.TCP, c.TCP)
	}
}

// changes adds what is wrong with the section t once c is over it, but not what has been wrong with it before.
func (v *faults) changes(key string, c Changes, t TCP) {
	var before, after faults
	before.tcp(&t)
	t = c.Over(t)
	after.tcp(&t)
	for _, f := range after.list {
		_, changed := c[strings.TrimPrefix(f.Key, "tcp.")]
		if changed || !slices.ContainsFunc(before.list, func(o *Fault) bool { return *o == *f }) {
			v.add(key+"."+f.Key, "%s", f.Text)
		}
	}
}

func listening(ports []uint16) string {
	if len(ports) == 0 {
		return "none runs"
	}
	return "there are services on " + strings.ReplaceAll(strings.Trim(fmt.Sprint(ports), "[]"), " ", ", ")
}
