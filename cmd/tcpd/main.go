// Command tcpd is a TCP in user space, on a TUN.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := newRoot().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "tcpd:", err)
		if _, ok := errors.AsType[usageError](err); ok {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "tcpd",
		Short:         "A TCP in user space, on a TUN",
		Long:          "tcpd answers TCP connections by itself: the kernel only carries its IP packets, through a TUN device.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRun(), newConnect(), newFSM(), newScript(), newVersion())
	return root
}
