package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/tasks"
)

func newQueueCmd(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "queue",
		Short: "Look at queues, pause and resume them",
		Long: `Each app has twelve queues, named APP:FAMILY:PRIORITY: one for each family of calls
(messages, groups, rooms, users) and priority (high, default, low).`,
		Example: `  emq queue list
  emq queue pause default:messages:low`,
	},
		newQueueListCmd(e),
		newQueueSwitchCmd(e, "pause", "Stop a queue: no task of it is taken until it is resumed", "paused", (*dlq.Store).Pause),
		newQueueSwitchCmd(e, "resume", "Let a paused queue run again", "resumed", (*dlq.Store).Resume),
	)
}

// queueLine is one line of `emq queue list --json`.
type queueLine struct {
	dlq.Queue
	LatencyMS int64 `json:"latency_ms"`
}

func newQueueListCmd(e *env) *cobra.Command {
	var (
		app    string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List queues with their tasks by state, and who paused them",
		Example: `  emq queue list
  emq queue list --app shop --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			queues, err := b.store.Queues(cmd.Context(), someApps(app)...)
			if err != nil {
				return asUsage(err)
			}
			l := e.newList(asJSON, "queue", "pending", "active", "scheduled", "retry", "archived", "latency", "paused_by")
			for _, q := range queues {
				pausedBy := q.PausedBy
				if q.Paused && pausedBy == "" {
					pausedBy = "unknown"
				}
				l.row(queueLine{q, q.Latency.Milliseconds()},
					q.Name, q.Pending, q.Active, q.Scheduled, q.Retry, q.Archived, q.Latency, pausedBy)
			}
			return e.endList(l, "queues: nothing was ever enqueued")
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only the queues of this app")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// someApps is the app asked for; none means all.
func someApps(app string) []string {
	if app == "" {
		return nil
	}
	return []string{app}
}

// queueSwitch is (*dlq.Store).Pause or Resume.
type queueSwitch func(s *dlq.Store, ctx context.Context, queue string, by dlq.Actor) error

// newQueueSwitchCmd is `emq queue pause` and `emq queue resume`.
func newQueueSwitchCmd(e *env, verb, short, done string, do queueSwitch) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               verb + " QUEUE...",
		Short:             short,
		Example:           "  emq queue " + verb + " default:messages:low",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: e.completeQueues,
		RunE: func(cmd *cobra.Command, queues []string) error {
			b, err := e.backend(cmd)
			if err != nil {
				return err
			}
			for _, queue := range queues {
				if err := do(b.store, cmd.Context(), queue, e.actor(reason)); err != nil {
					return err
				}
				if _, err := fmt.Fprintln(e.out, done, queue); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if verb == "pause" {
		cmd.Flags().StringVar(&reason, "reason", "", "why, shown by emq queue list --json")
	}
	return cmd
}

// completeQueues offers the queues of the configured apps, without asking Redis.
func (e *env) completeQueues(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	cfg, err := e.config(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := tasks.QueueNames(cfg.appOrDefault())
	for _, app := range cfg.Apps {
		if app.Alias != cfg.appOrDefault() {
			names = append(names, tasks.QueueNames(app.Alias)...)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
