package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
	"github.com/tcpd-project/tcpd/pkg/explain"
	"github.com/tcpd-project/tcpd/pkg/tcp"
)

func newExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain CONNECTION|FILE",
		Short: "Say what happened to a connection, what it waits for, who owes the next move, and what limits its speed",
		Long: "Say what happened to a connection of a running daemon, what it waits for, who owes the next move, and what limited its\n" +
			"speed. CONNECTION is LOCAL-REMOTE, as \"tcpd ss --output json\" has it, or as much of it as names one alone: an end,\n" +
			"or the :PORT of one. Connections that have ended are remembered for a while.\n\n" +
			"FILE is a capture, pcapng or pcap, and needs no daemon: what happened in its connections is inferred from the segments, and\n" +
			"drawn as tcpd trace --explain draws it.",
		Example: "  tcpd explain 10.7.0.2:80-10.7.0.1:40614\n  tcpd explain :40614\n  tcpd explain -o json :40614 | jq .waits\n  tcpd explain trouble.pcapng",
	}
	o := newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, args []string) error {
		s, err := findStory(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		s.Account = s.conn.Explain()
		if o.output == outputJSON {
			return o.print(cmd.OutOrStdout(), s, "")
		}
		return s.write(cmd.OutOrStdout(), o.output == outputWide)
	})
	cmd.ValidArgsFunction = completeConnections(o)
	ask := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := captureNamed(args[0])
		switch {
		case err != nil:
			return err
		case file:
			return explainCapture(cmd.OutOrStdout(), args[0], o.output == outputJSON)
		}
		return ask(cmd, args)
	}
	return cmd
}

// story is a connection with what there is to say of it.
type story struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Ended bool   `json:"ended"` // it is over, or has only TIME-WAIT before it
	explain.Account
	conn  explain.Connection
	began time.Time // from when notes count
	sums  string
}

// findStory looks for a connection among those that there are, and then among those that were.
func findStory(ctx context.Context, c *control.Client, name string) (*story, error) {
	id, err := findConnection(ctx, c, name)
	if err != nil {
		return nil, err
	}
	if id != "" {
		v, err := c.Connection(ctx, id)
		if err != nil {
			return nil, err
		}
		return liveStory(&v), nil
	}
	ended, err := c.Ended(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(ended, func(e control.Ended) bool { return named(e.ID, name) }); i >= 0 {
		return endedStory(&ended[i]), nil
	}
	return nil, fmt.Errorf("there is no connection %q, nor is one remembered", name)
}

// named reports that a name is a connection's id, in whichever order, or one of its ends, or the address or :port of one.
func named(id, name string) bool {
	local, remote, _ := strings.Cut(id, "-")
	if name == id || name == remote+"-"+local {
		return true
	}
	for _, end := range []string{local, remote} {
		address, port, _ := strings.Cut(end, ":")
		if name == end || name == address || name == ":"+port {
			return true
		}
	}
	return false
}

func liveStory(v *control.Connection) *story {
	s := &story{ID: v.ID, State: v.State}
	s.conn = explain.Connection{State: v.State, Orphan: v.Orphan, Missing: v.FlightMissing}
	if v.Info != nil {
		s.conn.Info = tcp.Info(*v.Info)
	}
	if v.Timer != nil {
		s.conn.Timer, s.conn.Left = v.Timer.Name, v.Timer.Left
	}
	s.notes(v.Flight)
	if len(v.Flight) > 0 {
		s.conn.Age = time.Since(s.began)
	}
	i := &s.conn.Info
	s.sums = fmt.Sprintf("%s in, %d out; %s in, %d out; %d sent again", number(i.SegmentsIn, "segment"), i.SegmentsOut, number(i.BytesIn, "byte"), i.BytesOut, i.Retransmits)
	return s
}

func endedStory(e *control.Ended) *story {
	s := &story{ID: e.ID, State: e.State, Ended: true}
	s.conn = explain.Connection{State: e.State, Missing: e.FlightMissing}
	s.notes(e.Flight)
	s.sums = fmt.Sprintf("%s in, %d out; %s in, %d out; %d sent again; ended %v ago", number(e.SegmentsIn, "segment"), e.SegmentsOut,
		number(e.BytesIn, "byte"), e.BytesOut, e.Retransmits, time.Since(time.Unix(0, e.At)).Round(time.Millisecond))
	return s
}

// notes takes over a flight record.
func (s *story) notes(list []control.Note) {
	for i := range list {
		n := &list[i]
		if i == 0 {
			s.began = time.Unix(0, n.At)
		}
		s.conn.Notes = append(s.conn.Notes, explain.Note{
			At: time.Unix(0, n.At).Sub(s.began), From: n.State, Open: n.Open, Event: n.Event, To: n.To, Incident: n.Incident,
			Drop: n.Reason, Flags: n.Flags, Text: n.Text, Again: n.Again,
		})
	}
}

// write tells the story to people.
func (s *story) write(to io.Writer, wide bool) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "%s: %s\n%s\n", s.ID, s.State, s.sums)
	if len(s.Happened) > 0 {
		fmt.Fprintf(w, "\nWhat happened, from %s on\n", s.began.Format("15:04:05.000000"))
	}
	if s.Missing > 0 {
		fmt.Fprintf(w, "  (the first notes and the last; %d between are lost)\n", s.Missing)
	}
	for _, l := range s.Happened {
		times := ""
		if l.Times > 1 {
			times = fmt.Sprintf(" %d times", l.Times)
		}
		s.line(w, fmt.Sprintf("+%.6f s  %s%s", l.At.Seconds(), l.What, times), l.Text, l.RFC, wide)
	}
	if !s.Ended || s.State != "CLOSED" {
		fmt.Fprintln(w, "\nWhat it waits for")
		for _, l := range s.Waits {
			s.line(w, string(l.Owes), l.Text, l.RFC, wide)
		}
	}
	if len(s.Limits) > 0 {
		fmt.Fprintln(w, "\nWhat limited its sending")
		for _, l := range s.Limits {
			s.line(w, fmt.Sprintf("%.0f %%  %s, for %v", 100*l.Share, l.By, l.For.Round(time.Microsecond)), l.Text, l.RFC, wide)
		}
	}
	return w.Flush()
}

// line writes a heading and, below it, its sentence.
func (s *story) line(w io.Writer, head, text, rfc string, wide bool) {
	if rfc != "" {
		head += "  (" + rfc + ")"
	}
	fmt.Fprintln(w, "  "+head)
	if wide {
		fmt.Fprintln(w, "    "+text)
		return
	}
	for _, line := range wrap(text, textWidth) {
		fmt.Fprintln(w, "    "+line)
	}
}

// wrap breaks text into lines of so many columns at most.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
