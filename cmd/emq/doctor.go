package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/worker"
)

// doctorTimeout bounds the whole examination.
const doctorTimeout = time.Minute

func newDoctorCmd(e *env) *cobra.Command {
	var asJSON, redisOnly bool
	failOn := string(dlq.LevelWarn)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check Redis, the queues and the apps for what can cost messages",
		Long: `doctor looks at Redis, at what emq keeps there, and at each configured app's host and
credentials. Of each thing that is not as it should be it says what that can cost and
how to mend it. It changes nothing.

  Redis   reach, version, clock, memory, eviction, append-only file and its fsync,
          snapshots, replication, scripts; on Cluster for each master
  apps    queues and their register, backlog, workers and their clocks, stuck tasks,
          dead letters near their limit, holds
  calls   each app's host: answers, how fast, until when its certificate is good; and
          its credentials: one token is fetched for each app. The vendor frowns on many
          fetches, so leave a minute between runs, or give --redis-only

As a check for monitoring: it exits 0 when nothing warns or fails, else 1; with
--fail-on fail, warnings pass. Redis out of reach is a failure. What it could not look
at, because Redis or the settings do not let it, is none. A wrong use exits 2.`,
		Example: `  emq doctor
  emq doctor --redis-only --fail-on fail
  emq doctor --json | jq 'select(.level != "ok")'`,
		Args: takesNone,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if failOn != string(dlq.LevelWarn) && failOn != string(dlq.LevelFail) {
				return usagef("--fail-on %q: must be %s or %s", failOn, dlq.LevelWarn, dlq.LevelFail)
			}
			b, err := e.open(cmd)
			if err != nil {
				return err
			}
			rules, err := e.rules(cmd.Context(), b.cfg)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorTimeout)
			defer cancel()
			var aliases []string
			for _, app := range b.cfg.Apps {
				aliases = append(aliases, app.Alias)
			}
			findings := b.store.Examine(ctx, b.cfg.DeadLettersWarn, aliases...)
			if !redisOnly {
				findings = append(findings, worker.Examine(ctx, b.cfg.Apps, rules)...)
			}
			if err := cmd.Context().Err(); err != nil {
				return err // what was cut short says nothing
			}
			l := e.newList(asJSON, "check", "app", "level", "what", "cost:", "mend:")
			counts := map[dlq.Level]int{}
			for _, f := range findings {
				counts[f.Level]++
				l.row(f, f.Check, f.App, f.Level, sentence(f.What.In(b.cfg.Lang)), sentence(f.Cost.In(b.cfg.Lang)), sentence(f.Mend.In(b.cfg.Lang)))
			}
			if err := l.end(); err != nil {
				return err
			}
			fails, warnings := counts[dlq.LevelFail], counts[dlq.LevelWarn]
			if fails+warnings > 0 {
				e.say("%s, %s", plural(fails, "failure"), plural(warnings, "warning"))
			}
			if fails > 0 || warnings > 0 && failOn == string(dlq.LevelWarn) {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&redisOnly, "redis-only", false, "look at Redis alone: call no host, fetch no token")
	cmd.Flags().StringVar(&failOn, "fail-on", failOn, "from which level on to exit with 1: warn or fail")
	settingFlags(cmd.Flags(), "dead_letters_warn", "lang", "rules")
	oneOf(cmd, "fail-on", string(dlq.LevelWarn), string(dlq.LevelFail))
	oneOf(cmd, "lang", "en", "zh")
	jsonFlag(cmd, &asJSON)
	return cmd
}
