package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

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
			keepLines(root)
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "tcpd"}, args[0]) // the titles are the commands' names
		},
	}
}

// indented are lines that stand where they are to stand.
var indented = regexp.MustCompile(`(?m)(^  .*(\n|\z))+`)

// keepLines makes the indented lines of the help of cmd, and of all below it, ones that a manual page does not fill.
func keepLines(cmd *cobra.Command) {
	cmd.Long = indented.ReplaceAllStringFunc(cmd.Long, func(s string) string {
		return "\n```\n" + strings.TrimSuffix(s, "\n") + "\n```\n\n"
	})
	for _, c := range cmd.Commands() {
		keepLines(c)
	}
}
