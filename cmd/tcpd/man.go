package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write the manual pages of all commands",
		Long:    "Write the manual pages of all commands, of section 1, into a directory, which is made.",
		Example: "  tcpd man /usr/local/share/man/man1\n  man tcpd-ss",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("man: %w", err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // pages of the same version are the same
			return doc.GenManTree(root, &doc.GenManHeader{Title: "TCPD", Section: "1", Source: "tcpd"}, args[0])
		},
	}
}
