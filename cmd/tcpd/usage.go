package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// What is wrong with a command line is told in the same way by all commands, and has the same exit code.

// usageError is a command line that is wrong.
type usageError struct{ error }

// strict makes what is wrong with flags and arguments errors of usage, of cmd and of all commands below it. How many
// arguments there are to be is what the command's line of usage says; what they are to be is up to its own check.
func strict(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(flagError)
	check := cmd.Args
	if cmd.HasSubCommands() {
		check = noOtherCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // cobra checks no arguments of what can't run
	} else if wanted := argumentsOf(cmd.Use); check == nil {
		check = wanted.count
	} else {
		check = cobra.MatchAll(wanted.count, check)
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
	completeNothing(cmd)
	for _, c := range cmd.Commands() {
		strict(c)
	}
}

// flagError is an error of usage. That there is no such command comes first: the flags may well be those of the one
// that is meant.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() {
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			return err
		}
	}
	return usageError{err}
}

// noOtherCommand is the check of a command that only has others below it: an argument is none of these.
func noOtherCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets too late for us
	near := ""
	if list := cmd.SuggestionsFor(args[0]); args[0] != "" && len(list) > 0 {
		near = "; is it to be " + strings.Join(list, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), near)
}

// arguments are those that a line of usage names.
type arguments struct {
	needed []string
	most   int // -1: any number
}

var optional = regexp.MustCompile(`\[[^]]*\]`)

// argumentsOf reads a line of usage, such as "name NEEDED [OPTIONAL]": three dots are for any number.
func argumentsOf(use string) (a arguments) {
	a.needed = strings.Fields(optional.ReplaceAllString(use, ""))[1:]
	a.needed = slices.DeleteFunc(a.needed, func(s string) bool { return s == "..." })
	a.most = len(a.needed) + len(optional.FindAllString(use, -1))
	if strings.Contains(use, "...") {
		a.most = -1
	}
	return a
}

// names reports whether a name is among those that are needed.
func (a arguments) names(name string) bool {
	return slices.ContainsFunc(a.needed, func(s string) bool { return strings.Contains(s, name) })
}

// count is the check of how many there are.
func (a arguments) count(cmd *cobra.Command, args []string) error {
	_, names, _ := strings.Cut(cmd.Use, " ")
	usage := strings.TrimSpace(cmd.CommandPath() + " " + names)
	switch {
	case a.most == 0 && len(args) > 0:
		return fmt.Errorf("%q: %s takes no arguments", args[0], usage)
	case a.most >= 0 && len(args) > a.most:
		return fmt.Errorf("%q is too much: %s", args[a.most], usage)
	case len(args) < len(a.needed):
		name := strings.ReplaceAll(strings.TrimSuffix(a.needed[len(args)], "..."), "|", " or ")
		return fmt.Errorf("a %s is wanted: %s", name, usage)
	}
	return nil
}

// newHelp is cobra's command, but that it does not take what is no command.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]...",
		Short:             "Tell what a command does, and its flags",
		Example:           "  tcpd help config check",
		Args:              helped,
		ValidArgsFunction: completeCommands,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, _, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			return about.Help()
		},
	}
}

// helped checks that the arguments are a command's name.
func helped(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil {
		return err
	}
	return noOtherCommand(about, rest)
}

// completeCommands offers the commands below the one that args name.
func completeCommands(cmd *cobra.Command, args []string, _ string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	above, rest, err := cmd.Root().Find(args)
	if err == nil && len(rest) == 0 {
		for _, c := range above.Commands() {
			if c.IsAvailableCommand() {
				list = append(list, cobra.CompletionWithDesc(c.Name(), c.Short))
			}
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
