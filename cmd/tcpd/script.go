package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpd-project/tcpd/pkg/tcptest/script"
)

func newScript() *cobra.Command {
	var verbose bool
	var o script.RunOptions
	var define []string
	cmd := &cobra.Command{
		Use:   "script FILE...",
		Short: "Run scripts in packetdrill's language against the stack",
		Long: "Run scripts in packetdrill's language: each drives a stack of its own in virtual time, without a device and\n" +
			"without root. A script that fails is shown as a transcript up to the first difference, which comes last.\n\n" +
			"The language is that of https://github.com/google/packetdrill, as far as it has to do with TCP over IPv4 and\n" +
			"the socket calls; what is outside of that is named with its line. The exit code is 1 if any script has failed\n" +
			"or is outside, 2 if the command line is wrong.",
		Example: "  tcpd script handshake.pkt\n  tcpd script --verbose --define CODE=host_unreachable icmp.pkt",
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the transcripts of scripts that pass, too")
	cmd.Flags().BoolVar(&o.Silence, "silence", false, "let a script fail when the stack sends what it does not expect")
	cmd.Flags().BoolVar(&o.AnyPush, "any-push", false, "let the flag P differ: where it is set is the stack's affair")
	cmd.Flags().StringArrayVarP(&define, "define", "D", nil, "`WORD=value`: put a value in place of a word; may be repeated")
	words := map[string]string{}
	cmd.Args = func(*cobra.Command, []string) error { return readDefines(words, define) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		failed := 0
		for _, file := range args {
			if !runScript(cmd.OutOrStdout(), file, words, verbose, o) {
				failed++
			}
		}
		if failed > 0 {
			return fmt.Errorf("%d of %d scripts failed", failed, len(args))
		}
		return nil
	}
	return cmd
}

func readDefines(words map[string]string, define []string) error {
	for _, d := range define {
		word, value, ok := strings.Cut(d, "=")
		if !ok {
			return fmt.Errorf("--define %s: WORD=value is wanted", d)
		}
		words[word] = value
	}
	return nil
}

// runScript runs a file and tells how it went.
func runScript(w io.Writer, file string, words map[string]string, verbose bool, o script.RunOptions) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(w, err)
		return false
	}
	s, err := script.Parse(file, string(text), words)
	transcript := ""
	if err == nil {
		transcript, err = script.Run(s, o)
	}
	if err != nil || verbose {
		fmt.Fprint(w, transcript)
	}
	if err != nil {
		fmt.Fprintln(w, err)
		return false
	}
	fmt.Fprintf(w, "%s: ok\n", file)
	return true
}
