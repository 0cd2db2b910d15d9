package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/explain"
	"github.com/tcpd-project/tcpd/pkg/fsm"
	"github.com/tcpd-project/tcpd/pkg/infer"
	"github.com/tcpd-project/tcpd/pkg/observe"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// captureNamed reports that a name is that of a file, and not of a connection; the error says what is wrong with one that can
// only be a file's.
func captureNamed(name string) (bool, error) {
	info, err := os.Stat(name)
	switch {
	case name == "-" || err == nil && !info.IsDir():
		return true, nil
	case !strings.Contains(name, "/") && !slices.Contains([]string{".pcapng", ".pcap", ".cap"}, filepath.Ext(name)):
		return false, nil
	case err == nil:
		return false, usageError{fmt.Errorf("%s is a directory, and not a capture", name)}
	}
	return false, err
}

// explainCapture says of each connection of a capture what the wire shows.
func explainCapture(w io.Writer, name string, asJSON bool) error {
	file := os.Stdin
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return err
		}
		defer file.Close()
	}
	r := inferred{ladder: newLadder(w, true), out: w, json: asJSON}
	r.ladder.sentences = true
	skipped, err := infer.Follow(file, r.step)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if asJSON {
		return r.list(skipped)
	}
	for _, c := range r.connections {
		r.summary(c)
	}
	if len(r.connections) == 0 {
		fmt.Fprintf(w, "%s: there is no connection in it.\n", name)
	}
	switch {
	case skipped == 1:
		fmt.Fprintln(w, "\n1 packet was no whole segment of TCP over IPv4.")
	case skipped > 1:
		fmt.Fprintf(w, "\n%d packets were no whole segments of TCP over IPv4.\n", skipped)
	}
	return nil
}

// inferred tells of a capture.
type inferred struct {
	ladder      *ladder
	out         io.Writer
	json        bool
	connections []*infer.Connection
	seen        map[*infer.Connection]bool
}

func inferredID(c *infer.Connection) string { return c.Server.String() + "-" + c.Client.String() }

// step draws a segment, as the end that was called sees it, and what it has done to both.
func (r *inferred) step(s *infer.Step) error {
	c := s.Connection
	if r.seen == nil {
		r.seen = map[*infer.Connection]bool{}
	}
	if !r.seen[c] {
		r.seen[c] = true
		r.connections = append(r.connections, c)
	}
	if r.json {
		return nil
	}
	if len(r.seen) == 1 && c.Packets == 1 {
		fmt.Fprintln(r.out, "Inferred from the segments alone: the left end called, the right one was called. In which state each is, and what its user")
		fmt.Fprintln(r.out, "did, is what its segments show; each is taken for received. Who owes the next move is as of the capture's end.")
	}
	server := c.ServerEnd.State // before the segment came to it
	toServer, toClient := s.Sender, s.Receiver
	e := control.Event{At: s.At.UnixNano(), Connection: inferredID(c), Kind: "departure", Segment: control.SegmentOf(s.Segment, s.Text, 0)}
	if s.FromClient {
		e.Kind = "arrival"
		toServer, toClient = toClient, toServer
		if len(toServer) > 0 {
			server = toServer[0].From
		}
	}
	e.State = server.String()
	if s.FromClient && s.Segment.Flags&tcp.SYN != 0 && c.ServerEnd.Silent() {
		e.State = explain.PerhapsListen
	}
	switch {
	case s.Text == 1 && s.Shut:
		e.Again = tcp.ResendProbe.String()
	case s.Again:
		e.Again = "sent before"
	}
	if s.FromClient {
		r.moves(&e, "client", toClient)
	} else {
		r.moves(&e, "server", toServer)
	}
	if err := r.ladder.show(&e); err != nil {
		return err
	}
	if s.FromClient {
		r.moves(&e, "server", toServer)
	} else {
		r.moves(&e, "client", toClient)
	}
	return r.ladder.out.Flush()
}

