package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
)

func newAuditCmd(e *env) *cobra.Command {
	var (
		f            dlq.AuditFilter
		since, until string
		cursor       string
		limit        int
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List what persons did, the newest first",
		Long: `audit lists what persons did with dead letters, causes, operations, holds, limits and
queues: when, who (the user of the operating system, or of the API), what, how many
and why. Of what an operation does to each of its members, the line about its start
speaks. Lines are kept for a year, and the last 100,000 of each app.`,
		Example: `  emq audit
  emq audit --since 24h --by ada
  emq audit --action discard --limit 0 --json`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if f.Since, err = dlq.ParseTime("since", since, e.now()); err != nil {
				return asFlag(err)
			}
			if f.Until, err = dlq.ParseTime("until", until, e.now()); err != nil {
				return asFlag(err)
			}
			if limit < 0 {
				return usagef("--limit %d: must not be negative", limit)
			}
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			l := e.newList(asJSON, "at", "by", "action", "app", "what", "count", "why:")
			for limit == 0 || l.rows < limit {
				size := dlq.PageMax
				if limit > 0 {
					size = min(limit-l.rows, size)
				}
				lines, next, err := b.store.Audit(cmd.Context(), f, cursor, size)
				if err != nil {
					return asFlag(err)
				}
				for _, line := range lines {
					l.row(line, line.At, line.By, line.Action, line.App, line.What, fmt.Sprint(line.Count), line.Why)
				}
				if cursor = next; cursor == "" {
					break
				}
			}
			if err := e.endList(l, "lines match"); err != nil {
				return err
			}
			if cursor != "" {
				e.say("there are more: --cursor %s", cursor)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.App, "app", "", "alias of the app")
	flags.StringVar(&f.By, "by", "", "who")
	flags.StringVar(&f.Action, "action", "", "what was done, such as resend, start, discard, hold")
	flags.StringVar(&since, "since", "", "then or later: a time, a date, or how long ago")
	flags.StringVar(&until, "until", "", "before")
	flags.IntVar(&limit, "limit", dlq.PageDefault, "how many to print; 0 for all")
	flags.StringVar(&cursor, "cursor", "", "where an earlier list ended")
	jsonFlag(cmd, &asJSON)
	return cmd
}
