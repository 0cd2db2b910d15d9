package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/control"
)

// What the shell completes.

// completeNothing keeps the shell from completing the names of files where none is wanted, as the line of usage tells.
func completeNothing(cmd *cobra.Command) {
	if cmd.ValidArgs != nil || cmd.ValidArgsFunction != nil {
		return
	}
	switch a := argumentsOf(cmd.Use); {
	case a.names("DIRECTORY"):
		cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case strings.Contains(cmd.Use, "[FILTER]"):
		cmd.ValidArgsFunction = completeFilter
	case !a.names("FILE"):
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}

// completeFilter offers the next word of a filter of ss.
func completeFilter(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return nextWord(args), cobra.ShellCompDirectiveNoFileComp
}

// nextWord is what may follow the words of a filter. Nobody knows the addresses and ports that are meant.
func nextWord(args []string) []string {
	last := ""
	if len(args) > 0 {
		last = args[len(args)-1]
	}
	at := slices.Index(ssWords(), last)
	switch {
	case slices.Contains(ssEquals, last):
		return nil
	case last == "" || last == "and":
		return ssWords()
	case at < 0:
		return append(ssWords(), "and")
	}
	switch ssConditions[at].follows {
	case "a state":
		return ssStateNames
	case "a port":
		return []string{"="}
	}
	return nil
}

// completeConnections offers the ids of the connections that there are; files, too, and the words of a filter, where the line
// of usage has them.
func completeConnections(o *operation) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (list []string, directive cobra.ShellCompDirective) {
		directive = cobra.ShellCompDirectiveNoFileComp
		wanted := argumentsOf(cmd.Use)
		if wanted.most < 0 { // what happens can't be asked for by state
			list = slices.DeleteFunc(slices.Clone(nextWord(args)), func(s string) bool { return s == "state" || s == "exclude" })
		}
		if len(args) > 0 {
			return list, directive
		}
		if wanted.names("FILE") {
			directive = cobra.ShellCompDirectiveDefault
		}
		return append(list, connectionIDs(cmd, o)...), directive
	}
}

// connectionIDs are those of the connections that there are, as many as anybody would look at.
func connectionIDs(cmd *cobra.Command, o *operation) (ids []string) {
	c, err := newClient(o.path)
	if err != nil {
		return nil
	}
	defer c.Close()
	const most = 1000
	_ = c.Connections(cmd.Context(), control.Filter{}, func(page []control.Connection) error { // what there is until an error
		for i := range page {
			ids = append(ids, page[i].ID)
		}
		if len(ids) > most {
			return errors.New("enough")
		}
		return nil
	})
	return ids
}
