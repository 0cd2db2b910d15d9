package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/config"
	"github.com/tcpd-project/tcpd/pkg/tun"
)

// What a check may find.
const (
	statusOK   = "ok"
	statusWarn = "warn" // tcpd runs, perhaps not as one would like it
	statusFail = "fail" // tcpd does not run, or nobody reaches it
)

// finding is what a check has found, and what to do about it.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"` // a command, or several to choose from
}

// doctor looks at the host with the eyes of a daemon of this configuration.
type doctor struct {
	config   *config.Config
	admin    bool           // CAP_NET_ADMIN is there
	prepared *tun.Prepared  // the device, or nil
	running  bool           // a daemon has it
	inForce  *config.Config // the daemon's, if it tells
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{check, statusOK, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, found, remedy string) {
	d.findings = append(d.findings, finding{check, statusWarn, found, remedy})
}

func (d *doctor) fail(check, found, remedy string) {
	d.findings = append(d.findings, finding{check, statusFail, found, remedy})
}

// examine looks at everything. What it opens it closes: a device for a try goes with its descriptor.
func (d *doctor) examine() {
	d.daemon()
	d.device()
	d.privileges()
	if d.node() {
		d.offload()
	}
	d.addresses()
	d.ownAddresses()
	d.reversePath()
	d.forwarding()
	d.firewall()
	d.memory()
}

func newDoctor() *cobra.Command {
	var output string
	defaults := config.Defaults()
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this host lets the daemon run",
		Long: "Look whether this host lets a daemon of this configuration run, and people reach it: privileges, /dev/net/tun, offload,\n" +
			"addresses and routes, packet filters. Each finding comes with what to do about it. Nothing is changed: a device is made\n" +
			"for a try, if that is allowed, and is gone at the end.\n\n" +
			"The exit code is 1 if anything is found that fails, 0 with warnings or without.",
		Example: "  sudo tcpd doctor\n  tcpd doctor -c tcpd.yaml -o json | jq '.[] | select(.status != \"ok\")'",
	}
	f := newFlags(cmd.Flags(), &defaults)
	f.daemonFlags(&defaults)
	cmd.Flags().StringVarP(&output, "output", "o", outputTable, "how to print: table or json")
	formats := []string{outputTable, outputJSON}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(formats, output) {
			return usageError{fmt.Errorf("--output %q is none of %s", output, strings.Join(formats, ", "))}
		}
		l, err := f.sources().Load(defaults)
		if err != nil {
			return err
		}
		d := &doctor{config: &l.Config}
		d.examine()
		return d.report(cmd.OutOrStdout(), output)
	}
	return cmd
}

// report prints the findings; the error counts those that fail.
func (d *doctor) report(w io.Writer, output string) error {
	var err error
	if output == outputJSON {
		err = json.NewEncoder(w).Encode(d.findings)
	} else {
		err = d.table(w)
	}
	failed := 0
	for _, f := range d.findings {
		if f.Status == statusFail {
			failed++
		}
	}
	if failed > 0 {
		verb := map[bool]string{true: "fails", false: "fail"}[failed == 1]
		return errors.Join(err, fmt.Errorf("%d of %d checks %s", failed, len(d.findings), verb))
	}
	return err
}

// table prints a line for each finding, and below it the remedy, to be copied as it is.
func (d *doctor) table(w io.Writer) error {
	width := 0
	for _, f := range d.findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", f.Status, width, f.Check, f.Found)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "%*s  %s\n", 4+2+width, "", f.Remedy)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
