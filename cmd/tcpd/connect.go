package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newConnect() *cobra.Command {
	return &cobra.Command{Use: "connect HOST PORT", RunE: func(*cobra.Command, []string) error { return errors.New("not yet") }}
}
