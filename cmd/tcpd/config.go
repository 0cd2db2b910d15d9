package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/control"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check, print or describe configurations",
		Long:    "Check the files of configurations, print what is in force and where it comes from, or describe what a file may have.",
		Example: "  tcpd config check tcpd.yaml\n  tcpd config print -c tcpd.yaml\n  tcpd config schema > tcpd.schema.json",
	}
	cmd.AddCommand(newConfigCheck(), newConfigPrint(), newConfigSchema())
	return cmd
}

func newConfigCheck() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Tell all that is wrong with files",
		Long: "Tell all that is wrong with each of the files, with its line and column. Each is looked at by itself, over the defaults:\n" +
			"\"tcpd config print -c FILE\" also looks at the environment and at flags.\n\n" +
			"Exit codes: 0 when all files are well, 1 when one has a fault or cannot be read, 2 when the command line is wrong.",
		Example: "  tcpd config check /etc/tcpd/*.yaml\n  tcpd config check -o json tcpd.yaml | jq '.[].faults[]'",
	}
	outputFlag(cmd, &output, "o", outputs)
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		var list []checked
		faulty := 0
		for _, file := range files {
			c := check(file)
			list = append(list, c)
			if !c.OK {
				faulty++
			}
		}
		if err := printChecked(cmd.OutOrStdout(), list, output == outputJSON); err != nil {
			return err
		}
		if faulty > 0 {
			return haveFaults(faulty, len(files))
		}
		return nil
	}
	return cmd
}

// haveFaults is the error that n of some files have some.
func haveFaults(n, files int) error {
	switch {
	case files == 1:
		return errors.New("the file has faults")
	case n == 1:
		return fmt.Errorf("1 of %d files has faults", files)
	}
	return fmt.Errorf("%d of %d files have faults", n, files)
}

// checked is what has been found out about a file.
type checked struct {
	File   string  `json:"file"`
	OK     bool    `json:"ok"`
	Faults []fault `json:"faults"`
	texts  []string
}

type fault struct {
	Line   int    `json:"line,omitempty"` // 0: the file as a whole
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"`
	Text   string `json:"text"`
}

func check(file string) checked {
	c := checked{File: file, OK: true, Faults: []fault{}}
	_, err := (&config.Sources{File: file}).Load(config.Defaults())
	faults, _ := errors.AsType[config.Faults](err)
	for _, f := range faults {
		c.OK = false
		c.Faults = append(c.Faults, fault{f.Origin.Line, f.Origin.Column, f.Key, f.Text})
		text := f.Error()
		if f.Origin.Source == config.FromDefault { // it does not fit what the file says elsewhere
			text = file + ": " + text
		}
		c.texts = append(c.texts, text)
	}
	return c
}

func printChecked(w io.Writer, list []checked, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(list)
	}
	for _, c := range list {
		if c.OK {
			c.texts = []string{c.File + ": ok"}
		}
		for _, text := range c.texts {
			if _, err := fmt.Fprintln(w, text); err != nil {
				return err
			}
		}
	}
	return nil
}

const outputYAML = "yaml"

func newConfigPrint() *cobra.Command {
	var output string
	var live bool
	defaults := config.Defaults()
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print a configuration, and where each value comes from",
		Long: "Print the configuration that \"tcpd run\" would have with the same flags, in the same environment; or with --live the one\n" +
			"that is in force in a running daemon. Each value is printed with its origin: the defaults, FILE:LINE, a variable of the\n" +
			"environment, or a flag. Each of these overrides those before it, and \"tcpd log-level\" all, until a reload.\n\n" +
			"As yaml it is a file that says all of it; table has what is not by default, wide and json have all.\n\n" +
			variables + "\n\n" +
			"Exit codes: 0, or 1 when the configuration has faults, 2 when the command line is wrong, and 3 when no daemon can be\n" +
			"reached.",
		Example: "  tcpd config print -c tcpd.yaml --mtu 1400\n  tcpd config print --live -o table",
	}
	f := newFlags(cmd.Flags(), &defaults)
	f.daemonFlags(&defaults)
	outputFlag(cmd, &output, "o", append([]string{outputYAML}, outputs...))
	cmd.Flags().BoolVar(&live, "live", false, "ask the running daemon, the one at --control if more than one runs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var l config.Loaded
		var err error
		if live {
			l, err = askConfig(cmd, f)
		} else {
			l, err = f.sources().Load(defaults)
		}
		if err != nil {
			return err
		}
		return printConfig(cmd.OutOrStdout(), l, output)
	}
	return cmd
}

