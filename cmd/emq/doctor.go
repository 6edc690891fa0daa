package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
)

func newDoctorCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check Redis and the store for what can cost messages",
		Long: `doctor looks at Redis and at what emq keeps there, and says of each thing that is not
as it should be what that can cost and how to mend it. It changes nothing.

It exits 0 when nothing warns or fails, else 1. What it could not look at, because
Redis does not let it, is no failure.`,
		Example: `  emq doctor
  emq doctor --json | jq 'select(.level != "ok")'`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 6*reachTimeout)
			defer cancel()
			findings, err := b.store.Examine(ctx, b.cfg.DeadLettersWarn)
			if err != nil {
				return err
			}
			l := e.newList(asJSON, "check", "app", "level", "what", "cost:", "mend:")
			bad := 0
			for _, f := range findings {
				if f.Level == dlq.LevelWarn || f.Level == dlq.LevelFail {
					bad++
				}
				l.row(f, f.Check, f.App, f.Level, f.What.In(b.cfg.Lang), f.Cost.In(b.cfg.Lang), f.Mend.In(b.cfg.Lang))
			}
			if err := l.end(); err != nil {
				return err
			}
			if bad > 0 {
				e.say("%s to mend", fmt.Sprint(plural(bad, "thing")))
				return errReported
			}
			return nil
		},
	}
	settingFlags(cmd.Flags(), "dead_letters_warn", "lang")
	oneOf(cmd, "lang", "en", "zh")
	jsonFlag(cmd, &asJSON)
	return cmd
}
