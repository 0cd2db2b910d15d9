package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/mono"
)

// Limit is what held back what a connection sends, for a part of the time.
type Limit struct {
	By    string        `json:"by"`
	For   mono.Duration `json:"for_ns"`
	Share float64       `json:"share"` // of the connection's life if its age is known, else of the time in which there was something to send
	Text  string        `json:"text"`
	RFC   string        `json:"rfc,omitempty"`
}

// What limits.
const (
	ByApplication = "our application"
	ByPeersWindow = "the peer's window"
	BySendBuffer  = "our send buffer"
	ByNetwork     = "the network"
)

// limits share out the time. It is not known of a connection that is kept as a few words only, in SYN-RECEIVED and TIME-WAIT:
// then there are none.
func (c *Connection) limits() []Limit {
	i := &c.Info
	all := max(c.Age, i.Busy)
	list := []Limit{
		{By: ByApplication, For: all - i.Busy, Text: "Our application had nothing to send, and nothing was in flight: TCP had nothing to do."},
		{By: ByPeersWindow, For: i.WindowLimited, RFC: "RFC 9293 3.8.6",
			Text: fmt.Sprintf("There was text that the peer had no room for: its user read more slowly than we could send, or its buffer is too small for the path. Its window is %s now.", bytes(i.SendWindow))},
		{By: BySendBuffer, For: i.BufferLimited,
			Text: fmt.Sprintf("All that our send buffer of %s holds was in flight, and our application had more: a larger one would have filled the path better.", bytes(i.SendBuffer))},
		{By: ByNetwork, For: i.Busy - i.WindowLimited - i.BufferLimited, Text: c.network(), RFC: c.networkRFC()},
	}
	list = slices.DeleteFunc(list, func(l Limit) bool { return l.For <= 0 })
	for k := range list {
		list[k].Share = float64(list[k].For) / float64(all)
	}
	slices.SortStableFunc(list, func(a, b Limit) int { return cmp.Compare(b.For, a.For) })
	return list
}

// lossy reports that losses had a say in what might be in flight.
func (c *Connection) lossy() bool {
	i := &c.Info
	return i.BytesLost > 0 || i.TimeOuts > 0
}

// network says what the time went on while text was on its way.
func (c *Connection) network() string {
	i := &c.Info
	text := fmt.Sprintf("Text was on its way, or waited for the congestion window, which is %s now", bytes(i.Cwnd))
	if i.RTT > 0 {
		text += fmt.Sprintf("; an acknowledgment takes a round trip of %v", i.RTT.Round(mono.Microsecond))
	}
	switch {
	case c.lossy():
		return text + fmt.Sprintf(". %s were thought lost, %d segments sent again, after %d time-outs: each loss makes the window smaller.",
			bytes(int(i.BytesLost)), i.Retransmits, i.TimeOuts)
	case i.Reduced:
		return text + ". Nothing was lost, but a router has marked segments (ECN), and the window was reduced for it."
	}
	if i.Retransmits > 0 {
		text += fmt.Sprintf(". %d segments were sent again, as probes or for nothing", i.Retransmits)
	}
	return text + ". Nothing was lost: a window that begins small and grows with each acknowledgment, or the round trip itself, is what it took."
}

func (c *Connection) networkRFC() string {
	switch {
	case c.lossy():
		return "RFC 5681 3.2"
	case c.Info.Reduced:
		return "RFC 3168 6.1.2"
	}
	return "RFC 5681 3.1"
}
