package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

func newTrace() *cobra.Command {
	var explained, once bool
	cmd := &cobra.Command{
		Use:   "trace [FILTER]...",
		Short: "Draw what happens in the connections of a running daemon, as it does",
		Long: "Draw what happens in the connections of a running daemon, as it does: the peer on the left, tcpd on the right, an arrow\n" +
			"for each segment with its flags, sequence numbers counted from the SYN, length and options; state changes where they\n" +
			"happen, timers, calls of the user, and the reason beside each segment that is not taken. Wide adds the paragraph of the\n" +
			"RFC to each step, --explain a sentence, too. \"-o json\" prints the events of the control socket, one a line.\n\n" +
			eventFilterHelp,
		Example: "  tcpd trace\n  tcpd trace --explain sport = :80\n  tcpd trace --once dst 10.7.0.1 & curl http://10.7.0.2/\n" +
			"  tcpd trace :40614\n  tcpd trace -o json 10.7.0.2:80-10.7.0.1:40614 | jq .reason",
		Args: checkEventFilter,
	}
	cmd.Flags().BoolVar(&explained, "explain", false, "say below each step what it is for")
	cmd.Flags().BoolVar(&once, "once", false, "end when the first connection that is seen has ended")
	o := newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, args []string) error {
		filter, err := findEventFilter(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		ctx, done := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer done()
		show := tracer(ctx, cmd.OutOrStdout(), o, c, explained)
		if once {
			show = untilEnd(show)
		}
		err = c.Events(ctx, filter, func() { fmt.Fprintln(cmd.ErrOrStderr(), "tcpd: listening; Control-C ends") }, show)
		switch {
		case errors.Is(err, errTraced) || ctx.Err() != nil:
			return nil
		case err == nil:
			return endedError{c.Path()}
		}
		return err
	})
	cmd.ValidArgsFunction = completeConnections(o)
	return cmd
}

// endedError is that of a command that has listened to a daemon until that ended: nobody is to be reached any more.
type endedError struct{ path string }

// Error says so, and needs not tell what to look for.
func (e endedError) Error() string { return e.path + ": the daemon has ended" }

// Unwrap makes it that of a daemon who is not reached.
func (e endedError) Unwrap() error {
	return &control.UnreachableError{Path: e.path, Err: net.ErrClosed}
}

// errTraced ends a trace that has seen enough.
var errTraced = errors.New("the connection has ended")

// tracer is what a trace does with an event.
func tracer(ctx context.Context, w io.Writer, o *operation, c *control.Client, explained bool) func(*control.Event) error {
	if o.output == outputJSON {
		return func(e *control.Event) error { return json.NewEncoder(w).Encode(e) }
	}
	l := newLadder(w, o.output == outputWide || explained)
	l.sentences = explained
	l.known = func(id string) (ours, theirs uint32, ok bool) {
		v, err := c.Connection(ctx, id)
		if err != nil || v.Info == nil {
			return 0, 0, false
		}
		return v.Info.InitialSend, v.Info.InitialReceived, true
	}
	return l.show
}

// untilEnd ends the trace with the first connection that ends, or that waits in TIME-WAIT for nothing but the end, once its last
// segment has gone.
func untilEnd(show func(*control.Event) error) func(*control.Event) error {
	first, over := "", false
	return func(e *control.Event) error {
		if first != "" && e.Connection != first {
			return nil
		}
		if err := show(e); err != nil {
			return err
		}
		if e.Kind == "transition" && first == "" {
			first = e.Connection
		}
		switch {
		case e.To == "CLOSED" && (e.Kind == "transition" || over):
			over = true
		case e.To == "TIME-WAIT":
			over = true
			return nil // the last ACK is to come
		}
		if over && (e.Kind == "departure" || e.Kind == "verdict") {
			return errTraced
		}
		return nil
	}
}
