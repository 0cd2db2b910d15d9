package explain

import (
	"strconv"
	"strings"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// Connection is what is known of a connection at one moment.
type Connection struct {
	State  string // as in RFC 9293
	Orphan bool   // its user has let go of it
	Timer  string // what the next deadline is for, as the control socket names it; "": none runs, or it is not known
	Left   mono.Duration
	Age    mono.Duration // since it began; 0: not known
	Info   tcp.Info      // its State is not looked at
	Notes  []Note        // of its flight record
	// Missing is how many notes are lost, after the first of them: a record keeps how it began, and what came last.
	Missing int
}

// Note is something remarkable in a connection's life: a transition, an incident, or a segment that was not taken.
type Note struct {
	At              mono.Duration // since whatever the caller counts from
	From, Event, To string        // a transition, if Event is set
	Open            string        // which kind of SYN-RECEIVED From is, as for Transition
	Incident        string
	Drop            string
	Flags           string // of the segment that was not taken
	Text            int
	Again           int // so often in a row beyond the first time
}

// Account is what there is to say of a connection.
type Account struct {
	Happened []Line  `json:"happened"` // in order
	Missing  int     `json:"missing,omitempty"`
	Waits    []Wait  `json:"waits"`  // the most pressing first; each way of the stream may wait for something of its own
	Limits   []Limit `json:"limits"` // what held its sending back for how long, the largest share first
}

// Line is something that has happened.
type Line struct {
	At    mono.Duration `json:"at_ns"`
	What  string        `json:"what"`  // in the names of events
	Text  string        `json:"text"`  // in plain English
	Times int           `json:"times"` // so often in a row
	RFC   string        `json:"rfc,omitempty"`
}

// Explain gives an account of the connection.
func (c *Connection) Explain() Account {
	return Account{Happened: happened(c.Notes), Missing: c.Missing, Waits: c.waits(), Limits: c.limits()}
}

// happened tells the notes, those that repeat themselves once.
func happened(notes []Note) []Line {
	list := []Line{}
	for _, n := range notes {
		l := n.line()
		if last := len(list) - 1; last >= 0 && list[last].What == l.What {
			list[last].Times += l.Times
			continue
		}
		list = append(list, l)
	}
	return list
}

func (n *Note) line() Line {
	l := Line{At: n.At, Times: 1 + n.Again}
	switch {
	case n.Event != "":
		l.What = n.From + " " + n.Event + " " + n.To
		l.Text, l.RFC = Transition(n.From, n.Open, n.Event, n.To), paragraph(n.From, n.Event)
	case n.Incident != "":
		l.What, l.Text, l.RFC = n.Incident, Incident(n.Incident), incidentParagraph(n.Incident)
	default:
		l.What, l.Text = n.Drop, Drop(n.Drop)
		if n.Flags != "" {
			l.What += " " + n.Flags
		}
		if n.Text > 0 {
			l.What += " " + strconv.Itoa(n.Text)
		}
	}
	return l
}

// paragraph is fsm.Paragraph by names, with the RFC that most of them leave out.
func paragraph(from, event string) string {
	for s := fsm.Closed; s <= fsm.TimeWait; s++ {
		for e := fsm.OpenPassive; e <= fsm.TwoMSL; e++ {
			p := fsm.Paragraph(s, e)
			switch {
			case s.String() != from || e.String() != event || p == "":
			case strings.HasPrefix(p, "RFC "):
				return p
			default:
				return "RFC 9293 " + p
			}
		}
	}
	return ""
}

func incidentParagraph(name string) string {
	for i := range tcp.Incident(tcp.NumIncidents) {
		if i.String() == name {
			return i.Paragraph()
		}
	}
	return ""
}
