// Command tcpd is a TCP in user space, on a TUN.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

func main() {
	root := newRoot()
	if extcapped(os.Args[1:]) {
		root.SetArgs(append([]string{"extcap"}, os.Args[1:]...))
	}
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "tcpd:", err)
		os.Exit(exitCode(err))
	}
}

// The exit codes, which the help tells.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

func exitCode(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*control.UnreachableError](err); ok {
		return exitUnreachable
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tcpd",
		Short: "A TCP in user space, on a TUN",
		Long: "tcpd answers TCP connections by itself: the kernel only carries its IP packets, through a TUN device.\n\n" +
			"Exit codes: 0 when all is well, 1 when something has failed, 2 when the command line is wrong, 3 when no daemon can be\n" +
			"reached on its control socket.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(debug.ReadBuildInfo()),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(newRun(), newConnect(), newFSM(), newScript(), newVersion(),
		newConfig(), newReload(), newSS(), newWatch(), newTrace(), newExplain(), newReset(), newCapture(), newExtcap(), newCounters(), newLogLevel(), newToken(), newStop(), newDoctor(), newMan())
	root.SetHelpCommand(newHelp())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	strict(root)
	return root
}