// askConfig asks a daemon for the configuration in force. Flags would change nothing there.
func askConfig(cmd *cobra.Command, f *flags) (l config.Loaded, err error) {
	cmd.Flags().Visit(func(g *pflag.Flag) {
		if g.Name != "live" && g.Name != "output" && g.Name != "control" && err == nil {
			err = usageError{fmt.Errorf("--%s: with --live the daemon's own configuration is printed", g.Name)}
		}
	})
	if err != nil {
		return l, err
	}
	path := ""
	if cmd.Flags().Changed("control") {
		path = f.control
	}
	c, err := newClient(path)
	if err != nil {
		return l, err
	}
	defer c.Close()
	return l, c.Config(cmd.Context(), &l)
}

func printConfig(w io.Writer, l config.Loaded, output string) error {
	switch output {
	case outputYAML:
		_, err := w.Write(l.YAML())
		return err
	case outputJSON:
		return json.NewEncoder(w).Encode(l)
	}
	t := newTable(w, false, column{title: "Key"}, column{title: "Value"}, column{title: "Origin"})
	for _, v := range l.Values() {
		if output == outputWide || v.Origin.Source != config.FromDefault {
			t.row(v.Key, v.Text, v.Origin.String())
		}
	}
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(w, "all is by default; -o wide has it")
		return err
	}
	return t.flush()
}

func newConfigSchema() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of the file",
		Long: "Print a JSON Schema (draft 2020-12) of the configuration's file, for editors and other programs: every key with its\n" +
			"description, type, range or choices, and default. It looks at each value by itself; \"tcpd config check\" knows more.",
		Example: "  tcpd config schema > tcpd.schema.json\n  # and in the file: yaml-language-server: $schema=tcpd.schema.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
			return err
		},
	}
	return cmd
}

func newReload() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Let a running daemon read its configuration again",
		Long: "Let a running daemon read and check its configuration again, from the same file, environment and flags, and put it in\n" +
			"force, as SIGHUP does. Services, listeners, limits and the log's level change, and no connection ends: a listener that\n" +
			"stays as it is is not touched, one that goes listens no more. What else has changed is named, and needs a restart.\n\n" +
			"When something is wrong with the configuration, or a service cannot listen, nothing changes.\n\n" +
			"Exit codes: 0 when the configuration is in force, but for what is named; 1 when nothing has changed since something is\n" +
			"wrong; 2 when the command line is; 3 when no daemon can be reached.",
		Example: "  tcpd config check tcpd.yaml && tcpd reload\n  tcpd reload -o json | jq .restart",
	}
	newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, _ []string) error {
		v, err := c.Reload(cmd.Context())
		if err != nil {
			return err
		}
		if o.output == outputJSON {
			return o.print(cmd.OutOrStdout(), v, "")
		}
		return printReloaded(cmd.OutOrStdout(), o.reached(c), &v)
	})
	return cmd
}

// printReloaded begins with who has been reached, if that is to be told.
func printReloaded(w io.Writer, reached string, v *control.Reloaded) error {
	t := newTable(w, true, column{}, column{})
	for _, part := range []struct {
		name string
		list []string
	}{{"applied", v.Applied}, {"opened", v.Opened}, {"replaced", v.Replaced}, {"closed", v.Closed}, {"needs a restart", v.Restart}} {
		for _, s := range part.list {
			t.row(s, part.name)
		}
	}
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(w, reached+"nothing to change")
		return err
	}
	if reached != "" {
		if _, err := fmt.Fprintln(w, strings.TrimSpace(reached)); err != nil {
			return err
		}
	}
	return t.flush()
}
