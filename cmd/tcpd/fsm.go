package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/fsm"
)

func newFSM() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "fsm",
		Short:   "Print the state machine that runs inside",
		Example: "  tcpd fsm\n  tcpd fsm --format dot | dot -Tsvg > fsm.svg",
		RunE: func(cmd *cobra.Command, _ []string) error {
			draw, ok := map[string]func() string{"grid": fsm.Grid, "mermaid": fsm.Mermaid, "dot": fsm.Dot}[format]
			if !ok {
				return usageError{fmt.Errorf("--format %q is none of grid, mermaid, dot", format)}
			}
			_, err := io.WriteString(cmd.OutOrStdout(), draw())
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "grid", "grid, mermaid or dot")
	return cmd
}
