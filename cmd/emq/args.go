package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// anyNumber is the most arguments of a command that takes as many as it is given.
const anyNumber = -1

// takes checks how many arguments a command is given. what is one of them, as
// the usage line names it.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least && most == anyNumber:
			return fmt.Errorf("give at least one %s", what)
		case len(args) < least:
			return fmt.Errorf("give %s", what)
		case most != anyNumber && len(args) > most:
			return fmt.Errorf("unexpected argument %q: only one %s is taken", args[most], what)
		}
		return nil
	}
}

// takesNone is for commands that have flags alone.
func takesNone(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: none is taken", args[0])
	}
	return nil
}

// checkReason refuses a --reason that is missing or says nothing.
func checkReason(flags *pflag.FlagSet, reason string) error {
	switch {
	case !flags.Changed("reason"):
		return usagef("give --reason TEXT")
	case strings.TrimSpace(reason) == "":
		return usagef("--reason: must not be empty")
	}
	return nil
}
