package tcp

import "github.com/tcpd-project/tcpd/pkg/fsm"

// Tracer is told what happens inside connections, by the goroutine that calls them. It must not keep c.
type Tracer interface {
	// Transition is told after the machine has moved, and before what it orders is done.
	Transition(c *Conn, from fsm.State, e fsm.Event, to fsm.State)
	Incident(c *Conn, i Incident)
}

// Incident is what happens to a connection without moving it to another state: a timer expires, a reduction of what may be in
// the network begins or ends, the path or the peer's window changes.
type Incident uint8

// The incidents.
const (
	IncidentSYNTimeout     Incident = iota // our SYN has not been answered in time
	IncidentTimeout                        // nothing was acknowledged in time
	IncidentWindowProbe                    // the peer's window has been closed for an RTO, or text held back for too long
	IncidentReorderTimeout                 // what might have come late is taken for lost
	IncidentTailProbe                      // the last segments were not acknowledged soon
	IncidentDelayedACK                     // no text has come along that an acknowledgment could go with
	IncidentKeepAlive                      // the peer was silent for long, and is asked whether it is there
	IncidentOrphanTimeout                  // the peer takes nothing of what our user has left behind: the connection is given up
	IncidentRecovery                       // a loss has been found: fast recovery begins
	IncidentRecovered                      // all that was in flight when it began has been acknowledged
	IncidentSpurious                       // nothing had been lost: the reduction is undone
	IncidentMarked                         // a router has marked a segment instead of dropping it: the window is reduced
	IncidentIdle                           // after a pause cwnd says little: it begins anew
	IncidentTooBig                         // a router has told of a smaller MTU
	IncidentBlackHole                      // large segments seem to vanish: smaller ones are tried
	IncidentWindowClosed                   // the peer has no more room
	IncidentWindowOpened                   // the peer has room again
	IncidentOperatorReset                  // whoever runs the host ends the connection
	NumIncidents           = iota
)

var incidents = [NumIncidents]struct{ name, ref string }{
	IncidentSYNTimeout:     {"syn_timeout", "RFC 6298 (5.4)"},
	IncidentTimeout:        {"timeout", "RFC 6298 (5.4)"},
	IncidentWindowProbe:    {"window_probe", "RFC 9293 3.8.6.1"},
	IncidentReorderTimeout: {"reorder_timeout", "RFC 8985 6.3"},
	IncidentTailProbe:      {"tail_probe", "RFC 8985 7.3"},
	IncidentDelayedACK:     {"delayed_ack", "RFC 9293 3.8.6.3"},
	IncidentKeepAlive:      {"keep_alive", "RFC 9293 3.8.4"},
	IncidentOrphanTimeout:  {"orphan_timeout", "RFC 1122 4.2.3.5"},
	IncidentRecovery:       {"recovery", "RFC 5681 3.2"},
	IncidentRecovered:      {"recovered", "RFC 6582 3.2"},
	IncidentSpurious:       {"spurious", "RFC 4015 3.2"},
	IncidentMarked:         {"marked", "RFC 3168 6.1.2"},
	IncidentIdle:           {"idle", "RFC 5681 4.1"},
	IncidentTooBig:         {"too_big", "RFC 1191 6.3"},
	IncidentBlackHole:      {"black_hole", "RFC 4821 7.7"},
	IncidentWindowClosed:   {"window_closed", "RFC 9293 3.8.6"},
	IncidentWindowOpened:   {"window_opened", "RFC 9293 3.8.6"},
	IncidentOperatorReset:  {"operator_reset", "RFC 9293 3.10.5"},
}

// String is the incident's name in counters and events.
func (i Incident) String() string { return incidents[i].name }

// Paragraph names the RFC and the section that say what is to be done.
func (i Incident) Paragraph() string { return incidents[i].ref }

// Timer reports that a timer has brought the incident about, and no segment or call.
func (i Incident) Timer() bool { return i <= IncidentOrphanTimeout }

// tell counts an incident, and lets whoever listens know.
func (c *Conn) tell(x *Env, i Incident) {
	x.Totals.Incidents[i]++
	if x.Trace != nil {
		x.Trace.Incident(c, i)
	}
}
