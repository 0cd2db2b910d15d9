package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version(debug.ReadBuildInfo()))
			return err
		},
	}
}

// version is a line about the build; ok is false where the binary tells nothing of itself.
func version(b *debug.BuildInfo, ok bool) string {
	v, revision := "unknown version", ""
	if ok {
		v = b.Main.Version
		set := map[string]string{}
		for _, s := range b.Settings {
			set[s.Key] = s.Value
		}
		if r := set["vcs.revision"]; r != "" {
			revision = " " + r
		}
		if set["vcs.modified"] == "true" {
			revision += " (modified)"
		}
	}
	return fmt.Sprintf("tcpd %s%s %s %s/%s", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
