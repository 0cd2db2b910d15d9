package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commands are a command and all below it.
func commands(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		list = append(list, commands(c)...)
	}
	return list
}

// TestUsage: whatever the command, what is wrong with its line is an error of usage, in words of ours, before anything
// is done.
func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir()) // where nothing is written
	for _, cmd := range commands(newRoot()) {
		path := strings.Fields(cmd.CommandPath())[1:]
		wrong := map[string]string{"--nope": "--nope"}
		a := argumentsOf(cmd.Use)
		switch {
		case cmd.HasSubCommands():
			wrong["nope"], wrong[""], wrong["nope --nope"] = "unknown command", `unknown command ""`, "unknown command"
		case a.most == 0:
			wrong["nope"], wrong[""] = cmd.CommandPath()+" takes no arguments", "takes no arguments"
		case a.most > 0:
			wrong[strings.Repeat("nope ", a.most)+"more"] = `"more" is too much: ` + cmd.CommandPath()
		}
		if len(a.needed) > 0 {
			wrong["--"] = "is wanted: " + cmd.CommandPath()
		}
		for args, says := range wrong {
			_, err := output(t, slices.Concat(path, strings.Split(args, " "))...)
			if exitCode(err) != exitUsage || err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "arg(s)") {
				t.Errorf("%s %q: exit %d, %v, want %s", cmd.CommandPath(), args, exitCode(err), err, says)
			}
		}
	}
	if _, err := output(t, "fsm", "--format", "svg"); exitCode(err) != exitUsage {
		t.Error(err)
	}
}

// TestArguments: what a line of usage says of them.
func TestArguments(t *testing.T) {
	for use, want := range map[string]struct {
		needed string
		most   int
	}{
		"stop":                            {"", 0},
		"log-level [LEVEL]":               {"", 1},
		"connect HOST PORT":               {"HOST PORT", 2},
		"check FILE...":                   {"FILE...", -1},
		"capture [-w FILE|-] [FILTER]...": {"", -1},
		"explain CONNECTION|FILE":         {"CONNECTION|FILE", 1},
	} {
		if a := argumentsOf(use); strings.Join(a.needed, " ") != want.needed || a.most != want.most {
			t.Errorf("%s: %+v, want %+v", use, a, want)
		}
	}
}

// TestHelp: that of a command below another is found, and without any there is help at every level.
func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"help": "tcpd [command]", "": "tcpd [command]", "config": "tcpd config [command]", "help config check": "tcpd config check FILE...",
		"completion": "tcpd completion [command]",
	} {
		if out, err := output(t, strings.Fields(args)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}
