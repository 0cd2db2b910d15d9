package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// What the commands that speak to a running daemon have in common.

const (
	outputTable = "table"
	outputWide  = "wide"
	outputJSON  = "json"
)

var outputs = []string{outputTable, outputWide, outputJSON}

// operation is a command on a running daemon.
type operation struct {
	path, output string
}

// newOperation gives cmd the flags of one. short is the letter of --output, or "".
func newOperation(cmd *cobra.Command, short string, run func(*cobra.Command, *operation, *control.Client, []string) error) *operation {
	o := &operation{}
	cmd.Flags().StringVar(&o.path, "control", "", "`path` of the daemon's control socket; it is found if only one runs")
	outputFlag(cmd, &o.output, short, outputs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(o.path)
		if err != nil {
			return err
		}
		defer c.Close()
		return run(cmd, o, c, args)
	}
	return o
}

// outputFlag gives cmd the flag --output, whose values are outputs, the first by default.
func outputFlag(cmd *cobra.Command, output *string, short string, outputs []string) {
	last := len(outputs) - 1
	usage := fmt.Sprintf("how to print: %s or %s", strings.Join(outputs[:last], ", "), outputs[last])
	cmd.Flags().StringVarP(output, "output", short, outputs[0], usage)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(outputs, *output) {
			return usageError{fmt.Errorf("--output %q is none of %s", *output, strings.Join(outputs, ", "))}
		}
		return nil
	}
}

// newClient returns one of the daemon whose socket is at path; with "", of the only one that runs.
func newClient(path string) (*control.Client, error) {
	if path == "" {
		var err error
		if path, err = control.Find(); err != nil {
			return nil, err
		}
	}
	return control.NewClient(path), nil
}

// reached is what an answer begins with that tells of a change: the daemon's socket, if nobody has said which one it is.
func (o *operation) reached(c *control.Client) string {
	if o.path != "" {
		return ""
	}
	return c.Path() + ": "
}

// print writes v as JSON, or text.
func (o *operation) print(w io.Writer, v any, text string) error {
	if o.output == outputJSON {
		return json.NewEncoder(w).Encode(v)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func newStop() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "End a running daemon, and wait until it has ended",
		Long: "End a running daemon as SIGTERM does, and wait until it has ended: its connections have come to their end, or are reset\n" +
			"after its drain_timeout; its device is gone. Stopped a second time it ends at once.",
		Example: "  tcpd stop\n  tcpd stop --control /run/tcpd/tcpd1.sock",
	}
	newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, _ []string) error {
		if err := c.Stop(cmd.Context()); err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), map[string]bool{"stopped": true}, o.reached(c)+"stopped")
	})
	return cmd
}

func newLogLevel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log-level [LEVEL]",
		Short: "Tell or set what a running daemon logs",
		Long: "Tell the least level that a running daemon logs, or set it: debug, info, warn or error. At debug each change of a\n" +
			"connection's state is a line. A reload goes back to the configuration's level, and so does a new start.",
		Example:   "  tcpd log-level\n  tcpd log-level debug",
		Args:      knownLevel,
		ValidArgs: control.Levels,
	}
	newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, args []string) error {
		reached := ""
		if len(args) > 0 {
			if err := c.SetLevel(cmd.Context(), args[0]); err != nil {
				return err
			}
			reached = o.reached(c)
		}
		level, err := c.Level(cmd.Context())
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), control.LogLevel{Level: level}, reached+level)
	})
	return cmd
}

// knownLevel is the check of what log-level is to set.
func knownLevel(_ *cobra.Command, args []string) error {
	if len(args) > 0 && !slices.Contains(control.Levels, args[0]) {
		return fmt.Errorf("%q is no level: there are %s", args[0], strings.Join(control.Levels, ", "))
	}
	return nil
}

func newCounters() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "counters",
		Short: "Print what a running daemon has counted",
		Long: "Print what a running daemon has counted since its start, and what there is now. Every packet read is delivered or has\n" +
			"a reason among the drops. The table leaves out what is 0, wide does not.",
		Example: "  tcpd counters\n  tcpd counters -o json | jq .drops",
	}
	newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, _ []string) error {
		v, err := c.Counters(cmd.Context())
		if err != nil {
			return err
		}
		if o.output == outputJSON {
			return o.print(cmd.OutOrStdout(), v, "")
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var tree map[string]any
		if err := json.Unmarshal(text, &tree); err != nil {
			return err
		}
		t := newTable(cmd.OutOrStdout(), false, column{title: "Counter"}, column{title: "Value", right: true})
		counterRows(t, "", tree, o.output == outputWide)
		return t.flush()
	})
	return cmd
}

// counterRows adds a row for each number in a tree, by name.
func counterRows(t *table, above string, tree map[string]any, zeros bool) {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		switch v := tree[name].(type) {
		case map[string]any:
			counterRows(t, above+name+".", v, zeros)
		case float64:
			if v != 0 || zeros {
				t.row(above+name, fmt.Sprintf("%.0f", v))
			}
		case []any: // transitions
			for _, m := range v {
				move, _ := m.(map[string]any)
				t.row(fmt.Sprintf("%s%s.%v.%v", above, name, move["from"], move["event"]), fmt.Sprintf("%.0f", move["count"]))
			}
		}
	}
}
