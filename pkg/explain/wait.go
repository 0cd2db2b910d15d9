package explain

import (
	"fmt"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Party is who owes the next move.
type Party string

// The parties.
const (
	OurUser   Party = "our user"
	Peer      Party = "the peer"
	PeersUser Party = "the peer's user"
	Timer     Party = "a timer"
	Nobody    Party = "nobody"
)

// Wait is something that a connection waits for.
type Wait struct {
	Owes Party  `json:"owes"`
	Text string `json:"text"`
	RFC  string `json:"rfc,omitempty"`
}

// rule is a wait, and when there is one.
type rule struct {
	when func(*Connection) bool
	owes Party
	say  func(*Connection) string
	rfc  string
}

// waits are the rules of the state that hold; the last one only where none before it does.
func (c *Connection) waits() []Wait {
	list := []Wait{}
	for _, r := range rules[c.State] {
		if r.when == nil && len(list) > 0 || r.when != nil && !r.when(c) {
			continue
		}
		list = append(list, Wait{r.owes, r.say(c), r.rfc})
	}
	return list
}

// What the text that is queued and in flight waits for.
var (
	closedToUs     = closed(func(c *Connection) string { return wait(c.pending()) })
	unacknowledged = rule{func(c *Connection) bool { return c.Info.Flight > 0 && !c.shutOut() }, Peer, func(c *Connection) string {
		return fmt.Sprintf("The peer has to acknowledge: %s in flight%s.%s", bytes(c.Info.Flight), c.behind(), c.again("what is in flight"))
	}, "RFC 9293 3.8.1"}
	heldBack = rule{func(c *Connection) bool { return c.Info.Flight == 0 && c.Info.Unsent > 0 && !c.shutOut() }, Timer, func(c *Connection) string {
		return fmt.Sprintf("We hold %s back, though nothing is in flight: it would make small segments, or it is sent at a pace. It goes when a timer says so%s.",
			bytes(c.Info.Unsent), c.due("persist", "unknown"))
	}, "RFC 9293 3.8.6.2.1"}
)

// closedToFIN is closedToUs where our FIN is behind the text: it counts as a byte in flight.
var closedToFIN = closed(func(c *Connection) string {
	if c.pending() > 1 {
		return wait(c.pending())
	}
	return "our FIN waits"
})

// closed is the rule for what waits behind a closed window.
func closed(what func(*Connection) string) rule {
	return rule{(*Connection).shutOut, PeersUser, func(c *Connection) string {
		patience := "as long as the peer answers, the connection stays open."
		if c.Orphan {
			patience = "but our user has let go of the connection: when nothing has been taken for orphan_timeout, it is given up."
		}
		return fmt.Sprintf("The peer's window is closed: %s until its user reads. We ask from time to time%s; %s", what(c), c.due("persist"), patience)
	}, "RFC 9293 3.8.6.1"}
}

// What the text that has come waits for.
var (
	unreadText = rule{func(c *Connection) bool { return c.Info.Unread > 0 }, OurUser, func(c *Connection) string {
		text := fmt.Sprintf("Our user has to read: %s for him.", wait(c.Info.Unread))
		if c.Info.ReceiveWindow < max(c.Info.ReceiveMSS, 1) && c.State != closeWait {
			text += " Until then our window is closed, or nearly so, and the peer has to wait."
		}
		return text
	}, "RFC 9293 3.8.6"}
	gap = rule{func(c *Connection) bool { return c.Info.OutOfOrder > 0 }, Peer, func(c *Connection) string {
		return fmt.Sprintf("The peer has to send again what is missing: %s beyond a gap.", wait(c.Info.OutOfOrder))
	}, "RFC 9293 3.10.7.4 seventh"}
)

// The FIN that we have queued waits behind the text; it is acknowledged, or the peer's window is in the way.
var ourFIN = rule{func(c *Connection) bool { return !c.shutOut() }, Peer, func(c *Connection) string {
	return "The peer has to acknowledge our FIN, and what is before it." + c.again("the FIN")
}, "RFC 9293 3.6"}

var closeWait = fsm.CloseWait.String()

// rules are what a connection may wait for in each state, in the order of what presses. A rule without a condition is for
// when nothing else is the case.
var rules = map[string][]rule{
	fsm.Closed.String(): {always(Nobody, "There is no connection.", "RFC 9293 3.3.2")},
	fsm.Listen.String(): {always(Peer, "Somebody has to call: until then there is nothing to do.", "RFC 9293 3.3.2")},
	fsm.SynSent.String(): {{nil, Peer, func(c *Connection) string {
		return "The peer has to answer our SYN: with SYN,ACK if it listens, with RST if not." + c.again("the SYN")
	}, "RFC 9293 3.5"}},
	fsm.SynRcvd.String(): {{nil, Peer, func(c *Connection) string {
		return "The peer has to acknowledge our SYN: only then do both know that the other has their initial sequence number." + c.again("our SYN,ACK")
	}, "RFC 9293 3.5"}},
	fsm.Established.String(): {unreadText, closedToUs, unacknowledged, heldBack, gap, {nil, Nobody, idle, "RFC 9293 3.8.4"}},
	fsm.FinWait1.String():    {closedToFIN, ourFIN, unreadText, gap},
	fsm.FinWait2.String():    {finTimeout, peerCloses, unreadText, gap},
	closeWait:                {unreadText, ourUserCloses, closedToUs, unacknowledged, heldBack},
	fsm.Closing.String():     {closedToFIN, ourFIN},
	fsm.LastAck.String():     {closedToFIN, ourFIN},
	fsm.TimeWait.String(): {{nil, Nobody, func(c *Connection) string {
		return fmt.Sprintf("Nobody: 2 MSL have to pass%s. Should the peer's FIN come again, our last ACK was lost and is repeated; and old segments die meanwhile, "+
			"before the same ports are used again. tcp_fin_timeout has no part in it.", c.due("timewait"))
	}, "RFC 9293 3.6.1 MUST-13"}},
}

var (
	finTimeout = rule{(*Connection).patienceRuns, Timer, func(c *Connection) string {
		return fmt.Sprintf("The peer's user has to close, or fin_timeout (tcp_fin_timeout in Linux) ends it%s: our user has let go, so nobody here would read what still comes.", c.due("timewait"))
	}, "RFC 9293 3.6.1"}
	peerCloses = rule{func(c *Connection) bool { return !c.patienceRuns() }, PeersUser, func(c *Connection) string {
		return "The peer's user has to close: our half of the stream has ended and is acknowledged, the other goes on for as long as he likes."
	}, "RFC 9293 3.6.1"}
	ourUserCloses = rule{func(*Connection) bool { return true }, OurUser, func(c *Connection) string {
		return "Our user has to close: the peer's half of the stream has ended, ours has not. There is no timer for it; if this lasts, our program has forgotten to close."
	}, "RFC 9293 3.6"}
)

// always is the rule of a state in which there is but one thing to say.
func always(owes Party, text, rfc string) rule {
	return rule{nil, owes, func(*Connection) string { return text }, rfc}
}

func idle(c *Connection) string {
	if c.Timer == "keepalive" {
		return fmt.Sprintf("Nothing is due: all that was sent is acknowledged, and all that came is read. Keep-alive asks whether the peer is still there%s.", c.due("keepalive"))
	}
	return "Nothing is due: all that was sent is acknowledged, and all that came is read. It may stay so for as long as both users like; TCP sends nothing meanwhile."
}

// shutOut reports that the peer's window is closed to what there is to send. Before the peer's SYN there is no window.
func (c *Connection) shutOut() bool { return c.Info.SendWindow == 0 && c.pending() > 0 }

func (c *Connection) pending() int { return c.Info.Flight + c.Info.Unsent }

// patienceRuns reports that FIN-WAIT-2 has an end: its timer bears the name of TIME-WAIT's.
func (c *Connection) patienceRuns() bool { return c.Orphan || c.Timer == "timewait" }

// behind tells what can't be sent yet.
func (c *Connection) behind() string {
	unsent := c.Info.Unsent
	switch {
	case unsent == 0:
		return ""
	case c.Info.Flight+min(unsent, c.Info.SendMSS) > c.Info.SendWindow:
		return fmt.Sprintf(", and %s more for room in its window", wait(unsent))
	}
	return fmt.Sprintf(", and %s more until cwnd, or the pace, lets them go", wait(unsent))
}

// again tells of the silence so far.
func (c *Connection) again(what string) string {
	switch r := c.Info.Retries; {
	case r == 0:
		return ""
	case r == 1:
		return fmt.Sprintf(" It has been silent for one time-out; %s is sent again%s.", what, c.due("on"))
	default:
		return fmt.Sprintf(" It has been silent for %d time-outs, each twice as long as the one before; %s is sent again%s.", r, what, c.due("on"))
	}
}

// due is when the next deadline is, if it is for one of these.
func (c *Connection) due(timers ...string) string {
	if !slices.Contains(timers, c.Timer) {
		return ""
	}
	return fmt.Sprintf(", in %v", c.Left.Round(mono.Millisecond))
}

func bytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

func wait(n int) string {
	if n == 1 {
		return "1 byte waits"
	}
	return bytes(n) + " wait"
}
