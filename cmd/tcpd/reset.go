package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

func newReset() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset CONNECTION",
		Short: "End a connection of a running daemon with a RST",
		Long: "End a connection of a running daemon with a RST: its peer's next call fails, as when a host has gone down and come back. One in\n" +
			"TIME-WAIT is forgotten. CONNECTION is named as for \"tcpd explain\".",
		Example: "  tcpd reset 10.7.0.2:80-10.7.0.1:40614\n  tcpd reset :40614",
	}
	o := newOperation(cmd, "o", func(cmd *cobra.Command, o *operation, c *control.Client, args []string) error {
		id, err := findConnection(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		if id == "" {
			return fmt.Errorf("there is no connection %q", args[0])
		}
		if err := c.Reset(cmd.Context(), id); err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), map[string]string{"reset": id}, o.reached(c)+id+": reset")
	})
	cmd.ValidArgsFunction = completeConnections(o)
	return cmd
}

// findConnection is the id of the one connection that a name is for, "" if there is none.
func findConnection(ctx context.Context, c *control.Client, name string) (string, error) {
	var ids []string
	err := c.Connections(ctx, control.Filter{}, func(page []control.Connection) error {
		for i := range page {
			if named(page[i].ID, name) {
				ids = append(ids, page[i].ID)
			}
		}
		return nil
	})
	switch {
	case err != nil || len(ids) == 0:
		return "", err
	case len(ids) > 1:
		return "", usageError{fmt.Errorf("%q names %d connections, such as %s", name, len(ids), strings.Join(ids[:min(3, len(ids))], ", "))}
	}
	return ids[0], nil
}