// moves draws the state changes of an end; sentences are said of the server, which is the right end of the ladder.
func (r *inferred) moves(e *control.Event, end string, moves []infer.Move) {
	for _, m := range moves {
		v := control.Event{
			At: e.At, Connection: e.Connection, Kind: "transition", State: m.From.String(), Event: m.Event.String(), To: m.To.String(),
			RFC: observe.Paragraph(m.From, m.Event), Open: map[fsm.State]string{fsm.SynRcvd: "passive", fsm.SynRcvdOpen: "simultaneous"}[m.From],
		}
		r.ladder.head(&v)
		r.ladder.aside(&v, end+" → "+v.To, v.Event, stateColor(ssName(v.To)))
		if end == "server" {
			r.ladder.explain(&v)
		}
	}
}

// told is what is said of one connection.
type told struct {
	Client      netip.AddrPort `json:"client"`
	Server      netip.AddrPort `json:"server"`
	Inferred    bool           `json:"inferred"` // always: nobody but the two ends knows
	Middle      bool           `json:"middle"`   // its SYN was not captured
	Packets     int            `json:"packets"`
	First       time.Time      `json:"first"`
	Last        time.Time      `json:"last"`
	ClientState string         `json:"client_state"`
	ServerState string         `json:"server_state"`
	ClientText  uint64         `json:"client_text"` // bytes, each once
	ServerText  uint64         `json:"server_text"`
	ClientAgain int            `json:"client_again"` // segments sent before
	ServerAgain int            `json:"server_again"`
	ClientWaits []explain.Wait `json:"client_waits"`
	ServerWaits []explain.Wait `json:"server_waits"`
}

func tell(c *infer.Connection) told {
	waits := func(end, peer *infer.End) []explain.Wait {
		switch {
		case end.Silent():
			return []explain.Wait{{Owes: explain.Peer, Text: "Nothing of it is here: nobody is there, or something on the way takes the calls or the answers, or the capture has one direction only."}}
		case end.Shut():
			return []explain.Wait{{Owes: explain.OurUser, Text: "The window that it offers is closed until its user reads.", RFC: "RFC 9293 3.8.6"}}
		case end.OwesACK():
			return []explain.Wait{{Owes: "itself", Text: "What has come is to be acknowledged, and is not here.", RFC: "RFC 9293 3.8.6.3"}}
		}
		v := explain.Connection{State: end.State.String(), Info: tcp.Info{SendWindow: int(peer.Window), Flight: int(end.Flight())}}
		return v.Explain().Waits
	}
	a, b := &c.ClientEnd, &c.ServerEnd
	state := func(e *infer.End) string {
		if e.Silent() {
			return "unknown"
		}
		return e.State.String()
	}
	return told{
		Client: c.Client, Server: c.Server, Inferred: true, Middle: c.Middle, Packets: c.Packets, First: c.First, Last: c.Last,
		ClientState: state(a), ServerState: state(b), ClientText: a.Sent, ServerText: b.Sent,
		ClientAgain: a.Again, ServerAgain: b.Again, ClientWaits: waits(a, b), ServerWaits: waits(b, a),
	}
}

func (r *inferred) list(skipped int) error {
	v := struct {
		Connections []told `json:"connections"`
		Skipped     int    `json:"skipped"` // packets
	}{[]told{}, skipped}
	for _, c := range r.connections {
		v.Connections = append(v.Connections, tell(c))
	}
	return json.NewEncoder(r.out).Encode(v)
}

// summary says how a connection stood at the capture's end.
func (r *inferred) summary(c *infer.Connection) {
	v := tell(c)
	fmt.Fprintf(r.out, "\n%s: %s in %v\n", inferredID(c), number(v.Packets, "packet"), v.Last.Sub(v.First))
	if v.Middle {
		fmt.Fprintln(r.out, "  Its beginning was not captured: both ends are taken for open.")
	}
	for _, end := range []struct {
		name, state string
		text        uint64
		again       int
		waits       []explain.Wait
	}{{"client", v.ClientState, v.ClientText, v.ClientAgain, v.ClientWaits}, {"server", v.ServerState, v.ServerText, v.ServerAgain, v.ServerWaits}} {
		fmt.Fprintf(r.out, "  %s: %s; %s sent, %d again\n", end.name, end.state, number(end.text, "byte"), end.again)
		for _, w := range end.waits {
			for i, line := range wrap("as it sees it, "+string(w.Owes)+" owes the next move. "+w.Text, textWidth) {
				fmt.Fprintf(r.out, "    %s%s\n", strings.Repeat(" ", min(i, 1)*2), line)
			}
		}
	}
}
